//! The labels by which we know our objects.

use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud::cluster::AppOwner;
use crate::ids::{AccountId, ApplicationId};

pub(super) const PORTAL: &str = "fast-cloud/portal";
pub(super) const ACCOUNT: &str = "fast-cloud/account";
pub(super) const APPLICATION: &str = "fast-cloud/application";
/// On pods: which deployment order they are of.
pub(super) const REVISION: &str = "fast-cloud/revision";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Labels of what belongs to an account.
pub(super) fn of_account(portal: Uuid, account: AccountId) -> Value {
    json!({ PORTAL: portal, ACCOUNT: account, MANAGED_BY: super::FIELD_MANAGER })
}

/// Labels of what belongs to an application.
pub(super) fn of_application(owner: AppOwner) -> Value {
    json!({
        PORTAL: owner.portal,
        ACCOUNT: owner.account,
        APPLICATION: owner.application,
        MANAGED_BY: super::FIELD_MANAGER,
    })
}

/// Selects everything of a portal that belongs to some application.
pub(super) fn select_portal(portal: Uuid) -> String {
    format!("{PORTAL}={portal},{APPLICATION}")
}

/// Selects what belongs to an application.
pub(super) fn select_application(owner: AppOwner) -> String {
    format!("{PORTAL}={},{APPLICATION}={}", owner.portal, owner.application)
}

/// Whom an object's labels name; None: not ours.
pub(super) fn owner(metadata: &ObjectMeta) -> Option<AppOwner> {
    let labels = metadata.labels.as_ref()?;
    Some(AppOwner {
        portal: Uuid::try_parse(labels.get(PORTAL)?).ok()?,
        account: labels.get(ACCOUNT)?.parse().ok()?,
        application: labels.get(APPLICATION)?.parse::<ApplicationId>().ok()?,
    })
}

/// Whether an account's namespace is this portal's.
pub(super) fn is_account(metadata: &ObjectMeta, portal: Uuid, account: AccountId) -> bool {
    let has = |key: &str, value: String| metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(&value);
    has(PORTAL, portal.to_string()) && has(ACCOUNT, account.to_string())
}

/// The revision that labels name; 0: none.
pub(super) fn revision(labels: Option<&BTreeMap<String, String>>) -> u32 {
    labels.and_then(|labels| labels.get(REVISION)?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_from_the_labels_that_we_write() {
        let owner = AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() };
        let metadata =
            |labels: Value| ObjectMeta { labels: serde_json::from_value(labels).unwrap(), ..ObjectMeta::default() };
        let ours = metadata(of_application(owner));
        assert_eq!(super::owner(&ours), Some(owner));
        assert!(is_account(&ours, owner.portal, owner.account));
        assert!(!is_account(&ours, Uuid::new_v4(), owner.account));
        assert!(!is_account(&ours, owner.portal, AccountId::new()));
        assert_eq!(super::owner(&metadata(of_account(owner.portal, owner.account))), None);
        assert_eq!(super::owner(&ObjectMeta::default()), None);
        for value in ours.labels.unwrap().values() {
            assert!(value.len() <= 63 && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{value}");
        }
    }
}
