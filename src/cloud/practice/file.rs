//! State in one JSON file, shared by processes.
//!
//! A change holds the lock beside the file, which the system gives back also for a process that is killed; the new text
//! is written beside the old one and then put in its place, so that readers need no lock and see the old or the new.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file of state.
#[derive(Debug, Clone)]
pub(super) struct StateFile {
    path: PathBuf,
}

/// Which text a file had: another one after each change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Identity {
    inode: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl StateFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until nobody else changes it; held until the result is dropped.
    pub(super) fn lock(&self) -> io::Result<File> {
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(self.path.with_extension("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Nothing yet is an empty text.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        match std::fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            result => result,
        }
    }

    /// None: there is no file yet.
    pub(super) fn identity(&self) -> io::Result<Option<Identity>> {
        match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(data) => Ok(Some(Identity {
                inode: data.ino(),
                length: data.len(),
                seconds: data.mtime(),
                nanoseconds: data.mtime_nsec(),
            })),
        }
    }

    /// To be called under [`Self::lock`]. A process that is killed leaves the old state or the new one. Only the
    /// portal's user reads it.
    pub(super) fn write(&self, text: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text)?;
        file.sync_data()?;
        std::fs::rename(fresh, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_the_old_or_the_new() {
        let folder = std::env::temp_dir().join(format!("fast-cloud-state-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let file = StateFile::new(folder.join("state.json"));
        assert_eq!((file.read().unwrap(), file.identity().unwrap()), (Vec::new(), None));
        let mut identities = Vec::new();
        for text in ["one", "two", "six"] {
            let _lock = file.lock().unwrap();
            file.write(text.as_bytes()).unwrap();
            assert_eq!(file.read().unwrap(), text.as_bytes());
            identities.push(file.identity().unwrap().unwrap());
        }
        assert!(identities[0] != identities[1] && identities[1] != identities[2], "{identities:?}");
        let mode = std::fs::metadata(file.path()).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "it holds secret variables");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
