//! Which of an index's images runs in the cluster.

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, Os};

use super::error::RegistryError;

/// More than any image offers.
const MAX_OFFERS: usize = 32;

/// What an index offers, in its order, without the attestations that builders add (`unknown/unknown`).
pub(super) fn offers(index: &ImageIndex) -> Vec<String> {
    let mut offers: Vec<String> = Vec::new();
    for entry in index.manifests() {
        let label = entry.platform().as_ref().and_then(|p| label(p.os(), p.architecture(), p.variant().as_deref()));
        if let Some(label) = label.filter(|label| !offers.contains(label) && offers.len() < MAX_OFFERS) {
            offers.push(label);
        }
    }
    offers
}

/// The entry for the first of the cluster's architectures that the index has. Where the cluster's are not known: amd64,
/// else the first for Linux. Entries that don't say what they are for come last.
///
/// # Errors
/// [`RegistryError::WrongArchitecture`] when there is none.
pub(super) fn choose<'a>(index: &'a ImageIndex, cluster: &[String]) -> Result<&'a Descriptor, RegistryError> {
    let entries = || index.manifests().iter();
    let amd64 = ["amd64".to_owned()];
    let wanted = if cluster.is_empty() { &amd64[..] } else { cluster };
    let found = wanted.iter().find_map(|wanted| {
        let fitting = || entries().filter(|entry| fits_entry(entry, wanted));
        // The one without a variant is for all machines of its architecture.
        fitting().find(|entry| variant(entry).is_none()).or_else(|| fitting().next())
    });
    let any = || entries().find(|entry| cluster.is_empty() && is_linux(entry));
    let unsaid = || entries().find(|entry| entry.platform().is_none());
    found.or_else(any).or_else(unsaid).ok_or_else(|| {
        let offers = offers(index);
        if offers.is_empty() {
            return RegistryError::Unreadable("an index of nothing".to_owned());
        }
        RegistryError::WrongArchitecture { offers, cluster: cluster.to_vec() }
    })
}

/// What an image says itself that it is for, where no index said it.
///
/// # Errors
/// [`RegistryError::WrongArchitecture`]
pub(super) fn check_config(config: &ImageConfiguration, cluster: &[String]) -> Result<Vec<String>, RegistryError> {
    let offer = label(config.os(), config.architecture(), config.variant().as_deref());
    let offers: Vec<String> = offer.into_iter().collect();
    let variant = config.variant().as_deref();
    let fits = *config.os() == Os::Linux
        && (cluster.is_empty() || cluster.iter().any(|wanted| fits(config.architecture(), variant, wanted)));
    if fits {
        return Ok(offers);
    }
    if offers.is_empty() {
        return Err(RegistryError::Unreadable("an image that does not say what it is for".to_owned()));
    }
    Err(RegistryError::WrongArchitecture { offers, cluster: cluster.to_vec() })
}

fn is_linux(entry: &Descriptor) -> bool {
    entry.platform().as_ref().is_some_and(|platform| *platform.os() == Os::Linux)
}

fn variant(entry: &Descriptor) -> Option<&str> {
    entry.platform().as_ref().and_then(|platform| platform.variant().as_deref())
}

fn fits_entry(entry: &Descriptor, wanted: &str) -> bool {
    entry.platform().as_ref().is_some_and(|platform| {
        *platform.os() == Os::Linux && fits(platform.architecture(), platform.variant().as_deref(), wanted)
    })
}

/// A cluster says `arm64`; where it says `arm/v7`, the variant has to be that one or unsaid.
fn fits(architecture: &Arch, variant: Option<&str>, wanted: &str) -> bool {
    let (wanted, wanted_variant) = match wanted.split_once('/') {
        Some((wanted, variant)) => (wanted, Some(variant)),
        None => (wanted, None),
    };
    architecture.to_string() == wanted && wanted_variant.is_none_or(|wanted| variant.is_none_or(|it| it == wanted))
}

/// `amd64`, `arm64/v8`, for other systems than Linux `windows/amd64`. None: it says nothing that makes sense.
fn label(os: &Os, architecture: &Arch, variant: Option<&str>) -> Option<String> {
    let architecture = architecture.to_string();
    let mut parts = vec![architecture.as_str()];
    let os = os.to_string();
    if os != "linux" {
        parts.insert(0, &os);
    }
    parts.extend(variant.filter(|variant| !variant.is_empty()));
    let is_word = |part: &&str| {
        (1..=16).contains(&part.len())
            && *part != "unknown"
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    parts.iter().all(is_word).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(platforms: &[&str]) -> ImageIndex {
        let entries: Vec<_> = platforms
            .iter()
            .enumerate()
            .map(|(at, platform)| {
                let mut entry = json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": format!("sha256:{}", at.to_string().repeat(64)), "size": 1,
                });
                let parts: Vec<&str> = platform.split('/').collect();
                if parts.len() > 1 {
                    entry["platform"] = json!({"os": parts[0], "architecture": parts[1]});
                }
                if parts.len() > 2 {
                    entry["platform"]["variant"] = json!(parts[2]);
                }
                entry
            })
            .collect();
        serde_json::from_value(json!({"schemaVersion": 2, "manifests": entries})).unwrap()
    }

    fn chosen(platforms: &[&str], cluster: &[&str]) -> Result<usize, RegistryError> {
        let index = index(platforms);
        let cluster: Vec<String> = cluster.iter().map(|&text| text.to_owned()).collect();
        let entry = choose(&index, &cluster)?;
        Ok(index.manifests().iter().position(|other| other == entry).unwrap())
    }

    #[test]
    fn the_clusters_architecture_is_chosen() {
        let nginx = ["linux/amd64", "unknown/unknown", "linux/arm/v5", "linux/arm/v7", "linux/arm64/v8", "linux/386"];
        assert_eq!(offers(&index(&nginx)), ["amd64", "arm/v5", "arm/v7", "arm64/v8", "386"]);
        for (cluster, expected) in [
            (&["amd64"][..], 0),
            (&["arm64"], 4),
            (&["arm64", "amd64"], 4),
            (&["riscv64", "amd64"], 0),
            (&["arm/v7"], 3),
            (&["386"], 5),
            (&[], 0),
        ] {
            assert_eq!(chosen(&nginx, cluster), Ok(expected), "{cluster:?}");
        }
        assert_eq!(chosen(&["linux/amd64/v3", "linux/amd64"], &["amd64"]), Ok(1));
        assert_eq!(chosen(&["linux/amd64/v3"], &["amd64"]), Ok(0));
        assert_eq!(chosen(&["windows/amd64", "linux/arm64"], &[]), Ok(1));
        assert_eq!(chosen(&["linux/arm64", ""], &["amd64"]), Ok(1), "it does not say what it is for");
    }

    #[test]
    fn an_architecture_that_the_cluster_lacks_is_said() {
        let wrong = |offers: &[&str], cluster: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
            Err(RegistryError::WrongArchitecture { offers: owned(offers), cluster: owned(cluster) })
        };
        assert_eq!(chosen(&["linux/arm64/v8", "linux/arm/v7"], &["amd64"]), wrong(&["arm64/v8", "arm/v7"], &["amd64"]));
        assert_eq!(chosen(&["windows/amd64"], &["amd64"]), wrong(&["windows/amd64"], &["amd64"]));
        assert_eq!(chosen(&["linux/arm/v5"], &["arm/v7"]), wrong(&["arm/v5"], &["arm/v7"]));
        for nothing in [&[][..], &["unknown/unknown"], &["linux/<b>"], &["linux/a b"]] {
            assert!(matches!(chosen(nothing, &["amd64"]), Err(RegistryError::Unreadable(_))), "{nothing:?}");
        }
    }
}
