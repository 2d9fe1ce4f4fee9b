//! Folders that are being deleted.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use super::{Bucket, count, signed};
use crate::db;
use crate::ids::{AccountId, BucketId, RemovalId};
use crate::operations::model::{self as operations, Action};
use crate::schema::bucket_removals;

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = bucket_removals)]
pub struct Removal {
    pub id: RemovalId,
    pub account_id: AccountId,
    pub bucket_id: BucketId,
    prefix: Vec<u8>,
    pub removed: u64,
    pub error: Option<String>,
    pub created_at: NaiveDateTime,
}

impl Removal {
    /// With its `/` at the end. Empty when the column holds none of ours: then nothing may be deleted.
    pub fn prefix(&self) -> Option<String> {
        String::from_utf8(self.prefix.clone()).ok().filter(|prefix| prefix.ends_with('/'))
    }

    /// Writes down that a folder is to go, with its operation. One that is under way already is no other.
    ///
    /// # Errors
    /// The database's.
    pub fn request(conn: &mut MysqlConnection, bucket: &Bucket, prefix: &str) -> QueryResult<()> {
        db::transaction(conn, |conn| {
            let there = open(bucket.id).filter(bucket_removals::prefix.eq(prefix.as_bytes())).count();
            if there.get_result::<i64>(conn)? > 0 {
                return Ok(());
            }
            let id = RemovalId::new();
            diesel::insert_into(bucket_removals::table)
                .values((
                    bucket_removals::id.eq(id),
                    bucket_removals::account_id.eq(bucket.account_id),
                    bucket_removals::bucket_id.eq(bucket.id),
                    bucket_removals::prefix.eq(prefix.as_bytes()),
                    bucket_removals::created_at.eq(db::now()),
                ))
                .execute(conn)?;
            operations::enqueue(conn, bucket.account_id, id, Action::Delete)?;
            Ok(())
        })
    }

    /// For the worker; None when it has ended.
    ///
    /// # Errors
    /// The database's.
    pub fn find_for_work(conn: &mut MysqlConnection, id: RemovalId) -> QueryResult<Option<Self>> {
        bucket_removals::table
            .find(id)
            .filter(bucket_removals::ended_at.is_null())
            .select(Self::as_select())
            .first(conn)
            .optional()
    }

    /// Those of a bucket that are under way.
    ///
    /// # Errors
    /// The database's.
    pub fn list(conn: &mut MysqlConnection, bucket: BucketId) -> QueryResult<Vec<Self>> {
        open(bucket).order(bucket_removals::id).limit(100).select(Self::as_select()).load(conn)
    }

    /// So many more are gone.
    ///
    /// # Errors
    /// The database's.
    pub fn removed(&self, conn: &mut MysqlConnection, objects: u64, bytes: u64) -> QueryResult<()> {
        db::transaction(conn, |conn| {
            diesel::update(bucket_removals::table.find(self.id))
                .set((
                    bucket_removals::removed.eq(bucket_removals::removed + objects),
                    bucket_removals::error.eq(None::<String>),
                ))
                .execute(conn)?;
            count(conn, self.bucket_id, -signed(bytes), -signed(objects))
        })
    }

    /// Why it does not go on.
    ///
    /// # Errors
    /// The database's.
    pub fn waits(conn: &mut MysqlConnection, id: RemovalId, text: &str) -> QueryResult<()> {
        diesel::update(bucket_removals::table.find(id))
            .set(bucket_removals::error.eq(crate::text::shorten(text, 1000)))
            .execute(conn)?;
        Ok(())
    }

    /// The folder is gone.
    ///
    /// # Errors
    /// The database's.
    pub fn ended(conn: &mut MysqlConnection, id: RemovalId) -> QueryResult<()> {
        diesel::update(bucket_removals::table.find(id))
            .set(bucket_removals::ended_at.eq(Some(db::now())))
            .execute(conn)?;
        Ok(())
    }
}

type Open = diesel::dsl::Filter<
    diesel::dsl::Filter<bucket_removals::table, diesel::dsl::Eq<bucket_removals::bucket_id, BucketId>>,
    diesel::dsl::IsNull<bucket_removals::ended_at>,
>;

fn open(bucket: BucketId) -> Open {
    bucket_removals::table.filter(bucket_removals::bucket_id.eq(bucket)).filter(bucket_removals::ended_at.is_null())
}

/// Those that ended a day ago.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection) -> QueryResult<usize> {
    let old = bucket_removals::ended_at.lt(db::now() - chrono::TimeDelta::days(1));
    diesel::delete(bucket_removals::table.filter(old)).execute(conn)
}

/// All of a bucket.
///
/// # Errors
/// The database's.
pub fn forget_all(conn: &mut MysqlConnection, bucket: BucketId) -> QueryResult<usize> {
    diesel::delete(bucket_removals::table.filter(bucket_removals::bucket_id.eq(bucket))).execute(conn)
}
