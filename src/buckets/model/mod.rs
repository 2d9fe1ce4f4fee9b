//! The table of buckets.

use chrono::NaiveDateTime;
use diesel::dsl::{count_star, sql};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Unsigned};
use sha2::{Digest, Sha256};

use crate::config::Quota;
use crate::db;
use crate::ids::{AccountId, BucketId};
use crate::operations::model::{self as operations, Action};
use crate::quotas;
use crate::schema::{accounts, buckets, uploads};

pub mod links;
pub mod removals;
pub mod tokens;
pub mod uploading;

type Big = Unsigned<diesel::sql_types::Bigint>;

/// What the store said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has not said yes yet.
    Creating,
    Active,
    /// It has one of this name that is not ours.
    Refused,
    /// It has none of this name any more.
    Lost,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }

    fn from_name(name: &str) -> Self {
        [Self::Creating, Self::Active, Self::Refused].into_iter().find(|s| s.name() == name).unwrap_or(Self::Lost)
    }
}

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = buckets)]
pub struct Bucket {
    pub id: BucketId,
    pub account_id: AccountId,
    pub name: String,
    status: String,
    transition: Option<String>,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    pub address: Option<String>,
    pub bytes: u64,
    pub objects: u64,
    pub removed: u64,
    pub to_remove: u64,
    pub changed_at: Option<NaiveDateTime>,
    pub measured_at: Option<NaiveDateTime>,
    pub version: u32,
    pub created_at: NaiveDateTime,
    pub updated_at: NaiveDateTime,
}

/// What an account's buckets take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub buckets: u32,
    /// In files.
    pub bytes: u64,
    pub objects: u64,
    /// Kept free for what is being uploaded.
    pub reserved: u64,
    /// Buckets that something is under way with.
    pub unsettled: u32,
}

/// Why a bucket can't be made.
#[derive(Debug)]
pub enum Refusal {
    OverQuota,
    /// Somebody has one of this name, be it the same person.
    Taken,
    Database(diesel::result::Error),
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        if db::is_duplicate(&error) { Self::Taken } else { Self::Database(error) }
    }
}

impl db::AsDiesel for Refusal {
    fn as_diesel(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::OverQuota | Self::Taken => None,
            Self::Database(error) => Some(error),
        }
    }
}

impl Bucket {
    pub fn status(&self) -> Status {
        Status::from_name(&self.status)
    }

    pub fn is_deleting(&self) -> bool {
        self.transition.is_some()
    }

    /// Whether files can be put in and taken out.
    pub fn is_usable(&self) -> bool {
        self.status() == Status::Active && !self.is_deleting()
    }

    pub fn is_unsettled(&self) -> bool {
        self.is_deleting() || self.status() == Status::Creating
    }

    /// Takes the name: writes the row, if the quota allows it. The same form again gives what is there.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn create(
        conn: &mut MysqlConnection,
        account: AccountId,
        name: &str,
        form_key: &str,
        default_quota: Quota,
    ) -> Result<Self, Refusal> {
        let launch_key = hex::encode(Sha256::digest(form_key.as_bytes()));
        db::transaction(conn, |conn| {
            lock(conn, account)?;
            let there = alive().filter(buckets::account_id.eq(account)).filter(buckets::launch_key.eq(&launch_key));
            if let Some(row) = there.select(Self::as_select()).first(conn).optional()? {
                return Ok(row);
            }
            let limit = quotas::limit(conn, account, default_quota)?;
            if usage(conn, account)?.buckets >= limit.buckets {
                return Err(Refusal::OverQuota);
            }
            let (id, now) = (BucketId::new(), db::now());
            diesel::insert_into(buckets::table)
                .values((
                    buckets::id.eq(id),
                    buckets::account_id.eq(account),
                    buckets::name.eq(name),
                    buckets::taken_name.eq(name),
                    buckets::status.eq(Status::Creating.name()),
                    buckets::launch_key.eq(&launch_key),
                    buckets::created_at.eq(now),
                    buckets::updated_at.eq(now),
                ))
                .execute(conn)?;
            Ok(alive().filter(buckets::id.eq(id)).select(Self::as_select()).first(conn)?)
        })
    }

    /// # Errors
    /// Not found, when it is somebody else's or gone, too; the database's.
    pub fn find(conn: &mut MysqlConnection, account: AccountId, name: &str) -> QueryResult<Self> {
        alive()
            .filter(buckets::taken_name.eq(name))
            .filter(buckets::account_id.eq(account))
            .select(Self::as_select())
            .first(conn)
    }

    /// For the worker and for share links, which act for every account; None when it is gone.
    ///
    /// # Errors
    /// The database's.
    pub fn find_for_work(conn: &mut MysqlConnection, id: BucketId) -> QueryResult<Option<Self>> {
        alive().filter(buckets::id.eq(id)).select(Self::as_select()).first(conn).optional()
    }

    /// An account's buckets: those with something under way first, then by name.
    ///
    /// # Errors
    /// The database's.
    pub fn list(conn: &mut MysqlConnection, account: AccountId, offset: i64, limit: i64) -> QueryResult<Vec<Self>> {
        let first = sql::<Integer>(
            "CASE WHEN transition IS NOT NULL OR status = 'creating' THEN 0 WHEN status <> 'active' THEN 1 ELSE 2 END",
        );
        alive()
            .filter(buckets::account_id.eq(account))
            .order((first, buckets::name.asc()))
            .offset(offset)
            .limit(limit)
            .select(Self::as_select())
            .load(conn)
    }

    /// All of the portal, for the sync.
    ///
    /// # Errors
    /// The database's.
    pub fn all(conn: &mut MysqlConnection) -> QueryResult<Vec<Self>> {
        alive().select(Self::as_select()).load(conn)
    }

    /// Those that were changed through us since the first time, not after the second, and not measured since.
    ///
    /// # Errors
    /// The database's.
    pub fn changed_lately(
        conn: &mut MysqlConnection,
        since: NaiveDateTime,
        until: NaiveDateTime,
    ) -> QueryResult<Vec<Self>> {
        let stale = buckets::measured_at.is_null().or(buckets::measured_at.lt(buckets::changed_at));
        alive()
            .filter(buckets::transition.is_null())
            .filter(buckets::changed_at.ge(since))
            .filter(buckets::changed_at.le(until))
            .filter(stale.assume_not_null())
            .order(buckets::changed_at)
            .limit(200)
            .select(Self::as_select())
            .load(conn)
    }

    /// Asks for its deletion. Asking twice is asking once.
    ///
    /// # Errors
    /// Not found; the database's.
    pub fn request_deletion(conn: &mut MysqlConnection, account: AccountId, name: &str) -> QueryResult<()> {
        db::transaction(conn, |conn| {
            let row: Self = alive()
                .filter(buckets::taken_name.eq(name))
                .filter(buckets::account_id.eq(account))
                .select(Self::as_select())
                .for_update()
                .first(conn)?;
            if row.is_deleting() && operations::is_open(conn, row.id, Action::Delete)? {
                return Ok(());
            }
            operations::cancel_waiting(conn, row.id)?;
            diesel::update(buckets::table.find(row.id))
                .set((
                    buckets::transition.eq("deleting"),
                    buckets::reason.eq(None::<String>),
                    buckets::reason_text.eq(None::<String>),
                    buckets::to_remove.eq(row.objects),
                    buckets::removed.eq(0_u64),
                    buckets::version.eq(buckets::version + 1),
                    buckets::updated_at.eq(db::now()),
                ))
                .execute(conn)?;
            operations::enqueue(conn, account, row.id, Action::Delete)?;
            Ok(())
        })
    }
}

/// Locks an account's row: what counts against its quota is written one after another.
pub(super) fn lock(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<()> {
    accounts::table.find(account).select(accounts::id).for_update().first::<AccountId>(conn).map(drop)
}

/// What an account's buckets take of its quota now.
///
/// # Errors
/// The database's.
pub fn usage(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<Usage> {
    let (count, bytes, objects, unsettled): (i64, u64, u64, u64) = alive()
        .filter(buckets::account_id.eq(account))
        .select((
            count_star(),
            sql::<Big>("CAST(COALESCE(SUM(bytes), 0) AS UNSIGNED)"),
            sql::<Big>("CAST(COALESCE(SUM(objects), 0) AS UNSIGNED)"),
            sql::<Big>("CAST(COALESCE(SUM(transition IS NOT NULL OR status = 'creating'), 0) AS UNSIGNED)"),
        ))
        .first(conn)?;
    let reserved: u64 = uploads::table
        .filter(uploads::account_id.eq(account))
        .filter(uploads::state.eq("receiving"))
        .select(sql::<Big>("CAST(COALESCE(SUM(reserved), 0) AS UNSIGNED)"))
        .first(conn)?;
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Usage {
        buckets: u32::try_from(count).unwrap_or(u32::MAX),
        bytes,
        objects,
        reserved,
        unsettled: small(unsettled),
    })
}

/// Bytes of an account's files, and bytes kept free for what is being uploaded.
fn room_taken(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<(u64, u64)> {
    let reserved = uploads::table
        .filter(uploads::account_id.eq(account))
        .filter(uploads::state.eq("receiving"))
        .select(sql::<Big>("CAST(COALESCE(SUM(reserved), 0) AS UNSIGNED)"))
        .single_value();
    let (used, reserved): (u64, Option<u64>) = alive()
        .filter(buckets::account_id.eq(account))
        .select((sql::<Big>("CAST(COALESCE(SUM(bytes), 0) AS UNSIGNED)"), reserved))
        .first(conn)?;
    Ok((used, reserved.unwrap_or(0)))
}

/// An account's limit in bytes.
///
/// # Errors
/// The database's.
pub fn byte_limit(conn: &mut MysqlConnection, account: AccountId, default_quota: Quota) -> QueryResult<u64> {
    Ok(u64::from(quotas::limit(conn, account, default_quota)?.storage_mb) << 20)
}

/// The store has made it.
///
/// # Errors
/// The database's.
pub fn made(conn: &mut MysqlConnection, id: BucketId, address: &str) -> QueryResult<()> {
    write(conn, id, Status::Active, None, None)?;
    diesel::update(buckets::table.find(id)).set(buckets::address.eq(address)).execute(conn)?;
    Ok(())
}

/// The store's state of it, and why. A deletion under way stays.
///
/// # Errors
/// The database's.
pub fn write(
    conn: &mut MysqlConnection,
    id: BucketId,
    status: Status,
    reason: Option<&str>,
    text: Option<&str>,
) -> QueryResult<()> {
    diesel::update(buckets::table.find(id))
        .set((
            buckets::status.eq(status.name()),
            buckets::reason.eq(reason),
            buckets::reason_text.eq(text.map(|text| crate::text::shorten(text, 1000))),
            buckets::version.eq(buckets::version + 1),
            buckets::updated_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Why something does not go on for now.
///
/// # Errors
/// The database's.
pub fn waits(conn: &mut MysqlConnection, id: BucketId, reason: Option<&str>, text: &str) -> QueryResult<()> {
    diesel::update(buckets::table.find(id))
        .set((buckets::reason.eq(reason), buckets::reason_text.eq(crate::text::shorten(text, 1000))))
        .execute(conn)?;
    Ok(())
}

/// The name was taken for nothing: the row goes, the name is free.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut MysqlConnection, id: BucketId) -> QueryResult<()> {
    diesel::delete(buckets::table.find(id)).execute(conn)?;
    Ok(())
}

/// So many more objects of a deletion are gone.
///
/// # Errors
/// The database's.
pub fn removed(conn: &mut MysqlConnection, id: BucketId, more: u64, bytes: u64) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        diesel::update(buckets::table.find(id))
            .set((buckets::removed.eq(buckets::removed + more), buckets::reason.eq(None::<String>)))
            .execute(conn)?;
        count(conn, id, -signed(bytes), -signed(more))
    })
}

/// It is gone: the row stays as its history, everything about its files goes.
///
/// # Errors
/// The database's.
pub fn gone(conn: &mut MysqlConnection, id: BucketId) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        uploading::forget_all(conn, id)?;
        links::forget_all(conn, id)?;
        removals::forget_all(conn, id)?;
        tokens::forget_all(conn, id)?;
        diesel::update(buckets::table.find(id))
            .set((
                buckets::taken_name.eq(None::<String>),
                buckets::transition.eq(None::<String>),
                buckets::bytes.eq(0_u64),
                buckets::objects.eq(0_u64),
                buckets::deleted_at.eq(Some(db::now())),
                buckets::updated_at.eq(db::now()),
                buckets::version.eq(buckets::version + 1),
            ))
            .execute(conn)?;
        Ok(())
    })
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Counts a change through us. Never below nothing.
///
/// # Errors
/// The database's.
pub fn changed(conn: &mut MysqlConnection, id: BucketId, bytes: i64, objects: i64) -> QueryResult<()> {
    db::transaction(conn, |conn| count(conn, id, bytes, objects))
}

/// The same within a transaction, which is repeated as a whole when it loses against another.
pub(super) fn count(conn: &mut MysqlConnection, id: BucketId, bytes: i64, objects: i64) -> QueryResult<()> {
    use diesel::sql_types::{Bigint, Binary, Datetime};
    diesel::sql_query(
        "UPDATE buckets SET bytes = GREATEST(CAST(bytes AS SIGNED) + ?, 0), \
         objects = GREATEST(CAST(objects AS SIGNED) + ?, 0), changed_at = ?, version = version + 1 WHERE id = ?",
    )
    .bind::<Bigint, _>(bytes)
    .bind::<Bigint, _>(objects)
    .bind::<Datetime, _>(db::now())
    .bind::<Binary, _>(id)
    .execute(conn)?;
    Ok(())
}

/// Takes over what was measured, unless something has changed since the row was read.
///
/// # Errors
/// The database's.
pub fn measured(conn: &mut MysqlConnection, row: &Bucket, bytes: u64, objects: u64) -> QueryResult<bool> {
    let idle = sql::<Bool>("NOT EXISTS (SELECT 1 FROM uploads u WHERE u.bucket_id = buckets.id AND u.receiving = 1)");
    let written = diesel::update(buckets::table.find(row.id).filter(buckets::version.eq(row.version)).filter(idle))
        .set((
            buckets::bytes.eq(bytes),
            buckets::objects.eq(objects),
            buckets::measured_at.eq(db::now()),
            buckets::version.eq(buckets::version + 1),
        ))
        .execute(conn)?;
    Ok(written == 1)
}

/// Rows that are not gone.
pub(super) fn alive() -> diesel::dsl::Filter<buckets::table, diesel::dsl::IsNull<buckets::deleted_at>> {
    buckets::table.filter(buckets::deleted_at.is_null())
}
