//! Buckets: where people keep files; containers of OpenStack's Swift.
//!
//! A row says whose a bucket is and how much is in it; the files themselves are known to the object store alone, and a
//! page of files is asked of it. A name is taken once in the whole portal (a unique key), and not at all when the store
//! has a container of this name that does not carry our mark. Bytes stream through ([`upload`], [`routes`]); quota is
//! reserved while they do. What takes long (deleting) is an [operation](crate::operations), carried out by [`work`];
//! [`sync`] measures, and sweeps what a process that died has left.

pub mod archive;
pub mod desk;
pub mod files;
pub mod forms;
pub mod kinds;
pub mod model;
pub mod present;
pub mod routes;
pub mod sync;
pub mod upload;
pub mod views;
pub mod work;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand in a path of ours as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A name as a value in a query.
pub fn in_query(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// Where a bucket is shown.
pub fn bucket_path(bucket: &str) -> String {
    format!("/buckets/{bucket}")
}

/// Where a folder of a bucket is shown; the bucket itself for an empty prefix.
pub fn folder_path(bucket: &str, prefix: &str) -> String {
    if prefix.is_empty() { bucket_path(bucket) } else { format!("/buckets/{bucket}?prefix={}", in_query(prefix)) }
}

/// Where an object is downloaded from.
pub fn object_path(bucket: &str, key: &str) -> String {
    format!("/buckets/{bucket}/objects/{}", utf8_percent_encode(key, PATH))
}

/// The page of an object.
pub fn file_path(bucket: &str, key: &str) -> String {
    format!("/buckets/{bucket}/file?key={}", in_query(key))
}
