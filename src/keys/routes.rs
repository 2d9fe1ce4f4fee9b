//! Handlers of SSH keys, and how a private key gets to its person.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret, SecretString};

use super::model::{NewKey, SshKey, file_name};
use crate::accounts::routes::{ProfileErrors, profile_page};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{InstanceId, SshKeyId};
use crate::validation::thing_name;
use crate::web::body::Fields;
use crate::web::reader::{CurrentAccount, Reader, cookie};
use crate::web::respond::{notice, see_other, with_status};

/// How long a private key waits in its person's browser.
const MINUTES: i64 = 10;

const NAME: [&str; 3] =
    ["validation.key_name.missing", "validation.key_name.too_long", "validation.key_name.characters"];

/// The start of the names of cookies that hold a private key; each mini PC has one of its own.
fn cookie_prefix(https: bool) -> &'static str {
    if https { "__Host-fast-cloud-key-" } else { "fast-cloud-key-" }
}

fn cookie_name(https: bool, instance: InstanceId) -> String {
    let digits = instance.0.simple().to_string();
    format!("{}{}", cookie_prefix(https), &digits[digits.len() - 12..])
}

fn jar_key(reader: &Reader) -> Key {
    Key::derive_from(&reader.app.shared.secret)
}

/// Gives a private key to the browser, encrypted for us, to be picked up once. Bound to the account and the mini PC.
///
/// # Errors
/// When the cookie can't be set.
pub fn hand_over(
    response: &mut HttpResponse,
    reader: &Reader,
    account: &CurrentAccount,
    instance: InstanceId,
    file_name: &str,
    private: &SecretString,
) -> Result<()> {
    let https = reader.app.config.server.is_https();
    let name = cookie_name(https, instance);
    let until = db::now().and_utc().timestamp() + MINUTES * 60;
    let value = format!("{}\n{instance}\n{until}\n{file_name}\n{}", account.id, private.expose_secret());
    let mut jar = CookieJar::new();
    jar.private_mut(&jar_key(reader)).add(Cookie::new(name.clone(), value));
    let sealed = jar.get(&name).ok_or_else(|| Error::internal("the cookie was not sealed"))?.value().to_owned();
    let mut sealed = cookie(&name, sealed, https);
    sealed.set_max_age(Duration::minutes(MINUTES));
    response.add_cookie(&sealed).map_err(Error::internal)
}

/// A private key that waits in the browser.
struct Waiting {
    instance: InstanceId,
    file_name: String,
    private: SecretString,
}

/// Opens a cookie: only for its account, and only in its time.
fn open(reader: &Reader, account: &CurrentAccount, cookie: Cookie<'static>) -> Option<Waiting> {
    let name = cookie.name().to_owned();
    let mut jar = CookieJar::new();
    jar.add_original(cookie);
    let opened = jar.private(&jar_key(reader)).get(&name)?;
    let mut parts = opened.value().splitn(5, '\n');
    let (owner, instance, until, file_name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let in_time = until.parse::<i64>().ok()? >= db::now().and_utc().timestamp();
    (owner == account.id.to_string() && in_time).then_some(Waiting {
        instance: instance.parse().ok()?,
        file_name: file_name.to_owned(),
        private: SecretString::from(parts.next()?),
    })
}

/// What waits in the browser for this account, of one mini PC or of any.
fn waiting(
    request: &HttpRequest,
    reader: &Reader,
    account: &CurrentAccount,
    instance: Option<InstanceId>,
) -> Option<Waiting> {
    let https = reader.app.config.server.is_https();
    let cookies: Vec<Cookie<'static>> = request
        .cookies()
        .ok()?
        .iter()
        .filter(|cookie| match instance {
            Some(id) => cookie.name() == cookie_name(https, id),
            None => cookie.name().starts_with(cookie_prefix(https)),
        })
        .cloned()
        .collect();
    cookies.into_iter().find_map(|cookie| open(reader, account, cookie))
}

/// Whether a private key waits to be downloaded, for this mini PC or at all.
pub fn is_waiting(
    request: &HttpRequest,
    reader: &Reader,
    account: &CurrentAccount,
    instance: Option<InstanceId>,
) -> bool {
    waiting(request, reader, account, instance).is_some()
}

/// A private key as a download: in the body only, kept by nobody.
fn download(file_name: &str, private: &SecretString) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/x-pem-file")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(private.expose_secret().to_owned())
}

/// `POST /keys/pick-up`: the private key of the pair that was made with a mini PC (field `instance`; without it, any that
/// waits); once.
pub async fn pick_up(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    fields: Fields,
) -> Result<HttpResponse> {
    let instance = match fields.get("instance") {
        "" => None,
        id => Some(id.parse().map_err(|_| Error::NotFound)?),
    };
    let waiting = waiting(&request, &reader, &account, instance).ok_or(Error::NotFound)?;
    let mut response = download(&waiting.file_name, &waiting.private);
    let https = reader.app.config.server.is_https();
    let name = cookie_name(https, waiting.instance);
    let mut gone = cookie(&name, "", https);
    gone.make_removal();
    response.add_cookie(&gone).map_err(Error::internal)?;
    Ok(response)
}

/// `POST /keys`: a public key that the person has.
pub async fn create(reader: Reader, account: CurrentAccount, fields: Fields) -> Result<HttpResponse> {
    let name = thing_name(fields.get("key_name"), NAME);
    let key = NewKey::parse(name.clone().unwrap_or_default(), fields.get("public_key"));
    let mut errors = ProfileErrors {
        key_name_value: fields.get("key_name").to_owned(),
        // A private key that was pasted by mistake is not sent back.
        public_key_value: match key {
            Err("validation.public_key.private") => String::new(),
            _ => fields.get("public_key").to_owned(),
        },
        key_name: name.err(),
        public_key: key.as_ref().err().copied(),
        ..ProfileErrors::default()
    };
    if let (None, Ok(key)) = (errors.key_name, key) {
        let id = account.id;
        let stored = reader
            .app
            .db
            .run(move |conn| match SshKey::create(conn, id, &key) {
                Ok(Some(_)) => Ok(None),
                Ok(None) => Ok(Some("validation.public_key.too_many")),
                Err(error) if db::is_duplicate(&error) => Ok(Some("validation.public_key.taken")),
                Err(error) => Err(error.into()),
            })
            .await?;
        match stored {
            None => {
                let mut response = see_other("/profile");
                notice(&mut response, &reader, "notice.key_added", "")?;
                return Ok(response);
            }
            Some(error) => errors.public_key = Some(error),
        }
    }
    with_status(StatusCode::UNPROCESSABLE_ENTITY, &profile_page(&reader, &account, errors).await?)
}

/// `POST /keys/generate`: a new pair; the answer is the private key, as a download.
pub async fn generate(reader: Reader, account: CurrentAccount, fields: Fields) -> Result<HttpResponse> {
    let name = match fields.get("key_name").trim() {
        "" => Ok(reader.lang.t("keys.made_name").into_owned()),
        name => thing_name(name, NAME),
    };
    let name = match name {
        Ok(name) => name,
        Err(error) => {
            let errors = ProfileErrors {
                key_name_value: fields.get("key_name").to_owned(),
                key_name: Some(error),
                ..ProfileErrors::default()
            };
            return with_status(StatusCode::UNPROCESSABLE_ENTITY, &profile_page(&reader, &account, errors).await?);
        }
    };
    let (public, private) = NewKey::from_seed(name, &crate::random::bytes()).map_err(Error::internal)?;
    let id = account.id;
    let stored = reader.app.db.run(move |conn| Ok(SshKey::create(conn, id, &public)?)).await?;
    match stored {
        Some(key) => Ok(download(&file_name(key), &private)),
        None => {
            let errors =
                ProfileErrors { public_key: Some("validation.public_key.too_many"), ..ProfileErrors::default() };
            with_status(StatusCode::UNPROCESSABLE_ENTITY, &profile_page(&reader, &account, errors).await?)
        }
    }
}

/// `POST /keys/{id}/delete`
pub async fn delete(reader: Reader, account: CurrentAccount, path: web::Path<String>) -> Result<HttpResponse> {
    let key: SshKeyId = path.parse().map_err(|_| Error::NotFound)?;
    let id = account.id;
    reader.app.db.run(move |conn| Ok(SshKey::delete(conn, id, key)?)).await?;
    let mut response = see_other("/profile");
    notice(&mut response, &reader, "notice.key_deleted", "")?;
    Ok(response)
}
