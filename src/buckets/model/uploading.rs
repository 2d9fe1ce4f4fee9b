//! Files on their way: what is reserved for them of the quota, and whose segments are in the store.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::Binary;
use sha2::{Digest, Sha256};

use super::{Bucket, alive, byte_limit, count, lock, room_taken, signed};
use crate::cloud::objects::ObjectKey;
use crate::config::Quota;
use crate::db;
use crate::ids::{AccountId, BucketId, UploadId};
use crate::schema::{buckets, uploads};

/// How long an upload counts as alive after its process was last heard of.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// What an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Receiving,
    /// It is there, in segments.
    Large,
    /// Its segments go.
    Discarded,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Large => "large",
            Self::Discarded => "discarded",
        }
    }
}

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = uploads)]
pub struct Upload {
    pub id: UploadId,
    pub account_id: AccountId,
    pub bucket_id: BucketId,
    object_key: Vec<u8>,
    other_key: Option<Vec<u8>>,
    pub in_segments: bool,
}

impl Upload {
    /// The names that the object can have: more than one while it is getting another. What is in the columns was
    /// checked when it was written.
    pub fn keys(&self) -> Vec<ObjectKey> {
        let parse = |bytes: &Vec<u8>| ObjectKey::parse(String::from_utf8(bytes.clone()).ok()?).ok();
        [Some(&self.object_key), self.other_key.as_ref()].into_iter().flatten().filter_map(parse).collect()
    }
}

/// Why an upload can't begin.
#[derive(Debug)]
pub enum Refusal {
    /// Another one writes the same name.
    Busy,
    /// The bucket is being deleted.
    NotNow,
    Database(diesel::result::Error),
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        if db::is_duplicate(&error) { Self::Busy } else { Self::Database(error) }
    }
}

impl db::AsDiesel for Refusal {
    fn as_diesel(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::Busy | Self::NotNow => None,
            Self::Database(error) => Some(error),
        }
    }
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

/// An upload that begins.
#[derive(Debug, Clone)]
pub struct NewUpload {
    pub bucket: BucketId,
    pub key: ObjectKey,
    pub in_segments: bool,
    /// Bytes to reserve at most.
    pub wanted: u64,
    /// What its sender calls it; empty: nothing.
    pub attempt: String,
}

impl NewUpload {
    fn attempt_hash(&self) -> Option<Vec<u8>> {
        (!self.attempt.is_empty()).then(|| hash(&self.attempt))
    }
}

/// What an upload got: its id, and how many bytes are reserved for it.
pub type Begun = Result<(UploadId, u64), Refusal>;

/// A file that the store has confirmed, and that is no large one.
#[derive(Debug, Clone, Copy)]
pub struct Confirmed {
    pub id: UploadId,
    pub bucket: BucketId,
    pub bytes: u64,
    /// Bytes of the file that it has replaced.
    pub old: Option<u64>,
}

/// Writes down that an upload begins, and reserves. A try before of the same sender is over: its process is dead, or
/// will see that the row is gone.
///
/// # Errors
/// [`Refusal`]
pub fn begin(
    conn: &mut MysqlConnection,
    account: AccountId,
    new: &NewUpload,
    default_quota: Quota,
) -> Result<(UploadId, u64), Refusal> {
    let new = std::slice::from_ref(new);
    let (mut begun, _) = write_down(conn, account, &[], new, default_quota)?;
    begun.pop().unwrap_or(Err(Refusal::NotNow))
}

/// What has been stored and what begins of one account, in one transaction. Says of each of the begun what it got, and
/// of each of the stored whether it was still ours: else its lease had run out, and its bucket is measured anew.
///
/// # Errors
/// The database's: then nothing of all is written.
pub fn write_down(
    conn: &mut MysqlConnection,
    account: AccountId,
    confirmed: &[Confirmed],
    new: &[NewUpload],
    default_quota: Quota,
) -> QueryResult<(Vec<Begun>, Vec<bool>)> {
    db::transaction(conn, |conn| {
        // The account first: who counts what is used must not see a file neither as reserved nor as there.
        lock(conn, account)?;
        let ours = confirm(conn, confirmed)?;
        let begun = if new.is_empty() { Vec::new() } else { begin_all(conn, account, new, default_quota)? };
        Ok((begun, ours))
    })
}

fn confirm(conn: &mut MysqlConnection, confirmed: &[Confirmed]) -> QueryResult<Vec<bool>> {
    let mut ours = Vec::with_capacity(confirmed.len());
    let mut more: BTreeMap<BucketId, (i64, i64)> = BTreeMap::new();
    for one in confirmed {
        let is_ours = diesel::delete(receiving(one.id)).execute(conn)? == 1;
        let counted = more.entry(one.bucket).or_default();
        if is_ours {
            counted.0 += signed(one.bytes) - signed(one.old.unwrap_or(0));
            counted.1 += i64::from(one.old.is_none());
        }
        ours.push(is_ours);
    }
    for (bucket, (bytes, objects)) in more {
        count(conn, bucket, bytes, objects)?;
    }
    Ok(ours)
}

fn begin_all(
    conn: &mut MysqlConnection,
    account: AccountId,
    new: &[NewUpload],
    default_quota: Quota,
) -> QueryResult<Vec<Begun>> {
    let wanted: BTreeSet<BucketId> = new.iter().map(|one| one.bucket).collect();
    let rows: Vec<Bucket> = alive().filter(buckets::id.eq_any(wanted)).select(Bucket::as_select()).load(conn)?;
    new.iter().try_for_each(|one| supersede(conn, one))?;
    let usable: Vec<BucketId> = rows.iter().filter(|row| row.is_usable()).map(|row| row.id).collect();
    let mut left = left(conn, account, default_quota)?;
    let mut begun = Vec::with_capacity(new.len());
    for one in new {
        if !usable.contains(&one.bucket) {
            begun.push(Err(Refusal::NotNow));
            continue;
        }
        let granted = one.wanted.min(left);
        match insert(conn, account, one, granted) {
            Ok(id) => {
                left -= granted;
                begun.push(Ok((id, granted)));
            }
            // The statement alone is undone, not the transaction.
            Err(error) if db::is_duplicate(&error) => begun.push(Err(Refusal::Busy)),
            Err(error) => return Err(error),
        }
    }
    Ok(begun)
}

/// A try before of the same sender is over, and its room is free.
fn supersede(conn: &mut MysqlConnection, new: &NewUpload) -> QueryResult<()> {
    let Some(attempt) = new.attempt_hash() else { return Ok(()) };
    let before = uploads::table
        .filter(uploads::bucket_id.eq(new.bucket))
        .filter(uploads::attempt.eq(attempt))
        .filter(uploads::state.eq(State::Receiving.name()));
    diesel::update(before).set(over(State::Discarded)).execute(conn)?;
    Ok(())
}

fn insert(conn: &mut MysqlConnection, account: AccountId, new: &NewUpload, granted: u64) -> QueryResult<UploadId> {
    let (id, now) = (UploadId::new(), db::now());
    diesel::insert_into(uploads::table)
        .values((
            uploads::id.eq(id),
            uploads::account_id.eq(account),
            uploads::bucket_id.eq(new.bucket),
            uploads::object_key.eq(new.key.as_str().as_bytes()),
            uploads::key_hash.eq(hash(new.key.as_str())),
            uploads::attempt.eq(new.attempt_hash()),
            uploads::state.eq(State::Receiving.name()),
            uploads::receiving.eq(Some(1_u8)),
            uploads::reserved.eq(granted),
            uploads::in_segments.eq(new.in_segments),
            uploads::leased_until.eq(now + LEASE),
            uploads::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(id)
}

/// Bytes that an account has left.
fn left(conn: &mut MysqlConnection, account: AccountId, default_quota: Quota) -> QueryResult<u64> {
    let (used, reserved) = room_taken(conn, account)?;
    Ok(byte_limit(conn, account, default_quota)?.saturating_sub(used).saturating_sub(reserved))
}

/// Reserves at most `wanted` bytes more; returns how many it got. Keeps the lease. None: it is not ours any more.
///
/// # Errors
/// The database's.
pub fn grant(
    conn: &mut MysqlConnection,
    account: AccountId,
    id: UploadId,
    wanted: u64,
    default_quota: Quota,
) -> QueryResult<Option<u64>> {
    db::transaction(conn, |conn| {
        lock(conn, account)?;
        let granted = wanted.min(left(conn, account, default_quota)?);
        let ours = diesel::update(receiving(id))
            .set((uploads::reserved.eq(uploads::reserved + granted), uploads::leased_until.eq(db::now() + LEASE)))
            .execute(conn)?;
        Ok((ours == 1).then_some(granted))
    })
}

/// Keeps the lease; false when it is not ours any more.
///
/// # Errors
/// The database's.
pub fn renew(conn: &mut MysqlConnection, id: UploadId) -> QueryResult<bool> {
    Ok(diesel::update(receiving(id)).set(uploads::leased_until.eq(db::now() + LEASE)).execute(conn)? == 1)
}

type Receiving =
    diesel::dsl::Filter<diesel::dsl::Find<uploads::table, UploadId>, diesel::dsl::Eq<uploads::state, &'static str>>;

fn receiving(id: UploadId) -> Receiving {
    uploads::table.find(id).filter(uploads::state.eq(State::Receiving.name()))
}

/// The store has confirmed it, which may be a large one: `bytes` in place of an object of `old` bytes, if there was one.
/// False when its lease had run out and somebody has swept it.
///
/// # Errors
/// The database's.
pub fn settle(
    conn: &mut MysqlConnection,
    id: UploadId,
    bytes: u64,
    old: Option<u64>,
    large: bool,
) -> QueryResult<bool> {
    db::transaction(conn, |conn| {
        // The account first: who counts what is used must not see the file neither as reserved nor as there.
        let account: Option<AccountId> = uploads::table.find(id).select(uploads::account_id).first(conn).optional()?;
        let Some(account) = account else { return Ok(false) };
        lock(conn, account)?;
        let row: Option<Upload> = receiving(id).select(Upload::as_select()).for_update().first(conn).optional()?;
        let Some(row) = row else { return Ok(false) };
        if large {
            diesel::update(uploads::table.find(id)).set(over(State::Large)).execute(conn)?;
        } else {
            diesel::delete(uploads::table.find(id)).execute(conn)?;
        }
        let more = signed(bytes) - signed(old.unwrap_or(0));
        count(conn, row.bucket_id, more, i64::from(old.is_none()))?;
        Ok(true)
    })
}

type Over = (
    diesel::dsl::Eq<uploads::state, &'static str>,
    diesel::dsl::Eq<uploads::receiving, Option<u8>>,
    diesel::dsl::Eq<uploads::reserved, u64>,
);

/// What a row becomes when nothing more is received for it.
fn over(state: State) -> Over {
    (uploads::state.eq(state.name()), uploads::receiving.eq(None), uploads::reserved.eq(0))
}

/// It came to nothing. What it may have written as segments is swept.
///
/// # Errors
/// The database's.
pub fn abandon(conn: &mut MysqlConnection, id: UploadId, in_segments: bool) -> QueryResult<()> {
    in_turn(conn, id, |conn| {
        if in_segments {
            diesel::update(uploads::table.find(id)).set(over(State::Discarded)).execute(conn)?;
        } else {
            diesel::delete(uploads::table.find(id)).execute(conn)?;
        }
        Ok(())
    })
}

/// Writes of one account's uploads come one after another: twenty at once would lock each other out. Nothing is written
/// when the row is gone.
fn in_turn(
    conn: &mut MysqlConnection,
    id: UploadId,
    mut write: impl FnMut(&mut MysqlConnection) -> QueryResult<()>,
) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let account: Option<AccountId> = uploads::table.find(id).select(uploads::account_id).first(conn).optional()?;
        let Some(account) = account else { return Ok(()) };
        lock(conn, account)?;
        write(conn)
    })
}

/// An object that is about to go was made of these segments: they are to be looked at.
///
/// # Errors
/// The database's.
pub fn discard(conn: &mut MysqlConnection, bucket: BucketId, keys: &[String]) -> QueryResult<usize> {
    let mut discarded = 0;
    for some in keys.chunks(100) {
        let hashes: Vec<Vec<u8>> = some.iter().map(|key| hash(key)).collect();
        discarded += diesel::update(
            uploads::table
                .filter(uploads::bucket_id.eq(bucket))
                .filter(uploads::key_hash.eq_any(hashes))
                .filter(uploads::state.eq(State::Large.name())),
        )
        .set(uploads::state.eq(State::Discarded.name()))
        .execute(conn)?;
    }
    Ok(discarded)
}

/// A large file is getting another name; until [`renamed`] says so, it can have both.
///
/// # Errors
/// The database's.
pub fn renaming(conn: &mut MysqlConnection, id: UploadId, to: &ObjectKey) -> QueryResult<()> {
    let other = Some(to.as_str().as_bytes().to_vec());
    diesel::update(uploads::table.find(id)).set(uploads::other_key.eq(other)).execute(conn)?;
    Ok(())
}

/// It has this name now; and the other, too, as long as that is not deleted.
///
/// # Errors
/// The database's.
pub fn renamed(
    conn: &mut MysqlConnection,
    id: UploadId,
    key: &ObjectKey,
    other: Option<&ObjectKey>,
) -> QueryResult<()> {
    diesel::update(uploads::table.find(id))
        .set((
            uploads::object_key.eq(key.as_str().as_bytes()),
            uploads::key_hash.eq(hash(key.as_str())),
            uploads::other_key.eq(other.map(|other| other.as_str().as_bytes().to_vec())),
        ))
        .execute(conn)?;
    Ok(())
}

/// What is to be swept: uploads whose process has died, and segments that are to go.
///
/// # Errors
/// The database's.
pub fn due(conn: &mut MysqlConnection, now: NaiveDateTime) -> QueryResult<Vec<(Upload, bool)>> {
    let dead = uploads::state.eq(State::Receiving.name()).and(uploads::leased_until.lt(now));
    uploads::table
        .filter(dead.or(uploads::state.eq(State::Discarded.name())))
        .order(uploads::leased_until)
        .limit(200)
        .select((Upload::as_select(), uploads::state.eq(State::Receiving.name())))
        .load(conn)
}

/// It turned out to be there.
///
/// # Errors
/// The database's.
pub fn is_large(conn: &mut MysqlConnection, id: UploadId) -> QueryResult<()> {
    in_turn(conn, id, |conn| {
        diesel::update(uploads::table.find(id)).set(over(State::Large)).execute(conn)?;
        Ok(())
    })
}

/// Nothing of it is left; the bucket is to be measured.
///
/// # Errors
/// The database's.
pub fn swept(conn: &mut MysqlConnection, upload: &Upload) -> QueryResult<()> {
    in_turn(conn, upload.id, |conn| {
        diesel::delete(uploads::table.find(upload.id)).execute(conn)?;
        count(conn, upload.bucket_id, 0, 0)
    })
}

/// All of a bucket.
///
/// # Errors
/// The database's.
pub fn forget_all(conn: &mut MysqlConnection, bucket: BucketId) -> QueryResult<usize> {
    diesel::delete(uploads::table.filter(uploads::bucket_id.eq(bucket))).execute(conn)
}

/// Whether bytes are on their way into a folder (or, with an empty one, the bucket).
///
/// # Errors
/// The database's.
pub fn any_receiving(conn: &mut MysqlConnection, bucket: BucketId, prefix: &str) -> QueryResult<bool> {
    let within = diesel::dsl::sql::<diesel::sql_types::Bool>("LEFT(object_key, ")
        .bind::<diesel::sql_types::Integer, _>(i32::try_from(prefix.len()).unwrap_or(0))
        .sql(") = ")
        .bind::<Binary, _>(prefix.as_bytes().to_vec());
    let open = uploads::table
        .filter(uploads::bucket_id.eq(bucket))
        .filter(uploads::state.eq(State::Receiving.name()))
        .filter(within);
    diesel::select(diesel::dsl::exists(open)).get_result(conn)
}
