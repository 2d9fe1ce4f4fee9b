//! Taking over what the cloud says of machines: list, compare, write what differs.
//!
//! Level-based: what is written depends on what was seen, never on an earlier event. A full run asks for all machines
//! of the project, pages of 1,000, and finds what has vanished and what is nobody's; between two of them, while
//! anything is on its way from one state to another, a run asks for what changed; while somebody looks, it is asked each
//! second whether another tool changed anything ([`look_around`]). Rows are read before the cloud is
//! asked, and written only if nobody has written them since ([`seen::write`]).

use std::collections::HashMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::events::Kind;
use super::model::seen::{self, Change, Known};
use super::model::{DELETED_OUTSIDE, Status, Transition, progress};
use crate::app::App;
use crate::cloud::{CloudError, Server, ServerStatus};
use crate::cloud_services;
use crate::db;
use crate::ids::{InstanceId, NovaId};
use crate::strays;

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Machines that the cloud listed.
    pub seen: usize,
    /// Rows that were written.
    pub written: usize,
    /// Machines that are nobody's (full runs only).
    pub strays: usize,
}

/// What a run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    All,
    /// What changed since; the cloud's clock may differ from ours, so the time is taken generously.
    ChangedSince(DateTime<Utc>),
}

/// One comparison.
///
/// # Errors
/// When the cloud or the database does not answer. That the cloud does not is written down, so that pages say so.
pub async fn run_once(app: &App, scope: Scope) -> anyhow::Result<Summary> {
    let asked_at = db::now();
    let started = Instant::now();
    let since = match scope {
        Scope::All => None,
        Scope::ChangedSince(time) => Some(time),
    };
    let full = scope == Scope::All;
    // Between two full runs only what is under way counts, however many rows there are.
    let rows = app.db.run_job(move |conn| Ok(if full { seen::all(conn)? } else { seen::unsettled(conn)? })).await?;
    let servers = match app.compute.list(since).await {
        Ok(servers) => explained(app, &rows, servers).await,
        Err(error) => {
            let text = error.to_string();
            app.db.run(move |conn| Ok(cloud_services::failed(conn, cloud_services::COMPUTE, &text)?)).await?;
            return Err(error.into());
        }
    };
    let mut changes = compare(&rows, &servers);
    if full {
        changes.extend(vanished(app, &rows, &servers).await?);
    }
    let seen = servers.len();
    let milliseconds = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let portal = app.shared.portal;
    let summary = app
        .db
        .run_job(move |conn| {
            let mut summary = Summary { seen, written: write_all(conn, &changes)?, ..Summary::default() };
            if full {
                adopt(conn, portal, &rows, &servers)?;
                let found = find_strays(conn, portal, &rows, &servers)?;
                summary.strays = found.len();
                for stray in strays::replace(conn, &found)? {
                    tracing::warn!(nova.id = %stray.nova_id, reason = stray.reason.name(), "a machine that fits no row");
                }
            }
            let counted = full.then(|| (u32::try_from(seen).unwrap_or(u32::MAX), milliseconds));
            cloud_services::answered(conn, cloud_services::COMPUTE, asked_at, counted)?;
            Ok(summary)
        })
        .await?;
    if summary.written > 0 {
        app.live.ring();
        app.work.notify_one();
    }
    Ok(summary)
}

/// How machines that changed lately looked when they were last asked for.
#[derive(Debug, Default)]
pub struct Noticed(HashMap<Uuid, Server>);

impl Noticed {
    /// The machines that look other than before.
    fn news(&mut self, servers: Vec<Server>) -> Vec<NovaId> {
        let known = |server: &Server| self.0.get(&server.id) == Some(server);
        let news = servers.iter().filter(|server| !known(server)).map(|server| NovaId(server.id)).collect();
        self.0 = servers.into_iter().map(|server| (server.id, server)).collect();
        news
    }
}

/// Whether another tool has changed a machine that nothing was asked of: one small list of what changed since. Only when
/// a machine in it looks other than before are rows read, and the cloud is asked once more: an answer from before a row
/// was read is not written over it. Says how many rows were written.
///
/// # Errors
/// When the cloud or the database does not answer. That the cloud does not is written down, so that pages say so.
pub async fn look_around(app: &App, since: DateTime<Utc>, noticed: &mut Noticed) -> anyhow::Result<usize> {
    let news = noticed.news(listed(app, since).await?);
    if news.is_empty() {
        return Ok(0);
    }
    let rows = app.db.run_job(move |conn| Ok(seen::by_nova_ids(conn, &news)?)).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let servers = explained(app, &rows, listed(app, since).await?).await;
    let changes = compare(&rows, &servers);
    if changes.is_empty() {
        return Ok(0);
    }
    let written = app.db.run_job(move |conn| write_all(conn, &changes)).await?;
    if written > 0 {
        app.live.ring();
        app.work.notify_one();
    }
    Ok(written)
}

async fn listed(app: &App, since: DateTime<Utc>) -> anyhow::Result<Vec<Server>> {
    match app.compute.list(Some(since)).await {
        Ok(servers) => Ok(servers),
        Err(error) => {
            let text = error.to_string();
            app.db.run(move |conn| Ok(cloud_services::failed(conn, cloud_services::COMPUTE, &text)?)).await?;
            Err(error.into())
        }
    }
}

/// Writes what nobody was faster than; one row's failure does not stop the others.
fn write_all(conn: &mut diesel::mysql::MysqlConnection, changes: &[Change]) -> crate::error::Result<usize> {
    let mut written = 0;
    for change in changes {
        match seen::write(conn, change) {
            Ok(true) => written += 1,
            Ok(false) => {}
            Err(error) if crate::error::is_outage(&error) => return Err(error.into()),
            Err(error) => tracing::error!(instance.id = %change.id, %error, "a row could not be written"),
        }
    }
    Ok(written)
}

/// Broken machines whose fault is asked for one by one in a run.
const FAULTS: usize = 20;

/// Nova's list leaves out the fault of a machine that was never given a host: those are asked for by their id, unless
/// the row knows already.
async fn explained(app: &App, rows: &[Known], mut servers: Vec<Server>) -> Vec<Server> {
    let untold = |row: &Known| row.status() != Status::Error || row.reason_text.is_none();
    let ours: HashMap<NovaId, &Known> = rows.iter().filter_map(|row| Some((row.nova_id?, row))).collect();
    let mute = servers
        .iter_mut()
        .filter(|server| server.status == ServerStatus::Error && server.fault.is_none())
        .filter(|server| ours.get(&NovaId(server.id)).is_some_and(|row| untold(row)));
    for server in mute.take(FAULTS) {
        match app.compute.show(server.id).await {
            Ok(shown) => server.fault = shown.fault,
            // What was listed counts all the same; the next full run asks again.
            Err(error) => tracing::warn!(nova.id = %server.id, %error, "why a machine is broken could not be asked"),
        }
    }
    servers
}

/// What differs, of the machines that were listed.
fn compare(rows: &[Known], servers: &[Server]) -> Vec<Change> {
    let by_nova: HashMap<NovaId, &Known> = rows.iter().filter_map(|row| Some((row.nova_id?, row))).collect();
    servers.iter().filter_map(|server| difference(by_nova.get(&NovaId(server.id))?, server)).collect()
}

/// What is to be written of a row whose machine looks like this; None when nothing differs.
fn difference(row: &Known, server: &Server) -> Option<Change> {
    if server.status == ServerStatus::Deleted {
        return gone(row);
    }
    let (status, under_way) = translate(row.status(), server.status);
    let waiting = row.transition().is_some() && !row.transition_accepted;
    // What another tool began, it may also have given up.
    let deleting = row.transition() == Some(Transition::Deleting) && row.reason.as_deref() != Some(DELETED_OUTSIDE);
    // What we have asked for and the cloud has not taken yet stays; a deletion ends with the machine only.
    let (transition, accepted) = if waiting || deleting {
        (row.transition(), row.transition_accepted)
    } else {
        (under_way, under_way.is_some())
    };
    let (reason, reason_text) = if !deleting && under_way == Some(Transition::Deleting) {
        (Some(DELETED_OUTSIDE.to_owned()), None)
    } else if status == Status::Error {
        let known = row.reason_text.clone().filter(|_| row.status() == Status::Error);
        let fault = server.fault.clone().or(known);
        (Some(reason_of(fault.as_deref()).to_owned()), fault)
    } else if status == Status::Unknown {
        (Some("cloud_status".to_owned()), Some(server.raw_status.clone()))
    } else if waiting || !forgets(row.reason.as_deref(), row.status(), status) {
        (row.reason.clone(), row.reason_text.clone())
    } else {
        (None, None)
    };
    let ip_address = server.address.map(|a| a.to_string()).or_else(|| row.ip_address.clone());
    let floating_ip = server.floating_address.map(|a| a.to_string()).or_else(|| row.floating_ip.clone());
    let (event, event_detail) = event_of(row, status, transition, ip_address.as_deref(), reason_text.as_deref());
    let change = Change {
        id: row.id,
        version: row.version,
        status,
        transition,
        transition_accepted: accepted,
        reason,
        reason_text,
        attach_address: row.status() != Status::Active && status == Status::Active && floating_ip.is_none(),
        ip_address,
        floating_ip,
        event,
        event_detail,
    };
    (!says_the_same(row, &change)).then_some(change)
}

fn says_the_same(row: &Known, change: &Change) -> bool {
    row.status() == change.status
        && row.transition() == change.transition
        && row.transition_accepted == change.transition_accepted
        && row.reason == change.reason
        && row.reason_text.as_deref().unwrap_or_default()
            == crate::text::shorten(change.reason_text.as_deref().unwrap_or_default(), 1000)
        && row.ip_address == change.ip_address
        && row.floating_ip == change.floating_ip
}

/// Whether a reason that stands at the row is overtaken by what is seen now.
fn forgets(reason: Option<&str>, before: Status, now: Status) -> bool {
    match reason {
        // Told until the person does something else: what was asked for did not happen.
        Some("action_failed" | "delete_failed" | "no_address") => before != now,
        _ => true,
    }
}

/// Our status and transition for the cloud's word. A machine on its way keeps the status that it comes from.
fn translate(before: Status, server: ServerStatus) -> (Status, Option<Transition>) {
    match server {
        ServerStatus::Building => (Status::Building, None),
        ServerStatus::Active => (Status::Active, None),
        ServerStatus::Stopping => (Status::Active, Some(Transition::Stopping)),
        ServerStatus::Stopped => (Status::Stopped, None),
        ServerStatus::Starting => (Status::Stopped, Some(Transition::Starting)),
        ServerStatus::Rebooting => (Status::Active, Some(Transition::Rebooting)),
        ServerStatus::Deleting | ServerStatus::Deleted => (before, Some(Transition::Deleting)),
        ServerStatus::Error => (Status::Error, None),
        ServerStatus::Unknown => (Status::Unknown, None),
    }
}

/// A name of ours for Nova's fault; the sentences are `why.{name}`.
fn reason_of(fault: Option<&str>) -> &'static str {
    match fault {
        Some(text) if text.contains("No valid host") => "no_valid_host",
        Some(text) if text.contains("Quota exceeded") => "cloud_quota",
        _ => "build_failed",
    }
}

/// What the history says of a change of state.
fn event_of(
    row: &Known,
    status: Status,
    transition: Option<Transition>,
    address: Option<&str>,
    fault: Option<&str>,
) -> (Option<Kind>, Option<String>) {
    let vanished_before = row.reason.as_deref() == Some("vanished");
    if transition.is_some() {
        return (None, None);
    }
    match (row.status(), row.transition(), status) {
        _ if vanished_before && status != Status::Error => (Some(Kind::Recovered), None),
        (Status::Building, _, Status::Active) => (Some(Kind::Active), address.map(str::to_owned)),
        (before, _, Status::Error) if before != Status::Error => (Some(Kind::Failed), fault.map(str::to_owned)),
        (_, Some(Transition::Starting), Status::Active) => (Some(Kind::Started), None),
        (_, Some(Transition::Stopping), Status::Stopped) => (Some(Kind::Stopped), None),
        (_, Some(Transition::Rebooting), Status::Active) => (Some(Kind::Rebooted), None),
        (before, None, now) if before != now => (Some(Kind::ChangedOutside), Some(now.name().to_owned())),
        _ => (None, None),
    }
}

/// The machine of this row is gone without our doing. While we delete it ourselves, the operation says the last word.
fn gone(row: &Known) -> Option<Change> {
    let reason = row.reason.as_deref();
    let ours = row.transition() == Some(Transition::Deleting) && reason != Some(DELETED_OUTSIDE);
    if ours || reason == Some("vanished") {
        return None;
    }
    Some(Change {
        id: row.id,
        version: row.version,
        status: Status::Error,
        transition: None,
        transition_accepted: false,
        reason: Some("vanished".to_owned()),
        reason_text: None,
        ip_address: None,
        floating_ip: row.floating_ip.clone(),
        event: Some(Kind::Vanished),
        event_detail: None,
        attach_address: false,
    })
}

/// Rows whose machine a full list does not have. Each is asked for once more by its id: only "not found" counts.
async fn vanished(app: &App, rows: &[Known], servers: &[Server]) -> Result<Vec<Change>, CloudError> {
    let here: std::collections::HashSet<Uuid> = servers.iter().map(|server| server.id).collect();
    let mut changes = Vec::new();
    for row in rows {
        let Some(NovaId(id)) = row.nova_id else { continue };
        if here.contains(&id) || row.reason.as_deref() == Some("vanished") {
            continue;
        }
        let Some(change) = gone(row) else { continue };
        match app.compute.show(id).await {
            Err(CloudError::NotFound(_)) => changes.push(change),
            Ok(server) => changes.extend(difference(row, &server)),
            Err(error) => return Err(error),
        }
    }
    Ok(changes)
}

/// Gives a row its machine, when the order was given up because the cloud did not answer, and the cloud had carried it
/// out after all. The next run takes its state over.
fn adopt(
    conn: &mut diesel::mysql::MysqlConnection,
    portal: Uuid,
    rows: &[Known],
    servers: &[Server],
) -> diesel::QueryResult<()> {
    let given_up: HashMap<InstanceId, &Known> = rows
        .iter()
        .filter(|row| row.nova_id.is_none() && row.status() == Status::Error && row.transition().is_none())
        .map(|row| (row.id, row))
        .collect();
    for server in servers {
        let Some(owner) = server.owner.filter(|owner| owner.portal == portal) else { continue };
        let fits = given_up.get(&owner.instance).is_some_and(|row| row.account_id == owner.account);
        if fits {
            tracing::info!(instance.id = %owner.instance, nova.id = %server.id, "a given-up order was carried out after all");
            progress::launched(conn, owner.instance, NovaId(server.id))?;
        }
    }
    Ok(())
}

/// Machines that carry our mark and fit no row, and rows' machines that don't carry it.
fn find_strays(
    conn: &mut diesel::mysql::MysqlConnection,
    portal: Uuid,
    rows: &[Known],
    servers: &[Server],
) -> diesel::QueryResult<Vec<strays::Found>> {
    let by_id: HashMap<InstanceId, &Known> = rows.iter().map(|row| (row.id, row)).collect();
    let by_nova: HashMap<NovaId, &Known> = rows.iter().filter_map(|row| Some((row.nova_id?, row))).collect();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for server in servers.iter().filter(|server| server.status != ServerStatus::Deleted) {
        let report = |reason, instance| strays::Found {
            nova_id: NovaId(server.id),
            name: server.name.clone(),
            reason,
            instance,
        };
        match server.owner.filter(|owner| owner.portal == portal) {
            Some(owner) => match by_id.get(&owner.instance) {
                None => unknown.push((owner, report(strays::Reason::NoRow, Some(owner.instance)))),
                Some(row) if row.account_id != owner.account => {
                    found.push(report(strays::Reason::OtherOwner, Some(row.id)));
                }
                // Without a Nova id the row's creation is still under way, and this is its machine.
                Some(row) if row.nova_id.is_some_and(|id| id != NovaId(server.id)) => {
                    found.push(report(strays::Reason::Duplicate, Some(row.id)));
                }
                Some(_) => {}
            },
            None => {
                if let Some(row) = by_nova.get(&NovaId(server.id)) {
                    found.push(report(strays::Reason::Untagged, Some(row.id)));
                }
            }
        }
    }
    if !unknown.is_empty() {
        // A row may have been written after we read them all, and a gone one is still there as history.
        let ids: Vec<InstanceId> = unknown.iter().map(|(owner, _)| owner.instance).collect();
        let late: HashMap<InstanceId, bool> =
            seen::by_ids(conn, &ids)?.into_iter().map(|(row, deleted)| (row.id, deleted.is_some())).collect();
        for (owner, mut report) in unknown {
            match late.get(&owner.instance) {
                None => found.push(report),
                Some(true) => {
                    report.reason = strays::Reason::DeletedRow;
                    found.push(report);
                }
                Some(false) => {}
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AccountId;

    fn row(status: Status, transition: Option<Transition>, accepted: bool) -> Known {
        Known::fake(InstanceId::new(), AccountId::new(), NovaId::new(), status, transition, accepted)
    }

    fn server(row: &Known, status: ServerStatus) -> Server {
        Server {
            id: row.nova_id.unwrap().0,
            name: "pc".to_owned(),
            status,
            raw_status: format!("{status:?}"),
            address: Some("10.0.0.5".parse().unwrap()),
            floating_address: None,
            fault: None,
            owner: None,
            created_at: None,
        }
    }

    #[test]
    fn what_is_the_same_is_not_written() {
        let mut row = row(Status::Active, None, false);
        row.ip_address = Some("10.0.0.5".to_owned());
        assert_eq!(difference(&row, &server(&row, ServerStatus::Active)), None);
    }

    #[test]
    fn only_a_machine_that_looks_other_than_before_is_news() {
        let (one, other) = (row(Status::Active, None, false), row(Status::Active, None, false));
        let both = || vec![server(&one, ServerStatus::Active), server(&other, ServerStatus::Active)];
        let mut noticed = Noticed::default();
        assert_eq!(noticed.news(both()).len(), 2, "nothing was known before");
        assert_eq!(noticed.news(both()), []);
        let mut changed = both();
        changed[1].status = ServerStatus::Stopping;
        assert_eq!(noticed.news(changed), [other.nova_id.unwrap()]);
        assert_eq!(noticed.news(vec![]), [], "what changed long ago is no longer listed");
        assert_eq!(noticed.news(both()).len(), 2);
    }

    #[test]
    fn a_built_machine_becomes_active_with_its_address() {
        let row = row(Status::Building, None, false);
        let change = difference(&row, &server(&row, ServerStatus::Active)).unwrap();
        assert_eq!((change.status, change.ip_address.as_deref()), (Status::Active, Some("10.0.0.5")));
        assert!(change.attach_address && change.event == Some(Kind::Active));
    }

    #[test]
    fn a_request_that_the_cloud_has_not_taken_stays() {
        let row = row(Status::Active, Some(Transition::Stopping), false);
        let change = difference(&row, &server(&row, ServerStatus::Active)).unwrap();
        assert_eq!((change.transition, change.transition_accepted), (Some(Transition::Stopping), false));
    }

    #[test]
    fn a_request_that_the_cloud_has_taken_ends_when_the_machine_settles() {
        let row = row(Status::Active, Some(Transition::Stopping), true);
        let on_its_way = difference(&row, &server(&row, ServerStatus::Stopping));
        assert_eq!(on_its_way.unwrap().transition, Some(Transition::Stopping));
        let there = difference(&row, &server(&row, ServerStatus::Stopped)).unwrap();
        assert_eq!((there.status, there.transition, there.event), (Status::Stopped, None, Some(Kind::Stopped)));
    }

    #[test]
    fn our_own_deletion_ends_with_its_operation_only() {
        let row = row(Status::Active, Some(Transition::Deleting), true);
        assert_eq!(difference(&row, &server(&row, ServerStatus::Deleted)), None);
        let still = difference(&row, &server(&row, ServerStatus::Active)).unwrap();
        assert_eq!(still.transition, Some(Transition::Deleting));
    }

    #[test]
    fn a_deletion_by_another_tool_is_seen_to_its_end() {
        let mut row = row(Status::Active, None, false);
        let change = difference(&row, &server(&row, ServerStatus::Deleting)).unwrap();
        assert_eq!((change.transition, change.reason.as_deref()), (Some(Transition::Deleting), Some(DELETED_OUTSIDE)));
        row = row.with(change.transition, true, change.reason);
        let gone = difference(&row, &server(&row, ServerStatus::Deleted)).unwrap();
        assert_eq!((gone.status, gone.transition, gone.reason.as_deref()), (Status::Error, None, Some("vanished")));
    }

    #[test]
    fn faults_have_names_and_keep_the_clouds_words() {
        for (fault, reason) in [
            (Some("No valid host was found. "), "no_valid_host"),
            (Some("Quota exceeded for instances"), "cloud_quota"),
            (Some("<script>"), "build_failed"),
            (None, "build_failed"),
        ] {
            let row = row(Status::Building, None, false);
            let seen = Server { fault: fault.map(str::to_owned), ..server(&row, ServerStatus::Error) };
            let change = difference(&row, &seen).unwrap();
            assert_eq!((change.status, change.reason.as_deref()), (Status::Error, Some(reason)));
            assert_eq!(change.reason_text.as_deref(), fault);
        }
    }

    #[test]
    fn a_status_that_we_do_not_know_is_unknown_and_never_stopped() {
        let row = row(Status::Active, None, false);
        let change = difference(&row, &server(&row, ServerStatus::Unknown)).unwrap();
        assert_eq!((change.status, change.reason_text.as_deref()), (Status::Unknown, Some("Unknown")));
    }

    #[test]
    fn only_rows_of_listed_machines_change() {
        let (listed, other) = (row(Status::Building, None, false), row(Status::Building, None, false));
        let stranger = Server { id: Uuid::new_v4(), ..server(&listed, ServerStatus::Active) };
        let changes = compare(&[listed.clone(), other], &[server(&listed, ServerStatus::Active), stranger]);
        assert_eq!(changes.iter().map(|change| change.id).collect::<Vec<_>>(), [listed.id]);
    }
}
