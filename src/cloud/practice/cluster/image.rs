//! What a pretended container does: its image's name decides, as with the lab's test images.

use sha2::{Digest as _, Sha256};

/// Programs by their usual port.
const PORTS: &[(&str, u16)] = &[
    ("adminer", 8080),
    ("caddy", 80),
    ("django", 8000),
    ("drupal", 80),
    ("elasticsearch", 9200),
    ("env", 80),
    ("express", 3000),
    ("fastapi", 8000),
    ("flask", 5000),
    ("ghost", 2368),
    ("grafana", 3000),
    ("hello", 80),
    ("httpd", 80),
    ("influxdb", 8086),
    ("jenkins", 8080),
    ("jetty", 8080),
    ("joomla", 80),
    ("loopback", 80),
    ("loud", 80),
    ("mariadb", 3306),
    ("memcached", 11211),
    ("mislabelled", 8080),
    ("mongo", 27017),
    ("mongo-express", 8081),
    ("multi", 80),
    ("mysql", 3306),
    ("n8n", 5678),
    ("nats", 4222),
    ("neo4j", 7474),
    ("nextcloud", 80),
    ("nextjs", 3000),
    ("nginx", 80),
    ("node", 3000),
    ("noexpose", 80),
    ("nonroot", 8080),
    ("noshell", 80),
    ("phpmyadmin", 80),
    ("port8080", 8080),
    ("postgres", 5432),
    ("rabbitmq", 5672),
    ("redis", 6379),
    ("redmine", 3000),
    ("registry", 5000),
    ("slow", 80),
    ("solr", 8983),
    ("tomcat", 8080),
    ("traefik", 80),
    ("valkey", 6379),
    ("whoami", 80),
    ("wordpress", 80),
];

/// Systems and languages: a shell that nobody types into ends at once.
const SHELLS: &[&str] = &[
    "alpine",
    "amazonlinux",
    "archlinux",
    "bash",
    "busybox",
    "debian",
    "fedora",
    "hello-world",
    "openjdk",
    "php",
    "python",
    "rockylinux",
    "ruby",
    "ubuntu",
];

/// Where a program listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ears {
    Open(u16),
    /// On 127.0.0.1 only.
    Loopback(u16),
    /// A while after its start.
    Late(u16),
    Nowhere,
}

/// What comes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Nothing that a node could pull: the reference's form is wrong.
    Malformed,
    /// Not in its registry.
    Missing,
    /// The registry's rate limit.
    Limited,
    /// Built for another architecture.
    Foreign,
    /// Ends at once, again and again.
    Ends { exit_code: i32, reason: &'static str },
    /// Runs and listens there, or nowhere.
    Runs(Ears),
}

impl Behaviour {
    /// `asked` is the port that the application was deployed with, `env` its variables.
    pub(super) fn of(image: &str, asked: u16, env: &dyn Fn(&str) -> Option<String>) -> Self {
        if !is_well_formed(image) {
            return Self::Malformed;
        }
        let name = name(image);
        match name {
            "does-not-exist" | "no-such-image" => Self::Missing,
            _ if name.contains("missing") => Self::Missing,
            "limited" => Self::Limited,
            _ if name.starts_with("foreign") => Self::Foreign,
            _ if name.starts_with("crash") => Self::Ends { exit_code: 1, reason: "Error" },
            _ if name.starts_with("exit0") => Self::Ends { exit_code: 0, reason: "Completed" },
            _ if name.starts_with("hog") => Self::Ends { exit_code: 137, reason: "OOMKilled" },
            _ if SHELLS.contains(&name) => Self::Ends { exit_code: 0, reason: "Completed" },
            _ if name.starts_with("silent") => Self::Runs(Ears::Nowhere),
            _ => {
                let usual = PORTS.iter().find(|(known, _)| *known == name).map_or(asked, |(_, port)| *port);
                Self::Runs(match name {
                    _ if name.starts_with("loopback") => Ears::Loopback(usual),
                    "slow" => Ears::Late(usual),
                    // As in the lab: it goes by the variable.
                    "hello" => Ears::Open(env("PORT").and_then(|text| text.parse().ok()).unwrap_or(usual)),
                    _ => Ears::Open(usual),
                })
            }
        }
    }
}

/// Whether there is a shell in it, by which the portal can read the table of sockets.
pub(super) fn has_shell(image: &str) -> bool {
    name(image) != "noshell"
}

/// The last part of a reference, without tag and digest: `nginx` of `docker.io/library/nginx:1.27@sha256:…`.
pub(super) fn name(image: &str) -> &str {
    let path = image.split_once('@').map_or(image, |(path, _)| path);
    let last = path.rsplit('/').next().unwrap_or(path);
    last.split_once(':').map_or(last, |(name, _)| name)
}

/// The tag; what has none is the latest.
pub(super) fn tag(image: &str) -> &str {
    let path = image.split_once('@').map_or(image, |(path, _)| path);
    let last = path.rsplit('/').next().unwrap_or(path);
    last.split_once(':').map_or("latest", |(_, tag)| tag)
}

/// The digest that the reference names, else one that is always the same for the same reference.
pub(super) fn digest(image: &str) -> String {
    match image.split_once('@') {
        Some((_, digest)) => digest.to_owned(),
        None => format!("sha256:{}", hex::encode(Sha256::digest(image))),
    }
}

/// Whether a container runtime would take it for a reference: the distribution grammar, as far as it matters here.
fn is_well_formed(image: &str) -> bool {
    let (path, digest) = match image.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (image, None),
    };
    let is_digest = |text: &str| {
        text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return false;
    }
    let (names, last) = path.rsplit_once('/').map_or(("", path), |(names, last)| (names, last));
    let (last, tag) = last.split_once(':').map_or((last, None), |(name, tag)| (name, Some(tag)));
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && !tag.starts_with(['.', '-'])
    };
    let mut parts = names.split('/').filter(|_| !names.is_empty());
    // A registry's name may have a port and upper case.
    let host = names.split('/').next().filter(|host| host.contains(['.', ':']) || *host == "localhost");
    if let Some(host) = host {
        parts.next();
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'[' | b']')) {
            return false;
        }
    }
    parts.all(is_component) && is_component(last) && tag.is_none_or(is_tag)
}

/// Lower-case letters and digits, joined by `.`, `_`, `__` or hyphens.
fn is_component(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
        && !text.contains("..")
        && !text.contains("___")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &str) -> Behaviour {
        Behaviour::of(image, 1234, &|_| None)
    }

    #[test]
    fn the_name_decides() {
        let listens = |port| Behaviour::Runs(Ears::Open(port));
        for (image, behaviour) in [
            ("hello:1", listens(80)),
            ("docker.io/library/hello:2", listens(80)),
            ("nginx", listens(80)),
            ("127.0.0.1:5050/nginx:1.27", listens(80)),
            ("redis:7", listens(6379)),
            ("me/express", listens(3000)),
            ("me/anything:v1", listens(1234)),
            ("port8080", listens(8080)),
            ("mislabelled", listens(8080)),
            ("silent:1", Behaviour::Runs(Ears::Nowhere)),
            ("loopback:1", Behaviour::Runs(Ears::Loopback(80))),
            ("me/loopback-dev", Behaviour::Runs(Ears::Loopback(1234))),
            ("slow:1", Behaviour::Runs(Ears::Late(80))),
            ("crash:1", Behaviour::Ends { exit_code: 1, reason: "Error" }),
            ("exit0", Behaviour::Ends { exit_code: 0, reason: "Completed" }),
            ("busybox", Behaviour::Ends { exit_code: 0, reason: "Completed" }),
            ("hog:1", Behaviour::Ends { exit_code: 137, reason: "OOMKilled" }),
            ("nginx-missing", Behaviour::Missing),
            ("me/does-not-exist:3", Behaviour::Missing),
            ("limited", Behaviour::Limited),
            ("foreign:1", Behaviour::Foreign),
            ("Not An Image", Behaviour::Malformed),
        ] {
            assert_eq!(of(image), behaviour, "{image}");
        }
        let env = |name: &str| (name == "PORT").then(|| "3000".to_owned());
        assert_eq!(Behaviour::of("hello:1", 80, &env), listens(3000));
    }

    #[test]
    fn names_and_tags() {
        let digest = "sha256:".to_owned() + &"0".repeat(64);
        for (image, expected_name, expected_tag) in [
            ("hello", "hello", "latest"),
            ("hello:2", "hello", "2"),
            ("registry.example:5000/a/hello", "hello", "latest"),
            (&format!("docker.io/library/hello:2@{digest}"), "hello", "2"),
        ] {
            assert_eq!((name(image), tag(image)), (expected_name, expected_tag), "{image}");
        }
        assert_eq!(super::digest(&format!("hello@{digest}")), digest);
        assert_eq!(super::digest("hello:1"), super::digest("hello:1"));
        assert_ne!(super::digest("hello:1"), super::digest("hello:2"));
    }

    #[test]
    fn malformed_references_are_known() {
        for good in ["nginx", "a/b/c:tag", "localhost:5000/x", "ghcr.io/me/app_1.x:V-1", "a__b"] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in [
            "",
            ":1",
            "nginx:",
            "NGINX",
            "a//b",
            "nginx@sha256:12",
            "a b",
            "nginx:-1",
            "-a",
            "ghcr.io/Me/app",
            "http://x/y",
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
