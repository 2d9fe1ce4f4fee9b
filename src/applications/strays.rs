//! Deployments in the cluster that carry our mark and fit no row: reported, never deleted silently.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::cloud::cluster::{AppOwner, namespace};
use crate::db;
use crate::ids::{AccountId, ApplicationId};
use crate::schema::cluster_strays;

/// Why a Deployment is listed; each has a sentence `admin.stray.{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It carries the id of a row that never was.
    NoRow,
    /// Its row was deleted.
    DeletedRow,
    /// It says that it belongs to another account than its row.
    OtherOwner,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRow => "no_row",
            Self::DeletedRow => "deleted_row",
            Self::OtherOwner => "other_owner",
        }
    }
}

/// A Deployment to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub owner: AppOwner,
    pub reason: Reason,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = cluster_strays)]
pub struct Stray {
    pub application_id: ApplicationId,
    pub account_id: AccountId,
    pub namespace: String,
    pub reason: String,
    pub first_seen_at: NaiveDateTime,
}

/// Replaces the list by what a full look at the cluster has found; says which are new.
///
/// # Errors
/// The database's.
pub fn replace(conn: &mut MysqlConnection, found: &[Found]) -> QueryResult<Vec<Found>> {
    let now = db::now();
    let known: Vec<ApplicationId> = cluster_strays::table.select(cluster_strays::application_id).load(conn)?;
    for stray in found {
        diesel::insert_into(cluster_strays::table)
            .values((
                cluster_strays::application_id.eq(stray.owner.application),
                cluster_strays::account_id.eq(stray.owner.account),
                cluster_strays::namespace.eq(namespace(stray.owner.account)),
                cluster_strays::reason.eq(stray.reason.name()),
                cluster_strays::first_seen_at.eq(now),
                cluster_strays::last_seen_at.eq(now),
            ))
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set((cluster_strays::last_seen_at.eq(now), cluster_strays::reason.eq(stray.reason.name())))
            .execute(conn)?;
    }
    if found.is_empty() && known.is_empty() {
        return Ok(Vec::new());
    }
    let here: Vec<ApplicationId> = found.iter().map(|stray| stray.owner.application).collect();
    diesel::delete(cluster_strays::table.filter(cluster_strays::application_id.ne_all(&here))).execute(conn)?;
    Ok(found.iter().filter(|stray| !known.contains(&stray.owner.application)).copied().collect())
}

/// The longest known first.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut MysqlConnection) -> QueryResult<Vec<Stray>> {
    cluster_strays::table.order(cluster_strays::first_seen_at).limit(200).select(Stray::as_select()).load(conn)
}
