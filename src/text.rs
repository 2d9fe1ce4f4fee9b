//! Text as columns and pages take it.

/// Text cut to at most `most` characters, as a column takes it.
pub fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => text[..end].to_owned(),
    }
}
