//! What an account may have, and what it has.

use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::config::Quota;
use crate::ids::AccountId;
use crate::instances::model::Instance;
use crate::schema::account_quotas;

/// What an account's mini PCs take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub instances: u32,
    pub vcpus: u32,
    pub ram_mb: u32,
}

impl Usage {
    /// Whether this much more still fits.
    pub fn fits(self, more: Self, limit: Quota) -> bool {
        self.instances.saturating_add(more.instances) <= limit.instances
            && self.vcpus.saturating_add(more.vcpus) <= limit.vcpus
            && self.ram_mb.saturating_add(more.ram_mb) <= limit.ram_mb
    }
}

/// What an account's applications take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppUsage {
    pub applications: u32,
    /// Thousandths of a processor, of all replicas.
    pub cpu_millis: u32,
    pub memory_mb: u32,
}

impl AppUsage {
    /// Whether this much more still fits.
    pub fn fits(self, more: Self, limit: Quota) -> bool {
        self.applications.saturating_add(more.applications) <= limit.applications
            && self.cpu_millis.saturating_add(more.cpu_millis) <= limit.app_cpu_millis
            && self.memory_mb.saturating_add(more.memory_mb) <= limit.app_memory_mb
    }
}

type Limits = (Option<u32>, Option<u32>, Option<u32>);
type StorageLimits = (Option<u32>, Option<u32>);

/// The account's own limits, or the configuration's where it has none.
///
/// # Errors
/// The database's.
pub fn limit(conn: &mut MysqlConnection, account: AccountId, default: Quota) -> QueryResult<Quota> {
    let own = account_quotas::table
        .find(account)
        .select((
            (account_quotas::instances, account_quotas::vcpus, account_quotas::ram_mb),
            (account_quotas::applications, account_quotas::app_cpu_millis, account_quotas::app_memory_mb),
            (account_quotas::buckets, account_quotas::storage_mb),
        ))
        .first::<(Limits, Limits, StorageLimits)>(conn)
        .optional()?
        .unwrap_or_default();
    let (own, apps, storage) = own;
    Ok(Quota {
        instances: own.0.unwrap_or(default.instances),
        vcpus: own.1.unwrap_or(default.vcpus),
        ram_mb: own.2.unwrap_or(default.ram_mb),
        applications: apps.0.unwrap_or(default.applications),
        app_cpu_millis: apps.1.unwrap_or(default.app_cpu_millis),
        app_memory_mb: apps.2.unwrap_or(default.app_memory_mb),
        buckets: storage.0.unwrap_or(default.buckets),
        storage_mb: storage.1.unwrap_or(default.storage_mb),
    })
}

/// What an account's mini PCs take of its quota now.
///
/// # Errors
/// The database's.
pub fn usage(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<Usage> {
    Ok(Instance::counts(conn, account)?.usage)
}
