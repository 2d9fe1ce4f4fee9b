//! What a file is, by its name: its type for the store, its word and symbol on a page, and whether it can be looked at.

/// Bytes of a text that are shown.
pub const PREVIEW_BYTES: u64 = 64 * 1024;

/// What a file is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `file_kinds.{name}` is its word.
    pub name: &'static str,
    /// The symbol of the sprite.
    pub icon: &'static str,
}

/// How a file can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preview {
    /// By an `<img>`, which runs nothing.
    Image,
    /// As escaped text.
    Text,
    None,
}

const KINDS: &[(&str, &str, &[&str])] = &[
    ("image", "image", &["png", "jpg", "jpeg", "gif", "webp", "avif", "bmp", "svg", "ico", "tif", "tiff", "heic"]),
    ("video", "video", &["mp4", "mov", "mkv", "webm", "avi", "m4v"]),
    ("audio", "audio", &["mp3", "wav", "flac", "ogg", "m4a", "aac"]),
    ("archive", "archive", &["zip", "gz", "tgz", "bz2", "xz", "7z", "rar", "tar", "zst"]),
    ("pdf", "file", &["pdf"]),
    ("document", "file", &["doc", "docx", "hwp", "hwpx", "odt", "rtf"]),
    ("slides", "file", &["ppt", "pptx", "odp", "key"]),
    ("sheet", "file", &["xls", "xlsx", "ods", "csv", "tsv"]),
    ("markdown", "file", &["md", "markdown"]),
    ("text", "file", &["txt", "log", "ini", "cfg", "conf", "env"]),
    ("data", "file", &["json", "yaml", "yml", "toml", "xml", "sql", "parquet", "ndjson"]),
    ("web", "file", &["html", "htm", "css"]),
    (
        "code",
        "file",
        &[
            "py",
            "rs",
            "js",
            "ts",
            "jsx",
            "tsx",
            "java",
            "kt",
            "c",
            "h",
            "cpp",
            "hpp",
            "cs",
            "go",
            "rb",
            "php",
            "sh",
            "bat",
            "ps1",
            "r",
            "m",
            "swift",
            "lua",
            "ipynb",
            "dockerfile",
            "makefile",
        ],
    ),
];

/// The ending in lower case; of a name without one, the name.
fn ending(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit('.').next().unwrap_or(file).to_ascii_lowercase()
}

pub fn kind(name: &str) -> Kind {
    let ending = ending(name);
    let found = KINDS.iter().find(|(_, _, endings)| endings.contains(&ending.as_str()));
    found.map_or(Kind { name: "other", icon: "file" }, |(name, icon, _)| Kind { name, icon })
}

/// The type that the store is told. By the name alone: what a browser says of a file is its sender's word.
pub fn content_type(name: &str) -> String {
    match ending(name).as_str() {
        // Their common meaning with us is not what the registry has.
        "ts" | "tsx" | "rs" | "m" | "r" | "go" | "kt" => "text/plain".to_owned(),
        _ => mime_guess::from_path(name.rsplit('/').next().unwrap_or(name)).first_or_octet_stream().to_string(),
    }
}

pub fn preview(name: &str) -> Preview {
    match ending(name).as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "bmp" | "svg" => Preview::Image,
        _ if matches!(kind(name).name, "markdown" | "text" | "data" | "web" | "code") => {
            if ending(name) == "parquet" {
                Preview::None
            } else {
                Preview::Text
            }
        }
        "csv" | "tsv" => Preview::Text,
        _ => Preview::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        assert_eq!(kind("a/구조도 (수정).PNG").name, "image");
        assert_eq!(kind("Makefile").name, "code");
        assert_eq!(kind("x").name, "other");
        assert_eq!(content_type("a.b/보고서.pdf"), "application/pdf");
        assert_eq!(content_type("no.ending/x"), "application/octet-stream");
        assert_eq!(preview("x.html"), Preview::Text);
        assert_eq!(preview("x.svg"), Preview::Image);
        assert_eq!(preview("x.exe"), Preview::None);
    }
}
