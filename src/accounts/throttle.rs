//! Slowing down who guesses, without locking a class out.
//!
//! Failures are counted in the database, so that two processes count together. An account has to wait longer after
//! each failure, up to a minute: somebody who wants to lock a classmate out gains a minute at most. An address is
//! refused only after a number that a whole class behind one router does not reach by honest mistakes.

use chrono::{Duration, NaiveDateTime};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::schema::throttles;

/// How long failures are remembered.
const WINDOW_MINUTES: i64 = 15;
/// The longest wait of an account.
const LONGEST_WAIT_SECONDS: i64 = 60;

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Wrong passwords of a login id, whether it exists or not.
    Login(&'a str),
    /// Wrong passwords from an address.
    Address(&'a str),
    /// Sign-ups from an address.
    Signup(&'a str),
}

impl Subject<'_> {
    /// Login ids are typed by anybody: their digest has a known length and no surprises.
    fn key(self) -> String {
        let (kind, what) = match self {
            Self::Login(id) => ("login", id),
            Self::Address(address) => ("address", address),
            Self::Signup(address) => ("signup", address),
        };
        format!("{kind}:{}", hex::encode(&Sha256::digest(what.as_bytes())[..16]))
    }

    fn window(self) -> Duration {
        match self {
            Self::Login(_) | Self::Address(_) => Duration::minutes(WINDOW_MINUTES),
            Self::Signup(_) => Duration::hours(1),
        }
    }
}

/// Seconds to wait before the next try; 0: now.
///
/// # Errors
/// The database's.
pub fn wait(conn: &mut MysqlConnection, subject: Subject<'_>, limit: u32, now: NaiveDateTime) -> QueryResult<u64> {
    let row = throttles::table
        .find(subject.key())
        .select((throttles::failures, throttles::window_started_at, throttles::last_at))
        .first::<(u32, NaiveDateTime, NaiveDateTime)>(conn)
        .optional()?;
    let Some((failures, started, last)) = row else { return Ok(0) };
    Ok(seconds_to_wait(subject, failures, limit, started, last, now))
}

fn seconds_to_wait(
    subject: Subject<'_>,
    failures: u32,
    limit: u32,
    started: NaiveDateTime,
    last: NaiveDateTime,
    now: NaiveDateTime,
) -> u64 {
    let end_of_window = started + subject.window();
    if failures < limit || now >= end_of_window {
        return 0;
    }
    let until = match subject {
        Subject::Login(_) => {
            let doubled = 1_i64 << (failures - limit).min(6);
            last + Duration::seconds(doubled.min(LONGEST_WAIT_SECONDS))
        }
        Subject::Address(_) | Subject::Signup(_) => end_of_window,
    };
    u64::try_from((until - now).num_milliseconds().max(0)).unwrap_or(0).div_ceil(1000)
}

/// Counts one more; a window that has passed starts anew.
///
/// # Errors
/// The database's.
pub fn count(conn: &mut MysqlConnection, subject: Subject<'_>, now: NaiveDateTime) -> QueryResult<()> {
    let key = subject.key();
    let fresh = diesel::update(throttles::table.find(&key).filter(throttles::window_started_at.gt(now - subject.window())))
        .set((throttles::failures.eq(throttles::failures + 1), throttles::last_at.eq(now)))
        .execute(conn)?;
    if fresh == 0 {
        diesel::replace_into(throttles::table)
            .values((
                throttles::subject.eq(&key),
                throttles::failures.eq(1),
                throttles::window_started_at.eq(now),
                throttles::last_at.eq(now),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Forgets what was counted: after the right password.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut MysqlConnection, subject: Subject<'_>) -> QueryResult<()> {
    diesel::delete(throttles::table.find(subject.key())).execute(conn)?;
    Ok(())
}

/// Removes what no longer counts; called by the sync.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut MysqlConnection, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::delete(throttles::table.filter(throttles::last_at.lt(now - Duration::hours(2)))).execute(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        chrono::DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap().naive_utc()
    }

    #[test]
    fn an_account_waits_longer_each_time_and_never_more_than_a_minute() {
        let wait = |failures, now| seconds_to_wait(Subject::Login("a"), failures, 5, at(0), at(10), at(now));
        assert_eq!(wait(4, 10), 0);
        assert_eq!([wait(5, 10), wait(6, 10), wait(8, 10), wait(11, 10), wait(500, 10)], [1, 2, 8, 60, 60]);
        assert_eq!(wait(8, 15), 3);
        assert_eq!(wait(500, 71), 0);
        assert_eq!(wait(500, 15 * 60), 0, "the window has passed");
    }

    #[test]
    fn an_address_waits_for_the_end_of_the_window() {
        let wait = |failures, now| seconds_to_wait(Subject::Address("10.0.0.1"), failures, 300, at(0), at(10), at(now));
        assert_eq!([wait(299, 10), wait(300, 10), wait(300, 899), wait(300, 900)], [0, 890, 1, 0]);
    }
}
