//! `fast-cloud check`: what the portal needs of the cluster, asked of the cluster itself, and what it had better not be
//! allowed to.

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::Kubernetes;
use super::namespace::TENANT_ROLE;
use crate::cloud::{CheckLine, CheckOutcome, CloudError};

const APPLY: &str = "Apply the role again as the cluster's administrator: kubectl apply -f deploy/rbac.yaml";

/// A resource, with its group and subresource, and what is done with it.
struct Right {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
}

const fn right(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Right {
    Right { group, resource, verbs }
}

/// What deploy/rbac.yaml gives everywhere.
const EVERYWHERE: [Right; 5] = [
    right("", "namespaces", &["get", "list", "create", "patch"]),
    right("apps", "deployments", &["list", "watch"]),
    right("", "pods", &["list", "watch"]),
    right("networking.k8s.io", "ingressclasses", &["list"]),
    right("rbac.authorization.k8s.io", "rolebindings", &["create", "patch"]),
];

/// What deploy/rbac.yaml gives inside an account's namespace.
const INSIDE: [Right; 14] = [
    right("apps", "deployments", &["get", "create", "patch", "delete"]),
    right("apps", "deployments/scale", &["patch"]),
    right("apps", "replicasets", &["list"]),
    right("", "services", &["get", "create", "patch", "delete"]),
    right("networking.k8s.io", "ingresses", &["get", "create", "patch", "delete"]),
    right("", "secrets", &["get", "create", "patch", "delete"]),
    right("", "resourcequotas", &["create", "patch"]),
    right("", "limitranges", &["create", "patch"]),
    right("networking.k8s.io", "networkpolicies", &["create", "patch"]),
    right("", "pods", &["get", "list"]),
    right("", "pods/log", &["get"]),
    // Opening a websocket is "get" to older servers and "create" to newer ones.
    right("", "pods/exec", &["get", "create"]),
    right("", "pods/portforward", &["get", "create"]),
    right("", "events", &["list"]),
];

/// What nobody should be able to do with the portal's login, in all namespaces.
const DANGEROUS: [Right; 10] = [
    right("", "secrets", &["get", "list", "watch", "create", "patch"]),
    right("", "nodes", &["get", "list", "patch"]),
    right("", "nodes/proxy", &["get", "create"]),
    right("", "pods", &["create", "patch"]),
    right("", "pods/exec", &["get", "create"]),
    right("", "serviceaccounts/token", &["create"]),
    right("", "users", &["impersonate"]),
    right("rbac.authorization.k8s.io", "roles", &["create", "update", "patch", "escalate", "bind"]),
    right("rbac.authorization.k8s.io", "clusterroles", &["create", "update", "patch", "escalate", "bind"]),
    right("*", "*", &["*"]),
];

impl Kubernetes {
    pub(super) async fn check_all(&self) -> Vec<CheckLine> {
        let version = self.check_version().await;
        let answers = matches!(version, CheckOutcome::Works(_));
        let mut lines = vec![line("Kubernetes login", version)];
        let rest =
            ["Rights everywhere", "Rights in accounts' namespaces", "Rights it should not have", "Ingress class"];
        if !answers {
            let skipped = || CheckOutcome::Skipped("needs the login".to_owned());
            lines.extend(rest.map(|what| line(what, skipped())));
            return lines;
        }
        lines.push(line(rest[0], self.check_everywhere().await));
        lines.push(line(rest[1], self.check_inside().await));
        lines.push(line(rest[2], self.check_dangerous().await));
        lines.push(line(rest[3], self.check_ingress_class().await));
        lines.push(line("Network policy", self.check_named_namespaces().await));
        lines
    }

    /// Whether this cluster knows the pause before the end of a container (since 1.30). It is asked once; while it
    /// can't be asked, it does not.
    pub(super) async fn knows_sleep(&self) -> bool {
        let version = async {
            let version = self.within(self.unary.apiserver_version()).await?;
            Ok::<_, CloudError>(knows_sleep(&version.major, &version.minor))
        };
        match self.sleeps.get_or_try_init(|| version).await {
            Ok(sleeps) => *sleeps,
            Err(err) => {
                tracing::debug!("the cluster's version is not known: {err}");
                false
            }
        }
    }

    async fn check_version(&self) -> CheckOutcome {
        let version = match self.within(self.unary.apiserver_version()).await {
            Ok(version) => version.git_version,
            Err(failure) => return fails(&failure.into(), &format!("Look at the login in {}.", self.login)),
        };
        match self.ask_whether_it_answers().await {
            Ok(()) => CheckOutcome::Works(format!("{version}, by {}", self.login)),
            Err(err) => fails(&err, &format!("Look at the login in {}. {APPLY}", self.login)),
        }
    }

    async fn check_everywhere(&self) -> CheckOutcome {
        let mut asked = asked_for(&EVERYWHERE);
        asked.push(Question { name: TENANT_ROLE, ..bind() });
        match self.answered(asked, false).await {
            Ok(missing) if missing.is_empty() => {
                CheckOutcome::Works("namespaces, watches and role bindings".to_owned())
            }
            Ok(missing) => {
                let problem = format!("the portal may not: {}", missing.join("; "));
                CheckOutcome::Fails { problem, advice: APPLY.to_owned() }
            }
            Err(err) => fails(&err, APPLY),
        }
    }

    /// What the role says that the portal binds to itself: its rights inside a namespace can't be asked for before there
    /// is one.
    async fn check_inside(&self) -> CheckOutcome {
        let roles = Api::<ClusterRole>::all(self.unary.clone());
        let role = match self.if_found(roles.get(TENANT_ROLE)).await {
            Ok(Some(role)) => role,
            Ok(None) => {
                let problem = format!("there is no ClusterRole {TENANT_ROLE}");
                return CheckOutcome::Fails { problem, advice: APPLY.to_owned() };
            }
            Err(failure) => return fails(&failure.into(), APPLY),
        };
        let rules = role.rules.unwrap_or_default();
        let missing: Vec<String> =
            asked_for(&INSIDE).iter().filter(|question| !allows(&rules, question)).map(Question::text).collect();
        if missing.is_empty() {
            return CheckOutcome::Works(format!("by the ClusterRole {TENANT_ROLE}, bound for each account"));
        }
        let problem = format!("the ClusterRole {TENANT_ROLE} does not allow: {}", missing.join("; "));
        CheckOutcome::Fails { problem, advice: APPLY.to_owned() }
    }

    async fn check_dangerous(&self) -> CheckOutcome {
        match self.answered(asked_for(&DANGEROUS), true).await {
            Ok(allowed) if allowed.is_empty() => {
                CheckOutcome::Works("no secrets, nodes, roles or shells but in accounts' namespaces".to_owned())
            }
            Ok(allowed) => CheckOutcome::Fails {
                problem: format!("with the portal's login one may, in all namespaces: {}", allowed.join("; ")),
                advice: "Give the portal the login of its own service account (deploy/README.md), and bind no other \
                         role to that: kubectl get clusterrolebindings -o wide"
                    .to_owned(),
            },
            Err(err) => fails(&err, APPLY),
        }
    }

    async fn check_ingress_class(&self) -> CheckOutcome {
        let classes = Api::<IngressClass>::all(self.unary.clone());
        let classes = match self.within(classes.list_metadata(&ListParams::default())).await {
            Ok(list) => list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(),
            Err(failure) => return fails(&failure.into(), APPLY),
        };
        let wanted = &self.config.ingress_class;
        if classes.contains(wanted) {
            return CheckOutcome::Works(wanted.clone());
        }
        let (problem, advice) = match classes.is_empty() {
            true => ("the cluster has no ingress class".to_owned(), "Install an ingress controller.".to_owned()),
            false => (
                format!("there is no ingress class \"{wanted}\""),
                format!("Set kubernetes.ingress_class to one that there is: {}", classes.join(", ")),
            ),
        };
        CheckOutcome::Fails { problem, advice }
    }

    /// The network policy knows the ingress controller and the DNS by a label that clusters write to namespaces by
    /// themselves since 1.21.
    async fn check_named_namespaces(&self) -> CheckOutcome {
        let mut names = vec!["kube-system"];
        if !self.config.ingress_namespace.is_empty() {
            names.push(&self.config.ingress_namespace);
        }
        let namespaces = Api::<Namespace>::all(self.unary.clone());
        for name in names {
            let found = match self.if_found(namespaces.get_metadata(name)).await {
                Ok(found) => found,
                Err(failure) => return fails(&failure.into(), APPLY),
            };
            let Some(found) = found else {
                if !self.config.ingress_networks.is_empty() {
                    continue;
                }
                return CheckOutcome::Fails {
                    problem: format!("there is no namespace {name}, where the ingress controller should be"),
                    advice:
                        "Set kubernetes.ingress_namespace, or kubernetes.ingress_networks where it uses the nodes' \
                             own network."
                            .to_owned(),
                };
            };
            if found.labels().get("kubernetes.io/metadata.name").map(String::as_str) != Some(name) {
                return CheckOutcome::Fails {
                    problem: format!("the namespace {name} lacks the label that network policies know it by"),
                    advice: format!("kubectl label namespace {name} kubernetes.io/metadata.name={name}"),
                };
            }
        }
        CheckOutcome::Works("knows the ingress controller and the DNS".to_owned())
    }

    /// Those questions that were answered by `which`.
    async fn answered(&self, questions: Vec<Question>, which: bool) -> Result<Vec<String>, CloudError> {
        let answers = stream::iter(questions).map(|question| async move {
            let allowed = self.may(&question).await?;
            Ok((question, allowed))
        });
        let answers: Vec<Result<(Question, bool), CloudError>> = answers.buffered(4).collect().await;
        let mut chosen = Vec::new();
        for answer in answers {
            let (question, allowed) = answer?;
            if allowed == which {
                chosen.push(question.text());
            }
        }
        Ok(chosen)
    }

    async fn may(&self, question: &Question) -> Result<bool, CloudError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": question.group,
                "resource": question.resource,
                "subresource": question.subresource,
                "name": question.name,
                "verb": question.verb,
            }},
        });
        let review: SelfSubjectAccessReview =
            serde_json::from_value(review).map_err(|err| CloudError::Rejected(err.to_string()))?;
        let reviews = Api::<SelfSubjectAccessReview>::all(self.unary.clone());
        let answer = self.within(reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// One verb on one resource.
#[derive(Debug, Clone)]
struct Question {
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// Empty: any.
    name: &'static str,
    verb: &'static str,
}

impl Question {
    fn text(&self) -> String {
        let Self { resource, verb, .. } = self;
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        format!("{verb} {resource}{slash}{}{name}", self.subresource)
    }

    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

fn bind() -> Question {
    Question { group: "rbac.authorization.k8s.io", resource: "clusterroles", subresource: "", name: "", verb: "bind" }
}

fn asked_for(rights: &[Right]) -> Vec<Question> {
    let questions = rights.iter().flat_map(|right| {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        right.verbs.iter().map(move |verb| Question { group: right.group, resource, subresource, name: "", verb })
    });
    questions.collect()
}

/// Whether a role's rules allow it (as the server reads them, without rules for single names).
fn allows(rules: &[PolicyRule], question: &Question) -> bool {
    let has = |list: Option<&Vec<String>>, what: &str| list.into_iter().flatten().any(|one| one == what || one == "*");
    let resource = question.full_resource();
    rules.iter().any(|rule| {
        has(rule.api_groups.as_ref(), question.group)
            && has(rule.resources.as_ref(), &resource)
            && has(Some(&rule.verbs), question.verb)
            && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
    })
}

/// `1`, `30+`: some distributions write a plus sign.
fn knows_sleep(major: &str, minor: &str) -> bool {
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().unwrap_or_default();
    (number(major), number(minor)) >= (1, 30)
}

fn fails(err: &CloudError, advice: &str) -> CheckOutcome {
    CheckOutcome::Fails { problem: err.to_string(), advice: advice.to_owned() }
}

fn line(what: &str, outcome: CheckOutcome) -> CheckLine {
    CheckLine { what: what.to_owned(), outcome }
}

#[cfg(test)]
mod tests;
