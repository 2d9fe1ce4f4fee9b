//! Swift by its look-alike: what its answers mean, and what is asked of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use uuid::Uuid;

use crate::cloud::CloudError;
use crate::cloud::objects::{
    Creation, DownloadKind, Entry, GetQuery, ListQuery, Mark, ObjectKey, ObjectStore, PutOrder,
};
use crate::cloud::openstack::testing::{Cloud, Reply};
use crate::ids::BucketId;

const ACCOUNT: &str = "/swift/v1/AUTH_p1";

/// An answer as Swift's own are: with its id.
fn swift(status: u16, mut headers: Vec<(&'static str, String)>, body: &str) -> Reply {
    headers.push(("x-trans-id", "tx1".to_owned()));
    Reply::Raw(status, headers, body.as_bytes().to_vec())
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

fn body(pieces: &[&'static str]) -> crate::cloud::objects::ByteStream {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
    futures::stream::iter(pieces).boxed()
}

const PUT: PutOrder = PutOrder { content_type: String::new(), length: None, only_if_absent: false };

#[tokio::test]
async fn what_swift_says_is_understood() {
    for (status, ours, body, wanted) in [
        (404, true, "<html><h1>Not Found</h1></html>", "not found: Not Found"),
        (404, false, "<html>nginx</html>", "unavailable: 404, and not from Swift itself: nginx"),
        (409, true, "", "conflict: status 409"),
        (413, true, "Upload exceeds quota.", "over quota: Upload exceeds quota."),
        (507, true, "", "over quota: the storage is full (507)"),
        (503, true, "<p>The server is busy.</p>", "unavailable: Swift answered 503: The server is busy."),
        (422, true, "", "unavailable: Swift answered 422: status 422"),
        (400, true, "Bad name", "rejected: Bad name"),
        (302, true, "", "unavailable: Swift sends us elsewhere (302); check its address in the catalogue"),
    ] {
        let cloud = Cloud::start(move |request| {
            let asked = request.target.starts_with(ACCOUNT);
            asked.then(|| if ours { swift(status, vec![], body) } else { Reply::Raw(status, vec![], body.into()) })
        })
        .await;
        let error = cloud.client(5).container("c").await.unwrap_err();
        // A HEAD has no words.
        let said = cloud.client(5).list("c", &ListQuery::default()).await.unwrap_err();
        assert_eq!(said.to_string(), wanted);
        assert_eq!(std::mem::discriminant(&said), std::mem::discriminant(&error), "{status}");
    }
}

#[tokio::test]
async fn names_arrive_as_they_are() {
    let cloud = Cloud::start(|request| {
        request
            .target
            .starts_with(ACCOUNT)
            .then(|| swift(200, vec![("content-type", "text/plain".to_owned()), ("etag", "e".to_owned())], "x"))
    })
    .await;
    let client = cloud.client(5);
    for (name, path) in [
        ("a//b", "a//b"),
        ("/lead", "/lead"),
        (" x ", "%20x%20"),
        ("%2e%2e%2f", "%252e%252e%252f"),
        ("?x#y", "%3Fx%23y"),
        ("가", "%EA%B0%80"),
        ("..a/b..", "..a/b.."),
        ("a\\b\"c", "a%5Cb%22c"),
        ("a;b=c&d+e", "a%3Bb%3Dc%26d%2Be"),
    ] {
        client.get("c", &key(name), &GetQuery::default()).await.unwrap();
        assert_eq!(cloud.seen().last().unwrap().target, format!("{ACCOUNT}/c/{path}"), "{name}");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_but_not_for_a_body() {
    let refused = Arc::new(AtomicBool::new(true));
    let switch = refused.clone();
    let cloud = Cloud::start(move |request| {
        if !request.target.starts_with(ACCOUNT) {
            return None;
        }
        let old = request.headers.get("x-auth-token").is_some_and(|token| token == "token-1");
        if old && switch.load(Ordering::SeqCst) {
            return Some(swift(401, vec![], "Unauthorized"));
        }
        let sum = ("etag", "5d41402abc4b2a76b9719d911017c592".to_owned());
        let headers =
            vec![("x-container-bytes-used", "5".to_owned()), ("x-container-object-count", "1".to_owned()), sum];
        Some(swift(if request.method == "PUT" { 201 } else { 200 }, headers, ""))
    })
    .await;
    let client = cloud.client(5);
    let error = client.put("c", &key("a"), &PUT, body(&["hello"])).await.unwrap_err();
    assert!(matches!(error, CloudError::Unavailable { .. }), "{error}");
    assert_eq!(cloud.asked("PUT", &format!("{ACCOUNT}/c/a")), 1, "a body is sent once");
    assert_eq!(cloud.logins(), 2, "and the next finds a new token");
    assert_eq!(client.put("c", &key("a"), &PUT, body(&["hello"])).await.unwrap(), "5d41402abc4b2a76b9719d911017c592");

    let other = cloud.client(5);
    refused.store(true, Ordering::SeqCst);
    assert_eq!(other.container("c").await.unwrap().bytes, 5);
    let odd = other.list("c", &ListQuery::default()).await.unwrap_err();
    assert!(odd.to_string().contains("makes no sense"), "{odd}");
}

#[tokio::test]
async fn a_store_that_stands_still_is_given_up() {
    let cloud = Cloud::start(|request| request.target.starts_with(ACCOUNT).then_some(Reply::Hang)).await;
    let client = cloud.client(1);
    let began = std::time::Instant::now();
    client.head("c", &key("a")).await.unwrap_err();
    client.get("c", &key("a"), &GetQuery::default()).await.unwrap_err();
    let error = client.put("c", &key("a"), &PUT, body(&["all", "of", "it"])).await.unwrap_err();
    assert!(error.to_string().contains("takes no more of a file"), "{error}");
    assert!(began.elapsed().as_secs() < 10);
    // As long as it is the sender who is slow, it is waited for.
    let cloud = Cloud::start(|request| {
        request.target.starts_with(ACCOUNT).then(|| swift(201, vec![("etag", "x".to_owned())], ""))
    })
    .await;
    let slow = futures::stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        Ok(Bytes::from_static(b"late"))
    });
    assert_eq!(cloud.client(1).put("c", &key("a"), &PUT, slow.boxed()).await.unwrap(), "x");
}

#[tokio::test]
async fn an_upload_whose_sender_leaves_fails() {
    let cloud = Cloud::start(|request| {
        request.target.starts_with(ACCOUNT).then(|| swift(201, vec![("etag", "x".to_owned())], ""))
    })
    .await;
    let pieces = vec![Ok(Bytes::from_static(b"half")), Err(CloudError::unavailable("left"))];
    let body = futures::stream::iter(pieces).boxed();
    assert!(cloud.client(5).put("c", &key("a"), &PUT, body).await.is_err());
    assert!(cloud.seen().is_empty(), "it never came to its end");
}

#[tokio::test]
async fn a_container_of_somebody_else_is_left_alone() {
    let mark = Mark { portal: Uuid::nil(), bucket: BucketId::new() };
    let header = "x-container-meta-fast-cloud-00000000000000000000000000000000";
    for (head, put, marked, wanted) in [
        (404, 201, false, Creation::Made),
        (204, 0, true, Creation::Made),
        (204, 0, false, Creation::Taken),
        (404, 202, false, Creation::Taken),
    ] {
        let cloud = Cloud::start(move |request| {
            if !request.target.starts_with(ACCOUNT) {
                return None;
            }
            Some(match request.method.as_str() {
                "HEAD" if marked => swift(head, vec![(header, mark.bucket.to_string())], ""),
                "HEAD" => swift(head, vec![], ""),
                "PUT" => {
                    assert_eq!(request.headers[header], mark.bucket.to_string());
                    swift(put, vec![], "")
                }
                _ => {
                    assert!(request.headers.contains_key(&header.replace("x-container", "x-remove-container")));
                    swift(204, vec![], "")
                }
            })
        })
        .await;
        assert_eq!(cloud.client(5).create("bucket", mark).await.unwrap(), wanted);
        let posts = cloud.seen().iter().filter(|request| request.method == "POST").count();
        assert_eq!(posts, usize::from(put == 202), "our mark is taken back from what is not ours");
    }
    let cloud = Cloud::start(|_| None).await;
    for name in ["..", "a/b", "", "A", "가"] {
        assert!(matches!(cloud.client(5).create(name, mark).await, Err(CloudError::Rejected(_))));
    }
    assert!(cloud.seen().is_empty());
}

#[tokio::test]
async fn bulk_deletion_tells_the_truth_in_its_body() {
    for (said, works) in [
        (r#"  {"Response Status": "200 OK", "Errors": [], "Number Deleted": 1}"#, true),
        (r#"{"Response Status": "404 Not Found", "Errors": [], "Number Not Found": 1}"#, true),
        (r#"{"Response Status": "400 Bad Request", "Errors": [["/c/a", "409 Conflict"]]}"#, false),
        (r#"{"Response Status": "502 Bad Gateway", "Response Body": "", "Errors": []}"#, false),
        ("<html>no bulk here</html>", false),
    ] {
        let cloud =
            Cloud::start(move |request| request.target.starts_with(ACCOUNT).then(|| swift(200, vec![], said))).await;
        assert_eq!(cloud.client(5).delete_many("c", &["a".to_owned()]).await.is_ok(), works, "{said}");
    }
}

#[tokio::test]
async fn listings_and_downloads_are_read() {
    let cloud = Cloud::start(|request| {
        if !request.target.starts_with(ACCOUNT) {
            return None;
        }
        if request.headers.contains_key("range") {
            let headers = vec![("content-range", "bytes 0-1/10".to_owned()), ("etag", "\"abc\"".to_owned())];
            return Some(swift(206, headers, "01"));
        }
        let rows = r#"[{"subdir": "a/"}, {"name": "b", "bytes": 5, "hash": "h", "content_type": "text/plain",
            "last_modified": "2026-11-24T20:37:03.827140", "slo_etag": "x"}, {"odd": 1}]"#;
        Some(swift(200, vec![], rows))
    })
    .await;
    let client = cloud.client(5);
    let query = ListQuery { prefix: "가&".to_owned(), by_folder: true, limit: 7, ..ListQuery::default() };
    let listed = client.list("c", &query).await.unwrap();
    assert_eq!(cloud.seen()[0].target, format!("{ACCOUNT}/c?format=json&limit=7&prefix=%EA%B0%80%26&delimiter=%2F"));
    assert_eq!(listed.len(), 2);
    let Entry::Object(object) = &listed[1] else { panic!("{listed:?}") };
    assert!(object.large && object.modified.unwrap().to_rfc3339().starts_with("2026-11-24T20:37:03.827"));
    let mut part = client.get("c", &key("b"), &GetQuery::beginning(2)).await.unwrap();
    assert_eq!(part.kind, DownloadKind::Part(Some("bytes 0-1/10".to_owned())));
    assert_eq!((part.etag.as_str(), part.length), ("abc", Some(2)));
    assert_eq!(part.body.next().await.unwrap().unwrap(), "01");
}

#[tokio::test]
async fn a_request_says_whose_it_is() {
    let cause = crate::cause::Cause::new(uuid::Uuid::new_v4());
    let cloud = Cloud::start(|request| {
        let used = vec![("x-container-bytes-used", "0".to_owned()), ("x-container-object-count", "0".to_owned())];
        request.target.starts_with(ACCOUNT).then(|| swift(204, used, ""))
    })
    .await;
    let client = cloud.client(5);
    cause.of(client.container("c")).await.unwrap();
    assert_eq!(cloud.seen().last().unwrap().headers["x-trans-id-extra"], cause.transaction_suffix());
}
