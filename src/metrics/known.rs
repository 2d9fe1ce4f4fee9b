//! What the database knows, in one question.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Datetime, Nullable, Text};

use crate::db;
use crate::operations::model::Resource;

/// The clocks of the database and ours may differ by a little.
fn seconds_since(time: NaiveDateTime) -> f64 {
    let milliseconds = (db::now() - time).num_milliseconds().max(0);
    std::time::Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)).as_secs_f64()
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// Operations that have not ended: what they are about, `queued` or `running`, how many, and for how many seconds
    /// the oldest has been.
    pub operations: Vec<(String, String, i64, f64)>,
    /// Of people who are signed in.
    pub sessions: i64,
    pub services: Vec<Service>,
}

/// A cloud's service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Service {
    pub name: String,
    /// Seconds since it answered last; None: it never did.
    pub age: Option<f64>,
    /// Seconds for which it has not answered; None: it answers.
    pub failing: Option<f64>,
    /// Of the last whole comparison.
    pub seconds: f64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Nullable<Datetime>)]
    since: Option<NaiveDateTime>,
    #[diesel(sql_type = Nullable<Datetime>)]
    failing_since: Option<NaiveDateTime>,
}

const QUESTION: &str = "\
    SELECT 'operations' AS what, resource_kind AS name, state, COUNT(*) AS number, MIN(created_at) AS since, \
           CAST(NULL AS DATETIME(6)) AS failing_since \
      FROM operations WHERE state IN ('queued', 'running') GROUP BY resource_kind, state \
    UNION ALL SELECT 'sessions', '', '', COUNT(*), NULL, NULL \
      FROM sessions WHERE account_id IS NOT NULL AND expires_at > ? \
    UNION ALL SELECT 'service', name, '', CAST(duration_ms AS SIGNED), last_ok_at, failing_since FROM cloud_services";

impl Known {
    /// # Errors
    /// The database's.
    pub(super) fn load(conn: &mut MysqlConnection) -> QueryResult<Self> {
        let lines: Vec<Line> = diesel::sql_query(QUESTION).bind::<Datetime, _>(db::now()).load(conn)?;
        let mut known = Self::default();
        for kind in Resource::KINDS {
            for state in ["queued", "running"] {
                known.operations.push((kind.to_owned(), state.to_owned(), 0, 0.0));
            }
        }
        for line in lines {
            let age = line.since.map(seconds_since);
            match line.what.as_str() {
                "operations" => {
                    known.operations.retain(|(kind, state, ..)| (kind, state) != (&line.name, &line.state));
                    known.operations.push((line.name, line.state, line.number, age.unwrap_or_default()));
                }
                "sessions" => known.sessions = line.number,
                _ => known.services.push(Service {
                    name: line.name,
                    age,
                    failing: line.failing_since.map(seconds_since),
                    seconds: std::time::Duration::from_millis(u64::try_from(line.number).unwrap_or(0)).as_secs_f64(),
                }),
            }
        }
        Ok(known)
    }
}
