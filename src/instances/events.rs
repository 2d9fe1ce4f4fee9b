//! What happened to a mini PC: its history, as its own page tells it.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::db;
use crate::ids::{EventId, InstanceId};
use crate::schema::instance_events;

/// Names of events; each has a sentence `events.{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Requested,
    Launched,
    Active,
    Failed,
    StartRequested,
    StopRequested,
    RebootRequested,
    DeleteRequested,
    Started,
    Stopped,
    Rebooted,
    /// A start, stop, reboot or delete that the cloud refused for good.
    ActionFailed,
    Vanished,
    Recovered,
    AddressAttached,
    /// Changed by another tool than the portal.
    ChangedOutside,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Launched => "launched",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::StartRequested => "start_requested",
            Self::StopRequested => "stop_requested",
            Self::RebootRequested => "reboot_requested",
            Self::DeleteRequested => "delete_requested",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Rebooted => "rebooted",
            Self::ActionFailed => "action_failed",
            Self::Vanished => "vanished",
            Self::Recovered => "recovered",
            Self::AddressAttached => "address_attached",
            Self::ChangedOutside => "changed_outside",
        }
    }
}

/// A line of the history.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = instance_events)]
pub struct Event {
    pub kind: String,
    pub detail: Option<String>,
    pub created_at: NaiveDateTime,
}

/// # Errors
/// The database's.
pub fn record(conn: &mut MysqlConnection, instance: InstanceId, kind: Kind, detail: Option<&str>) -> QueryResult<()> {
    diesel::insert_into(instance_events::table)
        .values((
            instance_events::id.eq(EventId::new()),
            instance_events::instance_id.eq(instance),
            instance_events::kind.eq(kind.name()),
            instance_events::detail.eq(detail.map(|text| crate::text::shorten(text, 1000))),
            instance_events::created_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// The latest 20, newest first.
///
/// # Errors
/// The database's.
pub fn latest(conn: &mut MysqlConnection, instance: InstanceId) -> QueryResult<Vec<Event>> {
    instance_events::table
        .filter(instance_events::instance_id.eq(instance))
        .order(instance_events::id.desc())
        .limit(20)
        .select(Event::as_select())
        .load(conn)
}
