//! Passwords: argon2id off the worker threads, two at a time.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Hashing costs memory and a processor for a while: more at once would only slow every page down.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// OWASP's second choice of parameters, and argon2's own default: 19 MiB, 2 passes, 1 lane.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, 1, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String> {
    Ok(argon2()?.hash_password(password.as_bytes()).map_err(Error::internal)?.to_string())
}

/// A hash of nobody's password: verified when the login id is unknown, so that the answer takes as long.
static DUMMY: LazyLock<String> = LazyLock::new(|| hash_now("nobody's password").unwrap_or_default());

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let _slot = SLOTS.clone().acquire_owned().await.map_err(Error::internal)?;
    actix_web::web::block(work).await.map_err(Error::internal)?
}

/// The PHC string of a password, with a new salt.
///
/// # Errors
/// Internal ones only.
pub async fn hash(password: String) -> Result<String> {
    blocking(move || hash_now(&password)).await
}

/// Whether this is the password. Without a hash (an unknown login id) the same work is done, and the answer is no.
///
/// # Errors
/// Internal ones only.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DUMMY.clone());
        let hash = PasswordHash::new(&hash).map_err(Error::internal)?;
        // The parameters are the hash's own.
        Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok() && known)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_password_fits_its_own_hash_only() {
        let first = hash("correct horse".to_owned()).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$"), "{first}");
        assert_ne!(first, hash("correct horse".to_owned()).await.unwrap(), "the salt is not new");
        assert!(verify("correct horse".to_owned(), Some(first.clone())).await.unwrap());
        assert!(!verify("correct horsf".to_owned(), Some(first)).await.unwrap());
        assert!(!verify("nobody's password".to_owned(), None).await.unwrap());
    }
}
