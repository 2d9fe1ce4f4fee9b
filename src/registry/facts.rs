//! What an image says of itself.

use oci_spec::image::{ImageConfiguration, ImageManifest};
use serde::{Deserialize, Serialize};

/// Ports at which an image is most likely to speak HTTP, the likeliest first.
const WEB_PORTS: [u16; 15] = [80, 8080, 3000, 8000, 5000, 8888, 8081, 4000, 5173, 5984, 7474, 8222, 9000, 8090, 443];
/// More than any image that is meant to be opened in a browser.
const MAX_PORTS: usize = 32;
const MAX_USER: usize = 64;

/// What is known of an image before it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Of what the reference names (of the index, if there is one): `sha256:…`. Pins the image.
    pub digest: String,
    /// `EXPOSE`d TCP ports, the one that a browser is most likely to be answered at first. Empty: the image names none,
    /// which says nothing about where it listens.
    pub ports: Vec<u16>,
    /// What the image is offered for: `amd64`, `arm64/v8`. A cluster with machines of another kind, too, has to keep its
    /// pods away from them.
    pub architectures: Vec<String>,
    /// Whom the image starts its program as: a name or number, perhaps with `:group`. None: root.
    pub user: Option<String>,
    /// To be downloaded, compressed, by a machine that has nothing of it.
    pub size_bytes: Option<u64>,
}

impl ImageFacts {
    pub(super) fn new(
        digest: String,
        manifest: &ImageManifest,
        config: &ImageConfiguration,
        architectures: Vec<String>,
    ) -> Self {
        let execution = config.config().as_ref();
        let exposed = execution.and_then(|config| config.exposed_ports().as_deref()).unwrap_or_default();
        let user = execution.and_then(|config| config.user().as_deref()).and_then(user);
        let size =
            manifest.layers().iter().fold(manifest.config().size(), |sum, layer| sum.saturating_add(layer.size()));
        Self { digest, ports: ports(exposed), architectures, user, size_bytes: Some(size) }
    }

    /// Whether the program starts as root, which a cluster may refuse.
    pub fn runs_as_root(&self) -> bool {
        let user = self.user.as_deref().map(|user| user.split(':').next().unwrap_or_default());
        matches!(user, None | Some("" | "0" | "root"))
    }
}

/// `80/tcp`, `80`, `53/udp` (left out), `8000-8010/tcp`.
fn ports(exposed: &[String]) -> Vec<u16> {
    let mut ports: Vec<u16> = exposed
        .iter()
        .filter_map(|text| match text.split_once('/') {
            None => Some(text.as_str()),
            Some((port, protocol)) => protocol.eq_ignore_ascii_case("tcp").then_some(port),
        })
        .filter_map(|text| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
        })
        .flat_map(|range| range.take(MAX_PORTS))
        .filter(|port| *port > 0)
        .collect();
    sort_ports(&mut ports);
    ports.truncate(MAX_PORTS);
    ports
}

pub(super) fn sort_ports(ports: &mut Vec<u16>) {
    let rank = |port: u16| WEB_PORTS.iter().position(|web| *web == port).unwrap_or(WEB_PORTS.len());
    ports.sort_unstable_by_key(|port| (rank(*port), *port));
    ports.dedup();
}

/// Left out where it is no user's name: it is shown.
fn user(text: &str) -> Option<String> {
    let is_user = (1..=MAX_USER).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'$'));
    is_user.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_browser_comes_first() {
        let of = |list: &[&str]| ports(&list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["443/tcp", "80/tcp"]), [80, 443]);
        assert_eq!(of(&["22/tcp", "3000/tcp", "53/udp", "9418/TCP"]), [3000, 22, 9418]);
        assert_eq!(of(&["6379", "6379/tcp"]), [6379]);
        assert_eq!(of(&["8000-8002/tcp"]), [8000, 8001, 8002]);
        assert_eq!(of(&["0/tcp", "65536/tcp", "-1", "", "/", "80/tcp/x", "x/tcp", "９０/tcp", "5-2/tcp"]), [0; 0]);
        assert_eq!(of(&["1-65535/tcp"]).len(), MAX_PORTS);
        assert_eq!(of(&[]), [0; 0]);
    }

    #[test]
    fn users() {
        assert_eq!(user("node"), Some("node".to_owned()));
        assert_eq!(user("1000:1000"), Some("1000:1000".to_owned()));
        for none in ["", "<script>", "a b", "a\nb", &"a".repeat(65)] {
            assert_eq!(user(none), None, "{none:?}");
        }
        let facts = |user: Option<&str>| ImageFacts {
            digest: String::new(),
            ports: vec![],
            architectures: vec![],
            user: user.map(str::to_owned),
            size_bytes: None,
        };
        for root in [None, Some("root"), Some("0"), Some("0:0"), Some("root:root")] {
            assert!(facts(root).runs_as_root(), "{root:?}");
        }
        assert!(!facts(Some("node")).runs_as_root() && !facts(Some("1000:0")).runs_as_root());
    }
}
