//! Which rows were touched, and since when.
//!
//! The tables below have a column `touched_at` with `ON UPDATE CURRENT_TIMESTAMP(6)`, and an index on it. A write that
//! changes no value does not touch a row.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Datetime, Nullable, Text};

use super::{Cursor, Topics};
use crate::cloud_services::{APPLICATIONS, COMPUTE, OBJECTS, silent_since};
use crate::db;
use crate::ids::AccountId;

/// The clouds whose health and age pages show.
pub const SERVICES: [&str; 3] = [COMPUTE, APPLICATIONS, OBJECTS];

/// A table whose rows pages show, the column that tells its rows apart, and what a touched one changes.
struct Shown {
    table: &'static str,
    id: &'static str,
    topics: Topics,
}

const SHOWN: [Shown; 5] = [
    Shown { table: "instances", id: "id", topics: Topics::INSTANCES },
    Shown { table: "applications", id: "id", topics: Topics::APPLICATIONS },
    Shown { table: "buckets", id: "id", topics: Topics::BUCKETS },
    Shown { table: "bucket_removals", id: "id", topics: Topics::BUCKETS },
    // A limit stands in every bar.
    Shown { table: "account_quotas", id: "account_id", topics: Topics::ALL },
];

fn topics_of(table: &str) -> Topics {
    SHOWN.iter().find(|shown| shown.table == table).map_or(Topics::NONE, |shown| shown.topics)
}

/// A row that was written.
#[derive(Debug, Clone, QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    shown: String,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    account_id: AccountId,
    #[diesel(sql_type = Datetime)]
    touched_at: NaiveDateTime,
}

/// A write of a row: who sees it and where. Two writes of one row differ by their time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Touch {
    pub account: AccountId,
    pub at: NaiveDateTime,
    id: Vec<u8>,
    table: String,
}

impl Touch {
    pub fn topics(&self) -> Topics {
        topics_of(&self.table)
    }
}

/// The rows of all accounts that were written since.
///
/// # Errors
/// The database's.
pub fn touched(conn: &mut MysqlConnection, since: NaiveDateTime) -> QueryResult<Vec<Touch>> {
    let parts = SHOWN.each_ref().map(|Shown { table, id, .. }| {
        format!("SELECT '{table}' AS shown, {id} AS id, account_id, touched_at FROM {table} WHERE touched_at >= ?")
    });
    let mut query = diesel::sql_query(parts.join(" UNION ALL ")).into_boxed();
    for _ in &SHOWN {
        query = query.bind::<Datetime, _>(since);
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| Touch { account: row.account_id, at: row.touched_at, id: row.id, table: row.shown })
        .collect())
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    shown: String,
}

/// What of an account was written since.
///
/// # Errors
/// The database's.
pub fn touched_of(conn: &mut MysqlConnection, account: AccountId, since: NaiveDateTime) -> QueryResult<Topics> {
    let parts = SHOWN.each_ref().map(|Shown { table, .. }| {
        format!(
            "SELECT '{table}' AS shown FROM DUAL \
             WHERE EXISTS (SELECT 1 FROM {table} WHERE account_id = ? AND touched_at >= ?)"
        )
    });
    let mut query = diesel::sql_query(parts.join(" UNION ALL ")).into_boxed();
    for _ in &SHOWN {
        query = query.bind::<Binary, _>(account).bind::<Datetime, _>(since);
    }
    let names: Vec<Name> = query.load(conn)?;
    Ok(names.iter().fold(Topics::NONE, |topics, name| topics.and(topics_of(&name.shown))))
}

#[derive(QueryableByName)]
struct Service {
    #[diesel(sql_type = Datetime)]
    now: NaiveDateTime,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Datetime>)]
    last_ok_at: Option<NaiveDateTime>,
    #[diesel(sql_type = Nullable<Datetime>)]
    failing_since: Option<NaiveDateTime>,
}

/// The database's time, and what is known of the clouds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub cursor: Cursor,
    /// Seconds since each of [`SERVICES`] answered last; None: it never has.
    pub ages: [Option<u32>; SERVICES.len()],
}

impl Moment {
    /// Its ages by their service's name, as JSON: `{"compute":3}`.
    pub fn ages_json(&self) -> String {
        let ages: serde_json::Map<String, serde_json::Value> =
            SERVICES.iter().zip(self.ages).filter_map(|(name, age)| Some(((*name).to_owned(), age?.into()))).collect();
        serde_json::Value::Object(ages).to_string()
    }
}

/// Reads the time before anything else is read: whatever is written later is found by looking back to it.
///
/// # Errors
/// The database's.
pub fn moment(conn: &mut MysqlConnection) -> QueryResult<Moment> {
    let rows: Vec<Service> = diesel::sql_query(
        "SELECT UTC_TIMESTAMP(6) AS now, s.name, s.last_ok_at, s.failing_since \
         FROM (SELECT 1 AS one) AS clock LEFT JOIN cloud_services s ON TRUE",
    )
    .load(conn)?;
    let at = rows.first().ok_or(diesel::result::Error::NotFound)?.now;
    let of = |name: &str| rows.iter().find(|row| row.name.as_deref() == Some(name));
    // Ages are by our own clock: so are the times.
    let now = db::now();
    let age = |at: NaiveDateTime| u32::try_from((now - at).num_seconds().max(0)).unwrap_or(u32::MAX);
    let failing = |name: &str| of(name)?.failing_since;
    let silent = |name: &str| silent_since(failing(name), now);
    let bits = SERVICES.map(|name| [failing(name), silent(name)].map(|since| u8::from(since.is_some())));
    Ok(Moment {
        cursor: Cursor { at, failing: bits.as_flattened().iter().fold(0, |all, bit| all << 1 | bit) },
        ages: SERVICES.map(|name| of(name)?.last_ok_at.map(age)),
    })
}
