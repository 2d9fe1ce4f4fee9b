//! What the worker writes: each of these raises the row's version, so that a list of the cloud's that was begun before
//! is not written over it.

use diesel::sql_types::{BigInt, Binary, Datetime};

use super::*;

/// The cloud has taken the order. Only the first id counts.
///
/// # Errors
/// The database's.
pub fn launched(conn: &mut MysqlConnection, id: InstanceId, nova_id: NovaId) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let written = diesel::update(instances::table.find(id).filter(instances::nova_id.is_null()))
            .set((
                instances::nova_id.eq(nova_id),
                instances::reason.eq(None::<String>),
                instances::reason_text.eq(None::<String>),
                instances::version.eq(instances::version + 1),
                instances::updated_at.eq(db::now()),
            ))
            .execute(conn)?;
        if written == 1 {
            events::record(conn, id, Kind::Launched, None)?;
        }
        Ok(())
    })
}

/// The cloud has taken a start, stop, reboot or deletion: from now on its word counts.
///
/// # Errors
/// The database's.
pub fn accepted(conn: &mut MysqlConnection, id: InstanceId, transition: Transition) -> QueryResult<()> {
    diesel::update(instances::table.find(id).filter(instances::transition.eq(transition.name())))
        .set((
            instances::transition_accepted.eq(true),
            instances::reason.eq(None::<String>),
            instances::reason_text.eq(None::<String>),
            instances::version.eq(instances::version + 1),
            instances::updated_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// It goes on waiting, and this is why.
///
/// # Errors
/// The database's.
pub fn waits(conn: &mut MysqlConnection, id: InstanceId, reason: &str, text: &str) -> QueryResult<()> {
    diesel::update(instances::table.find(id))
        .set((
            instances::reason.eq(reason),
            instances::reason_text.eq(crate::text::shorten(text, 1000)),
            instances::version.eq(instances::version + 1),
            instances::updated_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// It can't be made: status error, with the reason.
///
/// # Errors
/// The database's.
pub fn launch_failed(conn: &mut MysqlConnection, id: InstanceId, reason: &str, text: &str) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        diesel::update(instances::table.find(id))
            .set((
                instances::status.eq(Status::Error.name()),
                instances::reason.eq(reason),
                instances::reason_text.eq(crate::text::shorten(text, 1000)),
                instances::version.eq(instances::version + 1),
                instances::updated_at.eq(db::now()),
            ))
            .execute(conn)?;
        events::record(conn, id, Kind::Failed, Some(text))
    })
}

/// A start, stop, reboot or deletion was refused for good: it stays as it is, and the page says why. One that was never
/// made is broken then, so that it does not seem to be built for ever. Nothing is written when another request has
/// overtaken this one.
///
/// # Errors
/// The database's.
pub fn action_failed(
    conn: &mut MysqlConnection,
    id: InstanceId,
    transition: Transition,
    reason: &str,
    text: &str,
) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let written = diesel::update(instances::table.find(id).filter(instances::transition.eq(transition.name())))
            .set((
                instances::transition.eq(None::<String>),
                instances::transition_accepted.eq(false),
                instances::reason.eq(reason),
                instances::reason_text.eq(crate::text::shorten(text, 1000)),
                instances::version.eq(instances::version + 1),
                instances::updated_at.eq(db::now()),
            ))
            .execute(conn)?;
        if written == 0 {
            return Ok(());
        }
        let never_made = instances::table.find(id).filter(instances::nova_id.is_null());
        diesel::update(never_made.filter(instances::status.eq(Status::Building.name())))
            .set(instances::status.eq(Status::Error.name()))
            .execute(conn)?;
        events::record(conn, id, Kind::ActionFailed, Some(text))
    })
}

/// # Errors
/// The database's.
pub fn address_attached(conn: &mut MysqlConnection, id: InstanceId, address: &str) -> QueryResult<()> {
    db::transaction(conn, |conn| {
        let written = diesel::update(instances::table.find(id))
            .filter(instances::floating_ip.is_null().or(instances::floating_ip.ne(address)))
            .set((
                instances::floating_ip.eq(address),
                instances::version.eq(instances::version + 1),
                instances::updated_at.eq(db::now()),
            ))
            .execute(conn)?;
        if written == 1 { events::record(conn, id, Kind::AddressAttached, Some(address)) } else { Ok(()) }
    })
}

/// It is gone from the cloud: the row becomes history, and its place in the quota is free.
///
/// # Errors
/// The database's.
pub fn gone(conn: &mut MysqlConnection, id: InstanceId) -> QueryResult<()> {
    let now = db::now();
    diesel::update(instances::table.find(id).filter(instances::deleted_at.is_null()))
        .set((
            instances::deleted_at.eq(now),
            instances::version.eq(instances::version + 1),
            instances::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Days for which the history of a mini PC is kept: of one that is gone, its row and all; of one that lives, its events.
const KEPT_DAYS: i64 = 365;
/// Rows that one sweep removes at most, so that none takes long; the next goes on.
const SWEPT: i64 = 1000;

/// Removes history that is older than [`KEPT_DAYS`]; called by the sync.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection, now: NaiveDateTime) -> QueryResult<usize> {
    let before = now - chrono::Duration::days(KEPT_DAYS);
    let events = diesel::sql_query("DELETE FROM instance_events WHERE id < ? ORDER BY id LIMIT ?")
        .bind::<Binary, _>(crate::ids::first_at(before))
        .bind::<BigInt, _>(SWEPT)
        .execute(conn)?;
    // The rows' other events go with them.
    let rows = diesel::sql_query("DELETE FROM instances WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?")
        .bind::<Datetime, _>(before)
        .bind::<BigInt, _>(SWEPT)
        .execute(conn)?;
    Ok(events + rows)
}
