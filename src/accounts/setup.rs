//! The first admin: a link that works once, printed at start while nobody can administer the portal.

use chrono::Duration;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::db;
use crate::schema::setup_links;

/// How long a link works.
const HOURS: i64 = 24;

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// Makes a link's token; only its digest is stored.
///
/// # Errors
/// The database's.
pub fn create(conn: &mut MysqlConnection) -> QueryResult<String> {
    let token = crate::random::token();
    diesel::insert_into(setup_links::table)
        .values((
            setup_links::token_hash.eq(hash(&token)),
            setup_links::created_at.eq(db::now()),
            setup_links::expires_at.eq(db::now() + Duration::hours(HOURS)),
        ))
        .execute(conn)?;
    Ok(token)
}

/// Ends links that nobody has used: one that stands in an old log must not make a second first admin.
///
/// # Errors
/// The database's.
pub fn forget_unused(conn: &mut MysqlConnection) -> QueryResult<usize> {
    diesel::delete(setup_links::table.filter(setup_links::used_at.is_null())).execute(conn)
}

/// Whether the link can still be used.
///
/// # Errors
/// The database's.
pub fn is_open(conn: &mut MysqlConnection, token: &str) -> QueryResult<bool> {
    let open = setup_links::table
        .find(hash(token))
        .filter(setup_links::used_at.is_null())
        .filter(setup_links::expires_at.gt(db::now()));
    diesel::select(diesel::dsl::exists(open)).get_result(conn)
}

/// Uses the link up; false if somebody else has, or it has expired. In one transaction with the account it makes.
///
/// # Errors
/// The database's.
pub fn consume(conn: &mut MysqlConnection, token: &str) -> QueryResult<bool> {
    let open = setup_links::table
        .find(hash(token))
        .filter(setup_links::used_at.is_null())
        .filter(setup_links::expires_at.gt(db::now()));
    let used = diesel::update(open).set(setup_links::used_at.eq(db::now())).execute(conn)? == 1;
    if used {
        forget_unused(conn)?;
    }
    Ok(used)
}
