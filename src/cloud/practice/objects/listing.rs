//! Listing as Swift lists: in the order of bytes, with prefix, folders, marker, limit, and in reverse.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::index::Stored;
use crate::cloud::objects::{Entry, ListQuery, Listed, MAX_LISTING};

pub(super) fn list(objects: &BTreeMap<String, Stored>, query: &ListQuery) -> Vec<Entry> {
    if query.reverse { backwards(objects, query) } else { forwards(objects, query) }
}

fn object(name: &str, stored: &Stored) -> Entry {
    Entry::Object(Listed {
        name: name.to_owned(),
        bytes: stored.bytes,
        hash: stored.etag.clone(),
        content_type: stored.content_type.clone(),
        modified: Some(stored.modified),
        large: stored.is_large(),
    })
}

/// The folder that a name is rolled up to.
fn folder<'n>(name: &'n str, query: &ListQuery) -> Option<&'n str> {
    let end = if query.by_folder { name[query.prefix.len()..].find('/') } else { None };
    end.map(|end| &name[..=query.prefix.len() + end])
}

fn forwards(objects: &BTreeMap<String, Stored>, query: &ListQuery) -> Vec<Entry> {
    let limit = query.limit.min(MAX_LISTING);
    let mut entries = Vec::new();
    let mut from = if !query.marker.is_empty() && query.marker >= query.prefix {
        Bound::Excluded(query.marker.clone())
    } else {
        Bound::Included(query.prefix.clone())
    };
    'folders: loop {
        for (name, stored) in objects.range((from.clone(), Bound::Unbounded)) {
            if entries.len() >= limit || !name.starts_with(&query.prefix) {
                break 'folders;
            }
            if let Some(folder) = folder(name, query) {
                if folder != query.marker {
                    entries.push(Entry::Folder(folder.to_owned()));
                }
                // On with the first name that can't be in it: '0' follows '/'.
                from = Bound::Included(format!("{}0", &folder[..folder.len() - 1]));
                continue 'folders;
            }
            entries.push(object(name, stored));
        }
        break;
    }
    entries
}

fn backwards(objects: &BTreeMap<String, Stored>, query: &ListQuery) -> Vec<Entry> {
    let limit = query.limit.min(MAX_LISTING);
    let mut entries = Vec::new();
    let mut to = if query.marker.is_empty() { Bound::Unbounded } else { Bound::Excluded(query.marker.clone()) };
    'folders: loop {
        let from = Bound::Included(query.prefix.clone());
        if matches!(&to, Bound::Excluded(to) if *to <= query.prefix) {
            break;
        }
        for (name, stored) in objects.range((from, to.clone())).rev() {
            if entries.len() >= limit {
                break 'folders;
            }
            if !name.starts_with(&query.prefix) {
                continue;
            }
            if let Some(folder) = folder(name, query) {
                if folder != query.marker {
                    entries.push(Entry::Folder(folder.to_owned()));
                }
                to = Bound::Excluded(folder.to_owned());
                continue 'folders;
            }
            entries.push(object(name, stored));
        }
        break;
    }
    entries
}
