//! What keeps accounts apart, and the portal's own rights small.

use super::*;
use crate::cloud::CloudError;

/// Whether a pod of an application reaches an address.
fn reaches(account: &Account, pod: &str, target: &str) -> bool {
    let (host, port) = target.rsplit_once(':').unwrap();
    let arguments = ["-n", &account.namespace(), "exec", pod, "--", "nc", "-w", "3", host, port, "-e", "true"];
    kubectl(&arguments).status.success()
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_accounts_do_not_reach_each_other() {
    let (one, other) = (Account::new().await, Account::new().await);
    let mut pods = Vec::new();
    let (mut addresses, mut names) = (Vec::new(), Vec::new());
    for account in [&one, &one, &other] {
        let order = account.order("hello:1");
        account.deploy(&order).await;
        let seen = account.until_ready(&order).await;
        until_answers(&order.host, 200).await;
        pods.push(seen.pods[0].name.clone());
        let of = |kind: &str, name: &str, path: &str| {
            let path = format!("jsonpath={path}");
            kubectl_text(&["-n", &account.namespace(), "get", kind, name, "-o", &path])
        };
        let service = crate::cloud::cluster::object_name(order.owner.application);
        names.push(format!("{service}.{}.svc.cluster.local", account.namespace()));
        addresses.push((
            format!("{}:80", of("pod", &seen.pods[0].name, "{.status.podIP}")),
            format!("{}:80", of("service", &service, "{.spec.clusterIP}")),
        ));
    }
    assert!(reaches(&one, &pods[0], &addresses[1].0) && reaches(&one, &pods[0], &addresses[1].1), "its own account");
    assert!(!reaches(&one, &pods[0], &addresses[2].0) && !reaches(&one, &pods[0], &addresses[2].1), "another account");
    assert!(!reaches(&other, &pods[2], &addresses[0].0));
    for outside in ["10.96.0.1:443", "10.99.0.1:6443", "10.99.0.1:10250", "169.254.169.254:80"] {
        assert!(!reaches(&one, &pods[0], outside), "{outside}");
    }
    let asked = kubectl_text(&["-n", &one.namespace(), "exec", &pods[0], "--", "nslookup", &names[1]]);
    assert!(asked.contains(addresses[1].1.trim_end_matches(":80")), "{asked}");
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_a_container_has_the_rights_of_common_images_and_no_more() {
    let account = Account::new().await;
    let order = account.order("hello:1");
    account.deploy(&order).await;
    let pod = account.until_ready(&order).await.pods[0].name.clone();
    let inside = |script: &str| {
        let arguments = ["-n", &account.namespace(), "exec", &pod, "--", "sh", "-c", script];
        let output = kubectl(&arguments);
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success(), text)
    };
    let status = inside("grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/1/status | tr -s '\t\n' ' '").1;
    // The bits of capability.h: CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7, SETPCAP 8, NET_BIND 10.
    let bits = [0, 1, 3, 5, 6, 7, 8, 10].iter().fold(0_u64, |sum, bit| sum | 1 << bit);
    assert!(status.contains(&format!("CapBnd: {bits:016x}")), "{status}");
    assert!(status.contains("NoNewPrivs: 1") && status.contains("Seccomp: 2"), "{status}");
    // What entrypoints do: take files over, become another user, end its processes.
    let steps = "cp /bin/busybox /tmp/x && chown 65534:65534 /tmp/x && chmod 700 /tmp/x \
                 && (su nobody -s /bin/sh -c 'sleep 30 & echo $!' >/tmp/pid </dev/null 2>/dev/null; kill $(cat /tmp/pid))";
    assert!(inside(steps).0);
    assert!(!inside("mknod /tmp/sda b 8 0").0 && !inside("mount -t tmpfs none /mnt").0);
    assert!(!inside("ls /var/run/secrets/kubernetes.io").0, "no token");
    assert_eq!(inside("env | grep -c _SERVICE_PORT= ").1, "1", "only the cluster's own, which can't be left out");
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_the_portals_rights_end_where_they_should() {
    let account = Account::new().await;
    let subject = format!("--as={}", Config::defaults().unwrap().kubernetes.subject);
    let may = |arguments: &[&str]| {
        let output = kubectl(&[&["auth", "can-i", &subject][..], arguments].concat());
        String::from_utf8_lossy(&output.stdout).trim() == "yes"
    };
    for refused in [
        &["get", "secrets", "-A"][..],
        &["list", "secrets", "-n", "kube-system"],
        &["list", "nodes"],
        &["get", "nodes", "--subresource=proxy"],
        &["create", "pods", "-A"],
        &["create", "pods", "--subresource=exec", "-A"],
        &["get", "pods", "--subresource=log", "-n", "kube-system"],
        &["create", "clusterroles"],
        &["create", "clusterrolebindings"],
        &["bind", "clusterroles"],
        &["escalate", "clusterroles"],
        &["create", "roles", "-A"],
        &["delete", "namespaces"],
        &["impersonate", "users"],
        &["*", "*", "-A"],
    ] {
        assert!(!may(refused), "{refused:?}");
    }
    let own = account.namespace();
    assert!(may(&["bind", "clusterroles/fast-cloud-tenant"]));
    for allowed in
        [&["create", "secrets"][..], &["create", "pods", "--subresource=exec"], &["patch", "deployments.apps"]]
    {
        assert!(may(&[allowed, &["-n", &own]].concat()), "{allowed:?}");
    }
    for refused in [["list", "secrets"], ["create", "pods"], ["create", "roles"], ["delete", "resourcequotas"]] {
        assert!(!may(&[&refused[..], &["-n", &own]].concat()), "{refused:?}");
    }
    // What it can't give itself: another role, by the binding that it may write.
    let grab = format!(
        "{{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{{\"name\":\"grab\",\
         \"namespace\":\"{own}\"}},\"roleRef\":{{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\
         \"name\":\"cluster-admin\"}},\"subjects\":[{{\"kind\":\"User\",\"apiGroup\":\"rbac.authorization.k8s.io\",\
         \"name\":\"x\"}}]}}"
    );
    let file = std::env::temp_dir().join(format!("grab-{}.json", account.portal));
    std::fs::write(&file, grab).unwrap();
    let output = kubectl(&["create", &subject, "-f", &file.display().to_string()]);
    std::fs::remove_file(file).unwrap();
    let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("    {refusal}");
    assert!(!output.status.success() && refusal.contains("forbidden"));
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn lab_a_namespace_heals() {
    let account = Account::new().await;
    let own = account.namespace();
    let order = account.order("hello:1");
    account.deploy(&order).await;
    account.until_ready(&order).await;

    kubectl_text(&["-n", &own, "delete", "rolebinding", "fast-cloud-tenant"]);
    let began = Instant::now();
    account.deploy(&order).await;
    println!("    the rights are back: {:.1} s", began.elapsed().as_secs_f32());
    assert!(account.cluster.presence(order.owner).await.unwrap().is_complete());

    let began = Instant::now();
    kubectl_text(&["delete", "namespace", &own, "--wait=false"]);
    // While it goes, nothing can be made in it: to be tried again, no refusal for good.
    let refused = account.cluster.apply_deployment(&account.order("hello:1")).await;
    println!("    while it goes: {refused:?}");
    assert!(refused.is_err_and(|err| err.is_transient()));
    kubectl_text(&["wait", "--for=delete", &format!("namespace/{own}"), "--timeout=90s"]);
    println!("    the namespace is gone: {:.1} s", began.elapsed().as_secs_f32());
    assert!(account.cluster.presence(order.owner).await.unwrap().is_gone());
    assert_eq!(account.cluster.show(order.owner).await.unwrap().deployment, None);
    account.remove(order.owner).await;
    // Written to again, it comes back with all its walls.
    account.deploy(&order).await;
    account.until_ready(&order).await;
    let walls = kubectl_text(&["-n", &own, "get", "resourcequota,limitrange,networkpolicy,rolebinding", "-o", "name"]);
    println!("    {}", walls.replace('\n', " "));
    assert_eq!(walls.lines().count(), 4);

    // The same account of another portal.
    let other = NamespaceOrder { portal: Uuid::new_v4(), ..account.namespace_order() };
    let refused = connect().await.prepare(&other).await.unwrap_err();
    assert!(matches!(refused, CloudError::Rejected(_)), "{refused}");
    let foreign = AppOwner { portal: other.portal, ..order.owner };
    assert!(matches!(account.cluster.delete(foreign, Part::Service).await, Err(CloudError::Rejected(_))));
    assert!(account.cluster.presence(order.owner).await.unwrap().is_complete());
}
