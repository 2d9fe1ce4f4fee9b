//! The tables of applications and of what they are made of.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::count_star;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::events::{self, Kind};
use crate::cloud::cluster::{Listeners, Observed};
use crate::config;
use crate::db;
use crate::ids::{AccountId, ApplicationId};
use crate::operations::model::{self as operations, Action};
use crate::quotas;
use crate::schema::{application_configs, applications};

pub mod configs;
pub mod progress;
mod requests;
pub mod seen;

pub use configs::Deployed;
pub use requests::{NewApplication, Redeployment, Refusal};

/// What the cluster said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending,
    Running,
    Stopped,
    Failed,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// A name that another version wrote is pending: the next look at the cluster says better.
    pub fn from_name(name: &str) -> Self {
        [Self::Running, Self::Stopped, Self::Failed]
            .into_iter()
            .find(|status| status.name() == name)
            .unwrap_or(Self::Pending)
    }
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Deploying,
    Redeploying,
    Starting,
    Stopping,
    Deleting,
}

impl Transition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Redeploying => "redeploying",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Deleting => "deleting",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Deploying, Self::Redeploying, Self::Starting, Self::Stopping, Self::Deleting]
            .into_iter()
            .find(|transition| transition.name() == name)
    }
}

/// How big a container may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.name() == name)
    }

    /// Thousandths of a processor, and memory in MB.
    pub fn limits(self, config: &config::Applications) -> (u32, u32) {
        match self {
            Self::Small => (config.small_cpu_millis, config.small_memory_mb),
            Self::Medium => (config.medium_cpu_millis, config.medium_memory_mb),
            Self::Large => (config.large_cpu_millis, config.large_memory_mb),
        }
    }
}

/// What was found out about why it is as it is, beside the reason's name and the cluster's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// What was looked into: the same is not looked into twice. Empty: nothing was.
    pub key: String,
    pub exit_code: Option<i32>,
    /// The last lines of its log, cleaned.
    pub log: Vec<String>,
    pub listeners: Option<Listeners>,
    /// Where it listens instead of at its internal port.
    pub suggested_port: Option<u16>,
    /// The former revision still answers.
    pub old_answers: bool,
    /// Architectures that the image is offered for.
    pub offers: Vec<String>,
    /// When the registry may be asked again.
    pub retry_at: Option<DateTime<Utc>>,
}

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = applications)]
pub struct Application {
    pub id: ApplicationId,
    pub account_id: AccountId,
    pub name: String,
    #[diesel(deserialize_as = Label)]
    /// The first label of its host name; empty only once it is gone.
    pub host_label: String,
    pub namespace: String,
    pub deployment_name: String,
    pub service_name: String,
    status: String,
    transition: Option<String>,
    pub transition_accepted: bool,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    findings: Option<String>,
    pub replicas: u32,
    size: String,
    /// Of one replica: thousandths of a processor, and memory.
    pub cpu_millis: u32,
    pub memory_mb: u32,
    /// The row of `application_configs` that is wanted.
    pub revision: u32,
    /// The one that the cluster has taken whole last; None: nothing of it is in the cluster.
    pub deployed_revision: Option<u32>,
    observed: Option<String>,
    pub since: Option<NaiveDateTime>,
    /// When what the cluster said last is to be judged anew.
    pub look_at: Option<NaiveDateTime>,
    pub version: u32,
    pub created_at: NaiveDateTime,
    pub updated_at: NaiveDateTime,
}

/// A column that is NULL for rows of the past only.
pub struct Label(String);

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl Queryable<diesel::sql_types::Nullable<diesel::sql_types::Text>, diesel::mysql::Mysql> for Label {
    type Row = Option<String>;

    fn build(row: Self::Row) -> diesel::deserialize::Result<Self> {
        Ok(Self(row.unwrap_or_default()))
    }
}

/// Which rows a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    #[default]
    All,
    Running,
    Stopped,
    /// Failed, or running beside something that does not work.
    NeedsLook,
}

/// How many of an account's rows are in which state, and what they take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: u32,
    pub running: u32,
    pub stopped: u32,
    pub needs_look: u32,
    /// Something is under way.
    pub unsettled: u32,
    /// What counts against the quota: every application until it is gone. A stopped one counts as if it ran, so that
    /// starting it never fails for want of room; one that could not be deployed counts, so that mending it does not.
    pub usage: quotas::AppUsage,
}

/// The reason of a row whose Deployment another tool is deleting.
pub const DELETED_OUTSIDE: &str = "deleted_outside";
/// The reason of a row whose Deployment is gone without our doing.
pub const VANISHED: &str = "vanished";

/// Reasons of a row whose deployment was refused: what had been made of it is being removed, or is.
pub const REFUSED: [&str; 2] = ["deploy_failed", "quota"];
/// The reason of a row whose request the cluster has not answered.
pub const WAITING: &str = "waiting_for_cluster";

/// Rows on one page of the list.
pub const PAGE: i64 = 30;

impl Application {
    pub fn status(&self) -> Status {
        Status::from_name(&self.status)
    }

    pub fn transition(&self) -> Option<Transition> {
        self.transition.as_deref().and_then(Transition::from_name)
    }

    /// One that another version of the portal wrote is small.
    pub fn size(&self) -> Size {
        Size::from_name(&self.size).unwrap_or(Size::Small)
    }

    /// What was found out; nothing, where nothing was or it can't be read.
    pub fn findings(&self) -> Findings {
        self.findings.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// What the cluster said last, as stored.
    pub fn observed(&self) -> Option<Observed> {
        self.observed.as_deref().and_then(|json| serde_json::from_str(json).ok())
    }

    /// Whether another tool than the portal is deleting it.
    pub fn is_deleted_outside(&self) -> bool {
        self.reason.as_deref() == Some(DELETED_OUTSIDE)
    }

    /// Whether it is on its way from one state to another.
    pub fn is_unsettled(&self) -> bool {
        self.status() == Status::Pending || self.transition.is_some()
    }

    /// Whether a deployment was refused, and what there was before is being put back.
    pub fn is_turning_back(&self) -> bool {
        !self.transition_accepted
            && matches!(self.transition(), Some(Transition::Deploying | Transition::Redeploying))
            && self.reason.as_deref().is_some_and(|reason| REFUSED.contains(&reason))
    }

    /// What can be asked of it now.
    pub fn allows(&self, action: Action) -> bool {
        // What the cluster has taken can be stopped or changed again while it is on its way.
        let on_its_way = self.transition_accepted
            && matches!(
                self.transition(),
                Some(Transition::Deploying | Transition::Redeploying | Transition::Starting)
            );
        let free = self.transition.is_none() || on_its_way;
        let there = self.deployed_revision.is_some() && self.reason.as_deref() != Some(VANISHED);
        match action {
            Action::Start => self.transition.is_none() && there && self.status() == Status::Stopped,
            Action::Stop => free && there && self.status() != Status::Stopped,
            Action::Redeploy => free,
            Action::Delete => self.transition() != Some(Transition::Deleting) || self.is_deleted_outside(),
            Action::Create | Action::Reboot | Action::AttachAddress | Action::Investigate => false,
        }
    }

    /// # Errors
    /// Not found, when it is somebody else's or gone, too; the database's.
    pub fn find(conn: &mut MysqlConnection, account: AccountId, id: ApplicationId) -> QueryResult<(Self, Deployed)> {
        let (row, config): (Self, configs::Row) = with_config!()
            .filter(applications::id.eq(id))
            .filter(applications::account_id.eq(account))
            .select((Self::as_select(), configs::Row::as_select()))
            .first(conn)?;
        Ok((row, config.read()?))
    }

    /// For the worker, which acts for every account; gone ones are None.
    ///
    /// # Errors
    /// The database's.
    pub fn find_for_work(conn: &mut MysqlConnection, id: ApplicationId) -> QueryResult<Option<Self>> {
        alive().filter(applications::id.eq(id)).select(Self::as_select()).first(conn).optional()
    }

    /// An older deployment of it, for going back.
    ///
    /// # Errors
    /// Not found, when it is somebody else's or gone, too; the database's.
    pub fn deployed(
        conn: &mut MysqlConnection,
        account: AccountId,
        id: ApplicationId,
        revision: u32,
    ) -> QueryResult<Deployed> {
        let config: configs::Row = alive()
            .inner_join(application_configs::table.on(application_configs::application_id.eq(applications::id)))
            .filter(applications::id.eq(id))
            .filter(applications::account_id.eq(account))
            .filter(application_configs::revision.eq(revision))
            .select(configs::Row::as_select())
            .first(conn)?;
        config.read()
    }

    /// A page of an account's rows: those under way and broken first, then the newest. `offset` counts rows.
    ///
    /// # Errors
    /// The database's.
    pub fn list(
        conn: &mut MysqlConnection,
        account: AccountId,
        filter: Filter,
        search: &str,
        offset: i64,
        limit: i64,
    ) -> QueryResult<Vec<(Self, Deployed)>> {
        let mut query = with_config!().filter(applications::account_id.eq(account)).into_boxed();
        query = match filter {
            Filter::All => query,
            Filter::Running => {
                query.filter(applications::status.eq("running")).filter(applications::transition.is_null())
            }
            Filter::Stopped => {
                query.filter(applications::status.eq("stopped")).filter(applications::transition.is_null())
            }
            Filter::NeedsLook => query.filter(
                applications::status
                    .eq("failed")
                    .or(applications::status.eq("running").and(applications::reason.is_not_null())),
            ),
        };
        if !search.is_empty() {
            let pattern = format!("%{}%", search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            query = query.filter(
                applications::name
                    .like(pattern.clone())
                    .or(applications::host_label.like(pattern.to_lowercase()))
                    .or(application_configs::image.like(pattern)),
            );
        }
        let first = diesel::dsl::sql::<diesel::sql_types::Integer>(
            "CASE WHEN transition IS NOT NULL OR status = 'pending' THEN 0 WHEN status = 'failed' THEN 1 ELSE 2 END",
        );
        let rows: Vec<(Self, configs::Row)> = query
            .order((first, applications::id.desc()))
            .offset(offset)
            .limit(limit)
            .select((Self::as_select(), configs::Row::as_select()))
            .load(conn)?;
        rows.into_iter().map(|(row, config)| Ok((row, config.read()?))).collect()
    }

    /// # Errors
    /// The database's.
    pub fn counts(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<Counts> {
        type Group = (String, Option<String>, Option<String>, u32, u32, u32, i64);
        let groups: Vec<Group> = alive()
            .filter(applications::account_id.eq(account))
            .group_by((
                applications::status,
                applications::transition,
                applications::reason,
                applications::replicas,
                applications::cpu_millis,
                applications::memory_mb,
            ))
            .select((
                applications::status,
                applications::transition,
                applications::reason,
                applications::replicas,
                applications::cpu_millis,
                applications::memory_mb,
                count_star(),
            ))
            .load(conn)?;
        let mut counts = Counts::default();
        for (status, transition, reason, replicas, cpu_millis, memory_mb, count) in groups {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let used = &mut counts.usage;
            let pods = replicas.saturating_mul(count);
            used.applications = used.applications.saturating_add(count);
            used.cpu_millis = used.cpu_millis.saturating_add(cpu_millis.saturating_mul(pods));
            used.memory_mb = used.memory_mb.saturating_add(memory_mb.saturating_mul(pods));
            let status = Status::from_name(&status);
            counts.total += count;
            if transition.is_some() || status == Status::Pending {
                counts.unsettled += count;
            }
            match status {
                // One that is being stopped or changed still runs; one that is being deleted does not count.
                Status::Running if transition.as_deref() != Some("deleting") => {
                    counts.running += count;
                    if reason.is_some() {
                        counts.needs_look += count;
                    }
                }
                Status::Stopped => counts.stopped += count,
                Status::Failed => counts.needs_look += count,
                Status::Running | Status::Pending => {}
            }
        }
        Ok(counts)
    }
}

/// Whether nobody has this label. Another may take it before it is asked for.
///
/// # Errors
/// The database's.
pub fn host_is_free(conn: &mut MysqlConnection, label: &str) -> QueryResult<bool> {
    let taken = diesel::dsl::exists(applications::table.filter(applications::host_label.eq(label)));
    diesel::select(diesel::dsl::not(taken)).get_result(conn)
}

fn unreadable(error: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(error))
}

/// Rows that are not gone.
fn alive() -> diesel::dsl::Filter<applications::table, diesel::dsl::IsNull<applications::deleted_at>> {
    applications::table.filter(applications::deleted_at.is_null())
}

/// Rows that are not gone, each with the deployment that is wanted.
macro_rules! with_config {
    () => {
        alive().inner_join(
            application_configs::table.on(application_configs::application_id
                .eq(applications::id)
                .and(application_configs::revision.eq(applications::revision))),
        )
    };
}
use with_config;
