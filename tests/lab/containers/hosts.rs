//! Addresses: whoever takes one first has it.

use crate::support::{Cluster, Home, run_containers};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn an_address_belongs_to_whoever_took_it_first() {
    run_containers(async |cluster: &Cluster| {
        let home = Home::new();
        let portal = cluster.setup().start(&home).await;
        let (one, two) = (portal.person("first-come").await, portal.person("second-come").await);
        let id = one.deploy("my_app", "hello:1", &[]).await;
        let (seen, _) = one.container_reaches(&id, "running", 60).await;
        assert_eq!(seen.host(), "my-app.apps.localhost");
        let body = cluster.answers(&seen.host(), 200, "Hello from", 20).await;
        let pod = cluster.of("pods", &id).await[0]["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(body.contains(&pod), "{body}");
        for (person, name) in [(&two, "My-App"), (&two, "my-app"), (&one, "my-app"), (&two, "MY_APP")] {
            let page = person.ask_container(name, "hello:2", &[]).await;
            assert_eq!(page.status, 422, "{name}: {}", page.text());
            assert!(page.body.contains("id=\"name-error\""), "{name}: {}", page.text());
            let body = cluster.answers(&seen.host(), 200, "Hello from", 5).await;
            assert!(body.contains(&pod), "{name} took the address: {body}");
        }
        assert_eq!(two.containers().await, []);
        let hangul = two.deploy("한글", "hello:2", &[]).await;
        let (seen, _) = two.container_reaches(&hangul, "running", 60).await;
        cluster.answers(&seen.host(), 200, "Hello again from", 20).await;
        for (person, id) in [(&one, &id), (&two, &hangul)] {
            person.press_container(id, "delete", &[]).await;
            person.container_gone(id, 90).await;
        }
    })
    .await;
}
