//! A browser as far as a benchmark needs one: cookies, forms with their token, no redirects.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, redirect};

pub struct Browser {
    client: Client,
    base: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn open(base: &str) -> anyhow::Result<Self> {
        // The portal closes a connection that was idle for 5 s: one that it may be closing right now is not used again.
        let client = Client::builder().pool_idle_timeout(Duration::from_secs(1)).redirect(redirect::Policy::none());
        let client = client.build()?;
        Ok(Self { client, base: base.to_owned(), cookies: BTreeMap::new() })
    }

    /// The header `Cookie`.
    pub fn cookies(&self) -> String {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }

    /// A page that has to be there.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<String> {
        self.get_with(path, HeaderMap::new()).await
    }

    /// The same with headers: a script on a page asks for a part of it.
    pub async fn get_with(&mut self, path: &str, headers: HeaderMap) -> anyhow::Result<String> {
        let answer = self.send(self.client.get(format!("{}{path}", self.base)).headers(headers)).await?;
        ensure!(answer.status().is_success(), "GET {path} was answered with {}", answer.status());
        Ok(answer.text().await?)
    }

    /// Fills in the form of `page` and sends it to `path`; the answer has to lead on.
    pub async fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        let form = self.get(page).await?;
        let token = form.split("name=\"csrf_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let token = token.with_context(|| format!("{page} has no form"))?;
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf_token", token)]).collect();
        let answer = self.send(self.client.post(format!("{}{path}", self.base)).form(&fields)).await?;
        ensure!(answer.status().is_redirection(), "POST {path} was answered with {}", answer.status());
        Ok(())
    }

    /// Makes an account and signs in with it.
    pub async fn sign_up(&mut self, login_id: &str) -> anyhow::Result<()> {
        let fields = [
            ("login_id", login_id),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
            ("name", "김벤치"),
            ("birth_date", "2008-03-02"),
        ];
        self.submit("/signup", "/signup", &fields).await?;
        self.submit("/login", "/login", &[("login_id", login_id), ("password", PASSWORD)]).await
    }

    async fn send(&mut self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.header(header::COOKIE, self.cookies()).send().await?;
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }
}

const PASSWORD: &str = "correct horse battery";
