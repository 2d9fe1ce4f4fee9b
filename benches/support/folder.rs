//! A folder that is gone when the benchmark ends, and whether it was `cargo bench` that started it.

use std::path::{Path, PathBuf};

pub struct Folder(PathBuf);

impl Folder {
    /// A new folder for the benchmark of this name.
    pub fn new(name: &str) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("fast-cloud-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `cargo test --all-targets` runs benchmarks too, unoptimised: figures of such a run mean nothing.
pub fn measures() -> bool {
    let measures = std::env::args().any(|argument| argument == "--bench");
    if !measures {
        println!("run it with cargo bench");
    }
    measures
}
