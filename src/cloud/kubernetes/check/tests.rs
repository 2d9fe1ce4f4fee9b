use serde::Deserialize;
use serde_json::Value;

use super::*;

/// The rules of a role in deploy/rbac.yaml.
fn role(name: &str) -> Vec<PolicyRule> {
    let yaml = include_str!("../../../../deploy/rbac.yaml");
    let documents = serde_yaml_ng::Deserializer::from_str(yaml).map(|one| Value::deserialize(one).unwrap());
    let role =
        documents.into_iter().find(|one| one["kind"] == "ClusterRole" && one["metadata"]["name"] == name).unwrap();
    serde_json::from_value(role["rules"].clone()).unwrap()
}

#[test]
fn the_file_gives_what_is_asked_for() {
    for (name, rights) in [("fast-cloud", &EVERYWHERE[..]), (TENANT_ROLE, &INSIDE[..])] {
        let rules = role(name);
        for question in asked_for(rights) {
            assert!(allows(&rules, &question), "{name} does not allow: {}", question.text());
        }
    }
}

#[test]
fn the_file_gives_no_more_than_is_asked_for() {
    for (name, rights) in [("fast-cloud", &EVERYWHERE[..]), (TENANT_ROLE, &INSIDE[..])] {
        let asked = asked_for(rights);
        for rule in role(name).iter().filter(|rule| rule.resource_names.is_none()) {
            for resource in rule.resources.iter().flatten().filter(|one| *one != "selfsubjectaccessreviews") {
                for verb in &rule.verbs {
                    let is_asked = asked.iter().any(|one| one.full_resource() == *resource && one.verb == verb);
                    assert!(is_asked, "{name} allows to {verb} {resource}");
                }
            }
        }
    }
}

#[test]
fn the_file_gives_nothing_dangerous_everywhere() {
    let rules = role("fast-cloud");
    for question in asked_for(&DANGEROUS) {
        assert!(!allows(&rules, &question), "{}", question.text());
    }
    let named: Vec<_> = rules.iter().filter_map(|rule| rule.resource_names.clone()).collect();
    assert_eq!(named, [vec![TENANT_ROLE.to_owned()]]);
}

#[test]
fn versions_are_numbers_not_text() {
    for (major, minor, expected) in [
        ("1", "20", false),
        ("1", "29", false),
        ("1", "30", true),
        ("1", "33+", true),
        ("2", "0", true),
        ("", "", false),
    ] {
        assert_eq!(knows_sleep(major, minor), expected, "{major}.{minor}");
    }
}

#[test]
fn a_question_reads_as_kubectl_would_ask_it() {
    let texts: Vec<_> = asked_for(&[right("", "pods/exec", &["get", "create"])]).iter().map(Question::text).collect();
    assert_eq!(texts, ["get pods/exec", "create pods/exec"]);
    assert_eq!(Question { name: TENANT_ROLE, ..bind() }.text(), "bind clusterroles fast-cloud-tenant");
}
