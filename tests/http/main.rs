//! The portal from outside: the real server on a port of its own, a database of its own, the practice cloud, and people
//! in front of it who click, type and come back later.
//!
//! The database server is a private one of this test process, or the one that `FASTCLOUD_TEST_DATABASE_URL` names
//! (`mysql://user:password@host:port/`; its user has to be allowed to make databases).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what is not as expected fails the test, in helpers too")]

mod accounts;
mod applications;
mod buckets;
mod containers;
mod headers;
mod hostile;
mod i18n;
mod instances;
mod live;
mod ops;
mod outage;
mod program;
mod support;
mod sweep;
mod tenancy;
