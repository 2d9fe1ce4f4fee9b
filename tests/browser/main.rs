//! The portal in a browser: a real Chromium against the real binary.
//!
//! `cargo test --test browser` runs against the practice cloud. Those in [`lab`] need an OpenStack (`lab/README.md`), and
//! [`screenshots`] renews the pictures in `docs/screenshots/`; both only run when asked for.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

mod accessibility;
mod account;
mod admin;
mod buckets;
mod containers;
mod journey;
mod keyboard;
mod lab;
mod live;
mod outage;
mod preferences;
mod renting;
mod screenshots;
mod support;
