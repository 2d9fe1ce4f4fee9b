//! Files on a real Swift: the same bytes on both sides, large ones in little memory, and nothing half when something
//! breaks. Containers are called `t-lab-…` (and `segments_…`), and are removed.

pub mod crash;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use tokio::process::Command;

use crate::support::{Gate, Home, Lab, Person, Portal, STUDENTS, Setup, SwiftFault, Watch, run, until};

/// The portal may use so much memory of its own, whatever is uploaded, in KiB. Pages of the program's file that the
/// system keeps are not counted: built for tests it has nearly twice as many as a release, which stays below this with them.
const MEMORY: u64 = 64 * 1024;

fn setup(clouds_yaml: &Path) -> Setup {
    Setup::new(clouds_yaml, STUDENTS)
        .set("FASTCLOUD_CLOUD__COMPUTE", "practice")
        .set("FASTCLOUD_CLOUD__STORAGE", "swift")
        .set("FASTCLOUD_QUOTA__STORAGE_MB", "20000")
        .set("FASTCLOUD_OPENSTACK__REQUEST_SECONDS", "5")
        .set("FASTCLOUD_OPENSTACK__CONNECT_SECONDS", "2")
}

/// The `swift` command on the lab's own Swift.
async fn swift(lab: &Lab, dir: &Path, arguments: &[&str]) -> (bool, String) {
    let script = format!(". {}; exec /usr/bin/swift --auth-version 3 \"$@\"", lab.dir.join("openrc").display());
    let mut command = Command::new("bash");
    command
        .args(["-c", &script, "swift"])
        .args(arguments)
        .current_dir(dir)
        .env_remove("PYTHONPATH")
        .env("PATH", "/usr/bin:/bin");
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), text)
}

/// What Swift has in a container; none when there is no such container.
async fn objects(lab: &Lab, home: &Home, container: &str) -> Vec<String> {
    let (there, text) = swift(lab, home.path(), &["list", container]).await;
    if there { text.lines().map(str::to_owned).collect() } else { Vec::new() }
}

/// Containers for segments, with what is in them.
async fn segments(lab: &Lab, home: &Home) -> Vec<String> {
    let (_, containers) = swift(lab, home.path(), &["list", "--prefix", "segments_"]).await;
    let mut all = Vec::new();
    for container in containers.lines() {
        all.extend(objects(lab, home, container).await);
    }
    all
}

/// A test with nothing of an earlier one in Swift, and with nothing left of it, however it ends.
async fn with_swift(body: impl AsyncFnOnce(&Lab)) {
    run(async |lab| {
        clean(lab).await;
        let result = std::panic::AssertUnwindSafe(body(lab)).catch_unwind().await;
        clean(lab).await;
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}

async fn clean(lab: &Lab) {
    let (_, containers) = swift(lab, &lab.dir, &["list"]).await;
    for container in containers.lines().filter(|name| name.starts_with("t-lab-") || name.starts_with("segments_")) {
        swift(lab, &lab.dir, &["delete", container]).await;
    }
}

async fn md5(path: &Path) -> String {
    let output = Command::new("md5sum").arg(path).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap().to_owned()
}

fn sparse(home: &Home, name: &str, megabytes: u64) -> PathBuf {
    let path = home.path().join(name);
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(megabytes << 20).unwrap();
    // Not only zeros, and not the same in each segment.
    use std::os::unix::fs::FileExt;
    for place in 0..megabytes / 64 {
        file.write_all_at(format!("{name} {place}").as_bytes(), place << 26).unwrap();
    }
    path
}

/// `curl` as a person's browser: a form with a file, or a download.
async fn curl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl").args(["-s", "-S"]).args(arguments).output().await.unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), text)
}

fn form(person: &Person, portal: &Portal, bucket: &str, file: &Path, name: &str) -> Vec<String> {
    let fields = [
        "-b".to_owned(),
        person.cookie_header(),
        "-H".to_owned(),
        format!("x-csrf-token: {}", person.token()),
        "-H".to_owned(),
        "accept: application/json".to_owned(),
        "-F".to_owned(),
        format!("file=@{};filename={name}", file.display()),
        "-w".to_owned(),
        " %{http_code}".to_owned(),
    ];
    fields.into_iter().chain([format!("{}/buckets/{bucket}/objects?existing=replace", portal.base)]).collect()
}

async fn upload(person: &Person, portal: &Portal, bucket: &str, file: &Path, name: &str) -> (bool, String) {
    let arguments = form(person, portal, bucket, file, name);
    curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn download(person: &Person, portal: &Portal, bucket: &str, name: &str, to: &Path) {
    let url = format!("{}/buckets/{bucket}/objects/{name}", portal.base);
    let (works, said) = curl(&["-f", "-b", &person.cookie_header(), "-o", to.to_str().unwrap(), &url]).await;
    assert!(works, "{said}");
}

async fn make(lab: &Lab, person: &Person, name: &str) -> String {
    let bucket = format!("{}-{}", lab.name(name), &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let page = person.post("/buckets", &[("name", &bucket)]).await;
    assert_eq!((page.status.as_u16(), page.location.as_str()), (303, "/buckets"), "{}", page.text());
    bucket
}

async fn remove(person: &Person, bucket: &str) {
    let page = person.post(&format!("/buckets/{bucket}/delete"), &[("name", bucket)]).await;
    assert_eq!(page.status, 303, "{}", page.text());
    until("the bucket to be gone", 120, async || {
        let list = person.get("/buckets").await.text();
        if list.contains(bucket) { Err(list) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn files_are_the_same_on_both_sides() {
    with_swift(async |lab| {
        let home = Home::new();
        let portal = setup(&lab.clouds_yaml()).start(&home).await;
        let person = portal.person("swifty").await;
        let bucket = make(lab, &person, "same").await;
        // Taken by the same name, and by a container that Swift has without us.
        let page = person.post("/buckets", &[("name", &bucket)]).await;
        assert!(page.status == 422 && page.text().contains("이미 사용 중인 버킷 이름입니다."));
        let foreign = format!("{bucket}-foreign");
        assert!(swift(lab, home.path(), &["post", &foreign]).await.0);
        let page = person.post("/buckets", &[("name", &foreign)]).await;
        assert!(page.status == 422 && page.text().contains("이미 사용 중인 버킷 이름입니다."));
        assert!(swift(lab, home.path(), &["delete", &foreign]).await.0);

        let file = home.path().join("보고서.bin");
        std::fs::write(&file, (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        let sum = md5(&file).await;
        let (works, said) = upload(&person, &portal, &bucket, &file, "보고서 1.bin").await;
        assert!(works && said.ends_with(" 201") && said.contains(&sum), "{said}");
        assert_eq!(objects(lab, &home, &bucket).await, ["보고서 1.bin"]);
        let (works, said) = swift(lab, home.path(), &["download", &bucket, "-o", "theirs", "보고서 1.bin"]).await;
        assert!(works, "{said}");
        assert_eq!(md5(&home.path().join("theirs")).await, sum, "swift downloads the same");
        download(&person, &portal, &bucket, "%EB%B3%B4%EA%B3%A0%EC%84%9C%201.bin", &home.path().join("ours")).await;
        assert_eq!(md5(&home.path().join("ours")).await, sum);
        // What another tool puts in is seen here.
        std::fs::write(home.path().join("theirs.txt"), "put by swift").unwrap();
        assert!(swift(lab, home.path(), &["upload", &bucket, "theirs.txt"]).await.0);
        assert!(person.get(&format!("/buckets/{bucket}")).await.text().contains("theirs.txt"));
        until("the usage to be measured", 60, async || {
            let list = person.get("/buckets").await.text();
            if list.contains("19.1 MB") { Ok(()) } else { Err(list) }
        })
        .await;
        // By the bucket's own credential, with the same tool.
        let token = person.bucket_token(&bucket).await;
        let url = format!("{}/swift/v1", portal.base);
        let tool = ["--os-storage-url", url.as_str(), "--os-auth-token", token.as_str()];
        let ask = async |arguments: &[&str]| {
            let all: Vec<&str> = tool.iter().chain(arguments).copied().collect();
            let output = Command::new("/usr/bin/swift")
                .args(&all)
                .current_dir(home.path())
                .env("PATH", "/usr/bin:/bin")
                .output()
                .await
                .unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{arguments:?}: {text}");
            text
        };
        std::fs::create_dir_all(home.path().join("folder/더")).unwrap();
        std::fs::write(home.path().join("folder/더/a b.txt"), "by token").unwrap();
        ask(&["upload", &bucket, "folder"]).await;
        assert!(ask(&["list", &bucket]).await.contains("folder/더/a b.txt"));
        ask(&["download", &bucket, "folder/더/a b.txt", "-o", "back.txt"]).await;
        assert_eq!(std::fs::read_to_string(home.path().join("back.txt")).unwrap(), "by token");
        ask(&["delete", &bucket, "folder/더/a b.txt"]).await;
        assert!(!objects(lab, &home, &bucket).await.contains(&"folder/더/a b.txt".to_owned()));
        remove(&person, &bucket).await;
        let (there, _) = swift(lab, home.path(), &["stat", &bucket]).await;
        assert!(!there, "the container is gone");
    })
    .await;
}

/// Runs what stands on a page, as a person in this folder would.
async fn in_terminal(home: &Home, commands: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", commands]).current_dir(home.path());
    command.env("PATH", "/usr/bin:/bin").env("HOME", home.path()).env_remove("PYTHONPATH");
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{commands}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn the_commands_of_the_page_work() {
    with_swift(async |lab| {
        let home = Home::new();
        // The photo is a large file: tools have to be told that its etag is not its MD5.
        let setup = setup(&lab.clouds_yaml())
            .set("FASTCLOUD_BUCKETS__LARGE_FILE_MB", "2")
            .set("FASTCLOUD_BUCKETS__SEGMENT_MB", "1");
        let portal = setup.start(&home).await;
        let person = portal.person("tooled").await;
        let bucket = make(lab, &person, "tools").await;
        let secret = person.bucket_token(&bucket).await;
        let commands = person.codes(&format!("/buckets/{bucket}/tools"), ".copy__text").await;
        let [export, curl_up, curl_down, curl_list, rclone, swift_up, swift_list] = commands.as_slice() else {
            panic!("other commands than these: {commands:?}")
        };
        assert_eq!(*export, format!("export TOKEN={secret}"));
        let type_in = async |command: &str| in_terminal(&home, &format!("{export}\n{command}")).await;

        let photo = sparse(&home, "photo.jpg", 5);
        let sum = md5(&photo).await;
        type_in(curl_up).await;
        std::fs::remove_file(&photo).unwrap();
        type_in(curl_down).await;
        assert_eq!(md5(&photo).await, sum);
        assert!(type_in(curl_list).await.starts_with("photo.jpg\n"));

        let file = |name: &str, text: &str| std::fs::write(home.path().join("my-folder").join(name), text).unwrap();
        std::fs::create_dir_all(home.path().join("my-folder/더")).unwrap();
        file("더/a b.txt", "one");
        file("c.txt", "two");
        // Again, with nothing new; with a file that was only touched; with one that was changed.
        type_in(rclone).await;
        type_in(rclone).await;
        file("c.txt", "two");
        file("더/a b.txt", "three");
        let said = type_in(&format!("{rclone} -v")).await;
        assert!(said.contains("a b.txt: Copied (replaced existing)") && !said.contains("c.txt: Copied"), "{said}");
        assert_eq!(objects(lab, &home, &bucket).await, ["c.txt", "photo.jpg", "더/a b.txt"]);
        let (there, here) = (format!("my-folder :swift:{bucket}"), format!(":swift:{bucket} back"));
        type_in(&rclone.replacen(&there, &here, 1)).await;
        assert_eq!(md5(&home.path().join("back/photo.jpg")).await, sum);
        assert_eq!(std::fs::read_to_string(home.path().join("back/더/a b.txt")).unwrap(), "three");
        // As the page's hint says.
        type_in(&rclone.replacen("copy", "sync", 1)).await;
        assert_eq!(objects(lab, &home, &bucket).await, ["c.txt", "더/a b.txt"]);
        assert!(type_in(&rclone.replacen("copy --checksum my-folder", "ls", 1)).await.contains("5 더/a b.txt"));

        type_in(swift_up).await;
        let names = ["c.txt", "my-folder/c.txt", "my-folder/더/a b.txt", "더/a b.txt"];
        assert_eq!(objects(lab, &home, &bucket).await, names);
        assert_eq!(type_in(swift_list).await.lines().collect::<Vec<_>>(), names);
        type_in(curl_up).await;
        std::fs::remove_file(&photo).unwrap();
        type_in(&swift_list.replacen(&format!("list {bucket}"), &format!("download {bucket} photo.jpg"), 1)).await;
        assert_eq!(md5(&photo).await, sum, "swift downloads a large file");
        type_in(&swift_list.replacen(&format!("list {bucket}"), &format!("delete {bucket} photo.jpg"), 1)).await;
        assert_eq!(objects(lab, &home, &bucket).await, names);
        remove(&person, &bucket).await;
        assert!(segments(lab, &home).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_file_of_six_gigabytes_takes_little_memory() {
    with_swift(async |lab| {
        let mut watch = Watch::start();
        let home = Home::new();
        let portal = setup(&lab.clouds_yaml()).set("FASTCLOUD_OPENSTACK__REQUEST_SECONDS", "30").start(&home).await;
        let person = portal.person("large").await;
        let bucket = make(lab, &person, "large").await;
        let file = sparse(&home, "six", 6 * 1024);
        let sum = md5(&file).await;
        watch.lap("made");
        let memory = portal.watch_memory();
        let (works, said) = upload(&person, &portal, &bucket, &file, "six.bin").await;
        assert!(works && said.ends_with(" 201") && said.contains(&sum), "{said}");
        watch.lap("up");
        assert_eq!(segments(lab, &home).await.len(), 6);
        let back = home.path().join("back");
        std::fs::remove_file(&file).unwrap();
        download(&person, &portal, &bucket, "six.bin", &back).await;
        assert_eq!(md5(&back).await, sum, "the same 6 GiB came back");
        watch.lap("down");
        let (own, all) = memory.peak();
        println!("    at most {} MiB of memory, {} with the program itself", own / 1024, all / 1024);
        assert!(own < MEMORY, "{own} KiB");
        remove(&person, &bucket).await;
        assert!(segments(lab, &home).await.is_empty(), "its segments went with it");
        watch.lap("removed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn twenty_uploads_at_once() {
    with_swift(async |lab| {
        let home = Home::new();
        let portal = setup(&lab.clouds_yaml()).start(&home).await;
        let person = portal.person("twenty").await;
        let bucket = make(lab, &person, "twenty").await;
        let file = sparse(&home, "one", 20);
        let names: Vec<String> = (0..20).map(|n| format!("{n:02}.bin")).collect();
        let memory = portal.watch_memory();
        let tries = names.iter().map(|name| upload(&person, &portal, &bucket, &file, name));
        for (works, said) in futures::future::join_all(tries).await {
            assert!(works && said.ends_with(" 201"), "{said}");
        }
        assert_eq!(objects(lab, &home, &bucket).await, names);
        let (own, all) = memory.peak();
        println!("    at most {} MiB of memory, {} with the program itself", own / 1024, all / 1024);
        assert!(own < MEMORY, "{own} KiB");
        remove(&person, &bucket).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn killed_at_half_leaves_nothing() {
    with_swift(async |lab| {
        let home = Home::new();
        // Small enough for segments in a test of seconds.
        let setup = setup(&lab.clouds_yaml())
            .set("FASTCLOUD_BUCKETS__LARGE_FILE_MB", "100")
            .set("FASTCLOUD_BUCKETS__SEGMENT_MB", "32");
        let portal = setup.start(&home).await;
        let mut person = portal.person("halfway").await;
        let bucket = make(lab, &person, "half").await;
        let (small, large) = (sparse(&home, "small", 64), sparse(&home, "large", 256));
        upload(&person, &portal, &bucket, &sparse(&home, "before", 1), "small.bin").await;
        let before = md5(&home.path().join("before")).await;
        let half_way = async |person: &Person, portal: &Portal, file: &Path, name: &str, rate: &str, seconds: u64| {
            let mut arguments = form(person, portal, &bucket, file, name);
            arguments.extend(["--limit-rate".to_owned(), rate.to_owned()]);
            let mut child = Command::new("curl").arg("-s").args(&arguments).kill_on_drop(true).spawn().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            assert!(child.try_wait().unwrap().is_none(), "half of it is still to come");
            child
        };
        for (file, name) in [(&small, "small.bin"), (&large, "large.bin")] {
            let seconds = if name == "small.bin" { 1 } else { 5 };
            // The client.
            let mut child = half_way(&person, &portal, file, name, "24M", seconds).await;
            child.kill().await.unwrap();
            until("no segments", 90, async || {
                let left = segments(lab, &home).await;
                if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
            })
            .await;
            assert_eq!(objects(lab, &home, &bucket).await, ["small.bin"]);
        }
        // The portal. Slowly enough that half is still to come when all has been looked at.
        let mut child = half_way(&person, &portal, &large, "large.bin", "8M", 10).await;
        assert!(!segments(lab, &home).await.is_empty(), "it was at its segments");
        let small_child = half_way(&person, &portal, &small, "small.bin", "8M", 1).await;
        assert!(child.try_wait().unwrap().is_none(), "half of it is still to come");
        portal.kill();
        drop((child, small_child));
        drop(portal);
        let portal = setup.start(&home).await;
        person.moved(&portal.base);
        until("the orphans to be swept", 150, async || {
            let left = segments(lab, &home).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        assert_eq!(objects(lab, &home, &bucket).await, ["small.bin"]);
        let back = home.path().join("back");
        download(&person, &portal, &bucket, "small.bin", &back).await;
        assert_eq!(md5(&back).await, before, "what was there before is there");
        person.get(&format!("/buckets/{bucket}")).await;
        let (works, said) = upload(&person, &portal, &bucket, &large, "large.bin").await;
        assert!(works && said.ends_with(" 201"), "nothing is in its way: {said}");
        remove(&person, &bucket).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn a_swift_in_trouble_is_told_and_loses_nothing() {
    with_swift(async |lab| {
        let home = Home::new();
        let gate = Gate::start(lab).await;
        let portal = setup(&gate.clouds_yaml(lab, &home)).start(&home).await;
        let person = portal.person("stormy").await;
        let bucket = make(lab, &person, "storm").await;
        let file = sparse(&home, "file", 20);
        let sum = md5(&file).await;
        let (works, said) = upload(&person, &portal, &bucket, &file, "kept.bin").await;
        assert!(works && said.ends_with(" 201"), "{said}");
        for (fault, status, sentence) in [
            (SwiftFault::Status(507), 507, "스토리지가 가득 찼어요."),
            (SwiftFault::Status(503), 503, "스토리지가 대답하지 않아요."),
            (SwiftFault::Status(401), 503, "스토리지가 대답하지 않아요."),
            (SwiftFault::Cut(5_000_000), 503, "스토리지가 대답하지 않아요."),
            (SwiftFault::Refuse, 503, "스토리지가 대답하지 않아요."),
            (SwiftFault::Hang, 503, "스토리지가 대답하지 않아요."),
        ] {
            gate.break_it(fault);
            let before = gate.refused.load(std::sync::atomic::Ordering::SeqCst);
            let (_, said) = upload(&person, &portal, &bucket, &file, "kept.bin").await;
            assert!(said.contains(sentence) && said.ends_with(&format!(" {status}")), "{fault:?}: {said}");
            let page = person.get(&format!("/buckets/{bucket}")).await;
            assert_eq!(page.status, 200, "{fault:?}");
            if matches!(fault, SwiftFault::Refuse | SwiftFault::Hang) {
                assert!(page.text().contains("정보를 불러올 수 없습니다."), "{fault:?}: {}", page.text());
                assert!(person.get("/dashboard").await.text().contains("미니 PC"), "its card alone");
            } else {
                assert!(gate.refused.load(std::sync::atomic::Ordering::SeqCst) > before, "{fault:?} was met");
            }
            gate.break_it(SwiftFault::None);
            assert_eq!(objects(lab, &home, &bucket).await, ["kept.bin"], "{fault:?}");
            let back = home.path().join("back");
            download(&person, &portal, &bucket, "kept.bin", &back).await;
            assert_eq!(md5(&back).await, sum, "{fault:?}: what was confirmed is there");
        }
        // In the middle of an upload that had begun well.
        let mut arguments = form(&person, &portal, &bucket, &file, "second.bin");
        arguments.extend(["--limit-rate".to_owned(), "4M".to_owned()]);
        let child =
            tokio::spawn(async move { Command::new("curl").arg("-s").args(&arguments).output().await.unwrap() });
        tokio::time::sleep(Duration::from_secs(2)).await;
        gate.break_it(SwiftFault::Hang);
        let output = child.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("스토리지가 대답하지 않아요.") && said.ends_with(" 503"), "{said}");
        gate.break_it(SwiftFault::None);
        assert_eq!(objects(lab, &home, &bucket).await, ["kept.bin"]);
        until("the store to be seen again", 60, async || {
            let page = person.get("/buckets").await;
            if page.text().contains("사용 가능") { Ok(()) } else { Err(page.text()) }
        })
        .await;
        remove(&person, &bucket).await;
    })
    .await;
}
