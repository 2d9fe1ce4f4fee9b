//! What the clouds are asked for: a queue in MySQL.
//!
//! A request writes its row and an operation in one transaction and answers at once. The [`worker`] of any portal
//! process takes operations with `FOR UPDATE SKIP LOCKED` and a lease, renews the lease while it works, and repeats
//! what failed for a while. When a process dies, its leases run out and another takes its operations over: each is
//! written so that it can be done again.

pub mod model;
pub mod worker;

/// How long an operation waits after its so-manieth try: 2, 4, 8, 16, 30, 30 … seconds.
pub fn backoff(attempts: u32) -> std::time::Duration {
    std::time::Duration::from_secs((1_u64 << attempts.min(5)).min(30))
}
