//! The first label of an application's host name, made from the name that a person gave it.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::validation::Checked;

/// Octets of a label (RFC 1035, 2.3.4).
const LONGEST: usize = 63;

/// A label that can stand before the domain of all applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLabel {
    pub text: String,
    /// Nothing of the name can stand in a host name: this was made for it instead.
    pub generated: bool,
}

/// The label that a name makes: capitals become small letters, what is not `a-z 0-9 -` becomes `-`, and hyphens at the
/// ends go. A name of which nothing is left gets a label made from its digest: the same each time, so that what the
/// form shows is what is taken.
///
/// # Errors
/// `validation.app_name.*`: too long for a label, or one that nobody gets.
pub fn label_of(name: &str, reserved: &[String]) -> Checked<HostLabel> {
    let name: String = name.trim().nfc().collect();
    let hyphened: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    let text = hyphened.trim_matches('-');
    if text.is_empty() {
        let digest = hex::encode(Sha256::digest(name.as_bytes()));
        return Ok(HostLabel { text: format!("app-{}", &digest[..8]), generated: true });
    }
    if text.len() > LONGEST {
        return Err("validation.app_name.label_too_long");
    }
    // Browsers show what stands behind `xn--` as other letters (RFC 5890, 2.3.2.1).
    if reserved.iter().any(|reserved| reserved == text) || text.starts_with("xn--") {
        return Err("validation.app_name.reserved");
    }
    Ok(HostLabel { text: text.to_owned(), generated: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str) -> Checked<HostLabel> {
        label_of(name, &["www".to_owned(), "api".to_owned()])
    }

    fn text(name: &str) -> String {
        label(name).unwrap().text
    }

    #[test]
    fn names_that_differ_little_make_the_same_label() {
        for name in ["my_app", "My-App", "my-app", " my.app ", "-my app-", "MY_APP"] {
            assert_eq!(label(name), Ok(HostLabel { text: "my-app".to_owned(), generated: false }), "{name}");
        }
    }

    #[test]
    fn runs_stay_and_other_letters_become_hyphens() {
        assert_eq!(text("a__b"), "a--b");
        assert_eq!(text("블로그 v2"), "v2");
        assert_eq!(text("my 블로그"), "my");
        assert_eq!(text("café"), "caf");
        assert_eq!(text("\u{FF21}bc"), "bc", "a wide letter is another one");
        assert_eq!(text("\u{212A}ube"), "kube", "the sign for kelvin is a K");
        assert_eq!(text("7"), "7");
    }

    #[test]
    fn a_name_without_latin_letters_gets_a_label_of_its_own() {
        let made = label("한글").unwrap();
        assert!(made.generated && made.text.starts_with("app-") && made.text.len() == 12, "{made:?}");
        assert_eq!(label("한글"), label("  한글 "), "it is the same each time");
        // The same word in decomposed letters, as a Mac may send it.
        assert_eq!(label("한글"), label("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"));
        assert_ne!(label("한글"), label("한국"));
        assert!(label("---").unwrap().generated);
    }

    #[test]
    fn what_no_one_gets_is_refused() {
        for name in ["www", "WWW", "-api-", "_api", "xn--bcher-kva", "XN--a"] {
            assert_eq!(label(name), Err("validation.app_name.reserved"), "{name}");
        }
        assert!(label("www2").is_ok());
        assert_eq!(text(&"a".repeat(63)), "a".repeat(63));
        assert_eq!(label(&"a".repeat(64)), Err("validation.app_name.label_too_long"));
        assert!(label(&format!("{}한", "a".repeat(63))).is_ok(), "hyphens at the ends don't count");
    }
}
