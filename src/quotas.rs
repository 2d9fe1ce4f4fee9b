//! What an account may have, and what it has.

use diesel::dsl::{count_star, sql};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use crate::config::Quota;
use crate::ids::AccountId;
use crate::schema::{account_quotas, instances};

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

/// The account's own limits, or the configuration's where it has none.
///
/// # Errors
/// The database's.
pub fn limit(conn: &mut MysqlConnection, account: AccountId, default: Quota) -> QueryResult<Quota> {
    let own = account_quotas::table
        .find(account)
        .select((account_quotas::instances, account_quotas::vcpus, account_quotas::ram_mb))
        .first::<(Option<u32>, Option<u32>, Option<u32>)>(conn)
        .optional()?
        .unwrap_or_default();
    Ok(Quota {
        instances: own.0.unwrap_or(default.instances),
        vcpus: own.1.unwrap_or(default.vcpus),
        ram_mb: own.2.unwrap_or(default.ram_mb),
    })
}

/// Every mini PC counts until it is gone, but for those that never came to be.
///
/// # Errors
/// The database's.
pub fn usage(conn: &mut MysqlConnection, account: AccountId) -> QueryResult<Usage> {
    let mine = instances::table
        .filter(instances::account_id.eq(account))
        .filter(instances::deleted_at.is_null())
        .filter(instances::status.ne("error").or(instances::nova_id.is_not_null()));
    // SUM of an integer is a DECIMAL, which needs a crate of its own to read.
    let total = |column: &str| sql::<Nullable<BigInt>>(&format!("CAST(SUM({column}) AS SIGNED)"));
    let (count, vcpus, ram): (i64, Option<i64>, Option<i64>) =
        mine.select((count_star(), total("vcpus"), total("ram_mb"))).first(conn)?;
    let small = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Usage { instances: small(count), vcpus: small(vcpus.unwrap_or(0)), ram_mb: small(ram.unwrap_or(0)) })
}
