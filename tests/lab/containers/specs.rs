//! The objects in the cluster, field by field, as the API server has them.

use serde_json::{Value, json};

use crate::support::{Cluster, Home, run_containers};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn the_objects_are_as_they_should_be() {
    run_containers(specs).await;
}

fn labels(object: &Value) -> &Value {
    &object["metadata"]["labels"]
}

async fn specs(cluster: &Cluster) {
    let home = Home::new();
    let setup = cluster
        .setup()
        .set("FASTCLOUD_KUBERNETES__INGRESS_ANNOTATIONS", r#"["school.example/limit=10"]"#)
        .set("FASTCLOUD_KUBERNETES__TLS_SECRET", "wildcard");
    let portal = setup.start(&home).await;
    let person = portal.person("builder").await;
    let id = person.deploy("Builder.s_App", "hello:1", &[]).await;
    person.container_reaches(&id, "running", 60).await;
    let namespace = cluster.namespace(&id).await;

    let deployment = &cluster.of("deployments", &id).await[0];
    let spec = &deployment["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(labels(deployment)["fast-cloud/application"], id.as_str());
    assert_eq!(labels(deployment)["app.kubernetes.io/managed-by"], "fast-cloud");
    let account = labels(deployment)["fast-cloud/account"].as_str().unwrap().to_owned();
    assert_eq!(namespace, format!("fc-{}", account.replace('-', "")));
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["selector"]["matchLabels"], json!({"fast-cloud/application": id}));
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxUnavailable": 0, "maxSurge": 1}));
    assert_eq!(labels(&spec["template"])["fast-cloud/application"], id.as_str());
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["enableServiceLinks"], false);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for field in ["hostNetwork", "hostPID", "hostIPC", "volumes", "serviceAccountName"] {
        assert!(matches!(pod[field], Value::Null) || pod[field] == "default", "{field}: {}", pod[field]);
    }
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    assert_eq!(container["image"], "docker.io/library/hello:1");
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(container["ports"][0]["containerPort"], 80);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["privileged"], Value::Null);
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"].as_i64().unwrap_or(80), 80);
    let resources = &container["resources"];
    assert_eq!((&resources["limits"]["cpu"], &resources["limits"]["memory"]), (&json!("250m"), &json!("128Mi")));
    assert!(resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string(), "{resources}");

    let service = &cluster.of("services", &id).await[0];
    assert_eq!(service["spec"]["type"], "ClusterIP");
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    assert_eq!(service["spec"]["ports"][0]["protocol"], "TCP");
    assert_eq!(
        (&service["spec"]["ports"][0]["targetPort"], &container["ports"][0]["name"]),
        (&json!("http"), &json!("http"))
    );
    assert_eq!(service["spec"]["selector"], json!({"fast-cloud/application": id}));

    let ingress = &cluster.of("ingresses", &id).await[0];
    assert_eq!(ingress["spec"]["ingressClassName"], cluster.var("LAB_INGRESS_CLASS"));
    assert_eq!(ingress["spec"]["rules"].as_array().unwrap().len(), 1);
    // Every character that is not allowed becomes a hyphen.
    assert_eq!(ingress["spec"]["rules"][0]["host"], "builder-s-app.apps.localhost");
    assert_eq!(ingress["metadata"]["annotations"], json!({"school.example/limit": "10"}));
    assert_eq!(ingress["spec"]["tls"], json!([{"hosts": ["builder-s-app.apps.localhost"], "secretName": "wildcard"}]));
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(backend["name"], service["metadata"]["name"]);

    walls(cluster, &namespace, &account).await;

    // Ports, size, variables: changed by a redeployment.
    person
        .press_container(
            &id,
            "redeploy",
            &[
                ("image", "env:1"),
                ("internal_port", "80"),
                ("external_port", "8000"),
                ("size", "medium"),
                ("replicas", "2"),
                ("variables", "GREETING=</script> \"blue\" ${HOME}"),
                ("secrets", "TOKEN=hunter-42"),
            ],
        )
        .await;
    cluster.answers("builder-s-app.apps.localhost", 200, "</script> \"blue\" ${HOME}", 60).await;
    let deployment = &cluster.of("deployments", &id).await[0];
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(container["resources"]["limits"]["cpu"], "500m");
    let env = container["env"].as_array().unwrap();
    // To Kubernetes `$$` is a plain `$`: what the program gets is what was typed, as seen above.
    assert!(env.contains(&json!({"name": "GREETING", "value": "</script> \"blue\" $${HOME}"})), "{env:?}");
    let secret = env.iter().find(|one| one["name"] == "TOKEN").unwrap();
    assert!(secret["value"].is_null() && secret["valueFrom"]["secretKeyRef"]["key"] == "TOKEN", "{secret}");
    let stored = &cluster.of("secrets", &id).await[0];
    use base64::Engine as _;
    let value = base64::engine::general_purpose::STANDARD.decode(stored["data"]["TOKEN"].as_str().unwrap()).unwrap();
    assert_eq!(value, b"hunter-42");
    assert_eq!(cluster.of("services", &id).await[0]["spec"]["ports"][0]["port"], 8000);
    let page = person.container(&id).await;
    assert!(page.text.contains("TOKEN") && !page.body.contains("hunter-42"), "a secret is shown");
    assert!(!portal.logged("hunter-42"), "a secret is logged");
    // Without a new value it stays.
    person.container_reaches(&id, "running", 60).await;
    person.press_container(&id, "redeploy", &[]).await;
    person.container_reaches(&id, "running", 60).await;
    assert_eq!(cluster.of("secrets", &id).await[0]["data"]["TOKEN"], stored["data"]["TOKEN"]);

    person.press_container(&id, "delete", &[]).await;
    person.container_gone(&id, 90).await;
    assert_eq!(cluster.in_namespace(&namespace).await, [].into());
}

/// What keeps accounts apart and within their limits.
async fn walls(cluster: &Cluster, namespace: &str, account: &str) {
    let space = cluster.get(&["namespace", namespace]).await;
    assert_eq!(labels(&space)["fast-cloud/account"], account);
    for mode in ["enforce", "warn", "audit"] {
        assert_eq!(labels(&space)[format!("pod-security.kubernetes.io/{mode}")], "baseline", "{mode}");
    }
    let quota = cluster.get(&["resourcequotas", "-n", namespace]).await;
    let hard = &quota["items"][0]["spec"]["hard"];
    // Twice what the account may have: a change runs the new beside the old.
    assert_eq!((&hard["count/deployments.apps"], &hard["limits.cpu"]), (&json!("10"), &json!("4")), "{hard}");
    for kind in ["pods", "limits.cpu", "limits.memory", "services"] {
        assert!(hard[kind].is_string(), "{kind} is not limited: {hard}");
    }
    assert_eq!((&hard["services.nodeports"], &hard["services.loadbalancers"]), (&json!("0"), &json!("0")));
    let limits = cluster.get(&["limitranges", "-n", namespace]).await;
    assert_eq!(limits["items"][0]["spec"]["limits"][0]["type"], "Container");
    assert!(limits["items"][0]["spec"]["limits"][0]["default"]["memory"].is_string());

    let policies = cluster.get(&["networkpolicies", "-n", namespace]).await;
    let policies = policies["items"].as_array().unwrap();
    let covers = |kind: &str| {
        policies.iter().any(|policy| {
            policy["spec"]["podSelector"] == json!({})
                && policy["spec"]["policyTypes"].as_array().unwrap().contains(&json!(kind))
        })
    };
    assert!(covers("Ingress") && covers("Egress"), "{policies:?}");
    let rules =
        |side: &'static str| policies.iter().flat_map(move |p| p["spec"][side].as_array().cloned().unwrap_or_default());
    let from: Vec<Value> =
        rules("ingress").flat_map(|rule| rule["from"].as_array().cloned().unwrap_or_default()).collect();
    assert!(from.contains(&json!({"podSelector": {}})), "the account's own: {from:?}");
    let controller = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}});
    assert!(from.contains(&controller), "the ingress controller: {from:?}");
    let everybody = |rule: &Value| rule["from"].is_null() || rule["from"] == json!([]);
    assert!(!rules("ingress").any(|rule| everybody(&rule)), "a rule that lets everybody in: {from:?}");
    let to: Vec<Value> = rules("egress").flat_map(|rule| rule["to"].as_array().cloned().unwrap_or_default()).collect();
    let world = to.iter().find(|to| to["ipBlock"]["cidr"] == "0.0.0.0/0").expect("the world");
    for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"] {
        let except = world["ipBlock"]["except"].as_array().unwrap();
        assert!(except.contains(&json!(private)), "{private} can be reached: {except:?}");
    }
    let bindings = cluster.get(&["rolebindings", "-n", namespace]).await;
    let bindings = bindings["items"].as_array().unwrap();
    assert_eq!(bindings.len(), 1, "{bindings:?}");
    assert_eq!(bindings[0]["roleRef"]["name"], "fast-cloud-tenant");
}
