//! Killed at every point of what is done to buckets and files: what was asked for can be repeated, nothing is half, nothing
//! stays behind.

use super::*;

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum During {
    Make,
    /// A file that is read whole first.
    Small,
    /// A file in segments.
    Large,
    Rename,
    Folder,
    Remove,
}

use During::{Folder, Large, Make, Remove, Rename, Small};

/// Failpoints of buckets and files, and what leads to them; those that all kinds of resources share are in each table.
pub const POINTS: [(&str, During); 17] = [
    ("bucket_written", Make),
    ("bucket_made", Make),
    ("upload_begun", Small),
    ("upload_put", Small),
    ("upload_settled", Small),
    ("upload_begun", Large),
    ("upload_piece", Large),
    ("upload_put", Large),
    ("upload_segment", Large),
    ("upload_manifest", Large),
    ("upload_settled", Large),
    ("renamed_copied", Rename),
    ("folder_some_deleted", Folder),
    ("request_written", Remove),
    ("operation_taken", Remove),
    ("bucket_some_deleted", Remove),
    ("bucket_gone", Remove),
];

/// Waits until Swift holds these files in the bucket, and so many segments.
async fn holds(lab: &Lab, home: &Home, bucket: &str, files: &[&str], count: usize) {
    until("what there is to be", 90, async || {
        let (found, left) = (objects(lab, home, bucket).await, segments(lab, home).await);
        if found == files && left.len() == count { Ok(()) } else { Err(format!("{found:?}, segments {left:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn killed_at_every_point() {
    with_swift(async |lab| {
        let mut watch = Watch::start();
        let home = Home::new();
        let setup = setup(&lab.clouds_yaml())
            .set("FASTCLOUD_BUCKETS__LARGE_FILE_MB", "8")
            .set("FASTCLOUD_BUCKETS__SEGMENT_MB", "4")
            .set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "2");
        let small = home.path().join("small");
        std::fs::write(&small, "small").unwrap();
        let large = sparse(&home, "large", 10);
        let portal = setup.start(&home).await;
        let mut person = portal.person("lazarus").await;
        let bucket = make(lab, &person, "crash").await;
        upload(&person, &portal, &bucket, &small, "kept").await;
        portal.kill();
        for (number, (point, during)) in POINTS.into_iter().enumerate() {
            let other = format!("{}-{number}", bucket);
            let portal = setup.start(&home).await;
            person.moved(&portal.base);
            match during {
                Rename => drop(upload(&person, &portal, &bucket, &small, "old").await),
                Folder => drop(upload(&person, &portal, &bucket, &small, "folder/a").await),
                Remove => {
                    assert_eq!(person.post("/buckets", &[("name", &other)]).await.status, 303);
                    upload(&person, &portal, &other, &small, "in it").await;
                }
                Make | Small | Large => {}
            }
            portal.kill();

            let portal = setup.clone().set("FREEZE_AT", point).start(&home).await;
            person.moved(&portal.base);
            let (file, segmented) = if during == Large { (&large, 3) } else { (&small, 0) };
            let attempt = format!("{number:032x}");
            // The same for each try, as the page's script has it.
            let send = |person: &Person, portal: &Portal| {
                let mut arguments = form(person, portal, &bucket, file, "file");
                if let Some(address) = arguments.last_mut() {
                    address.push_str(&format!("&attempt={attempt}"));
                }
                arguments
            };
            let frozen = async {
                until("the point", 60, async || {
                    if portal.logged(&format!("frozen at {point}")) { Ok(()) } else { Err(portal.log()) }
                })
                .await;
                portal.kill();
            };
            let in_bucket = |what: &str| format!("/buckets/{bucket}/{what}");
            let act = async {
                // Nobody answers: the process dies first.
                match during {
                    Small | Large => {
                        let arguments = send(&person, &portal);
                        curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
                    }
                    Make => drop(person.try_post("/buckets", &[("name", &other)]).await),
                    Rename => drop(person.try_post(&in_bucket("move"), &[("key", "old"), ("to", "new")]).await),
                    Folder => drop(person.try_post(&in_bucket("objects/delete"), &[("key", "folder/")]).await),
                    Remove => drop(person.try_post(&format!("/buckets/{other}/delete"), &[("name", &other)]).await),
                }
            };
            futures::future::join(act, frozen).await;

            let portal = setup.start(&home).await;
            person.moved(&portal.base);
            match during {
                Small | Large => {
                    until("the second try", 60, async || {
                        let arguments = send(&person, &portal);
                        let (_, said) = curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
                        if said.ends_with(" 201") { Ok(()) } else { Err(said) }
                    })
                    .await;
                    holds(lab, &home, &bucket, &["file", "kept"], segmented).await;
                    let back = home.path().join("back");
                    download(&person, &portal, &bucket, "file", &back).await;
                    assert_eq!(md5(&back).await, md5(file).await);
                    let page = person.post(&in_bucket("objects/delete"), &[("key", "file")]).await;
                    assert_eq!(page.status, 303, "{}", page.text());
                }
                Rename => {
                    let back = home.path().join("back");
                    download(&person, &portal, &bucket, "new", &back).await;
                    assert_eq!(md5(&back).await, md5(&small).await);
                    // Both names may be there: the order of things is that nothing is ever lost.
                    let page = person.post(&in_bucket("objects/delete"), &[("key", "new"), ("key", "old")]).await;
                    assert_eq!(page.status, 303, "{}", page.text());
                }
                Make => {
                    until("the bucket on both sides", 60, async || {
                        let list = person.get("/buckets").await.text();
                        let (there, said) = swift(lab, home.path(), &["stat", &other]).await;
                        if there && list.contains(&other) { Ok(()) } else { Err(format!("{said} {list}")) }
                    })
                    .await;
                    remove(&person, &other).await;
                }
                Folder => {}
                Remove => {
                    until("the bucket to be gone", 90, async || {
                        let list = person.get("/buckets").await.text();
                        if list.contains(&other) { Err(list) } else { Ok(()) }
                    })
                    .await;
                    assert!(!swift(lab, home.path(), &["stat", &other]).await.0, "{other} is left in Swift");
                }
            }
            holds(lab, &home, &bucket, &["kept"], 0).await;
            portal.kill();
            watch.lap(&format!("killed at {point} ({during:?}), recovered"));
        }
    })
    .await;
}
