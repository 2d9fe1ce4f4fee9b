//! What people do with containers, and the logs that they follow.

use std::time::Duration;

use fast_cloud::applications::sync;
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::Method;

use super::{Answer, Person, TestApp, until};

impl Person {
    /// The form for a new container as it is now, filled in with the two fields that have to be.
    pub async fn deploy_form(&self, name: &str, image: &str) -> Vec<(&'static str, String)> {
        let page = self.get("/applications/new").await.is(200);
        let field = |name: &'static str| (name, page.value_of(name));
        vec![
            ("name", name.to_owned()),
            ("image", image.to_owned()),
            field("internal_port"),
            field("external_port"),
            field("port_guess"),
            field("launch_key"),
        ]
    }

    /// Fills in the form and sends it.
    pub async fn start_container(&self, name: &str, image: &str) -> Answer {
        let form = self.deploy_form(name, image).await;
        let fields: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.post("/applications", &fields).await
    }

    /// Deploys a container; its id, as the list has it.
    pub async fn deploy(&self, name: &str, image: &str) -> String {
        self.start_container(name, image).await.leads_to("/applications");
        self.container(name).await
    }

    /// The id of the container with this name.
    pub async fn container(&self, name: &str) -> String {
        let list = self.get("/applications").await.is(200);
        let links = list.texts("tr .resource-row__name").into_iter().zip(list.attributes("tr.resource-row", "id"));
        let found = links.into_iter().find(|(text, _)| text == name).map(|(_, id)| id);
        found.unwrap_or_else(|| panic!("no {name} in the list")).trim_start_matches("application-").to_owned()
    }

    /// `data-status` of a container; `gone` when it is not there.
    pub async fn container_status(&self, id: &str) -> String {
        let row = self.get_part(&format!("/applications/{id}/row")).await;
        if row.status == 404 {
            return "gone".to_owned();
        }
        assert_eq!(row.status, 200, "{}", row.what);
        row.attribute(&format!("#application-{id} .status-badge"), "data-status").expect("a row has a status")
    }

    pub async fn container_page(&self, id: &str) -> Answer {
        self.get(&format!("/applications/{id}")).await.is(200)
    }

    pub async fn ask_container(&self, verb: &str, id: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(&format!("/applications/{id}/{verb}"), fields).await
    }

    /// Follows a log.
    pub async fn follow(&self, path: &str) -> Following {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"), "{path}");
        Following::of(response)
    }
}

impl TestApp {
    /// Lets time pass until a container is there: operations are due at once, the cluster is compared.
    pub async fn container_settles(&self, person: &Person, id: &str, status: &str) {
        until(&format!("{id} to be {status}"), async || {
            self.look_at_cluster().await;
            (person.container_status(id).await == status).then_some(())
        })
        .await;
    }

    /// As the sync does, now.
    pub async fn look_at_cluster(&self) {
        self.hurry();
        let _ = sync::run_once(&self.portal.app).await;
        let _ = sync::look_again(&self.portal.app).await;
    }

    /// A container that runs.
    pub async fn running_container(&self, person: &Person, name: &str, image: &str) -> String {
        let id = person.deploy(name, image).await;
        self.container_settles(person, &id, "running").await;
        id
    }
}

/// A stream of server-sent events.
pub struct Following {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    unread: String,
    /// Of the last event that had one.
    pub id: String,
}

impl Following {
    pub fn of(response: reqwest::Response) -> Self {
        Self { chunks: response.bytes_stream().boxed(), unread: String::new(), id: String::new() }
    }

    /// The next event: its name and data; None when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .unwrap_or_default()
                        .to_owned()
                };
                let found = (field("event"), field("data"));
                let id = field("id");
                if !id.is_empty() {
                    self.id = id;
                }
                self.unread = rest.to_owned();
                if found.0.is_empty() {
                    continue;
                }
                return Some(found);
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(30), self.chunks.next()).await.expect("an event in time");
            self.unread.push_str(std::str::from_utf8(&chunk?.ok()?).unwrap());
        }
    }

    /// The data of the first event of this name.
    pub async fn until(&mut self, name: &str) -> String {
        while let Some((event, data)) = self.next().await {
            if event == name {
                return data;
            }
        }
        panic!("the stream ended without {name}");
    }
}
