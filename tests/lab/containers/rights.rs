//! What the portal's account may do in the cluster, asked of the cluster.

use crate::support::{Cluster, Home, run_containers};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn the_portal_may_do_what_it_needs_and_no_more() {
    run_containers(async |cluster: &Cluster| {
        let home = Home::new();
        let portal = cluster.setup().start(&home).await;
        let person = portal.person("rights").await;
        let id = person.deploy("rights", "hello:1", &[]).await;
        person.container_reaches(&id, "running", 60).await;
        let namespace = cluster.namespace(&id).await;
        let may = async |arguments: &[&str]| {
            let all: Vec<&str> = ["auth", "can-i"].iter().chain(arguments).copied().collect();
            // The exit code says the same as the word.
            let said = cluster.kubectl_as_portal(&all).await;
            let said = said.unwrap_or_else(|said| said);
            if said.starts_with("no") { "no" } else { said.lines().next_back().unwrap_or_default() }.to_owned()
        };
        for allowed in [
            vec!["create", "namespaces"],
            vec!["list", "deployments.apps", "--all-namespaces"],
            vec!["watch", "pods", "--all-namespaces"],
            vec!["create", "deployments.apps", "-n", &namespace],
            vec!["patch", "secrets", "-n", &namespace],
            vec!["create", "pods", "--subresource=exec", "-n", &namespace],
        ] {
            assert_eq!(may(&allowed).await, "yes", "{allowed:?}");
        }
        for refused in [
            vec!["get", "secrets", "--all-namespaces"],
            vec!["list", "secrets", "--all-namespaces"],
            vec!["get", "secrets", "-n", "kube-system"],
            vec!["get", "secrets", "-n", "default"],
            vec!["create", "pods", "--subresource=exec", "-n", "kube-system"],
            vec!["create", "deployments.apps", "-n", "kube-system"],
            vec!["get", "nodes"],
            vec!["list", "nodes"],
            vec!["get", "nodes", "--subresource=proxy"],
            vec!["create", "clusterroles.rbac.authorization.k8s.io"],
            vec!["create", "roles.rbac.authorization.k8s.io", "-n", &namespace],
            vec!["create", "clusterrolebindings.rbac.authorization.k8s.io"],
            vec!["bind", "clusterroles.rbac.authorization.k8s.io/cluster-admin"],
            vec!["escalate", "clusterroles.rbac.authorization.k8s.io"],
            vec!["create", "validatingwebhookconfigurations.admissionregistration.k8s.io"],
            vec!["*", "*", "--all-namespaces"],
        ] {
            assert_eq!(may(&refused).await, "no", "{refused:?}");
        }
        person.press_container(&id, "delete", &[]).await;
        person.container_gone(&id, 90).await;
    })
    .await;
}
