//! What the sync compares and writes.

use super::*;
use crate::applications::diagnose::{Facts, Verdict};

impl Application {
    /// What the row says to whoever judges what the cluster says; None while the cluster's word does not count: a request
    /// that it has not taken yet, a deletion of ours, nothing of it there yet.
    pub fn facts(&self) -> Option<Facts> {
        let transition = self.transition();
        let asked = transition.is_some() && !self.transition_accepted;
        let deleting = transition == Some(Transition::Deleting) && !self.is_deleted_outside();
        if asked || deleting || self.deployed_revision.is_none() {
            return None;
        }
        Some(Facts {
            status: self.status(),
            transition,
            reason: self.reason.clone(),
            reason_text: self.reason_text.clone(),
            findings: self.findings(),
            since: self.since.map(|time| time.and_utc()),
            before: self.observed(),
        })
    }
}

/// All rows that are not gone.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut MysqlConnection) -> QueryResult<Vec<Application>> {
    alive().select(Application::as_select()).load(conn)
}

/// Those of these ids that are not gone.
///
/// # Errors
/// The database's.
pub fn by_ids(conn: &mut MysqlConnection, ids: &[ApplicationId]) -> QueryResult<Vec<Application>> {
    alive().filter(applications::id.eq_any(ids)).select(Application::as_select()).load(conn)
}

/// The owners of these ids, and whether the row is one of the past.
///
/// # Errors
/// The database's.
pub fn owners(
    conn: &mut MysqlConnection,
    ids: &[ApplicationId],
) -> QueryResult<Vec<(ApplicationId, AccountId, Option<NaiveDateTime>)>> {
    applications::table
        .filter(applications::id.eq_any(ids))
        .select((applications::id, applications::account_id, applications::deleted_at))
        .load(conn)
}

/// Those that are to be judged anew by now, at most `limit`.
///
/// # Errors
/// The database's.
pub fn due(conn: &mut MysqlConnection, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<Application>> {
    alive()
        .filter(applications::look_at.le(now))
        .order(applications::look_at)
        .limit(limit)
        .select(Application::as_select())
        .load(conn)
}

/// There is nothing to be judged: nobody needs to come back for it.
///
/// # Errors
/// The database's.
pub fn leave(conn: &mut MysqlConnection, row: &Application) -> QueryResult<()> {
    diesel::update(applications::table.find(row.id).filter(applications::version.eq(row.version)))
        .set(applications::look_at.eq(None::<NaiveDateTime>))
        .execute(conn)?;
    Ok(())
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Yes,
    /// The row says that already.
    Same,
    /// Somebody has written the row since it was read.
    Overtaken,
}

/// Writes what was seen and what it means, unless the row has been written since it was read.
///
/// # Errors
/// The database's.
pub fn write(
    conn: &mut MysqlConnection,
    row: &Application,
    seen: &Observed,
    verdict: &Verdict,
) -> QueryResult<Written> {
    if says_the_same(row, seen, verdict) {
        return Ok(Written::Same);
    }
    let observed = serde_json::to_string(seen).map_err(unwritable)?;
    let findings = (verdict.findings != Findings::default())
        .then(|| serde_json::to_string(&verdict.findings))
        .transpose()
        .map_err(unwritable)?;
    db::transaction(conn, |conn| {
        let unchanged = alive().filter(applications::id.eq(row.id)).filter(applications::version.eq(row.version));
        let written = diesel::update(unchanged)
            .set((
                applications::status.eq(verdict.status.name()),
                applications::transition.eq(verdict.transition.map(Transition::name)),
                applications::transition_accepted.eq(verdict.transition.is_some()),
                applications::reason.eq(&verdict.reason),
                applications::reason_text.eq(shortened(verdict.reason_text.as_deref())),
                applications::findings.eq(&findings),
                applications::observed.eq(&observed),
                applications::since.eq(verdict.since.naive_utc()),
                applications::look_at.eq(verdict.look_at.map(|time| time.naive_utc())),
                applications::version.eq(row.version + 1),
                applications::updated_at.eq(db::now()),
            ))
            .execute(conn)?;
        if written == 0 {
            return Ok(Written::Overtaken);
        }
        if let Some((kind, detail)) = &verdict.event {
            events::record(conn, row.id, *kind, detail.as_deref())?;
        }
        if verdict.investigate.is_some() && !operations::is_open(conn, row.id, Action::Investigate)? {
            operations::enqueue(conn, row.account_id, row.id, Action::Investigate)?;
        }
        Ok(Written::Yes)
    })
}

fn shortened(text: Option<&str>) -> Option<String> {
    text.map(|text| crate::text::shorten(text, 1000))
}

fn says_the_same(row: &Application, seen: &Observed, verdict: &Verdict) -> bool {
    row.status() == verdict.status
        && row.transition() == verdict.transition
        && row.transition_accepted == verdict.transition.is_some()
        && row.reason == verdict.reason
        && row.reason_text == shortened(verdict.reason_text.as_deref())
        && row.findings() == verdict.findings
        && row.look_at == verdict.look_at.map(|time| time.naive_utc())
        && row.observed().as_ref() == Some(seen)
}
