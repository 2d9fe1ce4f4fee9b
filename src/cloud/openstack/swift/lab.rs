//! A real Swift against the practice cloud's files: both have to give the same answers. Ignored unless asked for, as in
//! [`crate::cloud::openstack`]'s other tests of a real cloud; containers are called `t-adapter-…` and removed.

use std::future::Future;
use std::path::PathBuf;

use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest, Md5};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use uuid::Uuid;

use crate::cloud::CloudError;
use crate::cloud::objects::{
    Creation, DownloadKind, Entry, GetQuery, ListQuery, ManifestOrder, Mark, ObjectKey, ObjectStore, PutOrder, Segment,
};
use crate::cloud::openstack::{Credentials, OpenStack, Settings};
use crate::cloud::practice::PracticeObjects;
use crate::ids::{BucketId, UploadId};

/// Both stores with a container of the same name.
struct Pair {
    swift: OpenStack,
    practice: PracticeObjects,
    container: String,
    mark: Mark,
    dir: PathBuf,
}

impl Pair {
    async fn new() -> Self {
        let credentials = Credentials::discover(&|name| std::env::var(name).ok()).unwrap();
        let dir = std::env::temp_dir().join(format!("fast-cloud-pair-{}", Uuid::new_v4()));
        let pair = Self {
            swift: OpenStack::new(credentials, Settings::default()).unwrap(),
            practice: PracticeObjects::new(&dir, "http://portal.example/buckets").unwrap(),
            container: format!("t-adapter-{}", Uuid::new_v4().simple()),
            mark: Mark { portal: Uuid::new_v4(), bucket: BucketId::new() },
            dir,
        };
        for store in pair.both() {
            assert_eq!(store.create(&pair.container, pair.mark).await.unwrap(), Creation::Made);
            assert_eq!(store.create(&pair.container, pair.mark).await.unwrap(), Creation::Made);
        }
        pair
    }

    fn both(&self) -> [&dyn ObjectStore; 2] {
        [&self.swift, &self.practice]
    }

    async fn put(&self, name: &str, text: &str) {
        for store in self.both() {
            let sum = store.put(&self.container, &key(name), &order("text/plain"), body(text)).await.unwrap();
            assert_eq!(sum, hex::encode(Md5::digest(text)));
        }
    }

    async fn empty(&self) {
        let all = ListQuery { limit: 10_000, ..ListQuery::default() };
        for store in self.both() {
            let names: Vec<String> =
                store.list(&self.container, &all).await.unwrap().iter().map(|entry| entry.name().to_owned()).collect();
            if !names.is_empty() {
                store.delete_many(&self.container, &names).await.unwrap();
            }
            assert!(store.list(&self.container, &all).await.unwrap().is_empty());
        }
    }

    async fn end(self) {
        self.empty().await;
        for store in self.both() {
            store.remove(&self.container).await.unwrap();
            store.remove(&self.container).await.unwrap();
            assert!(matches!(store.container(&self.container).await, Err(CloudError::NotFound(_))));
        }
        std::fs::remove_dir_all(&self.dir).unwrap();
    }

    /// The same question to both; their answers, as far as they have to be the same.
    async fn same<T: std::fmt::Debug + PartialEq, F>(&self, what: &str, ask: impl Fn(usize) -> F) -> T
    where
        F: Future<Output = T>,
    {
        let (swift, practice) = (ask(0).await, ask(1).await);
        assert_eq!(swift, practice, "{what}: Swift's answer, and the practice cloud's");
        swift
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

fn order(content_type: &str) -> PutOrder {
    PutOrder { content_type: content_type.to_owned(), ..PutOrder::default() }
}

fn body(text: &str) -> crate::cloud::objects::ByteStream {
    futures::stream::iter([Ok(Bytes::from(text.to_owned()))]).boxed()
}

fn kind(error: &CloudError) -> &'static str {
    match error {
        CloudError::NotFound(_) => "not found",
        CloudError::QuotaExceeded(_) => "over quota",
        CloudError::Conflict(_) => "conflict",
        CloudError::Unavailable { .. } => "unavailable",
        CloudError::Rejected(_) => "rejected",
    }
}

async fn text(store: &dyn ObjectStore, container: &str, name: &str, query: &GetQuery) -> (String, String) {
    match store.get(container, &key(name), query).await {
        Err(error) => (kind(&error).to_owned(), String::new()),
        Ok(mut download) => {
            let mut bytes = Vec::new();
            if matches!(download.kind, DownloadKind::Whole | DownloadKind::Part(_)) {
                while let Some(piece) = download.body.next().await {
                    bytes.extend_from_slice(&piece.unwrap());
                }
            }
            (format!("{:?} {}", download.kind, download.etag), String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

/// What a listing says, but for the time, which is each store's own.
fn lines(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| match entry {
            Entry::Folder(name) => format!("[{name}]"),
            Entry::Object(o) => format!("{} {} {} {} {}", o.name, o.bytes, o.hash, o.content_type, o.large),
        })
        .collect()
}

/// Names as they come, and as they come from those who mean harm.
fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-c]{1,2}",
        1 => "[ -~]{1,6}",
        1 => "\\PC{1,4}",
        1 => Just(String::new()),
        1 => prop::sample::select(vec!["..a", "...", "%2e%2e", "%2F", "?x", "#", "\"", "\\", "가", "\u{1100}\u{1161}", "🎉", " ", "+", "&"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 1..4)
        .prop_map(|parts| parts.join("/"))
        .prop_filter("a name", |name| ObjectKey::parse(name.as_str()).is_ok())
}

#[derive(Debug, Clone)]
struct Question {
    prefix: String,
    marker: String,
    by_folder: bool,
    reverse: bool,
    limit: usize,
}

fn question() -> impl Strategy<Value = Question> {
    let beginning =
        || prop_oneof![2 => Just(String::new()), 2 => name(), 1 => name().prop_map(|name| name + "/"), 2 => "[a-c]/?"];
    (beginning(), beginning(), any::<bool>(), any::<bool>(), 1_usize..6)
        .prop_map(|(prefix, marker, by_folder, reverse, limit)| Question { prefix, marker, by_folder, reverse, limit })
}

#[test]
#[ignore = "needs a real Swift"]
fn lab_swift_and_practice_list_any_names_alike() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pair = runtime.block_on(Pair::new());
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let cases = (prop::collection::btree_set(name(), 1..8), prop::collection::vec(question(), 6));
    let result = runner.run(&cases, |(names, questions)| {
        runtime.block_on(async {
            pair.empty().await;
            for name in &names {
                pair.put(name, name).await;
            }
            for name in &names {
                for store in pair.both() {
                    let (_, got) = text(store, &pair.container, name, &GetQuery::default()).await;
                    prop_assert_eq!(&got, name, "another object");
                }
            }
            for asked in &questions {
                let Question { prefix, marker, by_folder, reverse, limit } = asked.clone();
                let query = ListQuery { prefix, by_folder, marker, limit, reverse };
                let [swift, practice] = pair.both();
                let (one, two) =
                    (swift.list(&pair.container, &query).await, practice.list(&pair.container, &query).await);
                prop_assert_eq!(lines(&one.unwrap()), lines(&two.unwrap()), "{:?}", asked);
            }
            Ok::<(), TestCaseError>(())
        })
    });
    runtime.block_on(pair.end());
    result.unwrap();
}

#[tokio::test]
#[ignore = "needs a real Swift"]
async fn lab_swift_and_practice_keep_the_names_that_go_wrong_elsewhere() {
    let pair = Pair::new().await;
    let longest = "가".repeat(341) + "x";
    let mut names = vec![
        "a//b",
        "/lead",
        "//",
        " lead",
        "trail ",
        "%2e%2e%2f",
        "%2F",
        "%",
        "?x",
        "#",
        "a?b#c&d=e",
        "\"'",
        "\\",
        "...",
        "..a/b..",
        "가",
        "\u{1100}\u{1161}",
        "🎉",
        "a+b",
        "a;b",
        "<b>&amp;",
        &longest,
    ];
    names.sort_unstable();
    assert_eq!(longest.len(), 1024);
    for name in &names {
        pair.put(name, name).await;
    }
    for store in pair.both() {
        for name in &names {
            let (_, got) = text(store, &pair.container, name, &GetQuery::default()).await;
            assert_eq!(got, *name, "another object");
            assert_eq!(store.head(&pair.container, &key(name)).await.unwrap().bytes, name.len() as u64);
        }
        let listed = store.list(&pair.container, &ListQuery { limit: 100, ..ListQuery::default() }).await.unwrap();
        assert_eq!(listed.iter().map(Entry::name).collect::<Vec<_>>(), names);
    }
    pair.end().await;
}

#[tokio::test]
#[ignore = "needs a real Swift"]
async fn lab_swift_and_practice_answer_alike() {
    let pair = Pair::new().await;
    let container = pair.container.clone();
    pair.put("n", "0123456789").await;
    let tag = hex::encode(Md5::digest("0123456789"));
    let quoted = format!("\"{tag}\"");
    let some = |text: &str| Some(text.to_owned());
    for query in [
        GetQuery::default(),
        GetQuery { range: some("bytes=2-4"), ..GetQuery::default() },
        GetQuery { range: some("bytes=-3"), ..GetQuery::default() },
        GetQuery { range: some("bytes=7-"), ..GetQuery::default() },
        GetQuery { range: some("bytes=10-"), ..GetQuery::default() },
        GetQuery { if_none_match: some(&quoted), ..GetQuery::default() },
        GetQuery { if_none_match: some("\"other\""), ..GetQuery::default() },
        GetQuery { if_match: some("\"other\""), ..GetQuery::default() },
        GetQuery { if_modified_since: some("Sun, 01 Jan 2090 00:00:00 GMT"), ..GetQuery::default() },
        GetQuery { if_unmodified_since: some("Sat, 01 Jan 2000 00:00:00 GMT"), ..GetQuery::default() },
        GetQuery { range: some("bytes=2-4"), if_range: some(&quoted), ..GetQuery::default() },
        GetQuery { range: some("bytes=2-4"), if_range: some("\"other\""), ..GetQuery::default() },
    ] {
        let (pair, container, query) = (&pair, &container, &query);
        pair.same(&format!("{query:?}"), |n| text(pair.both()[n], container, "n", query)).await;
    }
    let absent = PutOrder { only_if_absent: true, ..order("text/plain") };
    for store in pair.both() {
        let refused = store.put(&container, &key("n"), &absent, body("other")).await.unwrap_err();
        assert_eq!(kind(&refused), "conflict");
        store.put(&container, &key("new"), &absent, body("other")).await.unwrap();
        store.copy((&container, &key("n")), (&container, &key("c/가 ?")), true).await.unwrap();
        let refused = store.copy((&container, &key("new")), (&container, &key("n")), true).await.unwrap_err();
        assert_eq!(kind(&refused), "conflict");
        let refused = store.copy((&container, &key("none")), (&container, &key("x")), true).await.unwrap_err();
        assert_eq!(kind(&refused), "not found");
        assert_eq!(kind(&store.head(&container, &key("none")).await.unwrap_err()), "not found");
        assert_eq!(kind(&store.remove(&container).await.unwrap_err()), "conflict");
        assert_eq!(kind(&store.list("t-adapter-none", &ListQuery::default()).await.unwrap_err()), "not found");
        store.delete(&container, &key("none")).await.unwrap();
        store.delete_many(&container, &["new".to_owned(), "none".to_owned()]).await.unwrap();
        let info = store.head(&container, &key("c/가 ?")).await.unwrap();
        assert_eq!(
            (info.bytes, info.etag.as_str(), info.content_type.as_str(), info.large),
            (10, tag.as_str(), "text/plain", false)
        );
        let other = Mark { portal: Uuid::new_v4(), bucket: BucketId::new() };
        assert_eq!(store.create(&container, other).await.unwrap(), Creation::Taken);
        let usage = store.container(&container).await.unwrap();
        assert_eq!((usage.bytes, usage.objects), (20, 2));
        assert!(store.containers().await.unwrap().iter().any(|there| there.name == container));
        assert!(store.address(&container).await.unwrap().contains(&container));
    }
    pair.end().await;
}

#[tokio::test]
#[ignore = "needs a real Swift"]
async fn lab_swift_and_practice_put_segments_together_alike() {
    let pair = Pair::new().await;
    let container = pair.container.clone();
    let upload = UploadId::new();
    let mut segments = Vec::new();
    for (number, piece) in ["0123456789", "abcdefghij", "ABC"].into_iter().enumerate() {
        let name = crate::cloud::objects::segment_name(upload, u32::try_from(number).unwrap());
        pair.put(&name, piece).await;
        segments.push(Segment { name, bytes: piece.len() as u64, etag: hex::encode(Md5::digest(piece)) });
    }
    let manifest = ManifestOrder { put: order("text/plain"), container: container.clone(), segments, upload };
    let wrong = {
        let mut wrong = manifest.clone();
        wrong.segments[1].etag = "0".repeat(32);
        wrong
    };
    for store in pair.both() {
        assert_eq!(kind(&store.put_manifest(&container, &key("big"), &wrong).await.unwrap_err()), "rejected");
        let mut sum = Md5::new();
        manifest.segments.iter().for_each(|segment| sum.update(&segment.etag));
        let etag = store.put_manifest(&container, &key("big"), &manifest).await.unwrap();
        assert_eq!(etag, hex::encode(sum.finalize()));
        let mut absent = manifest.clone();
        absent.put.only_if_absent = true;
        assert_eq!(kind(&store.put_manifest(&container, &key("big"), &absent).await.unwrap_err()), "conflict");
        store.copy((&container, &key("big")), (&container, &key("moved")), true).await.unwrap();
        store.delete(&container, &key("big")).await.unwrap();
        let info = store.head(&container, &key("moved")).await.unwrap();
        assert_eq!((info.bytes, info.large, info.upload, info.etag), (23, true, Some(upload), etag));
        assert!(store.get(&container, &key("moved"), &GetQuery::default()).await.unwrap().large);
        assert!(!store.get(&container, &key(&manifest.segments[0].name), &GetQuery::default()).await.unwrap().large);
        let part = GetQuery { range: Some("bytes=8-21".to_owned()), ..GetQuery::default() };
        assert_eq!(text(store, &container, "moved", &part).await.1, "89abcdefghijAB");
        let query = ListQuery { prefix: "moved".to_owned(), limit: 10, ..ListQuery::default() };
        let listed = store.list(&container, &query).await.unwrap();
        let Entry::Object(object) = &listed[0] else { panic!("{listed:?}") };
        assert!(object.large && object.bytes == 23, "{object:?}");
    }
    pair.end().await;
}

#[tokio::test]
#[ignore = "needs a real Swift"]
async fn lab_swift_keeps_nothing_of_a_body_that_is_shorter_than_was_said() {
    let pair = Pair::new().await;
    let container = pair.container.clone();
    pair.put("a", "before").await;
    let said = |length| PutOrder { length: Some(length), ..order("text/plain") };
    for store in pair.both() {
        let refused = store.put(&container, &key("a"), &said(9), body("12345678")).await.unwrap_err();
        assert_eq!(kind(&refused), "unavailable");
        assert_eq!(text(store, &container, "a", &GetQuery::default()).await.1, "before");
        store.put(&container, &key("a"), &said(8), body("12345678")).await.unwrap();
        assert_eq!(text(store, &container, "a", &GetQuery::default()).await.1, "12345678");
        store.put(&container, &key("empty"), &said(0), futures::stream::empty().boxed()).await.unwrap();
        assert_eq!(store.head(&container, &key("empty")).await.unwrap().bytes, 0);
    }
    pair.end().await;
}

#[tokio::test]
#[ignore = "needs a real Swift"]
async fn lab_swift_keeps_nothing_of_a_body_that_breaks_off() {
    let pair = Pair::new().await;
    let container = pair.container.clone();
    pair.put("a", "before").await;
    for store in pair.both() {
        let pieces = (0..64).map(|_| Ok(Bytes::from(vec![b'x'; 65_536])));
        let cut = futures::stream::iter(pieces).chain(futures::stream::iter([Err(CloudError::unavailable("left"))]));
        assert!(store.put(&container, &key("a"), &order("text/plain"), cut.boxed()).await.is_err());
        assert_eq!(text(store, &container, "a", &GetQuery::default()).await.1, "before");
        assert_eq!(store.container(&container).await.unwrap().objects, 1);
    }
    pair.end().await;
}
