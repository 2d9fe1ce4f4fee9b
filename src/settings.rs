//! What all portal processes on one database share: made once, at the first start.

use anyhow::Context;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::schema::settings;

/// The portal's identity and its secret, from the table `settings`.
#[derive(Clone)]
pub struct Shared {
    /// Written to every cloud object that we make: two portals may share a project.
    pub portal: Uuid,
    /// 64 random bytes: cookies are signed and encrypted with it, form tokens are made from it.
    pub secret: Vec<u8>,
}

impl Shared {
    /// 32 bytes for one purpose and these parts, that nobody can compute without the secret (HMAC-SHA256).
    pub fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            // The length first: no two lists of parts are one text.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Reads what is there, or makes it; of two processes that start at once, one makes it and both read it.
    ///
    /// # Errors
    /// When the database does not answer, or holds something else under these names.
    pub fn load(conn: &mut MysqlConnection) -> anyhow::Result<Self> {
        let secret: [u8; 64] = crate::random::bytes();
        for (name, value) in [("portal_id", Uuid::new_v4().as_bytes().to_vec()), ("secret", secret.to_vec())] {
            diesel::insert_or_ignore_into(settings::table)
                .values((settings::name.eq(name), settings::value.eq(value)))
                .execute(conn)?;
        }
        let mut read = |name: &str| settings::table.find(name).select(settings::value).first::<Vec<u8>>(conn);
        let portal = Uuid::from_slice(&read("portal_id")?).context("settings.portal_id is not a UUID")?;
        let secret = read("secret")?;
        anyhow::ensure!(secret.len() == 64, "settings.secret has {} bytes instead of 64", secret.len());
        Ok(Self { portal, secret })
    }
}
