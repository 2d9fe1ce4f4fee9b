//! Sessions in MySQL, for `actix-session`.
//!
//! The table holds the SHA-256 of the cookie's key: who reads it can't sign in with it. A session that was ended is
//! never revived by a late answer ([`MysqlStore::update`] of a vanished row writes nothing). Loading a session loads
//! its account with the same query, so that a role taken away or an account switched off counts at once.

use std::collections::{HashMap, HashSet};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{CookieJar, Key};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::db::{self, Db};
use crate::ids::AccountId;
use crate::schema::{accounts, sessions};

/// The entry of a session's state that says whose it is.
pub const ACCOUNT: &str = "account_id";

/// The entry that [`MysqlStore::load`] adds and never stores: the account as it is now, a [`Loaded`] in JSON.
pub const LOADED: &str = "loaded_account";

/// Sessions that are asked about in one query.
const AT_ONCE: usize = 1000;

/// The account of a session as it was when the session was loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Loaded {
    pub id: AccountId,
    pub login_id: String,
    pub name: String,
    pub role: crate::accounts::model::Role,
}

#[derive(Clone)]
pub struct MysqlStore {
    db: Db,
}

impl MysqlStore {
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

fn expiry(ttl: &Duration) -> NaiveDateTime {
    db::now() + chrono::Duration::seconds(ttl.whole_seconds())
}

/// Whose session this is. `actix-session` keeps values as JSON, so the id stands in quotes.
fn account_of(state: &HashMap<String, String>) -> Option<AccountId> {
    state.get(ACCOUNT).and_then(|json| serde_json::from_str(json).ok())
}

fn stored(mut state: HashMap<String, String>) -> Result<String, anyhow::Error> {
    state.remove(LOADED);
    Ok(serde_json::to_string(&state)?)
}

impl SessionStore for MysqlStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let hash = hash(key.as_ref());
        let row = self
            .db
            .run(move |conn| {
                Ok(sessions::table
                    .left_join(accounts::table)
                    .filter(sessions::key_hash.eq(hash))
                    .filter(sessions::expires_at.gt(db::now()))
                    .select((
                        sessions::state,
                        (accounts::id, accounts::login_id, accounts::name, accounts::role, accounts::active).nullable(),
                    ))
                    .first::<(String, Option<(AccountId, String, String, String, bool)>)>(conn)
                    .optional()?)
            })
            .await
            .map_err(|error| LoadError::Other(error.into()))?;
        let Some((state, account)) = row else { return Ok(None) };
        let mut state: HashMap<String, String> =
            serde_json::from_str(&state).map_err(|error| LoadError::Deserialization(error.into()))?;
        if let Some((id, login_id, name, role, active)) = account {
            if !active {
                return Ok(None);
            }
            let loaded = Loaded { id, login_id, name, role: crate::accounts::model::Role::from_name(&role) };
            let json = serde_json::to_string(&loaded).map_err(|error| LoadError::Deserialization(error.into()))?;
            state.insert(LOADED.to_owned(), json);
        }
        Ok(Some(state))
    }

    async fn save(&self, state: HashMap<String, String>, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let key = crate::random::token();
        let (hash, account, expires) = (hash(&key), account_of(&state), expiry(ttl));
        let state = stored(state).map_err(SaveError::Serialization)?;
        self.db
            .run(move |conn| {
                diesel::insert_into(sessions::table)
                    .values((
                        sessions::key_hash.eq(hash),
                        sessions::account_id.eq(account),
                        sessions::state.eq(state),
                        sessions::created_at.eq(db::now()),
                        sessions::expires_at.eq(expires),
                    ))
                    .execute(conn)?;
                Ok(())
            })
            .await
            .map_err(|error| SaveError::Other(error.into()))?;
        SessionKey::try_from(key).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: HashMap<String, String>,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let (hash, account, expires) = (hash(key.as_ref()), account_of(&state), expiry(ttl));
        let state = stored(state).map_err(UpdateError::Serialization)?;
        self.db
            .run(move |conn| {
                // Nothing is inserted: a session that was ended meanwhile stays ended.
                diesel::update(sessions::table.find(hash))
                    .set((
                        sessions::account_id.eq(account),
                        sessions::state.eq(state),
                        sessions::expires_at.eq(expires),
                    ))
                    .execute(conn)?;
                Ok(())
            })
            .await
            .map_err(|error| UpdateError::Other(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        let (hash, expires) = (hash(key.as_ref()), expiry(ttl));
        self.db
            .run(move |conn| {
                diesel::update(sessions::table.find(hash)).set(sessions::expires_at.eq(expires)).execute(conn)?;
                Ok(())
            })
            .await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        let hash = hash(key.as_ref());
        self.db
            .run(move |conn| {
                diesel::delete(sessions::table.find(hash)).execute(conn)?;
                Ok(())
            })
            .await?;
        Ok(())
    }
}

/// The session that a request came with, as the table names it: for answers that go on for longer than a request, and
/// have to end with the session. None when there is none, or its cookie was not signed by us.
pub fn of_request(request: &actix_web::HttpRequest, app: &crate::app::App) -> Option<Vec<u8>> {
    let name = crate::app::session_cookie(app.config.server.is_https());
    let mut jar = CookieJar::new();
    jar.add_original(request.cookie(name)?);
    let key = jar.signed(&Key::derive_from(&app.shared.secret)).get(name)?;
    Some(hash(key.value()))
}

/// Whether a session still lives, and its account may still use it.
///
/// # Errors
/// The database's.
pub fn is_alive(conn: &mut diesel::mysql::MysqlConnection, session: &[u8], account: AccountId) -> QueryResult<bool> {
    let alive = sessions::table
        .inner_join(accounts::table)
        .filter(sessions::key_hash.eq(session))
        .filter(sessions::expires_at.gt(db::now()))
        .filter(accounts::id.eq(account))
        .filter(accounts::active.eq(true));
    diesel::select(diesel::dsl::exists(alive)).get_result(conn)
}

/// Which of these sessions still live, and whose they are, of accounts that may still use them.
///
/// # Errors
/// The database's.
pub fn alive(
    conn: &mut diesel::mysql::MysqlConnection,
    sessions: &[Vec<u8>],
) -> QueryResult<HashSet<(Vec<u8>, AccountId)>> {
    let mut alive = HashSet::new();
    for some in sessions.chunks(AT_ONCE) {
        let living: Vec<(Vec<u8>, AccountId)> = sessions::table
            .inner_join(accounts::table)
            .filter(sessions::key_hash.eq_any(some))
            .filter(sessions::expires_at.gt(db::now()))
            .filter(accounts::active.eq(true))
            .select((sessions::key_hash, accounts::id))
            .load(conn)?;
        alive.extend(living);
    }
    Ok(alive)
}

/// Whether a session lives and is an admin's.
///
/// # Errors
/// The database's.
pub fn is_admins(conn: &mut diesel::mysql::MysqlConnection, session: &[u8]) -> QueryResult<bool> {
    let admins = sessions::table
        .inner_join(accounts::table)
        .filter(sessions::key_hash.eq(session))
        .filter(sessions::expires_at.gt(db::now()))
        .filter(accounts::role.eq(crate::accounts::model::Role::Admin.name()))
        .filter(accounts::active.eq(true));
    diesel::select(diesel::dsl::exists(admins)).get_result(conn)
}

/// Ends every session of an account.
///
/// # Errors
/// The database's.
pub fn end_all(conn: &mut diesel::mysql::MysqlConnection, account: AccountId) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::account_id.eq(account))).execute(conn)
}

/// Removes what has expired; called by the sync.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut diesel::mysql::MysqlConnection) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::expires_at.lt(db::now()))).execute(conn)
}
