//! Credentials for tools: each for one bucket, for a while.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use super::Bucket;
use crate::db;
use crate::ids::{AccountId, BucketId, TokenId};
use crate::schema::{bucket_tokens, buckets};
use crate::settings::Shared;

/// Credentials of one bucket at once.
pub const MOST: i64 = 20;
/// What every one begins with, so that it is known when it turns up where it should not.
const PREFIX: &str = "fcb_";

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bucket_tokens)]
pub struct Token {
    pub id: TokenId,
    pub account_id: AccountId,
    pub bucket_id: BucketId,
    /// Whether files may be put in and deleted, too.
    pub writes: bool,
    pub last_at: Option<NaiveDateTime>,
    pub created_at: NaiveDateTime,
    pub expires_at: NaiveDateTime,
}

/// The text that a tool sends. It is computed, not stored: a copy of the database gives nobody a credential.
pub fn secret(shared: &Shared, id: TokenId) -> String {
    let mac = shared.derive("bucket-token", &[id.0.as_bytes()]);
    format!("{PREFIX}{}{}", id.0.simple(), hex::encode(&mac[..20]))
}

/// The credential that a text is of, if it is one of ours.
fn parse(shared: &Shared, text: &str) -> Option<TokenId> {
    let id = text.strip_prefix(PREFIX)?.get(..32)?;
    let id = TokenId(uuid::Uuid::try_parse(id).ok()?);
    // Digests, so that how long the comparison takes says nothing.
    (Sha256::digest(text) == Sha256::digest(secret(shared, id))).then_some(id)
}

impl Token {
    /// Makes one; None when the bucket has as many as it may.
    ///
    /// # Errors
    /// The database's.
    pub fn create(
        conn: &mut MysqlConnection,
        bucket: &Bucket,
        writes: bool,
        life: TimeDelta,
    ) -> QueryResult<Option<TokenId>> {
        let there: i64 =
            bucket_tokens::table.filter(bucket_tokens::bucket_id.eq(bucket.id)).count().get_result(conn)?;
        if there >= MOST {
            return Ok(None);
        }
        let (id, now) = (TokenId::new(), db::now());
        diesel::insert_into(bucket_tokens::table)
            .values((
                bucket_tokens::id.eq(id),
                bucket_tokens::account_id.eq(bucket.account_id),
                bucket_tokens::bucket_id.eq(bucket.id),
                bucket_tokens::writes.eq(writes),
                bucket_tokens::created_at.eq(now),
                bucket_tokens::expires_at.eq(now + life),
            ))
            .execute(conn)?;
        Ok(Some(id))
    }

    /// Those of a bucket that still work; the newest first.
    ///
    /// # Errors
    /// The database's.
    pub fn list(conn: &mut MysqlConnection, bucket: BucketId) -> QueryResult<Vec<Self>> {
        bucket_tokens::table
            .filter(bucket_tokens::bucket_id.eq(bucket))
            .filter(bucket_tokens::expires_at.gt(db::now()))
            .order(bucket_tokens::id.desc())
            .limit(MOST)
            .select(Self::as_select())
            .load(conn)
    }

    /// Takes one back. False when there is none (any more).
    ///
    /// # Errors
    /// The database's.
    pub fn revoke(conn: &mut MysqlConnection, bucket: BucketId, id: TokenId) -> QueryResult<bool> {
        let ours = bucket_tokens::table.find(id).filter(bucket_tokens::bucket_id.eq(bucket));
        Ok(diesel::delete(ours).execute(conn)? == 1)
    }

    /// The credential of a text that works now, with its bucket. Its use is noted, once a minute.
    ///
    /// # Errors
    /// Not found, when it is none, has expired or was taken back; the database's.
    pub fn open(conn: &mut MysqlConnection, shared: &Shared, text: &str) -> QueryResult<(Self, Bucket)> {
        let id = parse(shared, text).ok_or(diesel::result::Error::NotFound)?;
        let now = db::now();
        let (token, bucket): (Self, Bucket) = bucket_tokens::table
            .inner_join(buckets::table)
            .filter(bucket_tokens::id.eq(id))
            .filter(bucket_tokens::expires_at.gt(now))
            .filter(buckets::deleted_at.is_null())
            .select((Self::as_select(), Bucket::as_select()))
            .first(conn)?;
        if token.last_at.is_none_or(|at| now - at > TimeDelta::minutes(1)) {
            diesel::update(bucket_tokens::table.find(id)).set(bucket_tokens::last_at.eq(Some(now))).execute(conn)?;
        }
        Ok((token, bucket))
    }
}

/// Those that have expired.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection) -> QueryResult<usize> {
    diesel::delete(bucket_tokens::table.filter(bucket_tokens::expires_at.lt(db::now()))).execute(conn)
}

/// All of a bucket.
///
/// # Errors
/// The database's.
pub fn forget_all(conn: &mut MysqlConnection, bucket: BucketId) -> QueryResult<usize> {
    diesel::delete(bucket_tokens::table.filter(bucket_tokens::bucket_id.eq(bucket))).execute(conn)
}
