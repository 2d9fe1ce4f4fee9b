use std::collections::HashMap;

use super::*;

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("fast-cloud-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn discover(variables: &[(&str, &str)]) -> anyhow::Result<Credentials> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Credentials::discover(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn from_file(yaml: &str, more: &[(&str, &str)]) -> anyhow::Result<Credentials> {
    let folder = Folder::new(&[("clouds.yaml", yaml)]);
    let path = folder.path("clouds.yaml");
    discover(&[&[("OS_CLIENT_CONFIG_FILE", path.as_str())], more].concat())
}

const PASSWORD: &str = "
clouds:
  lab:
    region_name: RegionOne
    interface: internalURL
    auth:
      auth_url: http://127.0.0.1:5000
      username: student
      password: 1234
      project_name: class
      user_domain_name: Default
      project_domain_id: default
  other:
    auth: {auth_url: 'http://127.0.0.1:5000/v3/', user_id: u1, password: hunter2, project_id: p1}
";

#[test]
fn a_password_from_clouds_yaml() {
    let found = from_file(PASSWORD, &[("OS_CLOUD", "lab")]).unwrap();
    assert_eq!(found.auth_url.as_str(), "http://127.0.0.1:5000/v3");
    assert_eq!((found.region.as_deref(), found.interface, found.verify), (Some("RegionOne"), "internal", true));
    assert_eq!(
        found.token_request(),
        json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "student", "domain": {"name": "Default"}, "password": "1234",
            }}},
            "scope": {"project": {"name": "class", "domain": {"id": "default"}}},
        }})
    );
}

#[test]
fn users_and_projects_by_id() {
    let found = from_file(PASSWORD, &[("OS_CLOUD", "other")]).unwrap();
    assert_eq!(found.auth_url.as_str(), "http://127.0.0.1:5000/v3");
    let request = found.token_request();
    assert_eq!(request["auth"]["identity"]["password"]["user"], json!({"id": "u1", "password": "hunter2"}));
    assert_eq!(request["auth"]["scope"]["project"], json!({"id": "p1"}));
}

#[test]
fn secure_yaml_adds_the_secret() {
    let folder = Folder::new(&[
        ("clouds.yaml", "clouds: {lab: {auth: {auth_url: 'http://k/v3', username: a, project_name: b}}}"),
        ("secure.yaml", "clouds: {lab: {auth: {password: hunter2}}}"),
    ]);
    let path = folder.path("clouds.yaml");
    let found = discover(&[("OS_CLIENT_CONFIG_FILE", &path)]).unwrap();
    assert_eq!(found.token_request()["auth"]["identity"]["password"]["user"]["password"], "hunter2");
}

#[test]
fn the_environment_may_hold_the_secret_of_a_file() {
    let yaml = "clouds: {lab: {auth: {auth_url: 'http://k/v3', username: a, project_name: b}}}";
    assert!(from_file(yaml, &[]).unwrap_err().to_string().contains("password of cloud \"lab\""));
    from_file(yaml, &[("OS_PASSWORD", "hunter2")]).unwrap();
}

#[test]
fn application_credentials_by_id_and_by_name() {
    let by_id = discover(&[
        ("OS_AUTH_URL", "http://k:5000/v3"),
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_APPLICATION_CREDENTIAL_ID", "abc"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "hunter2"),
    ]);
    assert_eq!(
        by_id.unwrap().token_request(),
        json!({"auth": {"identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": "abc", "secret": "hunter2"},
        }}})
    );
    let yaml = "clouds: {lab: {auth: {auth_url: 'http://k/v3', application_credential_name: n,
        application_credential_secret: hunter2, username: student}}}";
    assert_eq!(
        from_file(yaml, &[]).unwrap().token_request()["auth"]["identity"]["application_credential"],
        json!({"name": "n", "secret": "hunter2", "user": {"name": "student", "domain": {"id": "default"}}})
    );
}

#[test]
fn variables_alone() {
    let variables = [
        ("OS_AUTH_URL", "https://keystone.lab/identity/"),
        ("OS_USERNAME", "student"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_PROJECT_NAME", "class"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_INSECURE", "true"),
        ("OS_INTERFACE", "admin"),
    ];
    let found = discover(&variables).unwrap();
    assert_eq!(found.auth_url.as_str(), "https://keystone.lab/identity/v3");
    assert_eq!((found.verify, found.interface), (false, "admin"));
}

#[test]
fn no_secret_in_debug() {
    let shown = format!("{:?}", from_file(PASSWORD, &[("OS_CLOUD", "other")]).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn errors_name_the_place_and_no_secret() {
    let env = |more: &[(&str, &str)]| discover(&[&[("OS_AUTH_URL", "http://k:5000/v3")], more].concat());
    let folder = Folder::new(&[("broken", "clouds:\n  a: {password: hunter2\n b: ]")]);
    let broken = folder.path("broken");
    let clouds = |cloud: &str, auth: &str| format!("clouds: {{{cloud}: {{{auth}}}}}");
    let cases = [
        (discover(&[("HOME", "/nowhere")]), "OS_CLOUD"),
        (discover(&[("OS_CLIENT_CONFIG_FILE", "/nowhere/c.yaml")]), "OS_CLIENT_CONFIG_FILE names /nowhere/c.yaml"),
        (discover(&[("OS_CLIENT_CONFIG_FILE", &broken)]), "broken is not YAML: look at line"),
        (env(&[]), "OS_USERNAME"),
        (env(&[("OS_USERNAME", "a")]), "OS_PASSWORD"),
        (env(&[("OS_USERNAME", "a"), ("OS_PASSWORD", "hunter2")]), "OS_PROJECT_NAME"),
        (env(&[("OS_AUTH_TYPE", "v3token")]), "OS_AUTH_TYPE"),
        (env(&[("OS_APPLICATION_CREDENTIAL_ID", "x")]), "OS_APPLICATION_CREDENTIAL_SECRET"),
        (discover(&[("OS_AUTH_URL", "keystone:5000")]), "OS_USERNAME"),
        (from_file(PASSWORD, &[("OS_CLOUD", "nope")]), "it has: lab, other"),
        (from_file(PASSWORD, &[]), "set OS_CLOUD"),
        (from_file("clouds: []", &[]), "it has none"),
        (from_file("just text hunter2", &[]), "is no map"),
        (from_file(&clouds("a", "auth: {password: [hunter2], username: a}"), &[]), "password of cloud \"a\""),
        (from_file(&clouds("a", "auth: {password: hunter2, username: a, project_id: b}"), &[]), "auth_url of cloud"),
        (
            from_file(&clouds("a", "cacert: /no/ca.pem, auth: {password: hunter2, username: a, project_id: b}"), &[]),
            "/no/ca.pem",
        ),
    ];
    for (result, expected) in cases {
        let message = format!("{:#}", result.unwrap_err());
        assert!(message.contains(expected), "{message} should name {expected}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn addresses_of_keystone() {
    for (given, expected) in [
        ("http://k:5000", "http://k:5000/v3"),
        ("http://k:5000/", "http://k:5000/v3"),
        ("http://k:5000/v3/", "http://k:5000/v3"),
        ("https://k/identity", "https://k/identity/v3"),
    ] {
        let found = discover(&[
            ("OS_AUTH_URL", given),
            ("OS_APPLICATION_CREDENTIAL_ID", "a"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "b"),
        ]);
        assert_eq!(found.unwrap().auth_url.as_str(), expected);
    }
    for wrong in ["keystone:5000", "ftp://k", "http://k/v2.0", "http://user:hunter2@k/v3", "http://"] {
        let found = discover(&[
            ("OS_AUTH_URL", wrong),
            ("OS_APPLICATION_CREDENTIAL_ID", "a"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "b"),
        ]);
        let message = format!("{:#}", found.expect_err(wrong));
        assert!(message.contains("OS_AUTH_URL") && !message.contains("hunter2"), "{message}");
    }
}
