//! What all portal processes on one database share: made once, at the first start.

use anyhow::Context;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
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
