//! Slowing down who guesses, without locking a class out.
//!
//! Failures are counted in the database, so that two processes count together, and before the password is looked at, so
//! that a burst of tries counts as one after the other. A login id has to wait longer after each failure from an address,
//! up to a minute. An address is refused only after a number that a whole class behind one router does not reach by honest
//! mistakes. A browser that has logged in to the account before carries a cookie that says so, and is counted by itself:
//! guessing at a classmate's account does not keep the classmate out.

use chrono::{Duration, NaiveDateTime};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::db;
use crate::schema::throttles;

/// How long failures are remembered.
const WINDOW_MINUTES: i64 = 15;
/// The longest wait of an account.
const LONGEST_WAIT_SECONDS: i64 = 60;

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Wrong passwords for a login id, whether it exists or not, from an address.
    Login { id: &'a str, address: &'a str },
    /// Wrong passwords from a browser that has logged in to the account before.
    Device(&'a str),
    /// Wrong passwords from an address, whatever the login id.
    Address(&'a str),
    /// Wrong current passwords of an account that is signed in.
    Password(&'a str),
    /// Sign-ups from an address.
    Signup(&'a str),
}

impl Subject<'_> {
    /// Login ids are typed by anybody: their digest has a known length and no surprises.
    fn key(self) -> String {
        let (kind, what) = match self {
            Self::Login { id, address } => ("login", format!("{address}\n{id}")),
            Self::Device(device) => ("device", device.to_owned()),
            Self::Address(address) => ("address", address.to_owned()),
            Self::Password(account) => ("password", account.to_owned()),
            Self::Signup(address) => ("signup", address.to_owned()),
        };
        format!("{kind}:{}", hex::encode(&Sha256::digest(what.as_bytes())[..16]))
    }

    fn window(self) -> Duration {
        match self {
            Self::Signup(_) => Duration::hours(1),
            _ => Duration::minutes(WINDOW_MINUTES),
        }
    }
}

/// Takes a try: 0, and it is counted as a failure until [`forget`] or [`give_back`] says otherwise; or the seconds to
/// wait, and nothing is counted. Tries at the same moment are counted one after the other.
///
/// # Errors
/// The database's.
pub fn take(conn: &mut MysqlConnection, tries: &[(Subject<'_>, u32)], now: NaiveDateTime) -> QueryResult<u64> {
    // Each by itself: a row that is there is locked for reading by this, and two who then lock it for writing in one
    // transaction wait for each other.
    for (subject, _) in tries {
        diesel::insert_or_ignore_into(throttles::table)
            .values((
                throttles::subject.eq(subject.key()),
                throttles::failures.eq(0),
                throttles::window_started_at.eq(now),
                throttles::last_at.eq(now),
            ))
            .execute(conn)?;
    }
    db::transaction(conn, |conn| {
        let mut wait = 0;
        for (subject, limit) in tries {
            let (failures, started, last) = throttles::table
                .find(subject.key())
                .select((throttles::failures, throttles::window_started_at, throttles::last_at))
                .for_update()
                .first::<(u32, NaiveDateTime, NaiveDateTime)>(conn)
                .optional()?
                .unwrap_or((0, now, now));
            wait = wait.max(seconds_to_wait(*subject, failures, *limit, started, last, now));
        }
        if wait == 0 {
            for (subject, _) in tries {
                count(conn, *subject, now)?;
            }
        }
        Ok(wait)
    })
}

/// Seconds to wait before the next try; 0: now. Counts nothing.
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

/// Takes back what [`take`] counted: the password was right.
///
/// # Errors
/// The database's.
pub fn give_back(conn: &mut MysqlConnection, subject: Subject<'_>) -> QueryResult<()> {
    let counted = throttles::table.find(subject.key()).filter(throttles::failures.gt(0));
    diesel::update(counted).set(throttles::failures.eq(throttles::failures - 1)).execute(conn)?;
    Ok(())
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
        Subject::Login { .. } | Subject::Device(_) | Subject::Password(_) => {
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
    let fresh =
        diesel::update(throttles::table.find(&key).filter(throttles::window_started_at.gt(now - subject.window())))
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
        let wait = |failures, now| {
            seconds_to_wait(Subject::Login { id: "a", address: "10.0.0.1" }, failures, 5, at(0), at(10), at(now))
        };
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
