//! Files in a browser: a bucket is made, filled by choosing and by dropping, searched, looked at, shared, emptied.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::key::Key;
use fast_cloud::web::page::Lang;
use serde_json::{Value, json};

use crate::support::{Browser, Folder, Page, Portal, browse, browse_for};

/// A folder to upload from: three files, and a folder with two more.
pub fn desk() -> Folder {
    let folder = Folder::new("desk");
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("보고서 (최종).txt", "첫 줄\n<b>둘째 줄</b>".as_bytes());
    write("data.csv", b"a,b\n1,2\n");
    write("big.bin", &vec![7; 3_000_000]);
    write("사진/소풍.png", PNG);
    write("사진/더/메모.txt", b"memo");
    folder
}

/// One pixel.
const PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 31, 21, 196,
    137, 0, 0, 0, 13, 73, 68, 65, 84, 120, 156, 99, 248, 255, 255, 63, 0, 5, 254, 2, 254, 167, 53, 129, 132, 0, 0, 0,
    0, 73, 69, 78, 68, 174, 66, 96, 130,
];

/// Drops files and folders on the page, as from another window.
pub async fn drop_on(page: &Page, paths: &[PathBuf]) {
    let files: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    for kind in ["dragEnter", "dragOver", "drop"] {
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        page.chromium("Input.dispatchDragEvent", json!({ "type": kind, "x": 600, "y": 400, "data": data })).await;
    }
}

/// The row of a file or folder.
fn line(name: &str) -> String {
    format!("//div[@id='files']//tr[.//input[@name='key' and @value='{name}']]")
}

async fn uploaded(page: &Page, files: usize) {
    let code = "return [...document.querySelectorAll('.tray__item')].map((item) => `${item.dataset.status}: ${item.textContent.trim()}`)";
    page.until(&format!("{files} files in the tray to be done"), async || {
        let items = page.script(code, vec![]).await;
        let items: Vec<String> = serde_json::from_value(items).unwrap();
        (items.iter().filter(|item| item.starts_with("active")).count() == files).then_some(())
    })
    .await;
}

/// A file's bytes, as the page's session gets them; in hexadecimal.
async fn fetched(page: &Page, path: &str) -> Vec<u8> {
    let code = "
        const [path, done] = arguments;
        fetch(path).then((answer) => answer.ok ? answer.arrayBuffer() : Promise.reject(answer.status))
          .then((bytes) => done([...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')), (error) => done(`failed ${error}`));";
    let text: Value = page.later(code, vec![json!(path)]).await;
    hex::decode(text.as_str().unwrap()).unwrap_or_else(|_| panic!("{path}: {text}"))
}

/// All of it, in whichever store is behind the portal. `bucket` is a name that nobody has.
pub async fn journey(page: &Page, lang: Lang, bucket: &str, desk: &Path) {
    page.goto("/dashboard").await;
    page.press(&lang.t("nav.buckets")).await;
    page.at("/buckets").await;
    page.press(&lang.t("buckets.create")).await;
    page.at("/buckets/new").await;
    // What does not belong in a name is said, and nothing is sent.
    page.fill("#name", "My Bucket").await;
    page.mark().await;
    page.click("#bucket-form button.btn--primary").await;
    page.reads("#name-error", &lang.t("validation.bucket_name.characters")).await;
    assert!(page.is_marked().await);
    page.fill("#name", bucket).await;
    page.click("#bucket-form button.btn--primary").await;
    page.at("/buckets").await;
    page.has(&format!("#bucket-{bucket} .status-badge"), "data-status", "active").await;
    assert!(page.text(&format!("#bucket-{bucket} code")).await.contains(bucket));
    page.click(&format!("#bucket-{bucket} .resource-row__name")).await;
    page.see(".drop--empty").await;

    // Chosen: two files at once.
    let chosen: Vec<String> = ["data.csv", "big.bin"].map(|name| desk.join(name).to_str().unwrap().to_owned()).to_vec();
    page.mark().await;
    page.fill_keys("#upload-file", &chosen.join("\n")).await;
    uploaded(page, 2).await;
    for name in ["data.csv", "big.bin"] {
        page.see(&line(name)).await;
    }
    // Dropped anywhere: a file, and a folder with a folder in it.
    drop_on(page, &[desk.join("보고서 (최종).txt"), desk.join("사진")]).await;
    uploaded(page, 5).await;
    page.see(&line("보고서 (최종).txt")).await;
    page.see(&line("사진/")).await;
    assert!(page.is_marked().await, "all of this happened without loading the page again");
    assert_eq!(fetched(page, &format!("/buckets/{bucket}/objects/big.bin")).await, vec![7; 3_000_000]);

    // The same name again asks.
    page.fill_keys("#upload-file", &chosen[0]).await;
    page.see("dialog[open]").await;
    page.press(&lang.t("buckets.existing.keep")).await;
    page.see(&line("data (2).csv")).await;

    // Into the folder, and found from the bucket.
    page.click(&format!("{}//a[contains(@class,'file__name')]", line("사진/"))).await;
    page.see(&line("사진/소풍.png")).await;
    page.see(&line("사진/더/")).await;
    page.goto(&format!("/buckets/{bucket}")).await;
    page.fill("#search", "소풍").await;
    page.key(Key::Enter).await;
    page.see(&line("사진/소풍.png")).await;
    page.click(&format!("{}//a[contains(@class,'file__name')]", line("사진/소풍.png"))).await;
    // Looked at: the picture is drawn.
    page.until("the picture", async || {
        let drawn = page.script("return document.querySelector('.preview img')?.naturalWidth ?? 0", vec![]).await;
        (drawn == json!(1)).then_some(())
    })
    .await;

    // A text is shown as text; renamed; shared, and taken back.
    page.goto(&format!("/buckets/{bucket}/file?key=%EB%B3%B4%EA%B3%A0%EC%84%9C%20(%EC%B5%9C%EC%A2%85).txt")).await;
    assert!(page.text(".preview--text").await.contains("<b>둘째 줄</b>"));
    page.fill("#to", "정리/report.txt").await;
    page.press(&lang.t("buckets.file.rename_submit")).await;
    page.reads("h1", "report.txt").await;
    page.press(&lang.t("buckets.links.create")).await;
    page.see(".links__item").await;
    let link = page.text(".links__url code").await;
    let path = &link[link.find("/share/").unwrap()..];
    assert_eq!(fetched(page, path).await, "첫 줄\n<b>둘째 줄</b>".as_bytes());
    page.press(&lang.t("buckets.links.revoke")).await;
    page.gone(".links__item").await;
    let code = "const [path, done] = arguments; fetch(path).then((answer) => done(answer.status))";
    assert_eq!(page.later(code, vec![json!(path)]).await, json!(404));

    // Chosen and deleted, after the question.
    page.goto(&format!("/buckets/{bucket}")).await;
    for name in ["data.csv", "data (2).csv"] {
        page.click(&format!("{}//input[@name='key']", line(name))).await;
    }
    page.press(&lang.t("buckets.show.delete_chosen")).await;
    page.see("#confirm-page").await;
    page.press(&lang.t("buckets.delete_objects.submit")).await;
    page.see(&line("big.bin")).await;
    page.gone(&line("data.csv")).await;
    assert_eq!(page.count("#files tbody tr").await, 3);
}

/// Deletes a bucket with files, and waits until it is gone.
pub async fn remove(page: &Page, bucket: &str) {
    page.goto("/buckets").await;
    page.click(&format!("#bucket-{bucket}-delete")).await;
    page.see("dialog[open] input[name=name]").await;
    page.fill("dialog[open] input[name=name]", bucket).await;
    page.click("dialog[open] button.btn--danger").await;
    page.at("/buckets").await;
    page.until_for(Duration::from_secs(60), "the bucket to be gone", &mut async || {
        (page.count(&format!("#bucket-{bucket}")).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bucket_s_life() {
    let portal = Portal::shared();
    let desk = desk();
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(150), async |page| {
        page.join("bucketeer", "하늘").await;
        journey(page, Lang::Ko, "life-of-a-bucket", desk.path()).await;
        remove(page, "life-of-a-bucket").await;
    })
    .await;
}

#[tokio::test]
async fn a_bucket_without_javascript() {
    let portal = Portal::shared();
    let desk = desk();
    browse(&portal, Browser::WITHOUT_SCRIPTS, async |page| {
        page.join("plainbucket", "평범").await;
        page.goto("/buckets/new").await;
        page.fill("#name", "no-script-here").await;
        page.click("#bucket-form button.btn--primary").await;
        page.at("/buckets").await;
        page.click("#bucket-no-script-here .resource-row__name").await;
        let files = ["data.csv", "big.bin"].map(|name| desk.path().join(name).to_str().unwrap().to_owned());
        page.fill_keys("#file", &files.join("\n")).await;
        page.press("고른 파일 올리기").await;
        page.see(&line("data.csv")).await;
        page.see(&line("big.bin")).await;
        page.press("새 폴더").await;
        page.fill("#name", "폴더").await;
        page.press("만들기").await;
        page.see(".drop--empty").await;
        page.goto("/buckets/no-script-here").await;
        page.click(&format!("{}//input[@name='key']", line("big.bin"))).await;
        page.press("고른 것 삭제").await;
        page.press("삭제하기").await;
        page.see(&line("data.csv")).await;
        assert_eq!(page.count("#files tbody tr").await, 2);
        page.goto("/buckets/no-script-here/delete").await;
        page.fill("#confirm-name", "no-script-here").await;
        page.press("삭제하기").await;
        page.at("/buckets").await;
        page.until("the bucket to be gone", async || {
            page.reload().await;
            (page.count("#bucket-no-script-here").await == 0).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_is_cancelled_fails_and_is_tried_again() {
    let portal = Portal::start(&[("FASTCLOUD_QUOTA__STORAGE_MB", "64")]);
    let desk = desk();
    let large = desk.path().join("large.bin");
    std::fs::write(&large, vec![1; 40_000_000]).unwrap();
    browse_for(&portal, Browser::KOREAN, Duration::from_secs(150), async |page| {
        page.join("retrying", "다시").await;
        page.goto("/buckets/new").await;
        page.fill("#name", "retry").await;
        page.click("#bucket-form button.btn--primary").await;
        page.at("/buckets").await;
        page.goto("/buckets/retry").await;
        // A line that takes its time, so that there is something to see and to stop.
        let slow = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4_000_000 });
        page.chromium("Network.enable", json!({})).await;
        page.chromium("Network.emulateNetworkConditions", slow).await;
        page.fill_keys("#upload-file", large.to_str().unwrap()).await;
        page.until("progress", async || {
            let note = page.text(".tray__note").await;
            (note.contains('%') && note.contains("/s")).then_some(())
        })
        .await;
        assert_eq!(page.count(&line("large.bin")).await, 0, "not listed before it is confirmed");
        page.click(".tray__item [data-cancel]").await;
        page.gone(".tray__item").await;
        page.reload().await;
        page.see(".drop--empty").await;
        // The portal goes away in the middle; then it is there again.
        page.chromium("Network.enable", json!({})).await;
        let slow = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000 });
        page.chromium("Network.emulateNetworkConditions", slow).await;
        page.fill_keys("#upload-file", large.to_str().unwrap()).await;
        page.until("progress", async || page.text(".tray__note").await.contains("/s").then_some(())).await;
        portal.stop();
        page.reads(".tray__note", "연결이 끊겼어요. 다시 눌러 주세요.").await;
        portal.run();
        let fast = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        page.chromium("Network.emulateNetworkConditions", fast).await;
        page.click(".tray__item [data-retry]").await;
        uploaded(page, 1).await;
        page.see(&line("large.bin")).await;
        // What does not fit any more is said with the reason, and the rest stays.
        let second = desk.path().join("second.bin");
        std::fs::write(&second, vec![2; 40_000_000]).unwrap();
        page.fill_keys("#upload-file", second.to_str().unwrap()).await;
        page.until("the refusal", async || {
            let notes = page
                .script("return [...document.querySelectorAll('.tray__note')].map((n) => n.textContent).join()", vec![])
                .await;
            notes.as_str().unwrap().contains("할당된 스토리지를 초과하여").then_some(())
        })
        .await;
        assert_eq!(page.count("#files tbody tr").await, 1);
    })
    .await;
}
