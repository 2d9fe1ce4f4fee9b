//! Machines in the cloud that carry our mark and fit no row: reported, never deleted silently.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::db;
use crate::ids::{InstanceId, NovaId};
use crate::schema::strays;

/// Why a machine is listed; each has a sentence `admin.stray.{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It carries the id of a row that never was.
    NoRow,
    /// Its row was deleted.
    DeletedRow,
    /// Its row has another machine.
    Duplicate,
    /// It says that it belongs to another account than its row.
    OtherOwner,
    /// A row has it, but it does not carry our mark (any more).
    Untagged,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRow => "no_row",
            Self::DeletedRow => "deleted_row",
            Self::Duplicate => "duplicate",
            Self::OtherOwner => "other_owner",
            Self::Untagged => "untagged",
        }
    }
}

/// A machine to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub nova_id: NovaId,
    pub name: String,
    pub reason: Reason,
    pub instance: Option<InstanceId>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = strays)]
pub struct Stray {
    pub nova_id: NovaId,
    pub name: String,
    pub reason: String,
    pub first_seen_at: NaiveDateTime,
}

/// Replaces the list by what a full look at the cloud has found; says which are new.
///
/// # Errors
/// The database's.
pub fn replace(conn: &mut MysqlConnection, found: &[Found]) -> QueryResult<Vec<Found>> {
    let now = db::now();
    let known: Vec<NovaId> = strays::table.select(strays::nova_id).load(conn)?;
    for stray in found {
        diesel::insert_into(strays::table)
            .values((
                strays::nova_id.eq(stray.nova_id),
                strays::name.eq(crate::text::shorten(&stray.name, 255)),
                strays::reason.eq(stray.reason.name()),
                strays::instance_id.eq(stray.instance),
                strays::first_seen_at.eq(now),
                strays::last_seen_at.eq(now),
            ))
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set((strays::last_seen_at.eq(now), strays::reason.eq(stray.reason.name())))
            .execute(conn)?;
    }
    if found.is_empty() && known.is_empty() {
        return Ok(Vec::new());
    }
    let here: Vec<NovaId> = found.iter().map(|stray| stray.nova_id).collect();
    diesel::delete(strays::table.filter(strays::nova_id.ne_all(here))).execute(conn)?;
    Ok(found.iter().filter(|stray| !known.contains(&stray.nova_id)).cloned().collect())
}

/// The longest known first.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut MysqlConnection) -> QueryResult<Vec<Stray>> {
    strays::table.order(strays::first_seen_at).limit(200).select(Stray::as_select()).load(conn)
}
