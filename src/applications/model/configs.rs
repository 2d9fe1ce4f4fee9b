//! What was deployed: a row for each deployment of an application.

use super::*;
use crate::applications::secrets::{self, Secrets, Unreadable};
use crate::settings::Shared;

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    pub revision: u32,
    /// As the person wrote it.
    pub image: String,
    /// With registry, repository and tag or digest in full.
    pub image_reference: String,
    pub pull_always: bool,
    pub external_port: u16,
    pub internal_port: u16,
    pub replicas: u32,
    pub size: Size,
    /// Of one replica: thousandths of a processor, and memory.
    pub cpu_millis: u32,
    pub memory_mb: u32,
    /// Ports that the image names (`EXPOSE`).
    pub exposed_ports: Vec<u16>,
    /// Plain environment variables, in order.
    pub variables: Vec<(String, String)>,
    /// Names of the secret ones; their values are in the cluster only.
    pub secret_names: Vec<String>,
    pub created_at: NaiveDateTime,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = application_configs)]
pub(super) struct Row {
    revision: u32,
    image: String,
    image_reference: String,
    pull_always: bool,
    external_port: u16,
    internal_port: u16,
    replicas: u32,
    size: String,
    cpu_millis: u32,
    memory_mb: u32,
    exposed_ports: String,
    variables: String,
    secret_names: String,
    created_at: NaiveDateTime,
}

impl Row {
    pub(super) fn read(self) -> QueryResult<Deployed> {
        Ok(Deployed {
            revision: self.revision,
            image: self.image,
            image_reference: self.image_reference,
            pull_always: self.pull_always,
            external_port: self.external_port,
            internal_port: self.internal_port,
            replicas: self.replicas,
            size: Size::from_name(&self.size).unwrap_or(Size::Small),
            cpu_millis: self.cpu_millis,
            memory_mb: self.memory_mb,
            exposed_ports: serde_json::from_str(&self.exposed_ports).map_err(unreadable)?,
            variables: serde_json::from_str(&self.variables).map_err(unreadable)?,
            secret_names: serde_json::from_str(&self.secret_names).map_err(unreadable)?,
            created_at: self.created_at,
        })
    }
}

/// Values that wait to be brought to the cluster, still encrypted.
#[derive(Debug, Clone)]
pub struct Pending {
    application: ApplicationId,
    revision: u32,
    sealed: Option<Vec<u8>>,
}

impl Pending {
    /// # Errors
    /// When they were encrypted with another secret than the portal's.
    pub fn open(&self, shared: &Shared) -> Result<Secrets, Unreadable> {
        match &self.sealed {
            None => Ok(Vec::new()),
            Some(sealed) => secrets::open(shared, self.application, self.revision, sealed),
        }
    }
}

/// A deployment, and the secret values that are not in the cluster yet. For the worker.
///
/// # Errors
/// Not found; the database's.
pub fn of_revision(
    conn: &mut MysqlConnection,
    application: ApplicationId,
    revision: u32,
) -> QueryResult<(Deployed, Pending)> {
    let (row, sealed): (Row, Option<Vec<u8>>) = application_configs::table
        .find((application, revision))
        .select((Row::as_select(), application_configs::pending_secrets))
        .first(conn)?;
    Ok((row.read()?, Pending { application, revision, sealed }))
}

/// Forgets the values of secret variables: the cluster has them, or nobody will.
///
/// # Errors
/// The database's.
pub fn forget_secrets(conn: &mut MysqlConnection, application: ApplicationId) -> QueryResult<()> {
    diesel::update(
        application_configs::table
            .filter(application_configs::application_id.eq(application))
            .filter(application_configs::pending_secrets.is_not_null()),
    )
    .set(application_configs::pending_secrets.eq(None::<Vec<u8>>))
    .execute(conn)?;
    Ok(())
}

/// The next free number.
pub(super) fn next_revision(conn: &mut MysqlConnection, application: ApplicationId) -> QueryResult<u32> {
    let last: Option<u32> = application_configs::table
        .filter(application_configs::application_id.eq(application))
        .select(diesel::dsl::max(application_configs::revision))
        .first(conn)?;
    Ok(last.unwrap_or(0) + 1)
}

/// A row to be.
pub(super) struct New<'a> {
    pub application: ApplicationId,
    pub revision: u32,
    pub image: &'a str,
    pub image_reference: &'a str,
    pub pull_always: bool,
    pub external_port: u16,
    pub internal_port: u16,
    pub replicas: u32,
    pub size: Size,
    pub cpu_millis: u32,
    pub memory_mb: u32,
    pub exposed_ports: &'a [u16],
    pub variables: &'a [(String, String)],
    pub secret_names: &'a [String],
    pub secrets: &'a [(String, SecretString)],
}

pub(super) fn insert(conn: &mut MysqlConnection, new: &New<'_>, shared: &Shared) -> QueryResult<()> {
    use application_configs as c;
    let sealed = secrets::seal(shared, new.application, new.revision, new.secrets).map_err(unwritable)?;
    // As many as the column holds: the rest is no more than a hint in a form.
    let mut ports = new.exposed_ports.to_vec();
    ports.truncate(40);
    diesel::insert_into(c::table)
        .values((
            c::application_id.eq(new.application),
            c::revision.eq(new.revision),
            c::image.eq(new.image),
            c::image_reference.eq(new.image_reference),
            c::pull_always.eq(new.pull_always),
            c::external_port.eq(new.external_port),
            c::internal_port.eq(new.internal_port),
            (
                c::replicas.eq(new.replicas),
                c::size.eq(new.size.name()),
                c::cpu_millis.eq(new.cpu_millis),
                c::memory_mb.eq(new.memory_mb),
            ),
            c::exposed_ports.eq(serde_json::to_string(&ports).map_err(unwritable)?),
            c::variables.eq(serde_json::to_string(new.variables).map_err(unwritable)?),
            c::secret_names.eq(serde_json::to_string(new.secret_names).map_err(unwritable)?),
            c::pending_secrets.eq(sealed),
            c::created_at.eq(db::now()),
        ))
        .execute(conn)?;
    Ok(())
}
