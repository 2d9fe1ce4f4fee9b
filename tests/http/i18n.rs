//! Both languages: the same sentences in both files, all that are used, none shown by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::map;
use crate::support::{Answer, TestApp};

/// The sentences of a language by their names.
fn sentences(language: &str) -> BTreeMap<String, String> {
    fn flatten(prefix: &str, value: &serde_yaml_ng::Value, all: &mut BTreeMap<String, String>) {
        match value {
            serde_yaml_ng::Value::Mapping(entries) => {
                for (key, value) in entries {
                    let key = key.as_str().unwrap();
                    let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                    flatten(&name, value, all);
                }
            }
            serde_yaml_ng::Value::String(text) => assert!(all.insert(prefix.to_owned(), text.clone()).is_none()),
            _ => assert_eq!(prefix, "_version", "{prefix} is no text"),
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/i18n/{language}.yml"));
    let mut all = BTreeMap::new();
    flatten("", &serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap(), &mut all);
    all
}

fn sections() -> BTreeSet<String> {
    sentences("ko").keys().map(|name| name.split('.').next().unwrap().to_owned()).collect()
}

/// The names in `%{…}` of a sentence.
fn places(text: &str) -> BTreeSet<&str> {
    text.split("%{").skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

fn is_name(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
}

#[test]
fn both_files_have_the_same_sentences() {
    let (ko, en) = (sentences("ko"), sentences("en"));
    assert!(ko.len() > 300);
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<BTreeSet<_>>();
    let differ: Vec<_> = names(&ko).symmetric_difference(&names(&en)).cloned().collect();
    assert!(differ.is_empty(), "in one file only: {differ:?}");
    for (name, text) in &ko {
        assert_eq!(places(text), places(&en[name]), "{name}: other values in the two languages");
        assert!(!text.trim().is_empty() && !en[name].trim().is_empty(), "{name} is empty");
    }
    let korean: Vec<_> = en.iter().filter(|(_, text)| text.chars().any(is_hangul)).map(|(name, _)| name).collect();
    assert!(korean.is_empty(), "Korean in the English file: {korean:?}");
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{AC00}'..='\u{D7A3}' | '\u{1100}'..='\u{11FF}' | '\u{3131}'..='\u{318E}')
}

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "html") {
            found.push(path);
        }
    }
}

#[test]
fn every_sentence_that_is_used_exists() {
    let (ko, sections) = (sentences("ko"), sections());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    files(&root.join("src"), &mut all);
    files(&root.join("templates"), &mut all);
    let (mut used, mut lacking) = (0, Vec::new());
    for file in all
        .iter()
        .filter(|file| !file.ends_with("config.rs") && !file.components().any(|part| part.as_os_str() == "openstack"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        // Every second piece between quotes is a literal; of `t("a.b")` it is what counts.
        for literal in text.split('"') {
            let section = literal.split('.').next().unwrap_or_default();
            if !sections.contains(section) {
                continue;
            }
            if is_name(literal) {
                used += 1;
                if !ko.contains_key(literal) {
                    lacking.push(format!("{}: {literal}", file.display()));
                }
            } else if let Some((before, _)) =
                literal.split_once('{').filter(|(before, _)| is_name(&format!("{before}x")))
            {
                // Put together from a prefix, such as status.{name}: some sentence has to begin so.
                used += 1;
                if !ko.keys().any(|name| name.starts_with(before)) {
                    lacking.push(format!("{}: {literal}", file.display()));
                }
            }
        }
    }
    // Configuration, files and hosts that look like names of sentences.
    let others = ["cloud.compute", "keys.pem", "registry.example", "registry.hub.docker.com"];
    lacking.retain(|line| !others.iter().any(|other| line.ends_with(other)));
    assert!(used > 300, "{used}");
    assert!(lacking.is_empty(), "{lacking:#?}");
}

#[test]
fn names_that_are_put_together_have_sentences() {
    let ko = sentences("ko");
    for (prefix, names) in [
        (
            "status",
            vec!["building", "active", "stopped", "starting", "stopping", "rebooting", "deleting", "error", "unknown"],
        ),
        ("status", vec!["pending", "running", "failed", "deploying", "redeploying"]),
        ("applications.sizes", vec!["small", "medium", "large"]),
        ("applications.filter", vec![]),
        ("quota", vec!["applications", "app_cpu", "app_memory"]),
        ("roles", vec!["student", "teacher", "admin"]),
        ("quota", vec!["instances", "vcpus", "ram", "instances_text", "vcpus_text"]),
        ("templates.lacks", vec!["image", "flavor", "network", "floating_network", "security_group", "key_pair"]),
        ("cloud.stray", vec![]),
        (
            "why",
            vec![
                "cloud_quota",
                "launch_failed",
                "delete_failed",
                "no_address",
                "action_failed",
                "build_failed",
                "no_valid_host",
                "vanished",
                "deleted_outside",
                "cloud_status",
                "waiting_for_cloud",
                "queued",
                "unknown_since",
            ],
        ),
        (
            "events",
            vec![
                "requested",
                "launched",
                "active",
                "failed",
                "start_requested",
                "stop_requested",
                "reboot_requested",
                "delete_requested",
                "started",
                "stopped",
                "rebooted",
                "action_failed",
                "vanished",
                "recovered",
                "address_attached",
                "changed_outside",
            ],
        ),
    ] {
        for name in names {
            assert!(ko.contains_key(&format!("{prefix}.{name}")), "{prefix}.{name}");
        }
    }
    for reason in ["no_row", "deleted_row", "duplicate", "other_owner", "untagged"] {
        assert!(ko.contains_key(&format!("cloud.stray_{reason}")), "{reason}");
    }
    for status in [400, 403, 404, 405, 409, 413, 429, 500, 503] {
        for part in ["title", "text"] {
            assert!(ko.contains_key(&format!("errors.{status}.{part}")), "{status}");
        }
    }
}

/// Why a container may be broken or waits.
const REASONS: [&str; 23] = [
    "image_not_found",
    "image_private",
    "image_rate_limited",
    "wrong_architecture",
    "crash_loop",
    "ended",
    "out_of_memory",
    "unschedulable",
    "quota",
    "config_error",
    "port_silent",
    "port_other",
    "port_loopback",
    "port_unknown",
    "deploy_failed",
    "waiting_for_cluster",
    "rollout_slow",
    "action_failed",
    "delete_failed",
    "delete_slow",
    "vanished",
    "deleted_outside",
    "of_another_version",
];

/// Everything on a page that somebody may read, or have read out.
fn words(answer: &Answer) -> Vec<String> {
    let html = answer.html();
    let mut words: Vec<String> = html.root_element().text().map(str::to_owned).collect();
    for element in html.root_element().descendent_elements() {
        for (name, value) in element.value().attrs() {
            let read = name.starts_with("aria-label")
                || name.starts_with("data-")
                || ["title", "placeholder", "alt"].contains(&name);
            if read && element.value().name() != "meta" {
                words.push(value.to_owned());
            }
        }
    }
    words
}

#[actix_web::test]
async fn no_page_shows_the_name_of_a_sentence_and_english_pages_no_korean() {
    let app = TestApp::new().await;
    let sections = sections();
    let mut people = Vec::new();
    for language in ["ko", "en"] {
        let (mut student, mut admin) = (app.student().await, app.admin().await);
        let mut anon = app.anon();
        for person in [&mut student, &mut admin, &mut anon] {
            person.set_cookie("fast-cloud-lang", language);
        }
        people.push((language, student, admin, anon));
    }
    // Names that people gave are their own.
    app.database.sql("UPDATE accounts SET name = 'Kim'");
    for (language, student, admin, anon) in &people {
        app.allow(student, 20);
        let ids = map::things_of(&app, student).await;
        let stopped = app.running(student, "stopped").await;
        student.press("stop", &stopped).await;
        app.settle(student, &stopped, "stopped").await;
        app.script(fast_cloud::cloud::practice::Fault::Build("no".to_owned()));
        let broken = student.launch("broken").await;
        app.settle(student, &broken, "error").await;
        student.launch("new").await;
        // Hosts are everybody's.
        let wrong_port = format!("wrong-{language}");
        let fields = [("name", wrong_port.as_str()), ("image", "me/express:1"), ("internal_port", "80")];
        student.post("/applications", &fields).await.leads_to("/applications");
        let wrong = student.container(&wrong_port).await;
        app.container_settles(student, &wrong, "failed").await;
        let loopback = student.deploy(&format!("loopback-{language}"), "me/loopback:1").await;
        app.container_settles(student, &loopback, "failed").await;
        let off = app.running_container(student, &format!("off-{language}"), "hello:1").await;
        student.ask_container("stop", &off, &[]).await;
        app.container_settles(student, &off, "stopped").await;
        let mut answers = Vec::new();
        for route in map::known(&ids).iter().filter(|route| route.is_get()) {
            let path = route.path_with(&ids);
            for person in [student, admin, anon] {
                answers.push(person.get(&path).await);
                answers.push(person.get_part(&path).await);
            }
        }
        for id in [&stopped, &broken] {
            answers.push(student.get(&format!("/instances/{id}")).await);
        }
        for id in [&wrong, &loopback, &off] {
            for part in ["", "/logs", "/events", "/edit"] {
                answers.push(student.get(&format!("/applications/{id}{part}")).await);
            }
            answers.push(student.ask_container("redeploy", id, &[("image", "no such")]).await.is(422));
        }
        for query in
            ["check?name=www", "check?name=free-name", "image?image=nginx", "image?image=limited", "image?image=x:"]
        {
            answers.push(student.get_part(&format!("/applications/{query}")).await.is(200));
        }
        for (path, person) in [
            ("/applications", student),
            ("/signup", anon),
            ("/login", anon),
            ("/instances", student),
            ("/keys", student),
            ("/profile/password", student),
            ("/profile/name", student),
            ("/admin/templates", admin),
        ] {
            answers.push(person.post(path, &[]).await.is(422));
        }
        answers.push(student.get("/nothing").await);
        answers.push(student.get("/logout").await);
        // Everything that may be wrong, in turn.
        for reason in REASONS {
            app.database
                .sql(&format!("UPDATE applications SET status = 'failed', transition = NULL, reason = '{reason}'"));
            answers.push(student.get(&format!("/applications/{wrong}")).await.is(200));
        }
        answers.push(student.press("start", &ids["instance_id"]).await.is(409));
        answers.push(student.post_part(&format!("/instances/{}/start", ids["instance_id"]), &[]).await.is(409));
        for answer in &answers {
            if answer.status == 200 && !answer.body().trim_start().starts_with("<!doctype") {
                assert!(!answer.has("body form[action='/logout']"), "{}", answer.what);
            } else if answer.bytes.starts_with(b"<!doctype") {
                assert_eq!(answer.attribute("html", "lang").as_deref(), Some(*language), "{}", answer.what);
            }
            for text in words(answer) {
                for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',')) {
                    let section = word.split('.').next().unwrap_or_default();
                    assert!(!(is_name(word) && sections.contains(section)), "{} ({language}): {word}", answer.what);
                }
                let counts = ["%{n}", "%{time}", "%{all}", "%{done}", "%{percent}", "%{speed}", "%{file}"]
                    .iter()
                    .fold(text.clone(), |text, place| text.replace(place, ""));
                assert!(!counts.contains("%{"), "{} ({language}): {text}", answer.what);
                if *language == "en" {
                    // The switch names each language in itself, and the admin's form shows both purposes.
                    let own = text.contains("한국어") || answer.what.contains("/admin/templates/");
                    assert!(own || !text.chars().any(is_hangul), "{}: {text}", answer.what);
                }
            }
        }
    }
}
