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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    use serde_json::json;
    use uuid::Uuid;

    use super::super::labels;
    use super::super::testing::{Reply, cluster, object, status};
    use super::*;
    use crate::cloud::cluster::{Cluster, NamespaceLimits, NamespaceOrder, Part};
    use crate::ids::{AccountId, ApplicationId};

    const REFUSAL: &str =
        "services \"app\" is forbidden: User \"p\" cannot get resource \"services\" in API group \"\"";

    fn owner() -> AppOwner {
        AppOwner { portal: Uuid::new_v4(), account: AccountId::new(), application: ApplicationId::new() }
    }

    fn order(owner: AppOwner) -> NamespaceOrder {
        let limits = NamespaceLimits { applications: 5, pods: 15, cpu_millis: 2_000, memory_mb: 2_048 };
        NamespaceOrder { portal: owner.portal, account: owner.account, limits }
    }

    #[tokio::test]
    async fn a_cluster_that_never_answers_costs_its_time_and_no_more() {
        let (cluster, _) = cluster(1, |_| Reply::Hang).await;
        let began = Instant::now();
        // More than may be asked at once: waiting for a turn is within the limit.
        let calls = (0..30).map(|_| cluster.show(owner()));
        let answers = futures::future::join_all(calls).await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        for answer in answers {
            assert!(matches!(answer, Err(CloudError::Unavailable { .. })), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let login = super::super::login::Login { config, source: "a test".to_owned() };
        let settings = crate::config::Config::defaults().unwrap().kubernetes;
        let cluster = Kubernetes::new(login, &settings).unwrap();
        let answer = cluster.ping().await.unwrap_err();
        assert!(matches!(&answer, CloudError::Unavailable { message, .. } if message.contains("refused")), "{answer}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once_with_the_time_to_wait() {
        let busy = json!({"kind": "Status", "code": 429, "message": "later", "details": {"retryAfterSeconds": 9}});
        let (cluster, asked) = cluster(5, move |_| Reply::Json(429, busy.clone())).await;
        let answer = cluster.list(Uuid::new_v4()).await.unwrap_err();
        let CloudError::Unavailable { retry_after, .. } = answer else { panic!("{answer}") };
        assert_eq!(retry_after, Some(Duration::from_secs(9)));
        assert!(asked.lock().unwrap().len() <= 2, "the client repeats nothing by itself");
    }

    #[tokio::test]
    async fn rights_that_were_removed_are_given_again() {
        let owner = owner();
        let refused = AtomicU32::new(0);
        let (cluster, asked) = cluster(5, move |asked| {
            if asked.starts_with("GET /api/v1/namespaces/fc-") && asked.contains("/services/") {
                // The binding takes a while until it is known.
                return match refused.fetch_add(1, Ordering::SeqCst) {
                    0..3 => status(403, "Forbidden", REFUSAL),
                    _ => object("app", labels::of_application(owner)),
                };
            }
            if asked.starts_with("DELETE ") {
                return Reply::Json(200, json!({"kind": "Status", "status": "Success"}));
            }
            object("x", labels::of_account(owner.portal, owner.account))
        })
        .await;
        cluster.delete(owner, Part::Service).await.unwrap();
        let asked = asked.lock().unwrap();
        let bound: Vec<_> = asked.iter().filter(|one| one.contains("/rolebindings/fast-cloud-tenant")).collect();
        assert_eq!(bound.len(), 1, "{asked:#?}");
        assert!(asked.last().unwrap().starts_with("DELETE "), "{asked:#?}");
    }

    #[tokio::test]
    async fn nothing_is_left_where_the_namespace_is_gone() {
        let owner = owner();
        let (cluster, asked) = cluster(5, |asked| {
            let is_namespace = asked.split('?').next().unwrap().matches('/').count() == 4;
            match is_namespace {
                true => status(404, "NotFound", "namespaces \"fc\" not found"),
                false => status(403, "Forbidden", REFUSAL),
            }
        })
        .await;
        assert!(cluster.presence(owner).await.unwrap().is_gone());
        cluster.delete(owner, Part::Deployment).await.unwrap();
        assert_eq!(cluster.show(owner).await.unwrap().deployment, None);
        assert!(cluster.events(owner).await.unwrap().is_empty());
        assert!(asked.lock().unwrap().iter().all(|one| one.starts_with("GET ")), "nothing is made anew to be removed");
    }

    #[tokio::test]
    async fn a_namespace_is_prepared_once_and_never_taken_from_another() {
        let owner = owner();
        let (ours, asked) = cluster(5, move |_| object("x", labels::of_account(owner.portal, owner.account))).await;
        ours.prepare(&order(owner)).await.unwrap();
        let calls = asked.lock().unwrap().clone();
        let of = |what: &str| calls.iter().position(|one| one.starts_with("PATCH ") && one.contains(what)).unwrap();
        let order_of = [of("/rolebindings/"), of("/resourcequotas/"), of("/limitranges/"), of("/networkpolicies/")];
        assert!(
            order_of.is_sorted() && calls.iter().filter(|one| one.contains("force=true")).count() == 5,
            "{calls:#?}"
        );
        ours.prepare(&order(owner)).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), calls.len(), "nothing changed, nothing is asked");
        let mut more = order(owner);
        more.limits.pods += 1;
        ours.prepare(&more).await.unwrap();
        assert!(asked.lock().unwrap().len() > calls.len());

        let (other, asked) = cluster(5, move |_| object("x", labels::of_account(Uuid::new_v4(), owner.account))).await;
        let refusal = other.prepare(&order(owner)).await.unwrap_err();
        assert!(matches!(refusal, CloudError::Rejected(_)), "{refusal}");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_object_of_our_name_that_is_not_ours_stays_as_it_is() {
        let owner = owner();
        let (cluster, asked) = cluster(5, move |_| {
            let other = AppOwner { portal: Uuid::new_v4(), ..owner };
            object("app", labels::of_application(other))
        })
        .await;
        for part in [Part::Secret, Part::Deployment, Part::Service, Part::Ingress] {
            let refusal = cluster.delete(owner, part).await.unwrap_err();
            assert!(matches!(refusal, CloudError::Rejected(_)), "{refusal}");
        }
        assert!(matches!(cluster.scale(owner, 0).await, Err(CloudError::Rejected(_))));
        assert!(asked.lock().unwrap().iter().all(|one| one.starts_with("GET ")));
    }

    #[tokio::test]
    async fn a_pods_name_is_a_name_and_no_path() {
        let (cluster, asked) = cluster(5, |_| Reply::Hang).await;
        for pod in ["", "..", "../secrets/x", "a/b", "a?b", "a%2fb", "A", "a b", &"a".repeat(300)] {
            let request = crate::cloud::cluster::LogRequest {
                owner: owner(),
                pod: pod.to_owned(),
                previous: false,
                follow: false,
                tail: 10,
            };
            assert!(matches!(cluster.logs(&request).await, Err(CloudError::NotFound(_))), "{pod}");
            let listeners = cluster.listeners(owner(), pod, &[], Duration::from_secs(1)).await;
            assert!(matches!(listeners, Err(CloudError::NotFound(_))), "{pod}");
        }
        assert!(asked.lock().unwrap().is_empty());
    }
}
