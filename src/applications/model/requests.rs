//! What people ask for: deploy, redeploy, start, stop, delete. Each writes the rows and an operation in one transaction.

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::*;
use crate::applications::secrets::Secrets;
use crate::cloud::cluster::{namespace, object_name};
use crate::config::Quota;
use crate::schema::accounts;
use crate::settings::Shared;

/// An order for an application.
#[derive(Debug, Clone)]
pub struct NewApplication {
    pub name: String,
    pub host_label: String,
    /// As typed.
    pub image: String,
    /// In full.
    pub image_reference: String,
    pub exposed_ports: Vec<u16>,
    pub internal_port: u16,
    pub external_port: u16,
    pub replicas: u32,
    pub size: Size,
    pub variables: Vec<(String, String)>,
    pub secrets: Vec<(String, SecretString)>,
    /// The form's key, which makes a second click find the first one's application.
    pub launch_key: String,
}

/// What shall take the place of what runs.
#[derive(Debug, Clone)]
pub struct Redeployment {
    pub image: String,
    pub image_reference: String,
    pub exposed_ports: Vec<u16>,
    pub internal_port: u16,
    pub external_port: u16,
    pub replicas: u32,
    pub size: Size,
    pub variables: Vec<(String, String)>,
    /// Secret variables that are new or changed.
    pub secrets_set: Vec<(String, SecretString)>,
    /// Names of those that stay as they are; others go. A name that it does not have is left out.
    pub secrets_kept: Vec<String>,
}

/// Why something can't be asked for.
#[derive(Debug)]
pub enum Refusal {
    OverQuota,
    /// Somebody has the host name; it may be an application of the same person.
    HostTaken,
    /// Its state does not allow that (any more).
    NotNow,
    Database(diesel::result::Error),
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl db::AsDiesel for Refusal {
    fn as_diesel(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::OverQuota | Self::HostTaken | Self::NotNow => None,
            Self::Database(error) => Some(error),
        }
    }
}

/// Waits for the account's other requests, so that two can't both take the last place.
fn lock_account(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<()> {
    accounts::table.find(account).select(accounts::id).for_update().first::<AccountId>(conn)?;
    Ok(())
}

/// A tag that moves: what a node has under it may be old (`imagePullPolicy`).
fn moves(image_reference: &str) -> bool {
    !image_reference.contains('@') && image_reference.ends_with(":latest")
}

impl Application {
    /// Puts one online: writes the rows and the operation, if the quota allows it and the host name is free. The same
    /// launch key again gives what is there.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn deploy(
        conn: &mut MysqlConnection,
        account: AccountId,
        new: &NewApplication,
        default_quota: Quota,
        shared: &Shared,
        config: &config::Applications,
    ) -> Result<ApplicationId, Refusal> {
        let launch_key = hex::encode(Sha256::digest(new.launch_key.as_bytes()));
        let (cpu_millis, memory_mb) = new.size.limits(config);
        db::transaction(conn, |conn| {
            lock_account(conn, account)?;
            let there = applications::table
                .filter(applications::account_id.eq(account))
                .filter(applications::launch_key.eq(&launch_key))
                .select(applications::id)
                .first::<ApplicationId>(conn)
                .optional()?;
            if let Some(id) = there {
                return Ok(id);
            }
            let more = quotas::AppUsage {
                applications: 1,
                cpu_millis: cpu_millis.saturating_mul(new.replicas),
                memory_mb: memory_mb.saturating_mul(new.replicas),
            };
            let limit = quotas::limit(conn, account, default_quota)?;
            if !Self::counts(conn, account)?.usage.fits(more, limit) {
                return Err(Refusal::OverQuota);
            }
            let id = ApplicationId::new();
            insert(conn, account, id, new, &launch_key, config)?;
            let names: Vec<String> = new.secrets.iter().map(|(name, _)| name.clone()).collect();
            let row = configs::New {
                application: id,
                revision: 1,
                image: &new.image,
                image_reference: &new.image_reference,
                pull_always: moves(&new.image_reference),
                external_port: new.external_port,
                internal_port: new.internal_port,
                replicas: new.replicas,
                size: new.size,
                cpu_millis,
                memory_mb,
                exposed_ports: &new.exposed_ports,
                variables: &new.variables,
                secret_names: &names,
                secrets: &new.secrets,
            };
            configs::insert(conn, &row, shared)?;
            operations::enqueue(conn, account, id, Action::Create)?;
            events::record(conn, id, Kind::Requested, Some(&new.image))?;
            Ok(id)
        })
    }

    /// Puts a changed one in the place of the one that runs; a stopped one runs afterwards. The image is asked for anew
    /// at its registry.
    ///
    /// # Errors
    /// [`Refusal`]; not found, when it is somebody else's, too.
    pub fn redeploy(
        conn: &mut MysqlConnection,
        account: AccountId,
        id: ApplicationId,
        change: &Redeployment,
        default_quota: Quota,
        shared: &Shared,
        config: &config::Applications,
    ) -> Result<(), Refusal> {
        let (cpu_millis, memory_mb) = change.size.limits(config);
        db::transaction(conn, |conn| {
            lock_account(conn, account)?;
            let row = locked(conn, account, id)?;
            if !row.allows(Action::Redeploy) {
                return Err(Refusal::NotNow);
            }
            let own = row.usage();
            let wanted = quotas::AppUsage {
                applications: 1,
                cpu_millis: cpu_millis.saturating_mul(change.replicas),
                memory_mb: memory_mb.saturating_mul(change.replicas),
            };
            let all = Self::counts(conn, account)?.usage;
            let others = quotas::AppUsage {
                applications: all.applications.saturating_sub(own.applications),
                cpu_millis: all.cpu_millis.saturating_sub(own.cpu_millis),
                memory_mb: all.memory_mb.saturating_sub(own.memory_mb),
            };
            // Who has more than a limit that was lowered since may stay as big.
            let grows = wanted.cpu_millis > own.cpu_millis || wanted.memory_mb > own.memory_mb;
            if grows && !others.fits(wanted, quotas::limit(conn, account, default_quota)?) {
                return Err(Refusal::OverQuota);
            }
            let revision = configs::next_revision(conn, id)?;
            let (names, secrets) = carried_over(conn, &row, change, shared)?;
            let new = configs::New {
                application: id,
                revision,
                image: &change.image,
                image_reference: &change.image_reference,
                pull_always: true,
                external_port: change.external_port,
                internal_port: change.internal_port,
                replicas: change.replicas,
                size: change.size,
                cpu_millis,
                memory_mb,
                exposed_ports: &change.exposed_ports,
                variables: &change.variables,
                secret_names: &names,
                secrets: &secrets,
            };
            // What had not reached the cluster goes with the new one.
            configs::forget_secrets(conn, id)?;
            configs::insert(conn, &new, shared)?;
            operations::cancel_waiting(conn, id)?;
            diesel::update(applications::table.find(id))
                .set((
                    applications::transition.eq(Transition::Redeploying.name()),
                    applications::transition_accepted.eq(false),
                    applications::reason.eq(None::<String>),
                    applications::reason_text.eq(None::<String>),
                    applications::findings.eq(None::<String>),
                    applications::replicas.eq(change.replicas),
                    applications::size.eq(change.size.name()),
                    applications::cpu_millis.eq(cpu_millis),
                    applications::memory_mb.eq(memory_mb),
                    applications::revision.eq(revision),
                    applications::look_at.eq(None::<NaiveDateTime>),
                    applications::version.eq(applications::version + 1),
                    applications::updated_at.eq(db::now()),
                ))
                .execute(conn)?;
            operations::enqueue(conn, account, id, Action::Redeploy)?;
            events::record(conn, id, Kind::RedeployRequested, Some(&change.image))?;
            Ok(())
        })
    }

    /// Asks for a start, stop or deletion: writes the transition and its operation. False when its state does not allow
    /// that (any more); nothing has changed then. Starting never meets the quota: a stopped one counts as if it ran.
    ///
    /// # Errors
    /// Not found, when it is somebody else's, too; the database's.
    pub fn request(
        conn: &mut MysqlConnection,
        account: AccountId,
        id: ApplicationId,
        action: Action,
    ) -> QueryResult<bool> {
        let (transition, kind) = match action {
            Action::Start => (Transition::Starting, Kind::StartRequested),
            Action::Stop => (Transition::Stopping, Kind::StopRequested),
            Action::Delete => (Transition::Deleting, Kind::DeleteRequested),
            Action::Create | Action::Reboot | Action::AttachAddress | Action::Redeploy | Action::Investigate => {
                return Ok(false);
            }
        };
        db::transaction(conn, |conn| {
            let row = locked(conn, account, id)?;
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
            diesel::update(applications::table.find(id))
                .set((
                    applications::transition.eq(transition.name()),
                    applications::transition_accepted.eq(false),
                    // Why it is broken stays told; that another tool is deleting it does not, when we do.
                    applications::reason.eq(row.reason.clone().filter(|reason| reason != DELETED_OUTSIDE)),
                    applications::look_at.eq(None::<NaiveDateTime>),
                    applications::version.eq(applications::version + 1),
                    applications::updated_at.eq(db::now()),
                ))
                .execute(conn)?;
            operations::enqueue(conn, account, id, action)?;
            events::record(conn, id, kind, None)?;
            Ok(true)
        })
    }

    fn usage(&self) -> quotas::AppUsage {
        quotas::AppUsage {
            applications: 1,
            cpu_millis: self.cpu_millis.saturating_mul(self.replicas),
            memory_mb: self.memory_mb.saturating_mul(self.replicas),
        }
    }
}

fn locked(conn: &mut MysqlConnection, account: AccountId, id: ApplicationId) -> QueryResult<Application> {
    alive()
        .filter(applications::id.eq(id))
        .filter(applications::account_id.eq(account))
        .select(Application::as_select())
        .for_update()
        .first(conn)
}

fn insert(
    conn: &mut MysqlConnection,
    account: AccountId,
    id: ApplicationId,
    new: &NewApplication,
    launch_key: &str,
    config: &config::Applications,
) -> Result<(), Refusal> {
    let now = db::now();
    let (cpu_millis, memory_mb) = new.size.limits(config);
    let inserted = diesel::insert_into(applications::table)
        .values((
            applications::id.eq(id),
            applications::account_id.eq(account),
            applications::name.eq(&new.name),
            applications::host_label.eq(Some(&new.host_label)),
            applications::namespace.eq(namespace(account)),
            applications::deployment_name.eq(object_name(id)),
            applications::service_name.eq(object_name(id)),
            applications::status.eq(Status::Pending.name()),
            applications::transition.eq(Transition::Deploying.name()),
            (
                applications::replicas.eq(new.replicas),
                applications::size.eq(new.size.name()),
                applications::cpu_millis.eq(cpu_millis),
                applications::memory_mb.eq(memory_mb),
                applications::revision.eq(1),
            ),
            applications::launch_key.eq(launch_key),
            applications::version.eq(0),
            applications::created_at.eq(now),
            applications::updated_at.eq(now),
        ))
        .execute(conn);
    match inserted {
        Ok(_) => Ok(()),
        // The launch key was looked for under the account's lock: it can't be the one that is there already.
        Err(error) if db::is_duplicate(&error) => Err(Refusal::HostTaken),
        Err(error) => Err(error.into()),
    }
}

/// Names of all secret variables of a changed application, and the values that have to be brought to the cluster: the
/// new ones, and kept ones that have not reached it yet.
fn carried_over(
    conn: &mut MysqlConnection,
    row: &Application,
    change: &Redeployment,
    shared: &Shared,
) -> QueryResult<(Vec<String>, Secrets)> {
    let (wanted, pending) = configs::of_revision(conn, row.id, row.revision)?;
    let mut there = wanted.secret_names;
    if let Some(deployed) = row.deployed_revision.filter(|deployed| *deployed != row.revision) {
        there.extend(configs::of_revision(conn, row.id, deployed)?.0.secret_names);
    }
    let is_set = |name: &String| change.secrets_set.iter().any(|(set, _)| set == name);
    let mut names: Vec<String> = Vec::new();
    for name in change.secrets_kept.iter().filter(|name| there.contains(name) && !is_set(name)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut values: Secrets = match pending.open(shared) {
        Ok(pending) => pending.into_iter().filter(|(name, _)| names.contains(name)).collect(),
        Err(error) => {
            tracing::warn!(application.id = %row.id, %error, "secret variables that were on their way are lost");
            Vec::new()
        }
    };
    values.extend(change.secrets_set.iter().cloned());
    names.extend(change.secrets_set.iter().map(|(name, _)| name.clone()));
    Ok((names, values))
}
