//! The table of mini PCs.

use chrono::NaiveDateTime;
use diesel::dsl::{count, count_star};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::events::{self, Kind};
use crate::config::Quota;
use crate::db;
use crate::ids::{AccountId, InstanceId, NovaId, SshKeyId};
use crate::instance_templates::model::InstanceTemplate;
use crate::keys::model::{NewKey, SshKey};
use crate::operations::model::{self as operations, Action};
use crate::quotas;
use crate::schema::{accounts, instances};

pub mod progress;
pub mod seen;

/// What the cloud said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Building,
    Active,
    Stopped,
    Error,
    /// A status that Nova has and we don't: PAUSED, RESCUE …
    Unknown,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    pub fn from_name(name: &str) -> Self {
        [Self::Building, Self::Active, Self::Stopped, Self::Error]
            .into_iter()
            .find(|status| status.name() == name)
            .unwrap_or(Self::Unknown)
    }
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Starting,
    Stopping,
    Rebooting,
    Deleting,
}

impl Transition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Rebooting => "rebooting",
            Self::Deleting => "deleting",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Starting, Self::Stopping, Self::Rebooting, Self::Deleting].into_iter().find(|t| t.name() == name)
    }
}

/// What was ordered: stored with the row, so that a template's later changes don't reach machines that exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub image: String,
    pub flavor: String,
    pub network: String,
    pub floating_network: String,
    pub security_groups: Vec<String>,
    /// The template's own key pair in the cloud; empty: the person's key.
    pub key_pair: String,
    pub ssh_user: String,
    pub user_data: String,
    /// The person's public key, and the file that its private key was downloaded as (empty: a key of their own).
    pub public_key: Option<String>,
    pub key_file: String,
}

impl Spec {
    pub fn of(template: &InstanceTemplate, key: Option<&SshKey>) -> Self {
        Self {
            image: template.image.clone(),
            flavor: template.flavor.clone(),
            network: template.network.clone(),
            floating_network: template.floating_network.clone(),
            security_groups: template.security_groups(),
            key_pair: template.key_pair.clone(),
            ssh_user: template.ssh_user.clone(),
            user_data: template.user_data.clone(),
            public_key: key.map(|key| key.public_key.clone()),
            key_file: key
                .filter(|key| key.generated)
                .map(|key| crate::keys::model::file_name(key.id))
                .unwrap_or_default(),
        }
    }
}

/// A row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = instances)]
pub struct Instance {
    pub id: InstanceId,
    pub account_id: AccountId,
    pub name: String,
    pub template_name: String,
    spec: String,
    pub vcpus: u32,
    pub ram_mb: u32,
    pub disk_gb: u32,
    pub nova_id: Option<NovaId>,
    status: String,
    transition: Option<String>,
    pub transition_accepted: bool,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    pub ip_address: Option<String>,
    pub floating_ip: Option<String>,
    pub version: u32,
    pub created_at: NaiveDateTime,
    pub updated_at: NaiveDateTime,
}

/// Which rows a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    #[default]
    All,
    Running,
    Stopped,
    /// Broken or unknown.
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
    /// What counts against the quota: every mini PC until it is gone, but for those that never came to be.
    pub usage: quotas::Usage,
}

/// The reason of a row whose machine another tool is deleting.
pub const DELETED_OUTSIDE: &str = "deleted_outside";

/// Rows on one page of the list.
pub const PAGE: i64 = 30;

/// An order for a mini PC.
pub struct Order<'a> {
    pub name: &'a str,
    pub template: &'a InstanceTemplate,
    pub key: KeyPlan,
    /// The form's key, which makes a second click find the first one's mini PC.
    pub launch_key: &'a str,
}

/// Which SSH key goes into it.
#[derive(Debug, Clone)]
pub enum KeyPlan {
    Own(SshKeyId),
    /// The latest one that the account has, or this one, if it has none.
    LatestOr(NewKey),
    New(NewKey),
}

/// What was ordered, now or by the first of two clicks.
#[derive(Debug, Clone)]
pub struct Launched {
    pub id: InstanceId,
    pub spec: Spec,
}

/// Why a mini PC can't be rented.
#[derive(Debug)]
pub enum LaunchRefusal {
    OverQuota,
    /// The chosen key is not one of the account's.
    UnknownKey,
    /// The account has as many keys as it may.
    TooManyKeys,
    Database(diesel::result::Error),
}

impl From<diesel::result::Error> for LaunchRefusal {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl db::AsDiesel for LaunchRefusal {
    fn as_diesel(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::OverQuota | Self::UnknownKey | Self::TooManyKeys => None,
            Self::Database(error) => Some(error),
        }
    }
}

impl Instance {
    pub fn status(&self) -> Status {
        Status::from_name(&self.status)
    }

    pub fn transition(&self) -> Option<Transition> {
        self.transition.as_deref().and_then(Transition::from_name)
    }

    /// Whether another tool than the portal is deleting it.
    pub fn is_deleted_outside(&self) -> bool {
        self.reason.as_deref() == Some(DELETED_OUTSIDE)
    }

    /// Whether it is on its way from one state to another.
    pub fn is_unsettled(&self) -> bool {
        self.status() == Status::Building || self.transition.is_some()
    }

    /// # Errors
    /// When the column holds no JSON of ours.
    pub fn spec(&self) -> serde_json::Result<Spec> {
        serde_json::from_str(&self.spec)
    }

    /// What can be asked of it now.
    pub fn allows(&self, action: Action) -> bool {
        let settled = self.transition.is_none();
        match action {
            Action::Start => settled && self.status() == Status::Stopped,
            Action::Stop => settled && self.status() == Status::Active,
            Action::Reboot => settled && self.status() == Status::Active,
            Action::Delete => self.transition() != Some(Transition::Deleting) || self.is_deleted_outside(),
            Action::Create | Action::AttachAddress | Action::Redeploy | Action::Investigate => false,
        }
    }

    /// Rents: writes the row, its key and its operation, if the quota allows it. The account's row is locked meanwhile, so
    /// that two requests can't both take the last place. The same launch key again gives what is there.
    ///
    /// # Errors
    /// [`LaunchRefusal`]
    pub fn launch(
        conn: &mut MysqlConnection,
        account: AccountId,
        order: &Order<'_>,
        default_quota: Quota,
    ) -> Result<Launched, LaunchRefusal> {
        // Only its digest is stored: a pair that was made with the form is derived from the form's key.
        let launch_key = hex::encode(Sha256::digest(order.launch_key.as_bytes()));
        let template = order.template;
        db::transaction(conn, |conn| {
            accounts::table.find(account).select(accounts::id).for_update().first::<AccountId>(conn)?;
            let there = instances::table
                .filter(instances::account_id.eq(account))
                .filter(instances::launch_key.eq(&launch_key))
                .select((instances::id, instances::spec))
                .first::<(InstanceId, String)>(conn)
                .optional()?;
            if let Some((id, spec)) = there {
                let spec = serde_json::from_str(&spec).map_err(unreadable)?;
                return Ok(Launched { id, spec });
            }
            let more = quotas::Usage { instances: 1, vcpus: template.vcpus, ram_mb: template.ram_mb };
            let limit = quotas::limit(conn, account, default_quota)?;
            if !quotas::usage(conn, account)?.fits(more, limit) {
                return Err(LaunchRefusal::OverQuota);
            }
            let key = key_of(conn, account, &order.key)?;
            let spec = Spec::of(template, Some(&key));
            let id = InstanceId::new();
            let now = db::now();
            diesel::insert_into(instances::table)
                .values((
                    instances::id.eq(id),
                    instances::account_id.eq(account),
                    instances::name.eq(order.name),
                    instances::template_id.eq(Some(template.id)),
                    instances::template_name.eq(&template.name),
                    instances::spec.eq(serde_json::to_string(&spec).map_err(unwritable)?),
                    instances::vcpus.eq(template.vcpus),
                    instances::ram_mb.eq(template.ram_mb),
                    instances::disk_gb.eq(template.disk_gb),
                    instances::status.eq(Status::Building.name()),
                    instances::launch_key.eq(&launch_key),
                    instances::version.eq(0),
                    instances::created_at.eq(now),
                    instances::updated_at.eq(now),
                ))
                .execute(conn)?;
            operations::enqueue(conn, account, id, Action::Create)?;
            events::record(conn, id, Kind::Requested, Some(&template.name))?;
            Ok(Launched { id, spec })
        })
    }

    /// Asks for a start, stop, reboot or deletion: writes the transition and its operation. False when its state does
    /// not allow that (any more); nothing has changed then.
    ///
    /// # Errors
    /// Not found, when it is somebody else's, too; the database's.
    pub fn request(
        conn: &mut MysqlConnection,
        account: AccountId,
        id: InstanceId,
        action: Action,
    ) -> QueryResult<bool> {
        let (transition, kind) = match action {
            Action::Start => (Transition::Starting, Kind::StartRequested),
            Action::Stop => (Transition::Stopping, Kind::StopRequested),
            Action::Reboot => (Transition::Rebooting, Kind::RebootRequested),
            Action::Delete => (Transition::Deleting, Kind::DeleteRequested),
            Action::Create | Action::AttachAddress | Action::Redeploy | Action::Investigate => return Ok(false),
        };
        db::transaction(conn, |conn| {
            let row: Self = alive()
                .filter(instances::id.eq(id))
                .filter(instances::account_id.eq(account))
                .select(Self::as_select())
                .for_update()
                .first(conn)?;
            if action == Action::Delete && !row.allows(action) {
                // Asked for twice: it is under way.
                return Ok(true);
            }
            if !row.allows(action) {
                return Ok(false);
            }
            if action == Action::Delete {
                operations::cancel_waiting(conn, id)?;
            }
            diesel::update(instances::table.find(id))
                .set((
                    instances::transition.eq(transition.name()),
                    instances::transition_accepted.eq(false),
                    // Why it is broken stays told; that another tool is deleting it does not, when we do.
                    instances::reason.eq(row.reason.clone().filter(|reason| reason != DELETED_OUTSIDE)),
                    instances::version.eq(instances::version + 1),
                    instances::updated_at.eq(db::now()),
                ))
                .execute(conn)?;
            operations::enqueue(conn, account, id, action)?;
            events::record(conn, id, kind, None)?;
            Ok(true)
        })
    }

    /// # Errors
    /// Not found, when it is somebody else's or gone, too; the database's.
    pub fn find(conn: &mut MysqlConnection, account: AccountId, id: InstanceId) -> QueryResult<Self> {
        alive()
            .filter(instances::id.eq(id))
            .filter(instances::account_id.eq(account))
            .select(Self::as_select())
            .first(conn)
    }

    /// For the worker, which acts for every account; gone ones too are not found.
    ///
    /// # Errors
    /// Not found; the database's.
    pub fn find_for_work(conn: &mut MysqlConnection, id: InstanceId) -> QueryResult<Option<Self>> {
        alive().filter(instances::id.eq(id)).select(Self::as_select()).first(conn).optional()
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
    ) -> QueryResult<Vec<Self>> {
        let mut query = alive().filter(instances::account_id.eq(account)).into_boxed();
        query = match filter {
            Filter::All => query,
            Filter::Running => query.filter(instances::status.eq("active")).filter(instances::transition.is_null()),
            Filter::Stopped => query.filter(instances::status.eq("stopped")).filter(instances::transition.is_null()),
            Filter::NeedsLook => query.filter(instances::status.eq_any(["error", "unknown"])),
        };
        if !search.is_empty() {
            let pattern = format!("%{}%", search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            query = query.filter(
                instances::name
                    .like(pattern.clone())
                    .or(instances::ip_address.like(pattern.clone()))
                    .or(instances::floating_ip.like(pattern)),
            );
        }
        let first = diesel::dsl::sql::<diesel::sql_types::Integer>(
            "CASE WHEN transition IS NOT NULL OR status = 'building' THEN 0 \
             WHEN status IN ('error', 'unknown') THEN 1 ELSE 2 END",
        );
        query.order((first, instances::id.desc())).offset(offset).limit(limit).select(Self::as_select()).load(conn)
    }

    /// # Errors
    /// The database's.
    pub fn counts(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<Counts> {
        // One query with typed columns only: diesel keeps its prepared statement.
        let groups: Vec<(String, Option<String>, u32, u32, i64, i64)> = alive()
            .filter(instances::account_id.eq(account))
            .group_by((instances::status, instances::transition, instances::vcpus, instances::ram_mb))
            .select((
                instances::status,
                instances::transition,
                instances::vcpus,
                instances::ram_mb,
                count_star(),
                count(instances::nova_id),
            ))
            .load(conn)?;
        let small = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        let mut counts = Counts::default();
        for (status, transition, vcpus, ram_mb, count, known_to_cloud) in groups {
            let count = small(count);
            let taken = if status == Status::Error.name() { small(known_to_cloud) } else { count };
            let used = &mut counts.usage;
            used.instances = used.instances.saturating_add(taken);
            used.vcpus = used.vcpus.saturating_add(vcpus.saturating_mul(taken));
            used.ram_mb = used.ram_mb.saturating_add(ram_mb.saturating_mul(taken));
            let status = Status::from_name(&status);
            counts.total += count;
            if transition.is_some() || status == Status::Building {
                counts.unsettled += count;
            }
            match status {
                // One that is being stopped or restarted still runs; one that is being deleted does not count.
                Status::Active if transition.as_deref() != Some("deleting") => counts.running += count,
                Status::Stopped => counts.stopped += count,
                Status::Error | Status::Unknown => counts.needs_look += count,
                Status::Active | Status::Building => {}
            }
        }
        Ok(counts)
    }
}

/// The key of an order; a new one is stored.
fn key_of(conn: &mut MysqlConnection, account: AccountId, plan: &KeyPlan) -> Result<SshKey, LaunchRefusal> {
    let store = |conn: &mut MysqlConnection, new: &NewKey| match SshKey::create(conn, account, new)? {
        Some(id) => Ok(SshKey::find(conn, account, id)?),
        None => Err(LaunchRefusal::TooManyKeys),
    };
    match plan {
        KeyPlan::Own(id) => SshKey::find(conn, account, *id).map_err(|error| match error {
            diesel::result::Error::NotFound => LaunchRefusal::UnknownKey,
            error => error.into(),
        }),
        KeyPlan::LatestOr(new) => match SshKey::list(conn, account)?.into_iter().next() {
            Some(latest) => Ok(latest),
            None => store(conn, new),
        },
        KeyPlan::New(new) => store(conn, new),
    }
}

fn unreadable(error: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}

fn unwritable(error: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(error))
}

/// Rows that are not gone.
fn alive() -> diesel::dsl::Filter<instances::table, diesel::dsl::IsNull<instances::deleted_at>> {
    instances::table.filter(instances::deleted_at.is_null())
}
