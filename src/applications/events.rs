//! What happened to an application: its history, as its own page tells it.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::db;
use crate::ids::{ApplicationId, EventId};
use crate::schema::application_events;

/// Names of events; each has a sentence `app_events.{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Requested,
    /// The cluster has taken all of its parts.
    Deployed,
    Running,
    Failed,
    RedeployRequested,
    /// The changed one has taken the place of the former.
    Redeployed,
    /// The cluster refused the changed one: the former stays as it was.
    RolledBack,
    /// The changed one does not come up; the former goes on.
    RolloutFailed,
    StartRequested,
    StopRequested,
    DeleteRequested,
    Started,
    Stopped,
    /// A start, stop or deletion that the cluster refused for good.
    ActionFailed,
    Vanished,
    Recovered,
    /// Changed by another tool than the portal.
    ChangedOutside,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Deployed => "deployed",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::RedeployRequested => "redeploy_requested",
            Self::Redeployed => "redeployed",
            Self::RolledBack => "rolled_back",
            Self::RolloutFailed => "rollout_failed",
            Self::StartRequested => "start_requested",
            Self::StopRequested => "stop_requested",
            Self::DeleteRequested => "delete_requested",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::ActionFailed => "action_failed",
            Self::Vanished => "vanished",
            Self::Recovered => "recovered",
            Self::ChangedOutside => "changed_outside",
        }
    }
}

/// A line of the history.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = application_events)]
pub struct Event {
    pub kind: String,
    pub detail: Option<String>,
    pub created_at: NaiveDateTime,
}

/// # Errors
/// The database's.
pub fn record(
    conn: &mut MysqlConnection,
    application: ApplicationId,
    kind: Kind,
    detail: Option<&str>,
) -> QueryResult<()> {
    diesel::insert_into(application_events::table)
        .values((
            application_events::id.eq(EventId::new()),
            application_events::application_id.eq(application),
            application_events::kind.eq(kind.name()),
            application_events::detail.eq(detail.map(|text| crate::text::shorten(text, 1000))),
            application_events::created_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// The latest 20, newest first.
///
/// # Errors
/// The database's.
pub fn latest(conn: &mut MysqlConnection, application: ApplicationId) -> QueryResult<Vec<Event>> {
    application_events::table
        .filter(application_events::application_id.eq(application))
        .order(application_events::id.desc())
        .limit(20)
        .select(Event::as_select())
        .load(conn)
}
