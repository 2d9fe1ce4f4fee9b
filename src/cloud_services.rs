//! What is known of the clouds themselves: whether they answer, since when not, and what they offer. Pages read this
//! from the database; they never ask a cloud.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::cloud::Catalogue;
use crate::db;
use crate::schema::cloud_services;

/// The row of the service that runs machines.
pub const COMPUTE: &str = "compute";
/// The row of the cluster that runs containers.
pub const APPLICATIONS: &str = "applications";
/// The row of the service that keeps files.
pub const OBJECTS: &str = "objects";

#[derive(Debug, Clone, Default, Queryable, Selectable)]
#[diesel(table_name = cloud_services)]
pub struct CloudService {
    /// When it answered last.
    pub last_ok_at: Option<NaiveDateTime>,
    /// None while it answers.
    pub failing_since: Option<NaiveDateTime>,
    /// What went wrong last, for the admin.
    pub error: Option<String>,
    /// How long the last comparison took.
    pub duration_ms: u32,
    /// How many machines the last one saw.
    pub seen: u32,
}

/// A cloud that did not answer once may have been busy; after this long its silence is told.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

/// Since when a cloud has not answered, if that is to be told.
pub fn silent_since(failing_since: Option<NaiveDateTime>, now: NaiveDateTime) -> Option<NaiveDateTime> {
    failing_since.filter(|since| now - *since >= PATIENCE)
}

impl CloudService {
    /// What is known of a service; of one never asked, nothing.
    ///
    /// # Errors
    /// The database's.
    pub fn load(conn: &mut MysqlConnection, name: &str) -> QueryResult<Self> {
        Ok(cloud_services::table.find(name).select(Self::as_select()).first(conn).optional()?.unwrap_or_default())
    }

    /// See [`silent_since`].
    pub fn silent_since(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        silent_since(self.failing_since, now)
    }

    pub fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }
}

fn ensure(conn: &mut MysqlConnection, name: &str) -> QueryResult<()> {
    diesel::insert_or_ignore_into(cloud_services::table)
        .values((cloud_services::name.eq(name), cloud_services::duration_ms.eq(0), cloud_services::seen.eq(0)))
        .execute(conn)?;
    Ok(())
}

/// It answered, at the time when it was asked. `seen` is None when only a part was asked for.
///
/// # Errors
/// The database's.
pub fn answered(
    conn: &mut MysqlConnection,
    name: &str,
    asked_at: NaiveDateTime,
    full: Option<(u32, u32)>,
) -> QueryResult<()> {
    ensure(conn, name)?;
    diesel::update(cloud_services::table.find(name))
        .set((
            cloud_services::last_ok_at.eq(asked_at),
            cloud_services::failing_since.eq(None::<NaiveDateTime>),
            cloud_services::error.eq(None::<String>),
        ))
        .execute(conn)?;
    if let Some((seen, duration_ms)) = full {
        diesel::update(cloud_services::table.find(name))
            .set((cloud_services::seen.eq(seen), cloud_services::duration_ms.eq(duration_ms)))
            .execute(conn)?;
    }
    Ok(())
}

/// It did not answer. Since when is kept from the first time.
///
/// # Errors
/// The database's.
pub fn failed(conn: &mut MysqlConnection, name: &str, error: &str) -> QueryResult<()> {
    ensure(conn, name)?;
    diesel::update(cloud_services::table.find(name))
        .set(cloud_services::error.eq(crate::text::shorten(error, 1000)))
        .execute(conn)?;
    diesel::update(cloud_services::table.find(name).filter(cloud_services::failing_since.is_null()))
        .set(cloud_services::failing_since.eq(db::now()))
        .execute(conn)?;
    Ok(())
}

/// Keeps what the service offers.
///
/// # Errors
/// The database's.
pub fn keep_catalogue(conn: &mut MysqlConnection, name: &str, catalogue: &Catalogue) -> QueryResult<()> {
    let json = serde_json::to_string(catalogue).map_err(|e| diesel::result::Error::SerializationError(Box::new(e)))?;
    ensure(conn, name)?;
    diesel::update(cloud_services::table.find(name))
        .set((cloud_services::catalogue.eq(json), cloud_services::catalogue_at.eq(db::now())))
        .execute(conn)?;
    Ok(())
}

/// What the service offered last, and when; None when it was never asked or what is stored is of another version.
///
/// # Errors
/// The database's.
pub fn catalogue(conn: &mut MysqlConnection, name: &str) -> QueryResult<Option<(Catalogue, NaiveDateTime)>> {
    let row = cloud_services::table
        .find(name)
        .select((cloud_services::catalogue, cloud_services::catalogue_at))
        .first::<(Option<String>, Option<NaiveDateTime>)>(conn)
        .optional()?;
    let Some((Some(json), Some(at))) = row else { return Ok(None) };
    match serde_json::from_str(&json) {
        Ok(catalogue) => Ok(Some((catalogue, at))),
        Err(error) => {
            tracing::warn!(%error, "the stored catalogue can't be read; it is fetched anew with the next sync");
            Ok(None)
        }
    }
}
