//! The practice cloud's files.

use bytes::Bytes;

use super::*;
use crate::cloud::objects::Listed;
use crate::ids::BucketId;

fn store() -> (PathBuf, PracticeObjects) {
    let dir = std::env::temp_dir().join(format!("fast-cloud-objects-{}", Uuid::new_v4()));
    let store = PracticeObjects::new(&dir, "http://portal.example/buckets").unwrap();
    (dir, store)
}

fn mark() -> Mark {
    Mark { portal: Uuid::new_v4(), bucket: BucketId::new() }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

fn body(text: &str) -> ByteStream {
    futures::stream::iter([Ok(Bytes::from(text.to_owned()))]).boxed()
}

const PUT: PutOrder = PutOrder { content_type: String::new(), length: None, only_if_absent: false };

async fn read(store: &PracticeObjects, name: &str) -> String {
    let mut download = store.get("c", &key(name), &GetQuery::default()).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = download.body.next().await {
        text.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn two_processes_share_a_folder() {
    let (dir, one) = store();
    let two = PracticeObjects::new(&dir, "http://portal.example/buckets").unwrap();
    let ours = mark();
    assert_eq!(one.create("c", ours).await.unwrap(), Creation::Made);
    assert_eq!(two.create("c", ours).await.unwrap(), Creation::Made);
    assert_eq!(two.create("c", mark()).await.unwrap(), Creation::Taken);
    one.put("c", &key("a"), &PUT, body("one")).await.unwrap();
    two.put("c", &key("b"), &PUT, body("two")).await.unwrap();
    two.put("c", &key("a"), &PUT, body("three")).await.unwrap();
    assert_eq!((read(&one, "a").await, read(&one, "b").await), ("three".to_owned(), "two".to_owned()));
    one.delete("c", &key("a")).await.unwrap();
    assert!(matches!(two.head("c", &key("a")).await, Err(CloudError::NotFound(_))));
    assert!(matches!(two.remove("c").await, Err(CloudError::Conflict(_))));
    two.delete("c", &key("b")).await.unwrap();
    two.remove("c").await.unwrap();
    assert!(matches!(one.container("c").await, Err(CloudError::NotFound(_))));
    one.create("c", ours).await.unwrap();
    assert!(two.list("c", &ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap().is_empty());
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_process_that_died_midway_is_as_if_it_had_not_begun() {
    let (dir, one) = store();
    one.create("c", mark()).await.unwrap();
    one.put("c", &key("a"), &PUT, body("before")).await.unwrap();
    // Half a line in the index, and a file of which it has no line.
    let index = dir.join("c/index");
    let mut text = std::fs::read_to_string(&index).unwrap();
    let half = text.lines().last().unwrap().replace("\"a\"", "\"dead\"");
    text.push_str(&half[..half.len() / 2]);
    std::fs::write(&index, text).unwrap();
    let orphan = dir.join("c/files").join(Uuid::new_v4().to_string());
    std::fs::write(&orphan, "orphan").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    File::options().write(true).open(&orphan).unwrap().set_modified(old).unwrap();
    let two = PracticeObjects::new(&dir, "http://portal.example/buckets").unwrap();
    assert_eq!(read(&two, "a").await, "before");
    two.put("c", &key("b"), &PUT, body("after")).await.unwrap();
    assert!(!orphan.exists());
    let three = PracticeObjects::new(&dir, "http://portal.example/buckets").unwrap();
    let listed = three.list("c", &ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap();
    assert_eq!(listed.iter().map(Entry::name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read(&three, "b").await, "after");
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn folders_are_listed_as_swift_lists_them() {
    let (dir, store) = store();
    store.create("c", mark()).await.unwrap();
    for name in ["a", "a/", "a/b", "a/b/c", "a0", "ab/x", "b", "/lead", "z/"] {
        store.put("c", &key(name), &PUT, body(name)).await.unwrap();
    }
    let list = async |prefix: &str, marker: &str, limit: usize, reverse: bool| {
        let (prefix, marker) = (prefix.to_owned(), marker.to_owned());
        let query = ListQuery { prefix, by_folder: true, marker, limit, reverse };
        let entries = store.list("c", &query).await.unwrap();
        entries
            .iter()
            .map(|entry| match entry {
                Entry::Folder(name) => format!("[{name}]"),
                Entry::Object(Listed { name, .. }) => name.clone(),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(list("", "", 100, false).await, ["[/]", "a", "[a/]", "a0", "[ab/]", "b", "[z/]"]);
    assert_eq!(list("", "", 100, true).await, ["[z/]", "b", "[ab/]", "a0", "[a/]", "a", "[/]"]);
    assert_eq!(list("", "a/", 2, false).await, ["a0", "[ab/]"]);
    assert_eq!(list("", "a/", 2, true).await, ["a", "[/]"]);
    assert_eq!(list("a/", "", 100, false).await, ["a/", "a/b", "[a/b/]"]);
    assert_eq!(list("a", "", 100, false).await, ["a", "[a/]", "a0", "[ab/]"]);
    assert_eq!(list("none", "", 100, false).await, Vec::<String>::new());
    std::fs::remove_dir_all(dir).unwrap();
}
