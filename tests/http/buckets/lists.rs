//! Pages of files: folders, search, order, paging; a hundred thousand of them.

use crate::support::{Person, TestApp};

async fn with_names(names: &[&str]) -> (TestApp, Person) {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("list").await;
    for name in names {
        student.put("list", name, name.as_bytes()).await;
    }
    (app, student)
}

#[actix_web::test]
async fn folders_are_entered_by_name() {
    let (_app, student) = with_names(&["b.txt", "캡스톤/데이터/x.csv", "캡스톤/a.md", "a.txt", "캡스톤2/z"]).await;
    assert_eq!(student.listed("/buckets/list").await, ["캡스톤/", "캡스톤2/", "a.txt", "b.txt"]);
    let page = student.get("/buckets/list?prefix=캡스톤/").await.is(200);
    assert_eq!(page.attributes("#files .check[name=key]", "value"), ["캡스톤/데이터/", "캡스톤/a.md"]);
    assert_eq!(page.texts(".file__name"), ["데이터/", "a.md"]);
    assert_eq!(page.texts(".crumbs li"), ["스토리지 관리", "list", "캡스톤"]);
    assert_eq!(page.attributes(".crumbs a", "href"), ["/buckets", "/buckets/list"]);
    assert!(page.said("table").contains("마크다운"));
    // A new one is there at once, empty.
    student.post("/buckets/list/folders", &[("prefix", "캡스톤/"), ("name", "새 폴더")]).await.is(303);
    assert_eq!(
        student.listed("/buckets/list?prefix=캡스톤/").await,
        ["캡스톤/데이터/", "캡스톤/새 폴더/", "캡스톤/a.md"]
    );
    assert!(student.get("/buckets/list?prefix=캡스톤/새 폴더/").await.is(200).main().contains("아직 파일이 없어요"));
    for (name, sentence) in [
        ("", "이름을 적어 주세요."),
        ("..", "이름의 한 부분이 . 이나 .. 이면 안 돼요."),
        ("새 폴더", "같은 이름의 폴더가 이미 있어요."),
    ] {
        let page = student.post("/buckets/list/folders", &[("prefix", "캡스톤/"), ("name", name)]).await.is(422);
        assert_eq!(page.error_of("name"), sentence);
    }
    student.get("/buckets/list?prefix=../").await.is(404);
}

#[actix_web::test]
async fn files_are_found_by_any_part_of_their_name() {
    let (_app, student) =
        with_names(&["a/Report.PDF", "a/b/report (2).pdf", "c.txt", "보고서.hwp", "100%.txt", "1000.txt"]).await;
    let find = async |path: &str| student.listed(&format!("/buckets/list{path}")).await;
    assert_eq!(find("?search=report").await, ["a/Report.PDF", "a/b/report (2).pdf"]);
    assert_eq!(find("?search=report&prefix=a/b/").await, ["a/b/report (2).pdf"]);
    assert_eq!(find("?search=100%25").await, ["100%.txt"], "no pattern");
    // However its letters are put together.
    assert_eq!(find("?search=%E1%84%87%E1%85%A9%E1%84%80%E1%85%A9").await, ["보고서.hwp"]);
    assert!(student.get("/buckets/list?search=nothing").await.is(200).main().contains("찾는 파일이 없어요"));
}

#[actix_web::test]
async fn a_folder_is_ordered_by_name_size_and_time() {
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("list").await;
    for (name, size) in [("b", 30), ("a", 10), ("c", 20), ("folder/x", 1)] {
        student.put("list", name, &vec![0; size]).await;
    }
    for (sort, order) in [
        ("", ["folder/", "a", "b", "c"]),
        ("-name", ["folder/", "c", "b", "a"]),
        ("size", ["folder/", "a", "c", "b"]),
        ("-size", ["folder/", "b", "c", "a"]),
        ("time", ["folder/", "b", "a", "c"]),
        ("-time", ["folder/", "c", "a", "b"]),
        ("nonsense", ["folder/", "a", "b", "c"]),
    ] {
        assert_eq!(student.listed(&format!("/buckets/list?sort={sort}")).await, order, "{sort}");
    }
}

#[actix_web::test]
async fn a_hundred_thousand_files_are_paged_as_fast_as_ten() {
    use fast_cloud::cloud::objects::{Mark, ObjectStore};
    use std::io::Write;
    let app = TestApp::new().await;
    let student = app.student().await;
    student.make_bucket("many").await;
    student.put("many", "000000.txt", b"x").await;
    // Written to the index as the store writes it.
    let index = app.files_dir().join("many/index");
    let line = std::fs::read_to_string(&index).unwrap().lines().last().unwrap().to_owned();
    let mut file = std::io::BufWriter::new(std::fs::OpenOptions::new().append(true).open(&index).unwrap());
    for number in 1..100_000 {
        writeln!(file, "{}", line.replace("000000.txt", &format!("{number:06}.txt"))).unwrap();
    }
    file.flush().unwrap();
    drop(file);
    assert_eq!(app.files.container("many").await.unwrap().objects, 100_000);
    let mut path = "/buckets/many".to_owned();
    let mut seen = 0;
    let mut slowest = std::time::Duration::ZERO;
    for _ in 0..5 {
        let began = std::time::Instant::now();
        let page = student.get(&path).await.is(200);
        slowest = slowest.max(began.elapsed());
        let keys = page.attributes("#files .check[name=key]", "value");
        assert_eq!(keys.len(), 100);
        assert_eq!(keys[0], format!("{seen:06}.txt"));
        seen += 100;
        path = page.attribute("a[rel=next]", "href").unwrap();
    }
    assert!(slowest.as_millis() < 2000, "{slowest:?}");
    assert_eq!(student.listed("/buckets/many?search=099999").await, ["099999.txt"]);
    let page = student.get("/buckets/many?sort=-size").await.is(200);
    assert!(page.main().contains("파일이 너무 많아 이름순으로만 보여 드려요."));
    // Nothing of this is somebody else's.
    let foreign = Mark { portal: uuid::Uuid::now_v7(), bucket: fast_cloud::ids::BucketId::new() };
    assert_eq!(app.files.create("many", foreign).await.unwrap(), fast_cloud::cloud::objects::Creation::Taken);
}
