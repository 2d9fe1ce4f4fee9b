//! Secret variables on their way to the cluster: encrypted in the database until the cluster has them (AES-256-GCM
//! under a key of the portal's secret, of one application and revision).

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use secrecy::{ExposeSecret, SecretString};

use crate::ids::ApplicationId;
use crate::settings::Shared;

/// Bytes of a nonce, which stands before the encrypted text.
const NONCE: usize = 12;

/// Names with their values.
pub type Secrets = Vec<(String, SecretString)>;

fn cipher(shared: &Shared, application: ApplicationId, revision: u32) -> Aes256Gcm {
    let parts: [&[u8]; 2] = [application.0.as_bytes(), &revision.to_be_bytes()];
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(shared.derive("application secrets", &parts)))
}

/// None when there is nothing to keep.
///
/// # Errors
/// When the values can't be written as JSON or encrypted: not to be expected.
pub fn seal(
    shared: &Shared,
    application: ApplicationId,
    revision: u32,
    secrets: &[(String, SecretString)],
) -> Result<Option<Vec<u8>>, Unreadable> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let plain: Vec<(&str, &str)> = secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    let plain = serde_json::to_vec(&plain).map_err(|_| Unreadable)?;
    let nonce: [u8; NONCE] = crate::random::bytes();
    let sealed =
        cipher(shared, application, revision).encrypt(&Nonce::from(nonce), plain.as_slice()).map_err(|_| Unreadable)?;
    Ok(Some([nonce.as_slice(), &sealed].concat()))
}

/// # Errors
/// When it was not encrypted with this portal's secret for this application and revision.
pub fn open(shared: &Shared, application: ApplicationId, revision: u32, sealed: &[u8]) -> Result<Secrets, Unreadable> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or(Unreadable)?;
    let plain = cipher(shared, application, revision).decrypt(&Nonce::from(*nonce), text).map_err(|_| Unreadable)?;
    let plain: Vec<(String, String)> = serde_json::from_slice(&plain).map_err(|_| Unreadable)?;
    Ok(plain.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
}

/// Why the values can't be had. It says nothing of what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret variables can't be decrypted: the portal's secret is another one than when they were entered")]
pub struct Unreadable;

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(byte: u8) -> Shared {
        Shared { portal: uuid::Uuid::nil(), secret: vec![byte; 64] }
    }

    fn values(secrets: &Secrets) -> Vec<(&str, &str)> {
        secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect()
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_portal_for_the_same_revision_only() {
        let (shared_1, id) = (shared(1), ApplicationId::new());
        let secrets = vec![("TOKEN".to_owned(), SecretString::from("비밀")), ("EMPTY".to_owned(), "".into())];
        let sealed = seal(&shared_1, id, 3, &secrets).unwrap().unwrap();
        assert!(!sealed.windows(6).any(|bytes| bytes == "비밀".as_bytes()));
        assert_eq!(values(&open(&shared_1, id, 3, &sealed).unwrap()), [("TOKEN", "비밀"), ("EMPTY", "")]);
        assert_eq!(open(&shared(2), id, 3, &sealed).unwrap_err(), Unreadable);
        assert_eq!(open(&shared_1, id, 4, &sealed).unwrap_err(), Unreadable);
        assert_eq!(open(&shared_1, ApplicationId::new(), 3, &sealed).unwrap_err(), Unreadable);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(open(&shared_1, id, 3, &changed).unwrap_err(), Unreadable);
        assert_eq!(open(&shared_1, id, 3, &sealed[..5]).unwrap_err(), Unreadable);
        assert_ne!(seal(&shared_1, id, 3, &secrets).unwrap().unwrap(), sealed, "a nonce is used once");
    }

    #[test]
    fn nothing_is_kept_as_nothing() {
        assert_eq!(seal(&shared(1), ApplicationId::new(), 1, &[]).unwrap(), None);
    }
}
