//! Forms of buckets.

use crate::cloud::objects::{KeyProblem, MAX_CONTAINER_BYTES, MAX_KEY_BYTES, ObjectKey};
use crate::validation::Checked;

/// A name that is an address of ours.
const RESERVED: &[&str] = &["new"];

/// A bucket's name: 1 to 256 lower-case letters, digits and hyphens.
///
/// # Errors
/// `validation.bucket_name.*`
pub fn bucket_name(text: &str) -> Checked<String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("validation.bucket_name.missing");
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err("validation.bucket_name.characters");
    }
    if name.len() > MAX_CONTAINER_BYTES {
        return Err("validation.bucket_name.too_long");
    }
    if RESERVED.contains(&name) {
        return Err("validation.bucket_name.taken");
    }
    Ok(name.to_owned())
}

/// The sentence for a name that a file can't have.
pub fn key_sentence(problem: KeyProblem) -> &'static str {
    match problem {
        KeyProblem::Empty => "validation.file_name.missing",
        KeyProblem::TooLong => "validation.file_name.too_long",
        KeyProblem::Control => "validation.file_name.control",
        KeyProblem::Dots => "validation.file_name.dots",
    }
}

/// The name of a new folder in a folder; the folder's name with its `/`.
///
/// # Errors
/// `validation.file_name.*`
pub fn folder_key(prefix: &str, name: &str) -> Checked<ObjectKey> {
    let name = name.trim().trim_end_matches('/');
    if name.is_empty() {
        return Err("validation.file_name.missing");
    }
    ObjectKey::parse(format!("{prefix}{name}/")).map_err(key_sentence)
}

/// A folder as it stands in an address: empty, or a name with its `/` at the end. None: it can't be one of ours.
pub fn prefix(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let folder = if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
    ObjectKey::parse(folder).ok().map(|key| key.as_str().to_owned())
}

/// The name that a browser gives a file in a form: it writes three characters as if they stood in an address (HTML,
/// "multipart/form-data encoding algorithm").
pub fn form_file_name(text: &str) -> String {
    text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// Bytes that a field of a form with files may have.
pub const FIELD_BYTES: usize = 4 * MAX_KEY_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets() {
        for name in ["my-project-backup-2025", "a", "0", "-", &"x".repeat(256)] {
            assert_eq!(bucket_name(name).unwrap(), name);
        }
        for (name, sentence) in [
            ("", "missing"),
            ("  ", "missing"),
            ("My-Bucket", "characters"),
            ("my_bucket", "characters"),
            ("버킷", "characters"),
            ("a b", "characters"),
            ("a/b", "characters"),
            ("..", "characters"),
            ("ａ", "characters"),
            (&"x".repeat(257), "too_long"),
            ("new", "taken"),
        ] {
            assert_eq!(bucket_name(name).unwrap_err(), format!("validation.bucket_name.{sentence}"), "{name}");
        }
    }

    #[test]
    fn folders() {
        assert_eq!(folder_key("a/", " b ").unwrap().as_str(), "a/b/");
        assert!(folder_key("", "/").is_err() && folder_key("", "..").is_err() && folder_key("", "a\nb").is_err());
        assert_eq!(prefix("a").as_deref(), Some("a/"));
        assert_eq!(prefix("a//").as_deref(), Some("a//"));
        assert_eq!(prefix("../"), None);
    }
}
