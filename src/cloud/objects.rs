//! The seam to where files are kept: what the portal asks of an object store, in its own words.
//!
//! A container holds objects by name; folders are only a way to list them. Bytes go in and out as streams: nothing of a
//! file is ever held as a whole. An object is there completely or not at all: a body that breaks off leaves what was
//! there before.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use uuid::Uuid;

use super::{CheckLine, CloudError};
use crate::ids::{BucketId, UploadId};

/// A file's bytes on their way. An error ends it, and what was written with it is not kept.
pub type ByteStream = BoxStream<'static, Result<Bytes, CloudError>>;

/// Bytes of a name (Swift counts letters; bytes are the smaller number, and the same for all stores).
pub const MAX_KEY_BYTES: usize = 1024;
/// Bytes of a container's name (Swift's own limit).
pub const MAX_CONTAINER_BYTES: usize = 256;
/// Names in one answer of [`ObjectStore::list`] (Swift's own limit).
pub const MAX_LISTING: usize = 10_000;
/// Objects in one [`ObjectStore::delete_many`].
pub const MAX_DELETIONS: usize = 1_000;

/// Why a name can't be an object's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    #[error("the name is empty")]
    Empty,
    #[error("the name has more than 1,024 bytes")]
    TooLong,
    /// They vanish from addresses, and from pages.
    #[error("the name has control characters")]
    Control,
    /// They would be taken as steps to another folder on the way.
    #[error("a part of the name is . or ..")]
    Dots,
}

/// The name of an object: 1 to 1,024 bytes of UTF-8 without control characters, no part of it `.` or `..`. Whatever
/// else it is, it comes back as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// # Errors
    /// Why it can't be a name.
    pub fn parse(text: impl Into<String>) -> Result<Self, KeyProblem> {
        let text = text.into();
        if text.is_empty() {
            return Err(KeyProblem::Empty);
        }
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyProblem::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(KeyProblem::Control);
        }
        if text.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(KeyProblem::Dots);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for a folder.
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }

    /// What follows the last `/` that has something behind it: `b.txt` of `a/b.txt`, `b/` of `a/b/`.
    pub fn file_name(&self) -> &str {
        let end = self.0.len() - usize::from(self.is_folder());
        self.0[..end].rfind('/').map_or(self.0.as_str(), |at| &self.0[at + 1..])
    }

    /// What comes before that: `a/` of `a/b.txt`.
    pub fn folder(&self) -> &str {
        &self.0[..self.0.len() - self.file_name().len()]
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ObjectKey {
    type Err = KeyProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Whether this can be a container's name with us: lower-case letters, digits, `-`, and `_` for what people don't see.
pub fn is_container_name(name: &str) -> bool {
    (1..=MAX_CONTAINER_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

/// The container for the segments of a bucket's large files. No bucket has a `_` in its name.
pub fn segments_container(bucket: BucketId) -> String {
    format!("segments_{}", bucket.0.simple())
}

/// The name of a segment; numbers from 0. They sort by number.
pub fn segment_name(upload: UploadId, number: u32) -> String {
    format!("{}/{number:06}", upload.0.simple())
}

/// What all segments of an upload begin with.
pub fn segments_prefix(upload: UploadId) -> String {
    format!("{}/", upload.0.simple())
}

/// Which bucket a container is, as we write it to the container when we make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which portal: more than one may share an account of the store.
    pub portal: Uuid,
    pub bucket: BucketId,
}

/// What became of the wish for a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is there now, and carries the mark (an earlier try counts as well).
    Made,
    /// There is one of this name already that does not carry the mark; it has not been touched.
    Taken,
}

/// How much a container holds. The numbers may lag by seconds in [`ObjectStore::containers`], not in
/// [`ObjectStore::container`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerUse {
    pub name: String,
    pub bytes: u64,
    pub objects: u64,
}

/// What to list. Names come in the order of their bytes.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only names that begin so.
    pub prefix: String,
    /// Roll up what follows the next `/` after the prefix.
    pub by_folder: bool,
    /// Only names after (in reverse: before) this one. A folder's name, as it was listed, skips the folder.
    pub marker: String,
    /// At most [`MAX_LISTING`].
    pub limit: usize,
    pub reverse: bool,
}

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The name up to and with the `/`.
    Folder(String),
    Object(Listed),
}

impl Entry {
    pub fn name(&self) -> &str {
        match self {
            Self::Folder(name) => name,
            Self::Object(object) => &object.name,
        }
    }
}

/// An object as it is listed. The name is what the store says: others may have put there what we would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// Of the whole file, segments included.
    pub bytes: u64,
    /// MD5 in hexadecimal; of a large file, of its manifest.
    pub hash: String,
    pub content_type: String,
    pub modified: Option<DateTime<Utc>>,
    /// Made of segments.
    pub large: bool,
}

/// What is known of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub bytes: u64,
    /// Without quotes.
    pub etag: String,
    pub content_type: String,
    pub modified: Option<DateTime<Utc>>,
    /// Made of segments; and the upload that made them, if it was ours.
    pub large: bool,
    pub upload: Option<UploadId>,
}

/// How an object is written.
#[derive(Debug, Clone, Default)]
pub struct PutOrder {
    pub content_type: String,
    /// Bytes that come, if that is known. A body that has others is refused.
    pub length: Option<u64>,
    /// Refuse (with [`CloudError::Conflict`]) when there is one of this name.
    pub only_if_absent: bool,
}

/// A segment of a large file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub name: String,
    pub bytes: u64,
    /// MD5 in hexadecimal.
    pub etag: String,
}

/// What puts segments together to a file.
#[derive(Debug, Clone)]
pub struct ManifestOrder {
    pub put: PutOrder,
    /// Where the segments are.
    pub container: String,
    pub segments: Vec<Segment>,
    /// Written to the object, so that it can be told whose segments these are.
    pub upload: UploadId,
}

/// The headers of a request for an object that the store answers itself (RFC 9110, 13 and 14), as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetQuery {
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    pub if_unmodified_since: Option<String>,
}

impl GetQuery {
    /// The bytes from 0 to before `bytes`.
    pub fn beginning(bytes: u64) -> Self {
        Self { range: Some(format!("bytes=0-{}", bytes.saturating_sub(1))), ..Self::default() }
    }
}

/// An answer to [`ObjectStore::get`].
pub struct Download {
    pub kind: DownloadKind,
    /// Of the body that follows; None when the store does not say.
    pub length: Option<u64>,
    /// Without quotes.
    pub etag: String,
    pub content_type: String,
    pub modified: Option<DateTime<Utc>>,
    /// Made of segments: the etag is no MD5 of the bytes.
    pub large: bool,
    pub body: ByteStream,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("kind", &self.kind).field("length", &self.length).finish_non_exhaustive()
    }
}

/// Which answer it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadKind {
    /// 200
    Whole,
    /// 206; `Content-Range`, or a body of several parts when there is none.
    Part(Option<String>),
    /// 304
    NotModified,
    /// 412
    ConditionFailed,
    /// 416, with the `Content-Range` that says how long it is.
    NotSatisfiable(Option<String>),
}

/// Files. All calls but those that carry a body have a time limit; a body that stands still is given up as well.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Whether it is the practice cloud's (then every page says so, although the files are real).
    fn simulated(&self) -> bool;

    /// The address of a container for other tools.
    async fn address(&self, container: &str) -> Result<String, CloudError>;

    /// Makes a container with this mark. Can be repeated.
    async fn create(&self, container: &str, mark: Mark) -> Result<Creation, CloudError>;
    /// All containers, in one call for 10,000 of them.
    async fn containers(&self) -> Result<Vec<ContainerUse>, CloudError>;
    async fn container(&self, container: &str) -> Result<ContainerUse, CloudError>;
    /// Removes an empty container; [`CloudError::Conflict`] when it is not. One that is gone already is no error.
    async fn remove(&self, container: &str) -> Result<(), CloudError>;

    async fn list(&self, container: &str, query: &ListQuery) -> Result<Vec<Entry>, CloudError>;
    async fn head(&self, container: &str, key: &ObjectKey) -> Result<ObjectInfo, CloudError>;
    async fn get(&self, container: &str, key: &ObjectKey, query: &GetQuery) -> Result<Download, CloudError>;

    /// Writes an object and returns the MD5 (in hexadecimal) of what was stored. Not repeated when it fails: the body
    /// is gone. An object of this name is replaced at the end, at once.
    async fn put(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &PutOrder,
        body: ByteStream,
    ) -> Result<String, CloudError>;
    /// Makes a file of segments, whose sizes and sums are checked; returns the MD5 of the segments' MD5s.
    async fn put_manifest(&self, container: &str, key: &ObjectKey, order: &ManifestOrder)
    -> Result<String, CloudError>;
    /// Copies on the server, into the same or another container; of a large file the manifest alone, so that both have
    /// the same segments. [`CloudError::Conflict`] when there is one of the new name and `only_if_absent`.
    async fn copy(
        &self,
        from: (&str, &ObjectKey),
        to: (&str, &ObjectKey),
        only_if_absent: bool,
    ) -> Result<(), CloudError>;

    /// Deletes an object; of a large file the manifest alone. One that is gone already is no error.
    async fn delete(&self, container: &str, key: &ObjectKey) -> Result<(), CloudError>;
    /// Deletes at most [`MAX_DELETIONS`] by their listed names; those that are gone already are no error.
    ///
    /// # Errors
    /// The first that could not be deleted; others may have been.
    async fn delete_many(&self, container: &str, names: &[String]) -> Result<(), CloudError>;

    /// Tries what the portal needs, for `fast-cloud check`.
    async fn check(&self) -> Vec<CheckLine>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_they_are_or_refused_with_the_reason() {
        let long = "가".repeat(341) + "x";
        for name in ["a", "a//b", "/lead", " lead ", "%2e%2e%2f", "?x", "#", "\"'", "...", "..a/b..", "a/", &long] {
            assert_eq!(ObjectKey::parse(name).unwrap().as_str(), name);
        }
        for (name, problem) in [
            ("", KeyProblem::Empty),
            ("..", KeyProblem::Dots),
            ("a/./b", KeyProblem::Dots),
            ("../../etc/passwd", KeyProblem::Dots),
            ("a/..", KeyProblem::Dots),
            ("a\r\nb", KeyProblem::Control),
            ("a\0", KeyProblem::Control),
            ("\u{85}", KeyProblem::Control),
            (&(long.clone() + "x"), KeyProblem::TooLong),
        ] {
            assert_eq!(ObjectKey::parse(name).unwrap_err(), problem, "{name:?}");
        }
    }

    #[test]
    fn a_name_has_a_folder_and_what_is_in_it() {
        for (key, folder, name) in [
            ("a", "", "a"),
            ("a/b", "a/", "b"),
            ("a/b/", "a/", "b/"),
            ("/x", "/", "x"),
            ("a//", "a/", "/"),
            ("/", "", "/"),
        ] {
            let key = ObjectKey::parse(key).unwrap();
            assert_eq!((key.folder(), key.file_name()), (folder, name));
        }
    }
}
