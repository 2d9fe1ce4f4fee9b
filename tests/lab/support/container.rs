//! What a person does with containers.

use scraper::Html;

use super::person::{Page, Person, first_text, select, status};
use super::until;

/// The page of an application.
#[derive(Debug, Clone)]
pub struct Container {
    pub status: String,
    /// Its address.
    pub url: String,
    /// The name and the heading of what is wrong with it.
    pub reason: String,
    pub problem: String,
    pub text: String,
    pub body: String,
}

impl Container {
    /// The host name of its address.
    pub fn host(&self) -> String {
        let rest = self.url.split_once("://").unwrap_or_else(|| panic!("no address: {:?}", self.url)).1;
        rest.split([':', '/']).next().unwrap().to_owned()
    }
}

impl Person {
    /// Fills in the form; more fields come after those that everybody fills in.
    pub async fn ask_container(&self, name: &str, image: &str, more: &[(&str, &str)]) -> Page {
        let form = self.get("/applications/new").await;
        assert_eq!(form.status, 200, "{}", form.text());
        let key = form.body.split_once("name=\"launch_key\" value=\"").expect("a launch key").1;
        let key = key.split('"').next().unwrap();
        let mut fields = vec![
            ("name", name),
            ("image", image),
            ("external_port", "80"),
            ("launch_key", key),
            ("internal_port", "80"),
        ];
        for (field, value) in more {
            fields.retain(|(known, _)| known != field);
            fields.push((field, value));
        }
        self.post("/applications", &fields).await
    }

    /// Puts a container online; returns its id.
    pub async fn deploy(&self, name: &str, image: &str, more: &[(&str, &str)]) -> String {
        let page = self.ask_container(name, image, more).await;
        assert_eq!((page.status.as_u16(), page.location.as_str()), (303, "/applications"), "{}", page.text());
        self.containers().await.into_iter().find(|(_, there, _)| there == name).expect("in the list at once").0
    }

    /// Id, name and status of each row of the list.
    pub async fn containers(&self) -> Vec<(String, String, String)> {
        let page = self.get("/applications").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let html = Html::parse_document(&page.body);
        let rows = select(html.root_element(), "tr.resource-row").into_iter();
        rows.map(|row| {
            let id = row.attr("id").unwrap().trim_start_matches("application-").to_owned();
            (id, first_text(row, ".resource-row__name"), status(row))
        })
        .collect()
    }

    /// The page of one; None when it is gone.
    pub async fn find_container(&self, id: &str) -> Option<Container> {
        let page = self.get(&format!("/applications/{id}")).await;
        if page.status == 404 {
            return None;
        }
        assert_eq!(page.status, 200, "{}", page.text());
        let html = Html::parse_document(&page.body);
        let root = html.root_element();
        let head = select(root, &format!("#application-{id}"));
        let head = head.first().unwrap_or_else(|| panic!("no #application-{id}"));
        Some(Container {
            status: status(*head),
            url: first_text(root, ".copy__text"),
            reason: select(root, "#problem").first().and_then(|p| p.attr("data-reason")).unwrap_or_default().to_owned(),
            problem: first_text(root, "#problem h2"),
            text: page.text(),
            body: page.body.clone(),
        })
    }

    pub async fn container(&self, id: &str) -> Container {
        self.find_container(id).await.unwrap_or_else(|| panic!("there is no {id}"))
    }

    /// Waits until an application has a status, and says which ones it had on the way.
    pub async fn container_reaches(&self, id: &str, wanted: &str, seconds: u64) -> (Container, Vec<String>) {
        let mut way: Vec<String> = Vec::new();
        let seen = until(wanted, seconds, async || {
            let seen = self.container(id).await;
            if way.last() != Some(&seen.status) {
                way.push(seen.status.clone());
            }
            if seen.status == wanted { Ok(seen) } else { Err(seen.text) }
        })
        .await;
        (seen, way)
    }

    /// Waits until the page tells this reason.
    pub async fn container_fails(&self, id: &str, reason: &str, seconds: u64) -> Container {
        until(reason, seconds, async || {
            let seen = self.container(id).await;
            if seen.reason == reason { Ok(seen) } else { Err(format!("{:?} {}", seen.reason, seen.text)) }
        })
        .await
    }

    pub async fn container_gone(&self, id: &str, seconds: u64) {
        until("gone", seconds, async || match self.find_container(id).await {
            None => Ok(()),
            Some(seen) => Err(seen.text),
        })
        .await;
    }

    /// `redeploy`, `start`, `stop`, `delete`.
    pub async fn press_container(&self, id: &str, verb: &str, fields: &[(&str, &str)]) {
        let page = self.post(&format!("/applications/{id}/{verb}"), fields).await;
        assert_eq!(page.status, 303, "{verb}: {}", page.text());
    }
}
