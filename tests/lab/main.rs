//! The real program against the lab's OpenStack, from outside: a person's HTTP on one side, Keystone's, Nova's and
//! Neutron's own APIs on the other, and between the portal and the cloud sometimes a proxy that counts or breaks things.
//!
//! ```sh
//! lab/up openstack
//! cargo test --features failpoints --test lab -- --ignored --test-threads=1
//! ```
//!
//! Everything made in the cloud is called `t-lab-…` and is removed afterwards, after a failure, too.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod buckets;
mod containers;
mod crash;
mod life;
mod live;
mod login;
mod outage;
mod quota;
mod scale;
mod ssh;
mod support;
mod two;
