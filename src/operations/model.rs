//! The table of operations.

use chrono::{Duration, NaiveDateTime};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Datetime, Text};
use uuid::Uuid;

use crate::db;
use crate::ids::{AccountId, ApplicationId, BucketId, InstanceId, OperationId, RemovalId};
use crate::schema::operations;

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Start,
    Stop,
    Reboot,
    Delete,
    /// Give it an address from outside, once it runs.
    AttachAddress,
    /// Put a changed application in the place of the one that runs.
    Redeploy,
    /// Find out why a container that runs does not answer, or why it ended.
    Investigate,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reboot => "reboot",
            Self::Delete => "delete",
            Self::AttachAddress => "attach_address",
            Self::Redeploy => "redeploy",
            Self::Investigate => "investigate",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [
            Self::Create,
            Self::Start,
            Self::Stop,
            Self::Reboot,
            Self::Delete,
            Self::AttachAddress,
            Self::Redeploy,
            Self::Investigate,
        ]
        .into_iter()
        .find(|action| action.name() == name)
    }
}

/// What an operation is about: a row of one of the tables of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    Instance(InstanceId),
    Application(ApplicationId),
    Bucket(BucketId),
    /// A folder of a bucket that is being deleted.
    Removal(RemovalId),
}

impl Resource {
    /// Every name in `resource_kind`.
    pub const KINDS: [&str; 4] = ["instance", "application", "bucket", "removal"];

    /// Its name in `resource_kind`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Instance(_) => "instance",
            Self::Application(_) => "application",
            Self::Bucket(_) => "bucket",
            Self::Removal(_) => "removal",
        }
    }

    pub fn id(self) -> Uuid {
        match self {
            Self::Instance(id) => id.0,
            Self::Application(id) => id.0,
            Self::Bucket(id) => id.0,
            Self::Removal(id) => id.0,
        }
    }

    fn of(kind: &str, id: Uuid) -> Option<Self> {
        [
            Self::Instance(InstanceId(id)),
            Self::Application(ApplicationId(id)),
            Self::Bucket(BucketId(id)),
            Self::Removal(RemovalId(id)),
        ]
        .into_iter()
        .find(|resource| resource.kind() == kind)
    }
}

impl From<InstanceId> for Resource {
    fn from(id: InstanceId) -> Self {
        Self::Instance(id)
    }
}

impl From<BucketId> for Resource {
    fn from(id: BucketId) -> Self {
        Self::Bucket(id)
    }
}

impl From<RemovalId> for Resource {
    fn from(id: RemovalId) -> Self {
        Self::Removal(id)
    }
}

impl From<ApplicationId> for Resource {
    fn from(id: ApplicationId) -> Self {
        Self::Application(id)
    }
}

/// An operation that this process has taken.
#[derive(Debug, Clone)]
pub struct Operation {
    pub id: OperationId,
    pub account: AccountId,
    pub resource: Resource,
    pub action: Action,
    /// This try included; more than 1: an earlier try may have reached the cloud.
    pub attempts: u32,
    pub created_at: NaiveDateTime,
}

/// Puts an operation into the queue; in the transaction that writes the row it is about.
///
/// # Errors
/// The database's.
pub fn enqueue(
    conn: &mut MysqlConnection,
    account: AccountId,
    resource: impl Into<Resource>,
    action: Action,
) -> QueryResult<OperationId> {
    let resource = resource.into();
    let id = OperationId::new();
    let now = clock(conn)?;
    diesel::insert_into(operations::table)
        .values((
            operations::id.eq(id),
            operations::account_id.eq(account),
            operations::resource_kind.eq(resource.kind()),
            operations::resource_id.eq(resource.id().as_bytes().as_slice()),
            operations::action.eq(action.name()),
            operations::state.eq("queued"),
            operations::attempts.eq(0),
            operations::run_after.eq(now),
            operations::created_at.eq(now),
            operations::updated_at.eq(now),
        ))
        .execute(conn)?;
    // Within the span of the request that asked for it: the operation's id is what the cloud's logs have.
    tracing::info!(operation.id = %id, kind = resource.kind(), resource.id = %resource.id(), action = action.name(), "queued");
    Ok(id)
}

/// Takes back what has not been begun for a resource; what is running goes on to its end.
///
/// # Errors
/// The database's.
pub fn cancel_waiting(conn: &mut MysqlConnection, resource: impl Into<Resource>) -> QueryResult<usize> {
    diesel::update(operations::table.filter(of_resource(resource.into())).filter(operations::state.eq("queued")))
        .set((operations::state.eq("cancelled"), operations::updated_at.eq(db::now())))
        .execute(conn)
}

type OfResource = diesel::dsl::Eq<operations::resource_id, Vec<u8>>;

/// Ids of all kinds are UUIDs: no two resources share one.
fn of_resource(resource: Resource) -> OfResource {
    operations::resource_id.eq(resource.id().as_bytes().to_vec())
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Binary)]
    id: OperationId,
    #[diesel(sql_type = Binary)]
    account_id: AccountId,
    #[diesel(sql_type = Binary)]
    resource_id: Vec<u8>,
    #[diesel(sql_type = Text)]
    resource_kind: String,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = Datetime)]
    created_at: NaiveDateTime,
}

/// Operations whose time has come, or whose process let its lease run out; none of a resource that another operation
/// is working on. Rows that another process is just taking are skipped.
const DUE: &str = "SELECT id, account_id, resource_id, resource_kind, action, CAST(attempts AS SIGNED) AS attempts, created_at \
     FROM operations o \
     WHERE ((o.state = 'queued' AND o.run_after <= ?) OR (o.state = 'running' AND o.leased_until < ?)) \
     AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.resource_id = o.resource_id AND r.id <> o.id \
                     AND r.state = 'running' AND r.leased_until >= ?) \
     ORDER BY o.run_after LIMIT ? FOR UPDATE SKIP LOCKED";

/// Takes at most `limit` operations that are due, one per resource, and leases them to `worker`.
///
/// # Errors
/// The database's.
pub fn take(
    conn: &mut MysqlConnection,
    worker: Uuid,
    limit: usize,
    lease: std::time::Duration,
) -> QueryResult<Vec<Operation>> {
    db::transaction(conn, |conn| {
        let now = clock(conn)?;
        let due: Vec<Due> = diesel::sql_query(DUE)
            .bind::<Datetime, _>(now)
            .bind::<Datetime, _>(now)
            .bind::<Datetime, _>(now)
            .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(1))
            .load(conn)?;
        let mut taken: Vec<Operation> = Vec::new();
        for row in due {
            let resource = Uuid::from_slice(&row.resource_id).ok().and_then(|id| Resource::of(&row.resource_kind, id));
            let (Some(resource), Some(action)) = (resource, Action::from_name(&row.action)) else {
                tracing::error!(operation.id = %row.id, kind = row.resource_kind, action = row.action, "an operation that this version does not know");
                continue;
            };
            if taken.iter().any(|other| other.resource == resource) {
                continue;
            }
            diesel::update(operations::table.find(row.id))
                .set((
                    operations::state.eq("running"),
                    operations::leased_by.eq(worker.to_string()),
                    operations::leased_until.eq(now + chrono_of(lease)),
                    operations::attempts.eq(operations::attempts + 1),
                    operations::updated_at.eq(now),
                ))
                .execute(conn)?;
            taken.push(Operation {
                id: row.id,
                account: row.account_id,
                resource,
                action,
                attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX).saturating_add(1),
                created_at: row.created_at,
            });
        }
        Ok(taken)
    })
}

/// The database's own time: leases of processes on several hosts go by one clock.
fn clock(conn: &mut MysqlConnection) -> QueryResult<NaiveDateTime> {
    diesel::select(diesel::dsl::sql::<Datetime>("UTC_TIMESTAMP(6)")).get_result(conn)
}

fn chrono_of(duration: std::time::Duration) -> Duration {
    Duration::from_std(duration).unwrap_or(Duration::MAX)
}

/// Keeps a lease for longer; false when it is no longer ours.
///
/// # Errors
/// The database's.
pub fn renew(
    conn: &mut MysqlConnection,
    id: OperationId,
    worker: Uuid,
    lease: std::time::Duration,
) -> QueryResult<bool> {
    let until = clock(conn)? + chrono_of(lease);
    let renewed = diesel::update(ours(id, worker)).set(operations::leased_until.eq(until)).execute(conn)?;
    Ok(renewed == 1)
}

type Ours = diesel::dsl::Filter<
    diesel::dsl::Filter<
        diesel::dsl::Find<operations::table, OperationId>,
        diesel::dsl::Eq<operations::leased_by, String>,
    >,
    diesel::dsl::Eq<operations::state, &'static str>,
>;

fn ours(id: OperationId, worker: Uuid) -> Ours {
    operations::table
        .find(id)
        .filter(operations::leased_by.eq(worker.to_string()))
        .filter(operations::state.eq("running"))
}

/// How an operation ended for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// To be done again after a while; with what went wrong, if anything did.
    Again(std::time::Duration, Option<String>),
    /// Given up, with the reason.
    Failed(String),
}

/// Writes an outcome down, if the lease is still ours.
///
/// # Errors
/// The database's.
pub fn finish(conn: &mut MysqlConnection, id: OperationId, worker: Uuid, outcome: &Outcome) -> QueryResult<bool> {
    let now = clock(conn)?;
    let (state, run_after, error) = match outcome {
        Outcome::Done => ("done", now, None),
        Outcome::Again(after, error) => ("queued", now + chrono_of(*after), error.clone()),
        Outcome::Failed(error) => ("failed", now, Some(error.clone())),
    };
    let written = diesel::update(ours(id, worker))
        .set((
            operations::state.eq(state),
            operations::run_after.eq(run_after),
            operations::error.eq(error.map(|text| crate::text::shorten(&text, 1000))),
            operations::leased_by.eq(None::<String>),
            operations::leased_until.eq(None::<NaiveDateTime>),
            operations::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(written == 1)
}

/// Whether an operation of this kind waits or runs for a resource.
///
/// # Errors
/// The database's.
pub fn is_open(conn: &mut MysqlConnection, resource: impl Into<Resource>, action: Action) -> QueryResult<bool> {
    let open = operations::table
        .filter(of_resource(resource.into()))
        .filter(operations::action.eq(action.name()))
        .filter(operations::state.eq_any(["queued", "running"]));
    diesel::select(diesel::dsl::exists(open)).get_result(conn)
}

/// Whether a try of one of these actions was broken off or not answered, so that what it asked for may still be on its
/// way to the cloud.
///
/// # Errors
/// The database's.
pub fn is_in_doubt(conn: &mut MysqlConnection, resource: impl Into<Resource>, actions: &[Action]) -> QueryResult<bool> {
    let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
    let tried = operations::table
        .filter(of_resource(resource.into()))
        .filter(operations::action.eq_any(names))
        .filter(operations::attempts.gt(0));
    let in_doubt = tried.filter(operations::attempts.gt(1).or(operations::state.ne_all(["done", "failed"])));
    diesel::select(diesel::dsl::exists(in_doubt)).get_result(conn)
}

/// How many wait or run.
///
/// # Errors
/// The database's.
pub fn open(conn: &mut MysqlConnection) -> QueryResult<i64> {
    operations::table.filter(operations::state.eq_any(["queued", "running"])).count().get_result(conn)
}

/// Removes what ended a month ago; called by the sync.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection) -> QueryResult<usize> {
    let ended = operations::table.filter(operations::state.eq_any(["done", "failed", "cancelled"]));
    diesel::delete(ended.filter(operations::updated_at.lt(db::now() - Duration::days(30)))).execute(conn)
}
