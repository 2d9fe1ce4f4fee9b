//! Every route of the server, as tests know it: its form filled in, and ids for its path. A route that is in the
//! server's table and not here fails [`known`], which every walk begins with.

use std::collections::BTreeMap;

use fast_cloud::routes::{self, Access};

use super::{Person, TestApp};

/// The ids of one person's things, by their names in paths.
pub type Ids = BTreeMap<&'static str, String>;

/// A route with its form; an empty one for GET and for forms without fields.
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
    pub form: Vec<(&'static str, String)>,
}

impl Route {
    /// The path with ids in it, and with the query that it can't do without.
    pub fn path_with(&self, ids: &Ids) -> String {
        let mut path = self.path.to_owned();
        if self.method == "GET" {
            path.push_str(match self.path {
                "/buckets/{bucket}/file" | "/buckets/{bucket}/archive" | "/buckets/{bucket}/objects/delete" => {
                    "?key=a.txt"
                }
                _ => "",
            });
        }
        for (name, id) in ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        assert!(!path.contains('{'), "this test has no id for {path}");
        path
    }

    pub fn has_id(&self) -> bool {
        self.path.contains('{')
    }

    pub fn fields(&self) -> Vec<(&str, &str)> {
        self.form.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    pub fn is_get(&self) -> bool {
        self.method == "GET"
    }
}

/// The names of ids in paths.
pub const NAMES: [&str; 9] =
    ["instance_id", "application_id", "key_id", "template_id", "bucket", "link_id", "token", "token_id", "key:.*"];

const PASSWORD: &str = super::person::PASSWORD;

/// The routes with forms that would be taken, of somebody who has these things.
pub fn known(ids: &Ids) -> Vec<Route> {
    use Access::{Account, Admin, Public};
    let id = |name: &str| ids.get(name).cloned().unwrap_or_default();
    let words = |fields: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let person = [
        ("login_id", "somebody-new"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("name", "새 사람"),
        ("birth_date", "2008-02-29"),
    ];
    let template = words(&[
        ("name", "Other"),
        ("purpose_ko", "실습"),
        ("purpose_en", "Lab"),
        ("image", "Ubuntu 22.04"),
        ("flavor", "m1.small"),
        ("network", ""),
        ("floating_network", ""),
        ("security_groups", "default"),
        ("key_pair", ""),
        ("ssh_user", "ubuntu"),
        ("user_data", "#cloud-config"),
        ("position", "7"),
        ("enabled", "true"),
    ]);
    let mut order = words(&[("name", "lab-9"), ("ssh_key", &id("key_id"))]);
    order.push(("template_id", id("template_id")));
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let key = words(&[("key_name", "laptop"), ("public_key", line)]);
    let passwords = words(&[
        ("current_password", PASSWORD),
        ("password", "another password"),
        ("password_confirm", "another password"),
    ]);
    let change = [
        ("image", "hello:2"),
        ("internal_port", "80"),
        ("external_port", "80"),
        ("variables", "NODE_ENV=production"),
        ("secrets", "TOKEN=abc"),
        ("size", "small"),
        ("replicas", "1"),
    ];
    let deployment: Vec<(&'static str, String)> =
        words(&[("name", "web-9")]).into_iter().chain(words(&change)).collect();
    let redeployment = words(&change);
    let none = Vec::new;
    let map = vec![
        (Public, "GET", "/", none()),
        (Public, "GET", "/metrics", none()),
        (Public, "GET", "/signup", none()),
        (Public, "POST", "/signup", words(&person)),
        (Public, "GET", "/signup/check", none()),
        (Public, "GET", "/setup", none()),
        (Public, "POST", "/setup", words(&person)),
        (Public, "GET", "/login", none()),
        (Public, "POST", "/login", words(&[("login_id", "somebody"), ("password", PASSWORD)])),
        (Public, "POST", "/logout", none()),
        (Public, "POST", "/preferences/language", words(&[("lang", "en")])),
        (Public, "POST", "/preferences/theme", words(&[("theme", "dark")])),
        (Account, "GET", "/dashboard", none()),
        (Account, "GET", "/dashboard/instances", none()),
        (Account, "GET", "/dashboard/applications", none()),
        (Account, "GET", "/live", none()),
        (Account, "GET", "/profile", none()),
        (Account, "POST", "/profile/name", words(&[("name", "새 이름")])),
        (Account, "POST", "/profile/password", passwords),
        (Account, "POST", "/keys", key),
        (Account, "POST", "/keys/generate", words(&[("key_name", "made")])),
        (Account, "POST", "/keys/pick-up", none()),
        (Account, "POST", "/keys/{key_id}/delete", none()),
        (Account, "GET", "/instances", none()),
        (Account, "POST", "/instances", order),
        (Account, "GET", "/instances/new", none()),
        (Account, "GET", "/instances/rows", none()),
        (Account, "GET", "/instances/{instance_id}", none()),
        (Account, "GET", "/instances/{instance_id}/row", none()),
        (Account, "GET", "/instances/{instance_id}/detail", none()),
        (Account, "POST", "/instances/{instance_id}/start", none()),
        (Account, "POST", "/instances/{instance_id}/stop", none()),
        (Account, "POST", "/instances/{instance_id}/reboot", none()),
        (Account, "GET", "/instances/{instance_id}/delete", none()),
        (Account, "POST", "/instances/{instance_id}/delete", none()),
        (Account, "GET", "/applications", none()),
        (Account, "POST", "/applications", deployment),
        (Account, "GET", "/applications/new", none()),
        (Account, "GET", "/applications/rows", none()),
        (Account, "GET", "/applications/check", none()),
        (Account, "GET", "/applications/image", none()),
        (Account, "GET", "/applications/{application_id}", none()),
        (Account, "GET", "/applications/{application_id}/row", none()),
        (Account, "GET", "/applications/{application_id}/detail", none()),
        (Account, "GET", "/applications/{application_id}/edit", none()),
        (Account, "GET", "/applications/{application_id}/events", none()),
        (Account, "GET", "/applications/{application_id}/logs", none()),
        (Account, "GET", "/applications/{application_id}/logs/stream", none()),
        (Account, "POST", "/applications/{application_id}/redeploy", redeployment),
        (Account, "POST", "/applications/{application_id}/start", none()),
        (Account, "POST", "/applications/{application_id}/stop", none()),
        (Account, "GET", "/applications/{application_id}/delete", none()),
        (Account, "POST", "/applications/{application_id}/delete", none()),
        (Account, "GET", "/dashboard/buckets", none()),
        (Account, "GET", "/buckets", none()),
        (Account, "POST", "/buckets", words(&[("name", "another-bucket")])),
        (Account, "GET", "/buckets/new", none()),
        (Account, "GET", "/buckets/{bucket}", none()),
        (Account, "GET", "/buckets/{bucket}/delete", none()),
        (Account, "POST", "/buckets/{bucket}/delete", words(&[("name", &id("bucket"))])),
        (Account, "POST", "/buckets/{bucket}/folders", words(&[("prefix", ""), ("name", "새 폴더")])),
        (Account, "GET", "/buckets/{bucket}/file", none()),
        (Account, "GET", "/buckets/{bucket}/archive", none()),
        (Account, "POST", "/buckets/{bucket}/move", words(&[("key", "a.txt"), ("to", "b.txt")])),
        (Account, "GET", "/buckets/{bucket}/links", none()),
        (Account, "POST", "/buckets/{bucket}/links", words(&[("key", "a.txt"), ("days", "7")])),
        (Account, "POST", "/buckets/{bucket}/links/{link_id}/delete", none()),
        (Account, "GET", "/buckets/{bucket}/tools", none()),
        (Account, "POST", "/buckets/{bucket}/tools", words(&[("days", "7"), ("writes", "1")])),
        (Account, "POST", "/buckets/{bucket}/tools/{token_id}/delete", none()),
        (Account, "POST", "/buckets/{bucket}/objects", none()),
        (Account, "GET", "/buckets/{bucket}/objects/delete", none()),
        (Account, "POST", "/buckets/{bucket}/objects/delete", words(&[("key", "a.txt"), ("key", "photos/")])),
        (Account, "GET", "/buckets/{bucket}/objects/{key:.*}", none()),
        (Public, "GET", "/share/{link_id}/{token}", none()),
        (Admin, "GET", "/admin/cloud", none()),
        (Admin, "GET", "/admin/templates", none()),
        (Admin, "POST", "/admin/templates", template.clone()),
        (Admin, "GET", "/admin/templates/new", none()),
        (Admin, "GET", "/admin/templates/{template_id}/edit", none()),
        (Admin, "POST", "/admin/templates/{template_id}", template),
        (Admin, "POST", "/admin/templates/{template_id}/delete", none()),
    ];
    let map: Vec<Route> =
        map.into_iter().map(|(access, method, path, form)| Route { method, path, access, form }).collect();
    let mut here: Vec<String> =
        map.iter().map(|route| format!("{:?} {} {}", route.access, route.method, route.path)).collect();
    let mut there: Vec<String> =
        routes::table().iter().map(|entry| format!("{:?} {} {}", entry.access, entry.method, entry.path)).collect();
    here.sort();
    there.sort();
    assert_eq!(here, there, "a route of the server is not known to its tests, or is gone");
    map
}

/// Somebody with one of each thing: a mini PC and a container that run, a key, a bucket with files and a link to one of
/// them, and the templates that there are.
pub async fn things_of(app: &TestApp, person: &Person) -> Ids {
    let instance = app.running(person, &format!("pc of {}", person.login_id)).await;
    let application = app.running_container(person, &format!("web of {}", person.login_id), "hello:1").await;
    let form = person.get("/profile").await.is(200).attribute(".key-row form", "action").unwrap();
    let key = form.split('/').nth(2).unwrap().to_owned();
    let bucket = format!("bucket-of-{}", person.login_id);
    person.make_bucket(&bucket).await;
    for (name, text) in [("a.txt", "hello"), ("photos/b.png", "no picture"), ("delete", "a file of this name")] {
        person.put(&bucket, name, text.as_bytes()).await;
    }
    let link = person.share(&bucket, "a.txt").await;
    let link: Vec<&str> = link.rsplit('/').collect();
    let (token, _) = person.bucket_token(&bucket, true).await;
    Ids::from([
        ("instance_id", instance),
        ("application_id", application),
        ("key_id", key),
        ("template_id", app.template("Nano")),
        ("bucket", bucket),
        ("key:.*", "a.txt".to_owned()),
        ("link_id", link[1].to_owned()),
        ("token", link[0].to_owned()),
        ("token_id", token),
    ])
}

/// Ids of the right form that nobody has.
pub fn random_ids() -> Ids {
    let mut ids: Ids = NAMES.map(|name| (name, uuid::Uuid::now_v7().to_string())).into();
    ids.insert("bucket", format!("nobody-s-{}", uuid::Uuid::now_v7().simple()));
    ids.insert("key:.*", "a.txt".to_owned());
    ids.insert("token", "0".repeat(40));
    ids
}
