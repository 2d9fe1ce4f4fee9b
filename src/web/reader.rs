//! Who asks for a page, and how: language, theme, session, htmx.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_session::{Session, SessionExt};
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::csrf;
use super::page::{AccountCard, Lang, Menu, Notice, Page, Theme};
use crate::accounts::model::Role;
use crate::app::App;
use crate::error::Error;
use crate::ids::AccountId;
use crate::session::{LOADED, Loaded};

/// Cookies of preferences; nothing secret is in them.
pub const LANG_COOKIE: &str = "fast-cloud-lang";
pub const THEME_COOKIE: &str = "fast-cloud-theme";
/// The name of a sentence that the next page shows once.
pub const NOTICE_COOKIE: &str = "fast-cloud-notice";

/// Marks in a request's extensions that its page has shown the notice: the answer removes the cookie.
#[derive(Debug, Clone, Copy)]
pub struct NoticeShown;

/// The account of a session, if somebody is signed in.
pub fn signed_in(session: &Session) -> Option<Loaded> {
    session.get::<Loaded>(LOADED).ok().flatten()
}

/// The language: the reader's own choice, else the browser's, else Korean.
pub fn language(request: &HttpRequest) -> Lang {
    if let Some(cookie) = request.cookie(LANG_COOKIE) {
        match cookie.value() {
            "ko" => return Lang::Ko,
            "en" => return Lang::En,
            _ => {}
        }
    }
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    accepted.map_or(Lang::Ko, preferred)
}

/// The better liked of Korean and English in `Accept-Language` (RFC 9110, 12.5.4); Korean when neither is named.
fn preferred(header: &str) -> Lang {
    let weight = |code: &str| {
        header
            .split(',')
            .filter_map(|part| {
                let mut words = part.trim().split(';');
                let tag = words.next()?.trim().to_ascii_lowercase();
                let quality = words.find_map(|word| word.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
                (tag == code || tag.starts_with(&format!("{code}-"))).then_some(quality)
            })
            .fold(0.0, f32::max)
    };
    if weight("en") > weight("ko") { Lang::En } else { Lang::Ko }
}

pub fn theme(request: &HttpRequest) -> Theme {
    match request.cookie(THEME_COOKIE).as_ref().map(Cookie::value) {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        _ => Theme::System,
    }
}

/// A cookie that scripts can't read and other sites' requests don't carry.
pub fn cookie<'c>(name: &'c str, value: impl Into<std::borrow::Cow<'c, str>>, https: bool) -> Cookie<'c> {
    Cookie::build(name, value).path("/").http_only(true).secure(https).same_site(SameSite::Lax).finish()
}

/// Who counts as one: an IPv4 address, or an IPv6 network of 64 bits, in which one machine has as many addresses as it
/// likes.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// The address that a request comes from: the peer's, or what a trusted proxy says of it. None when it has no peer.
pub fn client_address(request: &HttpRequest, trusted_proxies: &[IpAddr]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    if !trusted_proxies.contains(&peer) {
        return Some(peer);
    }
    // A proxy may add a line of its own below those that came.
    let forwarded = request.headers().get_all("x-forwarded-for").last().and_then(|value| value.to_str().ok());
    // The last one is what our own proxy saw; those before it are the client's word.
    let client = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    Some(client.unwrap_or(peer))
}

/// What every handler of a page takes: enough to build its [`Page`].
#[derive(Clone)]
pub struct Reader {
    pub lang: Lang,
    /// Asked by htmx: a fragment is wanted, not a page.
    pub htmx: bool,
    pub account: Option<Loaded>,
    pub app: web::Data<App>,
    theme: Theme,
    here: String,
    csrf_token: String,
    request: HttpRequest,
}

impl Reader {
    /// The page's common part. Shows the waiting notice, so it is called once for an answer that is shown.
    pub fn page(&self, menu: Menu) -> Page {
        Page {
            lang: self.lang,
            theme: self.theme,
            account: self.account.as_ref().map(|account| AccountCard {
                login_id: account.login_id.clone(),
                name: account.name.clone(),
                is_admin: account.role == Role::Admin,
            }),
            menu,
            csrf_token: self.csrf_token.clone(),
            notice: if self.htmx { None } else { self.take_notice() },
            simulated: self.app.simulated(),
            here: self.here.clone(),
        }
    }

    fn take_notice(&self) -> Option<Notice> {
        let cookie = self.request.cookie(NOTICE_COOKIE)?;
        self.request.extensions_mut().insert(NoticeShown);
        let (key, name) = url::form_urlencoded::parse(cookie.value().as_bytes()).next()?;
        // Only sentences of ours: whatever else stands there is not shown.
        let known = key.starts_with("notice.") && crate::i18n::exists(&key) && name.chars().count() <= 64;
        known.then(|| Notice {
            tone: if key == "notice.not_now" { "bad" } else { "good" },
            text: self.lang.tv(&key, &[("name", &name)]).into_owned(),
        })
    }

    pub fn csrf_token(&self) -> &str {
        &self.csrf_token
    }

    /// The address that the request comes from: the peer's, or what a trusted proxy says of it.
    pub fn address(&self) -> String {
        let address = client_address(&self.request, &self.app.config.server.trusted_proxies);
        address.map(network_of).unwrap_or_default()
    }
}

impl FromRequest for Reader {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(reader(request))
    }
}

fn reader(request: &HttpRequest) -> Result<Reader, Error> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no app"))?.clone();
    let account = signed_in(&request.get_session());
    let seed = request.extensions().get::<csrf::Seed>().cloned().ok_or_else(|| Error::internal("no form guard"))?;
    let csrf_token = csrf::token(&app.shared.secret, &seed.value, account.as_ref().map(|account| account.id));
    Ok(Reader {
        lang: language(request),
        htmx: request.headers().get("hx-request").is_some_and(|value| value == "true"),
        theme: theme(request),
        here: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        account,
        app,
        csrf_token,
        request: request.clone(),
    })
}

/// The account that is signed in; without one the answer is the log-in page.
#[derive(Debug, Clone)]
pub struct CurrentAccount {
    pub id: AccountId,
    pub login_id: String,
    pub name: String,
    pub role: Role,
}

impl FromRequest for CurrentAccount {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let account = signed_in(&request.get_session());
        ready(account.ok_or(Error::SignIn).map(|a| Self { id: a.id, login_id: a.login_id, name: a.name, role: a.role }))
    }
}

/// An admin who is signed in; for everybody else the page does not exist.
#[derive(Debug, Clone)]
pub struct Admin(pub CurrentAccount);

impl FromRequest for Admin {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let account = CurrentAccount::from_request(request, payload).into_inner();
        ready(account.and_then(|a| if a.role == Role::Admin { Ok(Self(a)) } else { Err(Error::NotFound) }))
    }
}

/// A path of ours to go on to, such as the `next` of a form; else `fallback`.
pub fn local_path<'p>(path: &'p str, fallback: &'p str) -> &'p str {
    let local = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 512
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if local { path } else { fallback }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_liked_language_is_chosen() {
        for (header, lang) in [
            ("ko-KR,ko;q=0.9,en-US;q=0.8", Lang::Ko),
            ("en-US,en;q=0.9,ko;q=0.8", Lang::En),
            ("de,fr;q=0.5", Lang::Ko),
            ("en;q=0.1", Lang::En),
            ("", Lang::Ko),
            ("english;q=x,,;", Lang::Ko),
        ] {
            assert_eq!(preferred(header), lang, "{header}");
        }
    }

    #[test]
    fn only_our_own_paths_are_gone_on_to() {
        assert_eq!(local_path("/instances?page=2", "/x"), "/instances?page=2");
        for foreign in ["//evil.example", "/\\evil.example", "https://evil.example", "", "instances", "/a\r\nb", "/가"]
        {
            assert_eq!(local_path(foreign, "/x"), "/x", "{foreign:?}");
        }
    }
}
