//! What open pages are told: that something of their account has changed, so that they ask for it again.
//!
//! Nobody has to say that he has written something: every row that a page shows carries the time of its last write
//! (`touched_at`), which the database itself keeps, whoever writes and in whichever process ([`model`]). While pages are
//! open, each process looks a few times a second which rows were touched, one question for all accounts, and tells the
//! streams of those accounts ([`hub`]). A stream says *that* something changed, never what: the page asks for its part as
//! it always does, so that nothing can be seen by a stream that could not be seen by a request.
//!
//! A time of writing is that of the statement, and the row is seen only after its commit: every look reaches back over
//! what was looked at before ([`WINDOW`]), and tells a touch of a row once.

pub mod hub;
pub mod model;
pub mod routes;

use chrono::{DateTime, NaiveDateTime, TimeDelta};

pub use hub::Hub;

/// How long a transaction may take from its first write to its end without a page missing it.
pub const WINDOW: TimeDelta = TimeDelta::seconds(30);

/// What a page may show, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Topics(u8);

impl Topics {
    pub const NONE: Self = Self(0);
    pub const INSTANCES: Self = Self(1);
    pub const APPLICATIONS: Self = Self(2);
    pub const BUCKETS: Self = Self(4);
    /// Whether the clouds answer: everybody's.
    pub const CLOUDS: Self = Self(8);
    pub const ALL: Self = Self(15);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::INSTANCES, "instances"),
        (Self::APPLICATIONS, "applications"),
        (Self::BUCKETS, "buckets"),
        (Self::CLOUDS, "clouds"),
    ];

    /// The set with these too.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Their names, as a page's `data-topics` has them, with a space between.
    pub fn names(self) -> String {
        let names: Vec<&str> =
            Self::NAMES.iter().filter(|(topic, _)| self.0 & topic.0 != 0).map(|(_, name)| *name).collect();
        names.join(" ")
    }
}

/// Up to where a page has been told everything: the database's time, and which clouds did not answer then. As text, it
/// is the id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub at: NaiveDateTime,
    /// Two bits a service, in the order of [`model::SERVICES`]: whether it fails, and whether for so long that it is told.
    pub failing: u8,
}

impl Cursor {
    /// None when it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (micros, failing) = text.split_once('-')?;
        // What `i64` takes beside digits is not how we write it.
        let digits = micros.bytes().all(|byte| byte.is_ascii_digit());
        let at = DateTime::from_timestamp_micros(micros.parse().ok().filter(|_| digits)?)?.naive_utc();
        Some(Self { at, failing: failing.parse().ok()? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at.and_utc().timestamp_micros(), self.failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let at = DateTime::from_timestamp_micros(1_764_000_000_123_456).unwrap().naive_utc();
        let cursor = Cursor { at, failing: 5 };
        assert_eq!(cursor.to_string(), "1764000000123456-5");
        assert_eq!(Cursor::parse("1764000000123456-5"), Some(cursor));
        for odd in ["", "-", "-5-0", "1", "1-", "1-256", "x-1", "99999999999999999999-0", "9223372036854775807-0"] {
            assert_eq!(Cursor::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn topics_have_names() {
        assert_eq!(Topics::ALL.names(), "instances applications buckets clouds");
        assert_eq!(Topics::BUCKETS.and(Topics::INSTANCES).names(), "instances buckets");
        assert_eq!(Topics::NONE.names(), "");
    }
}
