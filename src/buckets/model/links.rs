//! Share links: an address by which anybody can fetch one object for a while.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use super::Bucket;
use crate::cloud::objects::ObjectKey;
use crate::db;
use crate::ids::{AccountId, BucketId, ShareLinkId};
use crate::schema::{buckets, share_links};
use crate::settings::Shared;

/// Links of one bucket at once.
pub const MOST: i64 = 200;

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = share_links)]
pub struct ShareLink {
    pub id: ShareLinkId,
    pub account_id: AccountId,
    pub bucket_id: BucketId,
    object_key: Vec<u8>,
    pub downloads: u64,
    pub last_at: Option<NaiveDateTime>,
    pub created_at: NaiveDateTime,
    pub expires_at: NaiveDateTime,
}

/// What makes a link's address unguessable. It is computed, not stored: a copy of the database gives nobody a link.
pub fn token(shared: &Shared, id: ShareLinkId) -> String {
    hex::encode(&shared.derive("share-link", &[id.0.as_bytes()])[..20])
}

impl ShareLink {
    /// What it leads to. What is in the column was checked when it was written.
    pub fn key(&self) -> Option<ObjectKey> {
        ObjectKey::parse(String::from_utf8(self.object_key.clone()).ok()?).ok()
    }

    /// The path of its address.
    pub fn path(&self, shared: &Shared) -> String {
        format!("/share/{}/{}", self.id, token(shared, self.id))
    }

    /// Makes one; None when the bucket has as many as it may.
    ///
    /// # Errors
    /// The database's.
    pub fn create(
        conn: &mut MysqlConnection,
        bucket: &Bucket,
        key: &ObjectKey,
        life: TimeDelta,
    ) -> QueryResult<Option<ShareLinkId>> {
        let there: i64 = share_links::table.filter(share_links::bucket_id.eq(bucket.id)).count().get_result(conn)?;
        if there >= MOST {
            return Ok(None);
        }
        let (id, now) = (ShareLinkId::new(), db::now());
        diesel::insert_into(share_links::table)
            .values((
                share_links::id.eq(id),
                share_links::account_id.eq(bucket.account_id),
                share_links::bucket_id.eq(bucket.id),
                share_links::object_key.eq(key.as_str().as_bytes()),
                share_links::created_at.eq(now),
                share_links::expires_at.eq(now + life),
            ))
            .execute(conn)?;
        Ok(Some(id))
    }

    /// Those of a bucket, or of one object in it, that still work; the newest first.
    ///
    /// # Errors
    /// The database's.
    pub fn list(conn: &mut MysqlConnection, bucket: BucketId, key: Option<&ObjectKey>) -> QueryResult<Vec<Self>> {
        let mut query = share_links::table
            .filter(share_links::bucket_id.eq(bucket))
            .filter(share_links::expires_at.gt(db::now()))
            .into_boxed();
        if let Some(key) = key {
            query = query.filter(share_links::object_key.eq(key.as_str().as_bytes().to_vec()));
        }
        query.order(share_links::id.desc()).limit(MOST).select(Self::as_select()).load(conn)
    }

    /// Takes one back. False when there is none (any more).
    ///
    /// # Errors
    /// The database's.
    pub fn revoke(conn: &mut MysqlConnection, bucket: BucketId, id: ShareLinkId) -> QueryResult<bool> {
        let ours = share_links::table.find(id).filter(share_links::bucket_id.eq(bucket));
        Ok(diesel::delete(ours).execute(conn)? == 1)
    }

    /// One that works now, with its bucket.
    ///
    /// # Errors
    /// Not found, when it has expired or was taken back, too; the database's.
    pub fn open(conn: &mut MysqlConnection, id: ShareLinkId) -> QueryResult<(Self, Bucket)> {
        share_links::table
            .inner_join(buckets::table)
            .filter(share_links::id.eq(id))
            .filter(share_links::expires_at.gt(db::now()))
            .filter(buckets::deleted_at.is_null())
            .select((Self::as_select(), Bucket::as_select()))
            .first(conn)
    }

    /// Counts a download.
    ///
    /// # Errors
    /// The database's.
    pub fn used(conn: &mut MysqlConnection, id: ShareLinkId) -> QueryResult<()> {
        diesel::update(share_links::table.find(id))
            .set((share_links::downloads.eq(share_links::downloads + 1), share_links::last_at.eq(Some(db::now()))))
            .execute(conn)?;
        Ok(())
    }
}

/// Those that have expired.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection) -> QueryResult<usize> {
    diesel::delete(share_links::table.filter(share_links::expires_at.lt(db::now()))).execute(conn)
}

/// All of a bucket.
///
/// # Errors
/// The database's.
pub fn forget_all(conn: &mut MysqlConnection, bucket: BucketId) -> QueryResult<usize> {
    diesel::delete(share_links::table.filter(share_links::bucket_id.eq(bucket))).execute(conn)
}
