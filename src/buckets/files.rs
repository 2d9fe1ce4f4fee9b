//! What is in a bucket: a page of a folder, a search, a folder in another order.

use std::time::{Duration, Instant};

use unicode_normalization::UnicodeNormalization;

use crate::cloud::CloudError;
use crate::cloud::objects::{Entry, ListQuery, Listed, MAX_LISTING, ObjectStore};

/// Lines on a page.
pub const PAGE: usize = 100;
/// How long a search looks before it shows what it has found and offers to go on.
const PATIENCE: Duration = Duration::from_secs(4);

/// The order of a folder's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// As the store has them: any number of files is listed as fast as ten.
    #[default]
    Name,
    NameDown,
    Size,
    SizeDown,
    Time,
    TimeDown,
}

impl Sort {
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "",
            Self::NameDown => "-name",
            Self::Size => "size",
            Self::SizeDown => "-size",
            Self::Time => "time",
            Self::TimeDown => "-time",
        }
    }

    pub fn from_name(name: &str) -> Self {
        [Self::NameDown, Self::Size, Self::SizeDown, Self::Time, Self::TimeDown]
            .into_iter()
            .find(|sort| sort.name() == name)
            .unwrap_or_default()
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The folder, with its `/` at the end; empty: the bucket.
    pub prefix: String,
    pub search: String,
    /// The last line of the page before.
    pub marker: String,
    pub sort: Sort,
}

/// A page of lines.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Folders first.
    pub entries: Vec<Entry>,
    /// The marker of the next page; None: this is the last.
    pub next: Option<String>,
    /// The folder has too many files for the order that was asked for: it is by name.
    pub too_many_to_sort: bool,
}

/// Asks the store for a page.
///
/// # Errors
/// The store's.
pub async fn page(store: &dyn ObjectStore, container: &str, query: &Query) -> Result<Lines, CloudError> {
    if !query.search.is_empty() {
        return search(store, container, query).await;
    }
    match query.sort {
        Sort::Name | Sort::NameDown => by_name(store, container, query).await,
        _ => sorted(store, container, query).await,
    }
}

async fn by_name(store: &dyn ObjectStore, container: &str, query: &Query) -> Result<Lines, CloudError> {
    let list = ListQuery {
        prefix: query.prefix.clone(),
        by_folder: true,
        marker: query.marker.clone(),
        // The folder itself may be among them, and one more shows whether there is more.
        limit: PAGE + 2,
        reverse: query.sort == Sort::NameDown,
    };
    let mut entries = store.list(container, &list).await?;
    entries.retain(|entry| entry.name() != query.prefix);
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let next = entries.last().map(|last| last.name().to_owned()).filter(|_| more);
    folders_first(&mut entries);
    Ok(Lines { entries, next, too_many_to_sort: false })
}

fn folders_first(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| matches!(entry, Entry::Object(_)));
}

/// A whole folder in another order; the marker counts lines.
async fn sorted(store: &dyn ObjectStore, container: &str, query: &Query) -> Result<Lines, CloudError> {
    let list = ListQuery { prefix: query.prefix.clone(), by_folder: true, limit: MAX_LISTING, ..ListQuery::default() };
    let mut entries = store.list(container, &list).await?;
    if entries.len() >= MAX_LISTING {
        let by_name_query = Query { sort: Sort::Name, ..query.clone() };
        return Ok(Lines { too_many_to_sort: true, ..by_name(store, container, &by_name_query).await? });
    }
    entries.retain(|entry| entry.name() != query.prefix);
    match query.sort {
        Sort::Size | Sort::SizeDown => entries.sort_by_key(|entry| object(entry).map_or(0, |object| object.bytes)),
        _ => entries.sort_by_key(|entry| object(entry).and_then(|object| object.modified)),
    }
    if matches!(query.sort, Sort::SizeDown | Sort::TimeDown) {
        entries.reverse();
    }
    folders_first(&mut entries);
    let skipped = query.marker.parse::<usize>().unwrap_or(0);
    let more = entries.len() > skipped.saturating_add(PAGE);
    let entries: Vec<Entry> = entries.into_iter().skip(skipped).take(PAGE).collect();
    Ok(Lines { next: more.then(|| (skipped + PAGE).to_string()), entries, too_many_to_sort: false })
}

fn object(entry: &Entry) -> Option<&Listed> {
    match entry {
        Entry::Object(object) => Some(object),
        Entry::Folder(_) => None,
    }
}

/// As a search compares: the same letters, however they are put together, large or small.
fn folded(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).collect()
}

/// Files under the folder whose name has the text in it, wherever they are.
async fn search(store: &dyn ObjectStore, container: &str, query: &Query) -> Result<Lines, CloudError> {
    let (wanted, began) = (folded(&query.search), Instant::now());
    let mut lines = Lines::default();
    let mut marker = query.marker.clone();
    loop {
        let list = ListQuery {
            prefix: query.prefix.clone(),
            marker: marker.clone(),
            limit: MAX_LISTING,
            ..ListQuery::default()
        };
        let listed = store.list(container, &list).await?;
        let full = listed.len() >= MAX_LISTING;
        for entry in listed {
            marker = entry.name().to_owned();
            if folded(&entry.name()[query.prefix.len()..]).contains(&wanted) {
                lines.entries.push(entry);
            }
            if lines.entries.len() >= PAGE {
                lines.next = Some(marker);
                return Ok(lines);
            }
        }
        if !full {
            return Ok(lines);
        }
        if began.elapsed() >= PATIENCE {
            lines.next = Some(marker);
            return Ok(lines);
        }
    }
}
