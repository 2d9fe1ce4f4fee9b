//! What the worker writes: each of these raises the row's version, so that what was read before is not written over it.

use diesel::sql_types::{BigInt, Binary, Datetime};

use super::*;

/// Days after which history is forgotten, and rows that are removed at once.
const KEPT_DAYS: i64 = 365;
const SWEPT: i64 = 1_000;

/// The cluster has taken a request whole; from now on its word counts. What it said right after is kept with it: older
/// words that are still on their way are known by it.
///
/// # Errors
/// The database's.
pub fn accepted(
    conn: &mut MysqlConnection,
    id: ApplicationId,
    transition: Transition,
    observed: &Observed,
) -> QueryResult<()> {
    let observed = serde_json::to_string(observed).map_err(unwritable)?;
    let deploys = matches!(transition, Transition::Deploying | Transition::Redeploying);
    db::transaction(conn, |conn| {
        let now = db::now();
        let asked = applications::table
            .find(id)
            .filter(applications::transition.eq(transition.name()))
            .filter(applications::transition_accepted.eq(false));
        let written = diesel::update(asked)
            .set((
                applications::transition_accepted.eq(true),
                applications::reason.eq(None::<String>),
                applications::reason_text.eq(None::<String>),
                applications::findings.eq(None::<String>),
                applications::observed.eq(&observed),
                applications::since.eq(now),
                // Should nobody come to judge it now.
                applications::look_at.eq(now),
                applications::version.eq(applications::version + 1),
                applications::updated_at.eq(now),
            ))
            .execute(conn)?;
        if written == 0 || !deploys {
            return Ok(());
        }
        diesel::update(applications::table.find(id))
            .set(applications::deployed_revision.eq(applications::revision.nullable()))
            .execute(conn)?;
        configs::forget_secrets(conn, id)?;
        if transition == Transition::Deploying {
            events::record(conn, id, Kind::Deployed, None)?;
        }
        Ok(())
    })
}

/// It goes on waiting, and this is why. That a deployment was refused says more.
///
/// # Errors
/// The database's.
pub fn waits(conn: &mut MysqlConnection, id: ApplicationId, reason: &str, text: &str) -> QueryResult<()> {
    let refused = applications::reason.is_not_null().and(applications::reason.assume_not_null().eq_any(REFUSED));
    diesel::update(applications::table.find(id).filter(diesel::dsl::not(refused)))
        .set((
            applications::reason.eq(reason),
            applications::reason_text.eq(crate::text::shorten(text, 1000)),
            applications::version.eq(applications::version + 1),
            applications::updated_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// A deployment was refused for good: from now on what there was before is put back. One of which nothing was there has
/// failed. False when another request has overtaken it.
///
/// # Errors
/// The database's.
pub fn turns_back(conn: &mut MysqlConnection, id: ApplicationId, reason: &str, text: &str) -> QueryResult<bool> {
    db::transaction(conn, |conn| {
        let row: Option<Application> = alive()
            .filter(applications::id.eq(id))
            .select(Application::as_select())
            .for_update()
            .first(conn)
            .optional()?;
        let under_way = |row: &Application| {
            !row.transition_accepted
                && matches!(row.transition(), Some(Transition::Deploying | Transition::Redeploying))
        };
        let Some(row) = row.filter(under_way) else { return Ok(false) };
        let status = if row.deployed_revision.is_none() { Status::Failed } else { row.status() };
        diesel::update(applications::table.find(id))
            .set((
                applications::status.eq(status.name()),
                applications::reason.eq(reason),
                applications::reason_text.eq(crate::text::shorten(text, 1000)),
                applications::version.eq(applications::version + 1),
                applications::updated_at.eq(db::now()),
            ))
            .execute(conn)?;
        Ok(true)
    })
}

/// What there was before a refused deployment is there again: its revision is the one that is wanted. Where nothing was,
/// nothing is.
///
/// # Errors
/// The database's.
pub fn turned_back(conn: &mut MysqlConnection, id: ApplicationId) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let row: Option<Application> = alive()
            .filter(applications::id.eq(id))
            .select(Application::as_select())
            .for_update()
            .first(conn)
            .optional()?;
        let Some(row) = row.filter(Application::is_turning_back) else { return Ok(()) };
        let now = db::now();
        diesel::update(applications::table.find(id))
            .set((
                applications::transition.eq(None::<String>),
                applications::transition_accepted.eq(false),
                applications::version.eq(applications::version + 1),
                applications::updated_at.eq(now),
            ))
            .execute(conn)?;
        let Some(deployed) = row.deployed_revision else {
            return events::record(conn, id, Kind::Failed, row.reason_text.as_deref());
        };
        let (config, _) = configs::of_revision(conn, id, deployed)?;
        let findings = Findings { old_answers: row.status() == Status::Running, ..Findings::default() };
        diesel::update(applications::table.find(id))
            .set((
                applications::revision.eq(deployed),
                applications::replicas.eq(config.replicas),
                applications::size.eq(config.size.name()),
                applications::cpu_millis.eq(config.cpu_millis),
                applications::memory_mb.eq(config.memory_mb),
                applications::findings.eq(serde_json::to_string(&findings).map_err(unwritable)?),
                applications::look_at.eq(now),
            ))
            .execute(conn)?;
        configs::forget_secrets(conn, id)?;
        events::record(conn, id, Kind::RolledBack, row.reason_text.as_deref())
    })
}

/// A start, stop or deletion was refused for good: it stays as it is, and the page says why. Nothing is written when
/// another request has overtaken this one.
///
/// # Errors
/// The database's.
pub fn action_failed(
    conn: &mut MysqlConnection,
    id: ApplicationId,
    transition: Transition,
    reason: &str,
    text: &str,
) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let now = db::now();
        let asked = applications::table.find(id).filter(applications::transition.eq(transition.name()));
        let written = diesel::update(asked)
            .set((
                applications::transition.eq(None::<String>),
                applications::transition_accepted.eq(false),
                applications::reason.eq(reason),
                applications::reason_text.eq(crate::text::shorten(text, 1000)),
                applications::look_at.eq(now),
                applications::version.eq(applications::version + 1),
                applications::updated_at.eq(now),
            ))
            .execute(conn)?;
        if written == 0 {
            return Ok(());
        }
        // One of which nothing is there is broken then, so that it does not seem to be deployed for ever.
        let never_there = applications::table.find(id).filter(applications::deployed_revision.is_null());
        diesel::update(never_there.filter(applications::status.eq(Status::Pending.name())))
            .set(applications::status.eq(Status::Failed.name()))
            .execute(conn)?;
        events::record(conn, id, Kind::ActionFailed, Some(text))
    })
}

/// What was found out, if the row is still as it was when that was begun. With a finer reason, if there is one.
///
/// # Errors
/// The database's.
pub fn found(
    conn: &mut MysqlConnection,
    row: &Application,
    reason: Option<&str>,
    findings: &Findings,
) -> QueryResult<bool> {
    let findings = serde_json::to_string(findings).map_err(unwritable)?;
    let now = db::now();
    let written = diesel::update(applications::table.find(row.id).filter(applications::version.eq(row.version)))
        .set((
            applications::reason.eq(reason.map(str::to_owned).or_else(|| row.reason.clone())),
            applications::findings.eq(findings),
            // A reason that is certain changes the state.
            applications::look_at.eq(now),
            applications::version.eq(row.version + 1),
            applications::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(written == 1)
}

/// It is gone from the cluster: the row becomes history, its host name and its place in the quota are free.
///
/// # Errors
/// The database's.
pub fn gone(conn: &mut MysqlConnection, id: ApplicationId) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let now = db::now();
        diesel::update(applications::table.find(id).filter(applications::deleted_at.is_null()))
            .set((
                applications::deleted_at.eq(now),
                applications::host_label.eq(None::<String>),
                applications::look_at.eq(None::<NaiveDateTime>),
                applications::version.eq(applications::version + 1),
                applications::updated_at.eq(now),
            ))
            .execute(conn)?;
        configs::forget_secrets(conn, id)
    })
}

/// Removes what is older than a year: lines of the history, and applications that were gone by then.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection, now: NaiveDateTime) -> QueryResult<usize> {
    let before = now - chrono::Duration::days(KEPT_DAYS);
    let events = diesel::sql_query("DELETE FROM application_events WHERE id < ? ORDER BY id LIMIT ?")
        .bind::<Binary, _>(crate::ids::first_at(before))
        .bind::<BigInt, _>(SWEPT)
        .execute(conn)?;
    // What else there is of the rows goes with them.
    let rows = diesel::sql_query("DELETE FROM applications WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?")
        .bind::<Datetime, _>(before)
        .bind::<BigInt, _>(SWEPT)
        .execute(conn)?;
    Ok(events + rows)
}
