//! Every way to log in to OpenStack that the configuration knows, and what `check` says of each.

use serde_json::json;

use crate::support::{Home, Lab, STUDENTS, Setup, Watch, run};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn each_way_to_log_in_is_checked() {
    run(logins).await;
}

async fn logins(lab: &Lab) {
    let mut watch = Watch::start();
    let home = Home::new();
    let stack = &lab.students;
    let by_file =
        Setup::new(&lab.clouds_yaml(), STUDENTS).set("FASTCLOUD_INSTANCE_TEMPLATES__FLOATING_NETWORK", "ext-net");
    works(&by_file, &home);
    watch.lap("a password in clouds.yaml");

    let nowhere = by_file.clone().without("OS_CLIENT_CONFIG_FILE").without("OS_CLOUD");
    let by_variables = ["auth_url", "username", "password", "project_name"]
        .iter()
        .fold(nowhere.clone(), |setup, key| setup.set(&format!("OS_{}", key.to_uppercase()), stack.auth(key)));
    works(&by_variables, &home);
    let (fine, said) = by_variables.clone().set("OS_PASSWORD", "not-the-password").check(&home);
    assert!(
        !fine && said.contains("FAIL  Keystone login") && said.contains("-> Look at the login in the OS_* variables."),
        "{said}"
    );
    assert!(said.contains("skip  Nova address") && said.contains("ok    Database"), "{said}");
    assert!(!said.contains("not-the-password"), "{said}");
    watch.lap("OS_* variables, right and wrong");

    let (id, secret) = stack.create_application_credential(&lab.name("credential")).await;
    let credential =
        nowhere.clone().set("OS_AUTH_URL", stack.auth("auth_url")).set("OS_AUTH_TYPE", "v3applicationcredential");
    let by_id = credential.set("OS_APPLICATION_CREDENTIAL_ID", &id).set("OS_APPLICATION_CREDENTIAL_SECRET", &secret);
    works(&by_id, &home);
    let file = home.path().join("credential.yaml");
    let auth = json!({
        "auth_url": stack.auth("auth_url"), "username": stack.auth("username"), "user_domain_name": "Default",
        "application_credential_name": lab.name("credential"), "application_credential_secret": secret,
    });
    let clouds = json!({"clouds": {"school": {"auth_type": "v3applicationcredential", "auth": auth}}});
    std::fs::write(&file, serde_yaml_ng::to_string(&clouds).unwrap()).unwrap();
    let by_name = nowhere.clone().set("OS_CLIENT_CONFIG_FILE", file.to_string_lossy()).set("OS_CLOUD", "school");
    works(&by_name, &home);
    stack.delete_application_credential(&id).await;
    let (fine, said) = by_id.check(&home);
    assert!(!fine && said.contains("FAIL  Keystone login") && !said.contains(&secret), "{said}");
    watch.lap("an application credential by its id and by its name, and one that is gone");

    let other = Home::new();
    let (fine, said) = by_file
        .set("FASTCLOUD_INSTANCE_TEMPLATES__IMAGE", "no-such-image")
        .set("FASTCLOUD_INSTANCE_TEMPLATES__NETWORK", "no-such-network")
        .set("FASTCLOUD_INSTANCE_TEMPLATES__NANO_FLAVOR", "no-such-flavor")
        .check(&other);
    assert!(!fine, "{said}");
    let line = said.lines().find(|line| line.starts_with("FAIL  Template Nano")).unwrap_or_else(|| panic!("{said}"));
    for missing in ["image \"no-such-image\"", "flavor \"no-such-flavor\"", "network \"no-such-network\""] {
        assert!(line.contains(missing), "{missing}: {line}");
    }
    assert!(said.contains("-> make it in the cloud, or choose another"), "{said}");
    watch.lap("templates that the cloud does not have");
}

/// Every line of the table is fine, and the table has them all.
fn works(setup: &Setup, home: &Home) {
    let (fine, said) = setup.check(home);
    // Containers are pretended in this test, which asks no registry; everything else is looked at.
    let skipped =
        said.lines().find(|line| line.starts_with("skip") && !line.ends_with("the practice cloud asks no registry"));
    assert!(fine && !said.contains("FAIL") && skipped.is_none(), "{said}");
    for what in [
        "Database",
        "Keystone login",
        "Nova address",
        "Nova flavors",
        "Glance images",
        "Neutron networks",
        "Template Nano",
        "Template Pro",
    ] {
        assert!(said.lines().any(|line| line.starts_with("ok") && line.contains(what)), "{what}: {said}");
    }
}
