//! Passwords: argon2id off the worker threads, two at a time.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, CustomizedPasswordHasher, Params, PasswordVerifier, Version, password_hash};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Hashing costs memory and a processor for a while: more at once would only slow every page down.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// OWASP's second choice of parameters, and argon2's own default: 19 MiB, 2 passes, 1 lane.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
fn params() -> Result<Params> {
    Params::new(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, 1, None).map_err(Error::internal)
}

/// Bytes of an allocation that glibc always gets from the kernel and gives back: more than the 32 MiB up to which its
/// `M_MMAP_THRESHOLD` may grow by itself (mallopt(3)). The pages that are never touched cost nothing.
const GIVEN_BACK: usize = 33 * 1024 * 1024;

/// Argon2 whose memory is gone after each hash. The crate's own allocation is as large as the hash needs: after the
/// first one glibc keeps such sizes, 19 MiB for every thread that has ever hashed.
struct Hasher;

impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut memory = Vec::with_capacity(GIVEN_BACK / Block::SIZE);
        memory.resize(params.block_count(), Block::new());
        let mut buffer = [0; Output::MAX_LENGTH];
        let output = buffer.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let string = ParamsString::try_from(&params)?;
        Argon2::new(algorithm, version, params).hash_password_into_with_memory(password, salt, output, &mut memory)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: string,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(output)?),
        })
    }
}

fn hash_now(password: &str) -> Result<String> {
    let salt: [u8; 16] = crate::random::bytes();
    let hash = Hasher.hash_password_customized(password.as_bytes(), &salt, None, None, params()?);
    Ok(hash.map_err(Error::internal)?.to_string())
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
        Ok(Hasher.verify_password(password.as_bytes(), &hash).is_ok() && known)
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

    #[actix_web::test]
    async fn it_is_the_crates_own_hash() {
        use argon2::PasswordHasher;
        let theirs = Argon2::default().hash_password(b"correct horse").unwrap().to_string();
        assert!(verify("correct horse".to_owned(), Some(theirs)).await.unwrap());
        let ours = PasswordHash::new(&hash_now("correct horse").unwrap()).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &ours).is_ok());
    }
}
