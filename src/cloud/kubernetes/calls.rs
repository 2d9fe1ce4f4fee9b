//! How a call that ends is made: in turn, within its time, and with the rights in an account's namespace put right.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource};

use super::{Kubernetes, errors};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, namespace};

/// How long a RoleBinding that was just written may take until every API server knows it.
const ROLE_SETTLES: Duration = Duration::from_secs(5);
const ROLE_PAUSE: Duration = Duration::from_millis(100);

/// A call that failed: by the cluster's refusal, or because it took too long.
pub(super) enum Failure {
    Refused(kube::Error),
    Late(CloudError),
}

impl From<Failure> for CloudError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(err) => errors::meaning(err),
            Failure::Late(err) => err,
        }
    }
}

impl Failure {
    fn is(&self, what: fn(&kube::Error) -> bool) -> bool {
        matches!(self, Self::Refused(err) if what(err))
    }
}

impl Kubernetes {
    /// Objects of a kind in an account's namespace.
    pub(super) fn objects_of<K>(&self, owner: AppOwner) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.unary.clone(), &namespace(owner.account))
    }

    /// A call, in turn and within the time limit (waiting for the turn is part of it).
    pub(super) async fn within<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let turn_and_call = async {
            let _turn = self.turns.acquire().await;
            call.await
        };
        match tokio::time::timeout(self.limit, turn_and_call).await {
            Ok(answer) => answer.map_err(Failure::Refused),
            Err(_) => Err(Failure::Late(CloudError::unavailable(format!(
                "no answer from the cluster within {} s",
                self.limit.as_secs()
            )))),
        }
    }

    /// As [`Self::within`]; not found is None.
    pub(super) async fn if_found<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<Option<T>, Failure> {
        match self.within(call).await {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.is(errors::is_not_found) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A call inside an account's namespace. A refusal for want of rights has its own ways: the namespace is gone (an
    /// administrator removed it), and with it our RoleBinding, which is [`CloudError::NotFound`]; or only the
    /// RoleBinding is, then it is written again and the call repeated.
    pub(super) async fn inside<T, F>(&self, owner: AppOwner, call: impl Fn() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.within(call()).await {
            Err(failure) if failure.is(errors::is_missing_right) => {
                self.restore_rights(owner).await?;
                self.settled(call).await
            }
            other => other.map_err(CloudError::from),
        }
    }

    /// As [`Self::inside`]; not found, of the object or of the whole namespace, is None.
    pub(super) async fn found_inside<T, F>(
        &self,
        owner: AppOwner,
        call: impl Fn() -> F,
    ) -> Result<Option<T>, CloudError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.inside(owner, call).await {
            Ok(value) => Ok(Some(value)),
            Err(CloudError::NotFound(_)) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// A call that writes inside an account's namespace: when the namespace is gone, it is made anew first.
    pub(super) async fn writing<T, F>(&self, owner: AppOwner, call: impl Fn() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.inside(owner, &call).await {
            Err(CloudError::NotFound(message)) => {
                let Some(order) = self.forget_prepared(owner.account) else {
                    return Err(CloudError::NotFound(message));
                };
                self.prepare_namespace(&order).await?;
                self.inside(owner, call).await
            }
            other => other,
        }
    }

    /// A call whose rights were just given: refusals for want of them are waited out for a while.
    pub(super) async fn settled<T, F>(&self, call: impl Fn() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let began = tokio::time::Instant::now();
        loop {
            match self.within(call()).await {
                Err(failure) if failure.is(errors::is_missing_right) && began.elapsed() < ROLE_SETTLES => {
                    tokio::time::sleep(ROLE_PAUSE).await;
                }
                other => return other.map_err(CloudError::from),
            }
        }
    }
}
