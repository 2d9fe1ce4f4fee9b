//! A person with a browser: cookies are kept, redirects are not followed by themselves.

use std::collections::BTreeMap;
use std::sync::Mutex;

use actix_web::cookie::time::Duration;
use reqwest::header::{COOKIE, HeaderName};
use reqwest::{Method, RequestBuilder};

use super::{Answer, encode, log};

/// Everybody's password in tests.
pub const PASSWORD: &str = "correct horse battery";

pub struct Person {
    http: reqwest::Client,
    pub base: String,
    jar: Mutex<BTreeMap<String, String>>,
    token: Mutex<Option<String>>,
    /// Empty for somebody who is not signed in.
    pub login_id: String,
    pub name: String,
    headers: Vec<(HeaderName, String)>,
}

impl Person {
    pub fn at(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A portal that was stopped and started again is a new one.
            .pool_max_idle_per_host(0)
            // Answers are looked at as they are sent.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .timeout(std::time::Duration::from_secs(60))
            .build()
            .unwrap();
        Self {
            http,
            base: base.to_owned(),
            jar: Mutex::default(),
            token: Mutex::default(),
            login_id: String::new(),
            name: String::new(),
            headers: Vec::new(),
        }
    }

    /// The same browser in front of another portal.
    pub fn moved_to(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.again() }
    }

    /// A copy of the browser with its cookies of now, as a thief or a second tab has it.
    pub fn again(&self) -> Self {
        Self {
            http: self.http.clone(),
            base: self.base.clone(),
            jar: Mutex::new(self.cookies()),
            token: Mutex::new(self.token.lock().unwrap().clone()),
            login_id: self.login_id.clone(),
            name: self.name.clone(),
            headers: self.headers.clone(),
        }
    }

    /// Sends a header with each request.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(there, _)| there != name);
        self.headers.push((HeaderName::from_static(name), value.to_owned()));
        self
    }

    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.jar.lock().unwrap().clone()
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    /// The cookie in which the private key of a mini PC waits: its name and value.
    pub fn waiting_key(&self) -> Option<(String, String)> {
        self.cookies().into_iter().find(|(name, _)| name.starts_with("fast-cloud-key-"))
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
        self.forget_token();
    }

    pub fn forget_token(&self) {
        *self.token.lock().unwrap() = None;
    }

    /// A request with this browser's cookies and headers, and no more.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    /// Sends it and keeps the cookies of the answer; None when nothing came back.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let request = request.build().unwrap();
        let what = format!("{} {}", request.method(), request.url().path());
        let response = self.http.execute(request).await.ok()?;
        let answer = Answer::of(what, response).await;
        let mut jar = self.jar.lock().unwrap();
        for cookie in answer.cookies() {
            if cookie.max_age().is_some_and(|age| age <= Duration::ZERO) {
                jar.remove(cookie.name());
            } else {
                // Preferences are short; what signs in, guards a form or holds a key is not.
                if cookie.value().len() >= 40 {
                    log::is_secret(cookie.value());
                }
                jar.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
        Some(answer)
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let what = format!("{request:?}");
        self.try_send(request).await.unwrap_or_else(|| panic!("no answer to {what}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// As htmx asks.
    pub async fn get_part(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).header("hx-request", "true")).await
    }

    /// The token of the forms on this person's pages.
    pub async fn token(&self) -> String {
        if let Some(token) = self.token.lock().unwrap().clone() {
            return token;
        }
        // Signed in or not, a page that has a form; what is not found has none.
        let mut page = self.get("/signup").await;
        for _ in 0..2 {
            if page.has("input[name=csrf_token]") {
                break;
            }
            page = self.get("/profile").await;
        }
        let token = page.value_of("csrf_token");
        log::is_secret(&token);
        *self.token.lock().unwrap() = Some(token.clone());
        token
    }

    /// A POST with the token.
    pub async fn post_request(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let token = self.token().await;
        let mut all = vec![("csrf_token", token.as_str())];
        all.extend_from_slice(fields);
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(encode(&all))
    }

    /// A plain form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.post_request(path, fields).await;
        self.send(request).await
    }

    /// A form as htmx sends it.
    pub async fn post_part(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.post_request(path, fields).await.header("hx-request", "true");
        self.send(request).await
    }

    pub async fn log_in(&self, login_id: &str, password: &str) -> Answer {
        let answer = self.post("/login", &[("login_id", login_id), ("password", password)]).await;
        self.forget_token();
        answer
    }

    pub async fn log_out(&self) -> Answer {
        let answer = self.post("/logout", &[]).await;
        self.forget_token();
        answer
    }

    pub async fn is_signed_in(&self) -> bool {
        let answer = self.get("/profile").await;
        match answer.status.as_u16() {
            200 => true,
            303 => {
                answer.leads_to("/login?next=%2Fprofile");
                false
            }
            _ => panic!("{}: {}", answer.what, answer.status),
        }
    }

    /// The form for renting as it is now, filled in: name, the chosen template, the form's key.
    pub async fn launch_form(&self, name: &str) -> Vec<(&'static str, String)> {
        let page = self.get("/instances/new").await.is(200);
        let template = page.attribute("input[name=template_id]:not([disabled])", "value").unwrap_or_default();
        vec![("name", name.to_owned()), ("template_id", template), ("launch_key", page.value_of("launch_key"))]
    }

    /// Fills in the form and sends it.
    pub async fn rent(&self, name: &str) -> Answer {
        let form = self.launch_form(name).await;
        let fields: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.post("/instances", &fields).await
    }

    /// Rents a mini PC; its id, as the list has it.
    pub async fn launch(&self, name: &str) -> String {
        self.rent(name).await.leads_to("/instances");
        self.id_of(name).await
    }

    /// The id of the row with this name.
    pub async fn id_of(&self, name: &str) -> String {
        let list = self.get("/instances").await.is(200);
        let links = list.texts("tr .resource-row__name").into_iter().zip(list.attributes("tr.resource-row", "id"));
        let found = links.into_iter().find(|(text, _)| text == name).map(|(_, id)| id);
        found.unwrap_or_else(|| panic!("no {name} in the list")).trim_start_matches("instance-").to_owned()
    }

    /// The ids of all rows in the list.
    pub async fn ids(&self) -> Vec<String> {
        let list = self.get("/instances").await.is(200);
        let ids = list.attributes("tr.resource-row", "id");
        ids.into_iter().map(|id| id.trim_start_matches("instance-").to_owned()).collect()
    }

    pub async fn row(&self, id: &str) -> Answer {
        self.get_part(&format!("/instances/{id}/row")).await
    }

    /// `data-status` of a row; `gone` when it is not there.
    pub async fn status(&self, id: &str) -> String {
        let row = self.row(id).await;
        if row.status == 404 {
            return "gone".to_owned();
        }
        assert_eq!(row.status, 200, "{}", row.what);
        row.attribute(&format!("#instance-{id} .status-badge"), "data-status").expect("a row has a status")
    }

    /// The word of the status.
    pub async fn label(&self, id: &str) -> String {
        self.row(id).await.said(".status-badge")
    }

    /// What can be pressed.
    pub async fn offers(&self, id: &str) -> Vec<String> {
        let row = self.row(id).await.is(200);
        let start = format!("instance-{id}-");
        let buttons = row.attributes("[id]", "id");
        buttons.iter().filter_map(|button| button.strip_prefix(&start)).map(str::to_owned).collect()
    }

    pub async fn press(&self, verb: &str, id: &str) -> Answer {
        self.post(&format!("/instances/{id}/{verb}"), &[]).await
    }

    pub async fn make_bucket(&self, name: &str) {
        self.post("/buckets", &[("name", name)]).await.leads_to("/buckets");
    }

    /// A form with files as browsers send it: the token, then the files.
    pub async fn upload_request(&self, path: &str, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> RequestBuilder {
        let mut form = vec![("csrf_token".to_owned(), None, self.token().await.into_bytes())];
        form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), None, value.as_bytes().to_vec())));
        form.extend(files.iter().map(|(name, bytes)| ("file".to_owned(), Some((*name).to_owned()), bytes.to_vec())));
        let (kind, body) = multipart(&form);
        self.request(Method::POST, path).header("content-type", kind).body(body)
    }

    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer {
        let request = self.upload_request(path, fields, files).await;
        self.send(request).await
    }

    /// Uploads one file as the page's script does, under exactly this name, in the place of what is there.
    pub async fn try_put(&self, bucket: &str, key: &str, bytes: &[u8], existing: &str) -> Answer {
        let (kind, body) = multipart(&[("file".to_owned(), Some("file".to_owned()), bytes.to_vec())]);
        let query = encode(&[("name", key), ("existing", existing)]);
        let request = self
            .request(Method::POST, &format!("/buckets/{bucket}/objects?{query}"))
            .header("x-csrf-token", self.token().await)
            .header("accept", "application/json")
            .header("content-type", kind);
        self.send(request.body(body)).await
    }

    pub async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.try_put(bucket, key, bytes, "replace").await.is(201);
    }

    pub async fn download(&self, bucket: &str, key: &str) -> Answer {
        self.get(&object_path(bucket, key)).await
    }

    /// Names on a page of a bucket, in order.
    pub async fn listed(&self, path: &str) -> Vec<String> {
        self.get(path).await.is(200).attributes("#files .check[name=key]", "value")
    }

    /// The path of a new link to a file.
    pub async fn share(&self, bucket: &str, key: &str) -> String {
        let before = self.links(bucket).await;
        self.post(&format!("/buckets/{bucket}/links"), &[("key", key), ("days", "7")]).await.is(303);
        let new = self.links(bucket).await.into_iter().find(|link| !before.contains(link)).unwrap();
        url::Url::parse(&new).unwrap().path().to_owned()
    }

    /// A new credential for tools: its id, and what the tool sends.
    pub async fn bucket_token(&self, bucket: &str, writes: bool) -> (String, String) {
        let path = format!("/buckets/{bucket}/tools");
        self.post(&path, &[("days", "1"), if writes { ("writes", "1") } else { ("none", "") }]).await.leads_to(&path);
        let page = self.get(&path).await.is(200);
        let id = page.attribute(".links__item", "id").unwrap().trim_start_matches("token-").to_owned();
        (id, page.said(".links__url code"))
    }

    pub async fn links(&self, bucket: &str) -> Vec<String> {
        self.get(&format!("/buckets/{bucket}/links")).await.is(200).texts(".links__url code")
    }
}

/// Where an object is downloaded from.
pub fn object_path(bucket: &str, key: &str) -> String {
    fast_cloud::buckets::object_path(bucket, key)
}

/// A body of multipart/form-data and its type, with names written as browsers write them.
pub fn multipart(parts: &[(String, Option<String>, Vec<u8>)]) -> (String, Vec<u8>) {
    let boundary = "----fastcloudboundary7MA4YWxk";
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        body.extend_from_slice(format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"").as_bytes());
        if let Some(file) = file {
            let file = file.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
            body.extend_from_slice(
                format!("; filename=\"{file}\"\r\ncontent-type: application/octet-stream").as_bytes(),
            );
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}
