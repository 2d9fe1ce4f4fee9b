//! Taking over what the cluster says of applications.
//!
//! Level-based, as with mini PCs. [`take`] writes what the watches say as it comes; [`run_once`] lists everything and
//! finds what the watches have missed, what has vanished and what is nobody's; [`look_again`] judges anew what was seen
//! last, where the time that has passed changes what it means. All three read rows before they judge and write them only
//! if nobody has written them since.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use diesel::mysql::MysqlConnection;

use super::diagnose::{Limits, Verdict, diagnose};
use super::model::seen::{self, Written};
use super::model::{Application, VANISHED};
use super::strays;
use crate::app::App;
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, Observed};
use crate::cloud_services;
use crate::db;
use crate::ids::{AccountId, ApplicationId};

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Deployments that the cluster listed.
    pub seen: usize,
    /// Rows that were written.
    pub written: usize,
    /// Deployments that are nobody's.
    pub strays: usize,
}

/// Rows that are judged anew at once.
const AT_ONCE: i64 = 200;
/// How often a word of the watches is written anew when somebody was faster.
const TRIES: usize = 5;

/// What a row shall say when this is seen; None when the cluster's word does not count now.
pub fn judge(row: &Application, seen: &Observed, now: DateTime<Utc>, limits: Limits) -> Option<Verdict> {
    let facts = row.facts()?;
    Some(diagnose(&facts, seen, now, limits))
}

fn now() -> DateTime<Utc> {
    db::now().and_utc()
}

/// Whether the row knows of a later specification than this word: it was on its way while somebody acted.
fn is_older(row: &Application, seen: &Observed) -> bool {
    let generation = |observed: &Observed| observed.deployment.as_ref().map(|deployment| deployment.generation);
    match (row.observed().as_ref().and_then(generation), generation(seen)) {
        (Some(known), Some(seen)) => seen < known,
        _ => false,
    }
}

fn owner(app: &App, row: &Application) -> AppOwner {
    AppOwner { portal: app.shared.portal, account: row.account_id, application: row.id }
}

/// One comparison of everything.
///
/// # Errors
/// When the cluster or the database does not answer. That the cluster does not is written down, so that pages say so.
pub async fn run_once(app: &App) -> anyhow::Result<Summary> {
    let asked_at = db::now();
    let started = Instant::now();
    let rows = app.db.run_job(|conn| Ok(seen::all(conn)?)).await?;
    let listed = match everything(app, &rows).await {
        Ok(listed) => listed,
        Err(error) => {
            let text = error.to_string();
            app.db.run(move |conn| Ok(cloud_services::failed(conn, cloud_services::APPLICATIONS, &text)?)).await?;
            return Err(error.into());
        }
    };
    let milliseconds = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let limits = Limits::of(&app.config.applications);
    let portal = app.shared.portal;
    let summary = app
        .db
        .run_job(move |conn| {
            let seen = listed.iter().filter(|seen| seen.deployment.is_some()).count();
            let mut summary = Summary { seen, ..Summary::default() };
            let by_id: HashMap<ApplicationId, &Application> = rows.iter().map(|row| (row.id, row)).collect();
            for seen in &listed {
                let row = by_id.get(&seen.owner.application).filter(|row| row.account_id == seen.owner.account);
                if let Some(row) = row
                    && written(conn, row, seen, limits)? == Written::Yes
                {
                    summary.written += 1;
                }
            }
            let here = listed.iter().filter(|seen| seen.deployment.is_some() && seen.owner.portal == portal);
            let found = find_strays(conn, &by_id, here.map(|seen| seen.owner))?;
            summary.strays = found.len();
            for stray in strays::replace(conn, &found)? {
                let (id, reason) = (stray.owner.application, stray.reason.name());
                tracing::warn!(application.id = %id, reason, "a Deployment that fits no row");
            }
            let counted = (u32::try_from(seen).unwrap_or(u32::MAX), milliseconds);
            cloud_services::answered(conn, cloud_services::APPLICATIONS, asked_at, Some(counted))?;
            Ok(summary)
        })
        .await?;
    if summary.written > 0 {
        app.live.ring();
        app.work.notify_one();
    }
    Ok(summary)
}

/// All that the cluster lists, and the rows that it does not: each of those is asked for by itself.
async fn everything(app: &App, rows: &[Application]) -> Result<Vec<Observed>, CloudError> {
    let mut listed = app.cluster.list(app.shared.portal).await?;
    let here: std::collections::HashSet<ApplicationId> =
        listed.iter().filter(|seen| seen.deployment.is_some()).map(|seen| seen.owner.application).collect();
    listed.retain(|seen| seen.deployment.is_some());
    for row in rows {
        let known = row.reason.as_deref() == Some(VANISHED);
        if !here.contains(&row.id) && !known && row.facts().is_some() {
            listed.push(app.cluster.show(owner(app, row)).await?);
        }
    }
    Ok(listed)
}

/// Judges and writes; one row's failure does not stop the others.
fn written(
    conn: &mut MysqlConnection,
    row: &Application,
    seen: &Observed,
    limits: Limits,
) -> crate::error::Result<Written> {
    let Some(verdict) = judge(row, seen, now(), limits) else { return Ok(Written::Same) };
    match seen::write(conn, row, seen, &verdict) {
        Ok(written) => Ok(written),
        Err(error) if crate::error::is_outage(&error) => Err(error.into()),
        Err(error) => {
            tracing::error!(application.id = %row.id, %error, "a row could not be written");
            Ok(Written::Same)
        }
    }
}

/// Deployments that carry our mark and fit no row.
fn find_strays(
    conn: &mut MysqlConnection,
    rows: &HashMap<ApplicationId, &Application>,
    owners: impl Iterator<Item = AppOwner>,
) -> diesel::QueryResult<Vec<strays::Found>> {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for owner in owners {
        match rows.get(&owner.application) {
            None => unknown.push(owner),
            Some(row) if row.account_id != owner.account => {
                found.push(strays::Found { owner, reason: strays::Reason::OtherOwner });
            }
            Some(_) => {}
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    // A row may have been written after we read them all, and a gone one is still there as history.
    let ids: Vec<ApplicationId> = unknown.iter().map(|owner| owner.application).collect();
    let late: HashMap<ApplicationId, (AccountId, bool)> = seen::owners(conn, &ids)?
        .into_iter()
        .map(|(id, account, deleted)| (id, (account, deleted.is_some())))
        .collect();
    for owner in unknown {
        let reason = match late.get(&owner.application) {
            None => strays::Reason::NoRow,
            Some((_, true)) => strays::Reason::DeletedRow,
            Some((account, false)) if *account != owner.account => strays::Reason::OtherOwner,
            Some(_) => continue,
        };
        found.push(strays::Found { owner, reason });
    }
    Ok(found)
}

/// Takes over what the watches say. A word that somebody was faster than is judged again with the new row.
///
/// # Errors
/// When the database does not answer, or the cluster does not when it is asked whether something is really gone: then
/// the same has to be taken again.
pub async fn take(app: &App, seen: Vec<Observed>) -> anyhow::Result<usize> {
    let limits = Limits::of(&app.config.applications);
    let portal = app.shared.portal;
    let mut left = latest(seen);
    left.retain(|seen| seen.owner.portal == portal);
    left = confirmed(app, left).await?;
    let mut count = 0;
    for _ in 0..TRIES {
        if left.is_empty() {
            break;
        }
        let (written, overtaken) = app.db.run_job(move |conn| write_all(conn, left, limits)).await?;
        count += written;
        left = overtaken;
    }
    anyhow::ensure!(left.is_empty(), "{} rows were written by others again and again", left.len());
    if count > 0 {
        app.live.ring();
        app.work.notify_one();
    }
    Ok(count)
}

/// That one is gone is asked for once more, if its row does not know of it: it may have been made anew.
async fn confirmed(app: &App, seen: Vec<Observed>) -> anyhow::Result<Vec<Observed>> {
    let (gone, mut here): (Vec<Observed>, Vec<Observed>) = seen.into_iter().partition(|seen| seen.deployment.is_none());
    if gone.is_empty() {
        return Ok(here);
    }
    let ids: Vec<ApplicationId> = gone.iter().map(|seen| seen.owner.application).collect();
    let rows = app.db.run_job(move |conn| Ok(seen::by_ids(conn, &ids)?)).await?;
    let unaware = |row: &Application| row.facts().is_some() && row.reason.as_deref() != Some(VANISHED);
    for seen in gone {
        if rows.iter().any(|row| row.id == seen.owner.application && unaware(row)) {
            here.push(app.cluster.show(seen.owner).await?);
        }
    }
    Ok(here)
}

/// The last word about each.
fn latest(seen: Vec<Observed>) -> Vec<Observed> {
    let mut by_id: HashMap<ApplicationId, Observed> = HashMap::with_capacity(seen.len());
    for seen in seen {
        by_id.insert(seen.owner.application, seen);
    }
    by_id.into_values().collect()
}

/// How many rows were written, and what somebody was faster than.
fn write_all(
    conn: &mut MysqlConnection,
    seen: Vec<Observed>,
    limits: Limits,
) -> crate::error::Result<(usize, Vec<Observed>)> {
    let ids: Vec<ApplicationId> = seen.iter().map(|seen| seen.owner.application).collect();
    let rows: HashMap<ApplicationId, Application> =
        seen::by_ids(conn, &ids)?.into_iter().map(|row| (row.id, row)).collect();
    let (mut count, mut overtaken) = (0, Vec::new());
    for seen in seen {
        let row = rows.get(&seen.owner.application).filter(|row| row.account_id == seen.owner.account);
        let Some(row) = row.filter(|row| !is_older(row, &seen)) else { continue };
        match written(conn, row, &seen, limits)? {
            Written::Yes => count += 1,
            Written::Same => {}
            Written::Overtaken => overtaken.push(seen),
        }
    }
    Ok((count, overtaken))
}

/// Judges anew what was seen last, where the time has come; the cluster is not asked. Says how many rows were written.
///
/// # Errors
/// When the database does not answer.
pub async fn look_again(app: &App) -> anyhow::Result<usize> {
    let limits = Limits::of(&app.config.applications);
    let count = app
        .db
        .run_job(move |conn| {
            let mut count = 0;
            for row in seen::due(conn, db::now(), AT_ONCE)? {
                // One that was overtaken is read anew with the next look.
                match row.observed().filter(|_| row.facts().is_some()) {
                    Some(seen) if written(conn, &row, &seen, limits)? == Written::Yes => count += 1,
                    Some(_) => {}
                    None => seen::leave(conn, &row)?,
                }
            }
            Ok(count)
        })
        .await?;
    if count > 0 {
        app.live.ring();
        app.work.notify_one();
    }
    Ok(count)
}
