//! Reading an object: conditions and ranges (RFC 9110, 13 and 14), then its files one after another.

use std::fs::File;

use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::index::{Body, Stored};
use super::{Inner, disk};
use crate::cloud::CloudError;
use crate::cloud::objects::{ByteStream, Download, DownloadKind, GetQuery};

const PIECE: usize = 64 * 1024;

impl Inner {
    /// The files that an object's bytes are in, each with its size.
    pub(super) fn open(&self, container: &str, stored: &Stored) -> Result<Vec<(File, u64)>, CloudError> {
        let open = |container: &str, id: &uuid::Uuid| {
            File::open(self.dir_of(container)?.join("files").join(id.to_string())).map_err(disk)
        };
        match &stored.body {
            Body::File(id) => Ok(vec![(open(container, id)?, stored.bytes)]),
            Body::Segments(at, names) => names
                .iter()
                .map(|name| {
                    let segment = self.with_index(at, |index| index.find(name).cloned());
                    let segment = segment.map_err(|_| CloudError::unavailable("a segment of the file is missing"))?;
                    match &segment.body {
                        Body::File(id) => Ok((open(at, id)?, segment.bytes)),
                        Body::Segments(..) => Err(CloudError::unavailable("a segment has segments")),
                    }
                })
                .collect(),
        }
    }
}

/// Whether a list of entity tags has this one; `*` has every.
fn has_tag(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == etag)
}

fn time(text: &Option<String>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.as_deref()?).ok().map(|time| time.with_timezone(&Utc))
}

/// The part that a range asks for: first byte and number of bytes. None: the whole; `Err`: there is no such part.
fn part(range: &str, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some(set) = range.strip_prefix("bytes=") else { return Ok(None) };
    // Several parts, or nonsense: the whole is a right answer, too.
    let Some((first, last)) = set.trim().split_once('-').filter(|_| !set.contains(',')) else { return Ok(None) };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (Some(first), _) if first >= size => Err(()),
        (Some(first), Some(last)) if last < first => Ok(None),
        (Some(first), Some(last)) => Ok(Some((first, last.min(size - 1) - first + 1))),
        (Some(first), None) if last.is_empty() => Ok(Some((first, size - first))),
        (None, Some(0)) if first.is_empty() => Err(()),
        (None, Some(_)) if first.is_empty() && size == 0 => Err(()),
        (None, Some(tail)) if first.is_empty() => Ok(Some((size.saturating_sub(tail), tail.min(size)))),
        _ => Ok(None),
    }
}

/// Which answer the conditions and the range make, and the part that goes out.
fn choose(stored: &Stored, query: &GetQuery) -> (DownloadKind, u64, u64) {
    let (size, modified) = (stored.bytes, stored.modified.trunc_subsecs(0));
    let nothing = |kind| (kind, 0, 0);
    if query.if_match.as_ref().is_some_and(|list| !has_tag(list, &stored.etag)) {
        return nothing(DownloadKind::ConditionFailed);
    }
    if query.if_match.is_none() && time(&query.if_unmodified_since).is_some_and(|time| modified > time) {
        return nothing(DownloadKind::ConditionFailed);
    }
    match &query.if_none_match {
        Some(list) if has_tag(list, &stored.etag) => return nothing(DownloadKind::NotModified),
        None if time(&query.if_modified_since).is_some_and(|time| modified <= time) => {
            return nothing(DownloadKind::NotModified);
        }
        _ => {}
    }
    let current = query.if_range.as_ref().is_none_or(|value| {
        value.trim_matches('"') == stored.etag || time(&query.if_range).is_some_and(|time| modified == time)
    });
    match query.range.as_deref().filter(|_| current).map(|range| part(range, size)) {
        Some(Err(())) => nothing(DownloadKind::NotSatisfiable(Some(format!("bytes */{size}")))),
        Some(Ok(Some((first, count)))) => {
            (DownloadKind::Part(Some(format!("bytes {first}-{}/{size}", first + count - 1))), first, count)
        }
        _ => (DownloadKind::Whole, 0, size),
    }
}

pub(super) fn answer(stored: &Stored, files: Vec<(File, u64)>, query: &GetQuery, broken: Option<u64>) -> Download {
    let (kind, first, count) = choose(stored, query);
    let body = if count == 0 { futures::stream::empty().boxed() } else { pieces(files, first, count) };
    Download {
        kind,
        length: Some(count),
        etag: stored.etag.clone(),
        content_type: stored.content_type.clone(),
        modified: Some(stored.modified),
        large: stored.is_large(),
        body: match broken {
            Some(after) => break_after(body, after),
            None => body,
        },
    }
}

/// `count` bytes from `first` on.
fn pieces(files: Vec<(File, u64)>, first: u64, count: u64) -> ByteStream {
    let mut skip = first;
    let mut left = count;
    let mut parts = Vec::new();
    for (file, size) in files {
        let from = skip.min(size);
        skip -= from;
        let take = (size - from).min(left);
        left -= take;
        if take > 0 {
            parts.push((tokio::fs::File::from_std(file), from, take));
        }
    }
    futures::stream::iter(parts).flat_map(|(file, from, take)| one(file, from, take)).boxed()
}

fn one(file: tokio::fs::File, from: u64, take: u64) -> ByteStream {
    futures::stream::try_unfold((file, Some(from), take), |(mut file, seek, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        if let Some(from) = seek {
            file.seek(std::io::SeekFrom::Start(from)).await.map_err(disk)?;
        }
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        let length = file.read(&mut piece).await.map_err(disk)?;
        if length == 0 {
            return Err(CloudError::unavailable("a file is shorter than it was"));
        }
        piece.truncate(length);
        Ok(Some((Bytes::from(piece), (file, None, left - length as u64))))
    })
    .boxed()
}

/// The fault of a body that breaks off.
fn break_after(body: ByteStream, after: u64) -> ByteStream {
    let mut sent = 0;
    let mut ended = false;
    body.map(move |piece| {
        let piece = piece?;
        sent += piece.len() as u64;
        if sent > after { Err(CloudError::unavailable("the body broke off")) } else { Ok(piece) }
    })
    .take_while(move |piece| {
        let go_on = !ended;
        ended = piece.is_err();
        futures::future::ready(go_on)
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(part("bytes=0-4", 10), Ok(Some((0, 5))));
        assert_eq!(part("bytes=5-", 10), Ok(Some((5, 5))));
        assert_eq!(part("bytes=-3", 10), Ok(Some((7, 3))));
        assert_eq!(part("bytes=-30", 10), Ok(Some((0, 10))));
        assert_eq!(part("bytes=8-99", 10), Ok(Some((8, 2))));
        assert_eq!(part("bytes=10-", 10), Err(()));
        assert_eq!(part("bytes=-0", 10), Err(()));
        assert_eq!(part("bytes=0-0", 0), Err(()));
        for whole in ["bytes=4-2", "bytes=0-1,3-4", "bytes=", "bytes=x-y", "lines=1-2", "bytes=-"] {
            assert_eq!(part(whole, 10), Ok(None), "{whole}");
        }
    }
}
