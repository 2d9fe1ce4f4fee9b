//! The table of public keys, and how pairs are made and read.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use secrecy::SecretString;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey};

use crate::db;
use crate::ids::{AccountId, SshKeyId};
use crate::schema::ssh_keys;
use crate::validation::Checked;

/// Keys that one account may have.
pub const MOST: i64 = 10;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = ssh_keys)]
pub struct SshKey {
    pub id: SshKeyId,
    pub name: String,
    pub public_key: String,
    pub fingerprint: String,
    pub algorithm: String,
    /// Made by the portal, and downloaded as [`file_name`].
    pub generated: bool,
    pub created_at: NaiveDateTime,
}

/// A key to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    pub public_key: String,
    pub fingerprint: String,
    pub algorithm: String,
    pub generated: bool,
}

impl NewKey {
    fn of(name: String, key: &PublicKey, generated: bool) -> Option<Self> {
        Some(Self {
            name,
            public_key: key.to_openssh().ok()?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            algorithm: key.algorithm().to_string(),
            generated,
        })
    }

    /// A public key as the person pasted it: one line of OpenSSH's form. Its comment is dropped.
    ///
    /// # Errors
    /// `validation.public_key.*`; a private key is told apart, so that nobody pastes one twice.
    pub fn parse(name: String, text: &str) -> Checked<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err("validation.public_key.missing");
        }
        if text.contains("PRIVATE KEY") {
            return Err("validation.public_key.private");
        }
        if text.len() > 8_192 {
            return Err("validation.public_key.invalid");
        }
        if text.lines().count() > 1 || text.chars().any(char::is_control) {
            return Err("validation.public_key.invalid");
        }
        let mut key = PublicKey::from_openssh(text).map_err(|_| "validation.public_key.invalid")?;
        let strong = match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
                true
            }
            Algorithm::Rsa { .. } => key.key_data().rsa().is_some_and(|rsa| rsa.n.as_bytes().len() >= 256),
            _ => false,
        };
        if !strong {
            return Err("validation.public_key.weak");
        }
        key.set_comment("");
        Self::of(name, &key, false).ok_or("validation.public_key.invalid")
    }

    /// An ed25519 pair of this seed: what is stored, and the private key in OpenSSH's form for the person.
    ///
    /// # Errors
    /// None that is known; the key can't be written as text.
    pub fn from_seed(name: String, seed: &[u8; 32]) -> Result<(Self, SecretString), ssh_key::Error> {
        let private = PrivateKey::from(Ed25519Keypair::from_seed(seed));
        let public = Self::of(name, private.public_key(), true).ok_or(ssh_key::Error::FormatEncoding)?;
        Ok((public, SecretString::from(private.to_openssh(LineEnding::LF)?.as_str())))
    }
}

/// The name of the file that a private key made by the portal is downloaded as: plain ASCII, whatever the key's name.
pub fn file_name(key_id: SshKeyId) -> String {
    let digits = key_id.0.simple().to_string();
    format!("fast-cloud-{}.pem", &digits[digits.len() - 6..])
}

impl SshKey {
    /// Newest first.
    ///
    /// # Errors
    /// The database's.
    pub fn list(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<Vec<Self>> {
        ssh_keys::table
            .filter(ssh_keys::account_id.eq(account))
            .order(ssh_keys::id.desc())
            .limit(MOST)
            .select(Self::as_select())
            .load(conn)
    }

    /// # Errors
    /// Not found, when it is somebody else's, too.
    pub fn find(conn: &mut MysqlConnection, account: AccountId, id: SshKeyId) -> QueryResult<Self> {
        ssh_keys::table.find(id).filter(ssh_keys::account_id.eq(account)).select(Self::as_select()).first(conn)
    }

    /// Stores a key. None: the account has as many as it may.
    ///
    /// # Errors
    /// The database's; the same key again is a unique violation.
    pub fn create(conn: &mut MysqlConnection, account: AccountId, key: &NewKey) -> QueryResult<Option<SshKeyId>> {
        let count: i64 = ssh_keys::table.filter(ssh_keys::account_id.eq(account)).count().get_result(conn)?;
        if count >= MOST {
            return Ok(None);
        }
        let id = SshKeyId::new();
        diesel::insert_into(ssh_keys::table)
            .values((
                ssh_keys::id.eq(id),
                ssh_keys::account_id.eq(account),
                ssh_keys::name.eq(&key.name),
                ssh_keys::public_key.eq(&key.public_key),
                ssh_keys::fingerprint.eq(&key.fingerprint),
                ssh_keys::algorithm.eq(&key.algorithm),
                ssh_keys::generated.eq(key.generated),
                ssh_keys::created_at.eq(db::now()),
            ))
            .execute(conn)?;
        Ok(Some(id))
    }

    /// Forgets a key; machines that have it keep it.
    ///
    /// # Errors
    /// Not found, when it is somebody else's, too.
    pub fn delete(conn: &mut MysqlConnection, account: AccountId, id: SshKeyId) -> QueryResult<()> {
        let mine = ssh_keys::table.find(id).filter(ssh_keys::account_id.eq(account));
        match diesel::delete(mine).execute(conn)? {
            0 => Err(diesel::result::Error::NotFound),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_made_pair_is_one_that_openssh_reads() {
        let (public, private) = NewKey::from_seed("k".to_owned(), &crate::random::bytes()).unwrap();
        let read = PrivateKey::from_openssh(private.expose_secret()).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap(), public.public_key);
        assert!(public.fingerprint.starts_with("SHA256:") && public.algorithm == "ssh-ed25519");
    }

    #[test]
    fn pasted_keys() {
        let (made, private) = NewKey::from_seed("k".to_owned(), &crate::random::bytes()).unwrap();
        let line = format!("  {} kim@laptop\n", made.public_key);
        assert_eq!(NewKey::parse("k".to_owned(), &line).unwrap(), NewKey { generated: false, ..made.clone() });
        for (text, why) in [
            ("", "missing"),
            (private.expose_secret(), "private"),
            ("ssh-ed25519 AAAA", "invalid"),
            ("hello", "invalid"),
            (&format!("{line}{line}"), "invalid"),
            (&format!("command=\"sh\" {}", made.public_key), "invalid"),
            (&"x".repeat(9_000), "invalid"),
        ] {
            assert_eq!(
                NewKey::parse("k".to_owned(), text).unwrap_err(),
                format!("validation.public_key.{why}"),
                "{text}"
            );
        }
    }
}
