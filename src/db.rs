//! The way to the database: one pool, and one helper that keeps blocking calls off the worker threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use chrono::{NaiveDateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Integer, Nullable, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The lock under which migrations run, so that two processes that start at once don't both run them.
const MIGRATION_LOCK: &str = "fast_cloud_migrations";

/// A clonable handle to the pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<MysqlConnection>>,
    /// How long [`Db::run`] waits in all.
    patience: Duration,
    /// How often no connection was to be had in time.
    refused: Arc<AtomicU64>,
}

/// How long the statements of one request may take, beside the wait for a connection.
const STATEMENTS: Duration = Duration::from_secs(10);

/// What every connection is set to, whatever the server's defaults are.
///
/// READ COMMITTED, because the queue skips locked rows and must not lock gaps; UTC, because columns have no zone.
const SETTINGS: &str = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 5, lock_wait_timeout = 20; \
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;";

#[derive(Debug)]
struct Settings;

impl CustomizeConnection<MysqlConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut MysqlConnection) -> Result<(), diesel::r2d2::Error> {
        for statement in SETTINGS.split(';').map(str::trim).filter(|s| !s.is_empty()) {
            conn.batch_execute(statement).map_err(diesel::r2d2::Error::QueryError)?;
        }
        Ok(())
    }
}

impl Db {
    /// A pool that connects when it is first used: a database that is down at start is waited for by those who ask.
    pub fn new(url: &SecretString, size: u32, timeout: Duration) -> Self {
        let manager = ConnectionManager::<MysqlConnection>::new(url.expose_secret());
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .connection_timeout(timeout)
            .idle_timeout(Some(Duration::from_secs(600)))
            .connection_customizer(Box::new(Settings))
            .error_handler(Box::new(Quiet))
            .build_unchecked(manager);
        Self { pool, patience: timeout + STATEMENTS, refused: Arc::default() }
    }

    /// Runs `work` with a connection on a thread that may block. Never nested, never across a call to a cloud.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is to be had in time, else what `work` returns.
    pub async fn run_job<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut MysqlConnection) -> Result<T, Error> + Send + 'static,
    {
        let (db, span) = (self.clone(), tracing::Span::current());
        let done = actix_web::web::block(move || {
            let _span = span.entered();
            db.run_here(work)
        });
        done.await.map_err(|_| Error::Unavailable("the thread pool is shutting down".to_owned()))?
    }

    /// The same on this thread, which has to be one that may block.
    ///
    /// # Errors
    /// As [`Db::run_job`].
    pub fn run_here<T>(&self, work: impl FnOnce(&mut MysqlConnection) -> Result<T, Error>) -> Result<T, Error> {
        let mut conn = self.pool.get().map_err(|error| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Error::Unavailable(error.to_string())
        })?;
        work(&mut conn)
    }

    /// Waits for what another thread does with the database, no longer than [`Db::run`] does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after the pool's time limit and ten seconds.
    pub async fn in_time<T>(&self, done: impl Future<Output = T>) -> Result<T, Error> {
        let silent = |_| Error::Unavailable("no answer in time".to_owned());
        tokio::time::timeout(self.patience, done).await.map_err(silent)
    }

    /// The same for a request: a database that takes connections and answers nothing is unavailable too. What was begun
    /// may still be done.
    ///
    /// # Errors
    /// As [`Db::run_job`], and [`Error::Unavailable`] after the pool's time limit and ten seconds.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut MysqlConnection) -> Result<T, Error> + Send + 'static,
    {
        self.in_time(self.run_job(work)).await?
    }

    /// How often no connection was to be had in time, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections in use and at most.
    pub fn state(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections - state.idle_connections, self.pool.max_size())
    }
}

/// r2d2 reports each failed try to connect; the request that waited says it once.
#[derive(Debug)]
struct Quiet;

impl diesel::r2d2::HandleError<diesel::r2d2::Error> for Quiet {
    fn handle_error(&self, error: diesel::r2d2::Error) {
        tracing::debug!(%error, "a database connection failed");
    }
}

/// Now, in the resolution that the database keeps (microseconds), in UTC.
pub fn now() -> NaiveDateTime {
    let now = Utc::now().naive_utc();
    let micros = now.and_utc().timestamp_micros();
    chrono::DateTime::from_timestamp_micros(micros).map_or(now, |t| t.naive_utc())
}

/// Whether a row with the same unique key is there already.
pub fn is_duplicate(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
}

/// Whether the transaction lost against another (deadlock, lock wait): doing it again is right.
pub fn is_contention(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        DieselError::DatabaseError(_, info) => {
            info.message().contains("Lock wait timeout") || info.message().contains("Deadlock found")
        }
        _ => false,
    }
}

/// A transaction that is repeated when it lost against another, at most four times.
///
/// # Errors
/// What `work` returns, or the database's error once it isn't contention or the tries are used up.
pub fn transaction<T, E, F>(conn: &mut MysqlConnection, mut work: F) -> Result<T, E>
where
    E: From<DieselError> + AsDiesel,
    F: FnMut(&mut MysqlConnection) -> Result<T, E>,
{
    for _ in 0..4 {
        match conn.transaction(&mut work) {
            Err(error) if error.as_diesel().is_some_and(is_contention) => {}
            result => return result,
        }
    }
    conn.transaction(work)
}

/// An error that may hold the database's.
pub trait AsDiesel {
    fn as_diesel(&self) -> Option<&DieselError>;
}

impl AsDiesel for DieselError {
    fn as_diesel(&self) -> Option<&DieselError> {
        Some(self)
    }
}

#[derive(QueryableByName)]
struct LockRow {
    #[diesel(sql_type = Nullable<Integer>)]
    locked: Option<i32>,
}

/// Brings the tables up to date, under a lock of the server. Returns the names of the migrations that ran.
///
/// # Errors
/// When the database can't be reached, or a migration fails (it is named).
pub fn migrate(url: &SecretString) -> anyhow::Result<Vec<String>> {
    let mut conn = connect(url)?;
    let locked: LockRow = diesel::sql_query("SELECT GET_LOCK(?, 60) AS locked")
        .bind::<Text, _>(MIGRATION_LOCK)
        .get_result(&mut conn)
        .context("asking for the lock of the migrations")?;
    anyhow::ensure!(locked.locked == Some(1), "another process has been running migrations for a minute");
    // The lock ends with the connection.
    let ran =
        conn.run_pending_migrations(MIGRATIONS).map_err(|error| anyhow::anyhow!("a migration failed: {error}"))?;
    Ok(ran.iter().map(ToString::to_string).collect())
}

/// One connection outside the pool, for start-up and the command line.
///
/// # Errors
/// When the server can't be reached or refuses the login. The message has no password.
pub fn connect(url: &SecretString) -> anyhow::Result<MysqlConnection> {
    let mut conn = MysqlConnection::establish(url.expose_secret()).context("connecting to the database")?;
    Settings.on_acquire(&mut conn).map_err(|error| anyhow::anyhow!("setting up the database connection: {error}"))?;
    Ok(conn)
}
