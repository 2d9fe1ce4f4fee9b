//! Handlers of accounts.

use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;

use super::forms::{SignupErrors, SignupForm, new_password};
use super::model::{Account, NewAccount, Role};
use super::throttle::{self, Subject};
use super::views::{KeyRow, LandingPage, LoginIdCheck, LoginPage, ProfilePage, SignupPage};
use super::{device, password, setup};
use crate::db;
use crate::error::{Error, Result};
use crate::keys::model::SshKey;
use crate::session::{self, ACCOUNT};
use crate::validation;
use crate::web::body::Fields;
use crate::web::format;
use crate::web::page::{Field, Menu};
use crate::web::reader::{CurrentAccount, Reader, local_path};
use crate::web::respond::{fragment, html, notice, see_other, with_status};

/// `GET /`
pub async fn landing(reader: Reader) -> Result<HttpResponse> {
    if reader.account.is_some() {
        return Ok(see_other("/dashboard"));
    }
    html(&LandingPage { page: reader.page(Menu::None) })
}

/// Today, where the portal stands: nobody is born tomorrow.
fn today(reader: &Reader) -> chrono::NaiveDate {
    Utc::now().with_timezone(&reader.app.config.server.time_zone).date_naive()
}

fn signup_form(reader: &Reader, fields: &Fields, errors: &SignupErrors, token: Option<String>) -> SignupPage {
    let field = |name: &str, error: Option<&'static str>| Field {
        // Longer than any field takes is not repeated in full.
        value: crate::text::shorten(fields.get(name), 200),
        error: error.map(|key| reader.lang.t(key).into_owned()).unwrap_or_default(),
    };
    let secret = |error| Field { value: String::new(), ..field("", error) };
    SignupPage {
        action: if token.is_some() { "/setup" } else { "/signup" }.to_owned(),
        setup_token: token,
        login_id: field("login_id", errors.login_id),
        password: secret(errors.password),
        password_confirm: secret(errors.password_confirm),
        login_id_free: String::new(),
        name: field("name", errors.name),
        birth_date: field("birth_date", errors.birth_date),
        page: reader.page(Menu::None),
    }
}

/// `GET /signup`
pub async fn signup(reader: Reader) -> Result<HttpResponse> {
    html(&signup_form(&reader, &Fields::default(), &SignupErrors::default(), None))
}

#[derive(Debug, Deserialize)]
pub struct CheckQuery {
    #[serde(default)]
    login_id: String,
}

/// `GET /signup/check?login_id=`: whether an id can be had.
pub async fn check_login_id(reader: Reader, query: web::Query<CheckQuery>) -> Result<HttpResponse> {
    let checked = match validation::login_id(&query.login_id) {
        Err(error) => Err(error),
        Ok(id) => match reader.app.db.run(move |conn| Ok(Account::is_taken(conn, &id)?)).await? {
            true => Err("validation.login_id.taken"),
            false => Ok(()),
        },
    };
    let sentence = checked.err().unwrap_or("validation.login_id.free");
    if reader.htmx {
        return fragment(&LoginIdCheck { ok: checked.is_ok(), text: reader.lang.t(sentence).into_owned() });
    }
    let fields = Fields::of([("login_id", query.login_id.as_str())]);
    let mut page =
        signup_form(&reader, &fields, &SignupErrors { login_id: checked.err(), ..SignupErrors::default() }, None);
    if checked.is_ok() {
        page.login_id_free = reader.lang.t(sentence).into_owned();
    }
    html(&page)
}

/// `POST /signup`
pub async fn create(reader: Reader, fields: Fields) -> Result<HttpResponse> {
    sign_up(reader, fields, Role::Student, None).await
}

#[derive(Debug, Deserialize)]
pub struct SetupQuery {
    #[serde(default)]
    token: String,
}

/// `GET /setup?token=`: the first admin's form.
pub async fn setup_form(reader: Reader, query: web::Query<SetupQuery>) -> Result<HttpResponse> {
    let token = query.into_inner().token;
    let asked = token.clone();
    if !reader.app.db.run(move |conn| Ok(setup::is_open(conn, &asked)?)).await? {
        return Err(Error::NotFound);
    }
    html(&signup_form(&reader, &Fields::default(), &SignupErrors::default(), Some(token)))
}

/// `POST /setup`
pub async fn setup_create(reader: Reader, fields: Fields) -> Result<HttpResponse> {
    let token = fields.get("token").to_owned();
    let asked = token.clone();
    if !reader.app.db.run(move |conn| Ok(setup::is_open(conn, &asked)?)).await? {
        return Err(Error::NotFound);
    }
    sign_up(reader, fields, Role::Admin, Some(token)).await
}

async fn sign_up(reader: Reader, fields: Fields, role: Role, token: Option<String>) -> Result<HttpResponse> {
    let refuse = |errors: SignupErrors, token: Option<String>| {
        with_status(StatusCode::UNPROCESSABLE_ENTITY, &signup_form(&reader, &fields, &errors, token))
    };
    let form = match SignupForm::parse(&fields, today(&reader)) {
        Ok(form) => form,
        Err(mut errors) => {
            if errors.login_id.is_none()
                && let Ok(id) = validation::login_id(fields.get("login_id"))
                && reader.app.db.run(move |conn| Ok(Account::is_taken(conn, &id)?)).await?
            {
                errors.login_id = Some("validation.login_id.taken");
            }
            return refuse(errors, token);
        }
    };
    let (address, most, id) = (reader.address(), reader.app.config.accounts.signups_per_address, form.login_id.clone());
    let (wait, taken) = reader
        .app
        .db
        .run(move |conn| {
            let wait = throttle::wait(conn, Subject::Signup(&address), most, db::now())?;
            Ok((wait, Account::is_taken(conn, &id)?))
        })
        .await?;
    let taken_errors = || SignupErrors { login_id: Some("validation.login_id.taken"), ..SignupErrors::default() };
    if taken {
        return refuse(taken_errors(), token);
    }
    // Who holds the first admin's link is not kept out by others' sign-ups.
    if wait > 0 && token.is_none() {
        return Err(Error::TooMany(wait));
    }
    let new = NewAccount {
        login_id: form.login_id,
        name: form.name,
        birth_date: form.birth_date,
        password_hash: password::hash(form.password).await?,
        role,
    };
    let (address, link) = (reader.address(), token.clone());
    let created = reader.app.db.run(move |conn| store(conn, &new, link.as_deref(), &address)).await?;
    match created {
        Created::Yes => {
            let mut response = see_other("/login");
            notice(
                &mut response,
                &reader,
                if role == Role::Admin { "notice.admin_created" } else { "notice.signed_up" },
                "",
            )?;
            Ok(response)
        }
        Created::Taken => refuse(taken_errors(), token),
        Created::LinkUsed => Err(Error::NotFound),
    }
}

enum Created {
    Yes,
    Taken,
    LinkUsed,
}

fn store(
    conn: &mut diesel::mysql::MysqlConnection,
    new: &NewAccount,
    link: Option<&str>,
    address: &str,
) -> Result<Created> {
    use diesel::Connection;
    let done = conn.transaction(|conn| {
        if let Some(token) = link
            && !setup::consume(conn, token)?
        {
            return Ok(Created::LinkUsed);
        }
        Account::create(conn, new)?;
        Ok(Created::Yes)
    });
    match done {
        Ok(done) => {
            throttle::count(conn, Subject::Signup(address), db::now())?;
            Ok(done)
        }
        Err(error) if db::is_duplicate(&error) => Ok(Created::Taken),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Deserialize)]
pub struct LoginQuery {
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub async fn login(reader: Reader, query: web::Query<LoginQuery>) -> Result<HttpResponse> {
    if reader.account.is_some() {
        return Ok(see_other(local_path(&query.next, "/dashboard")));
    }
    let next = local_path(&query.next, "").to_owned();
    html(&login_page(&reader, "", String::new(), next))
}

fn login_page(reader: &Reader, login_id: &str, error: String, next: String) -> LoginPage {
    LoginPage {
        login_id: Field::of(crate::text::shorten(login_id, 64)),
        password: Field::default(),
        error,
        next,
        page: reader.page(Menu::None),
    }
}

/// `POST /login`
pub async fn sign_in(reader: Reader, request: HttpRequest, session: Session, fields: Fields) -> Result<HttpResponse> {
    let typed = fields.get("login_id").trim().to_ascii_lowercase();
    let next = local_path(fields.get("next"), "").to_owned();
    let secret = fields.get("password").to_owned();
    if typed.is_empty() || secret.is_empty() {
        let mut page = login_page(&reader, &typed, String::new(), next);
        if typed.is_empty() {
            page.login_id.error = reader.lang.t("validation.login_id.missing").into_owned();
        }
        if secret.is_empty() {
            page.password.error = reader.lang.t("validation.password.missing").into_owned();
        }
        return with_status(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let limits = reader.app.config.accounts.clone();
    let (id, address, known) = (typed.clone(), reader.address(), device::known(&request, &reader, &typed));
    let (wait, account) = reader
        .app
        .db
        .run(move |conn| {
            let tries = tries(&id, &address, known.as_deref(), &limits);
            let wait = throttle::take(conn, &tries, db::now())?;
            let account = if wait == 0 { Account::by_login_id(conn, &crate::text::shorten(&id, 64))? } else { None };
            Ok((wait, account))
        })
        .await?;
    if wait > 0 {
        let text = reader.lang.t1("login.throttled", "seconds", wait).into_owned();
        let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, &login_page(&reader, &typed, text, next))?;
        response.headers_mut().insert(actix_web::http::header::RETRY_AFTER, wait.into());
        return Ok(response);
    }
    let too_long = secret.len() > 1024;
    let hash = account.as_ref().map(|account| account.password_hash.clone()).filter(|_| !too_long);
    let fits = password::verify(if too_long { String::new() } else { secret }, hash).await?;
    match account.filter(|account| fits && account.active) {
        Some(account) => {
            let (id, address, known) = (typed.clone(), reader.address(), device::known(&request, &reader, &typed));
            reader
                .app
                .db
                .run(move |conn| {
                    match known.as_deref() {
                        Some(device) => throttle::forget(conn, Subject::Device(device))?,
                        None => {
                            throttle::forget(conn, Subject::Login { id: &id, address: &address })?;
                            throttle::give_back(conn, Subject::Address(&address))?;
                        }
                    }
                    Ok(())
                })
                .await?;
            // A new key: one that somebody planted before is of no use after.
            session.clear();
            session.insert(ACCOUNT, account.id).map_err(Error::internal)?;
            session.renew();
            let mut response = see_other(local_path(&next, "/dashboard"));
            device::remember(&mut response, &request, &reader, &typed)?;
            Ok(response)
        }
        None => {
            let text = reader.lang.t("login.wrong").into_owned();
            with_status(StatusCode::UNPROCESSABLE_ENTITY, &login_page(&reader, &typed, text, next))
        }
    }
}

/// What a try to log in is counted under: a browser that the account knows by itself, others by id and address.
fn tries<'a>(
    id: &'a str,
    address: &'a str,
    known: Option<&'a str>,
    limits: &crate::config::Accounts,
) -> Vec<(Subject<'a>, u32)> {
    match known {
        Some(device) => vec![(Subject::Device(device), limits.failures_per_account)],
        None => vec![
            (Subject::Login { id, address }, limits.failures_per_account),
            (Subject::Address(address), limits.failures_per_address),
        ],
    }
}

/// `POST /logout`: the session ends on the server.
pub async fn logout(reader: Reader, session: Session) -> Result<HttpResponse> {
    session.purge();
    let mut response = see_other("/login");
    notice(&mut response, &reader, "notice.logged_out", "")?;
    Ok(response)
}

/// What is wrong on the profile page, and what was typed there.
#[derive(Debug, Clone, Default)]
pub struct ProfileErrors {
    pub name_value: Option<String>,
    pub name: Option<&'static str>,
    pub current_password: Option<&'static str>,
    pub password: Option<&'static str>,
    pub password_confirm: Option<&'static str>,
    pub key_name_value: String,
    pub key_name: Option<&'static str>,
    pub public_key_value: String,
    pub public_key: Option<&'static str>,
}

/// The profile page with what is wrong on it.
///
/// # Errors
/// The database's.
pub async fn profile_page(reader: &Reader, account: &CurrentAccount, errors: ProfileErrors) -> Result<ProfilePage> {
    let id = account.id;
    let keys = reader.app.db.run(move |conn| Ok(SshKey::list(conn, id)?)).await?;
    let say = |key: Option<&'static str>| key.map(|key| reader.lang.t(key).into_owned()).unwrap_or_default();
    let field = |value: &str, error| Field { value: crate::text::shorten(value, 9_000), error: say(error) };
    Ok(ProfilePage {
        login_id: account.login_id.clone(),
        role: reader.lang.t(&format!("roles.{}", account.role.name())).into_owned(),
        name: field(errors.name_value.as_deref().unwrap_or(&account.name), errors.name),
        current_password: field("", errors.current_password),
        password: field("", errors.password),
        password_confirm: field("", errors.password_confirm),
        keys: keys
            .into_iter()
            .map(|key| KeyRow {
                id: key.id.to_string(),
                name: key.name,
                fingerprint: key.fingerprint,
                algorithm: key.algorithm,
                created: format::full(key.created_at, reader.app.config.server.time_zone),
            })
            .collect(),
        key_name: field(&errors.key_name_value, errors.key_name),
        public_key: field(&errors.public_key_value, errors.public_key),
        page: reader.page(Menu::Profile),
    })
}

/// `GET /profile`
pub async fn profile(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    html(&profile_page(&reader, &account, ProfileErrors::default()).await?)
}

async fn profile_refused(reader: &Reader, account: &CurrentAccount, errors: ProfileErrors) -> Result<HttpResponse> {
    with_status(StatusCode::UNPROCESSABLE_ENTITY, &profile_page(reader, account, errors).await?)
}

/// `POST /profile/name`
pub async fn rename(reader: Reader, account: CurrentAccount, fields: Fields) -> Result<HttpResponse> {
    match validation::person_name(fields.get("name")) {
        Err(error) => {
            let name_value = Some(crate::text::shorten(fields.get("name"), 200));
            let errors = ProfileErrors { name_value, name: Some(error), ..ProfileErrors::default() };
            profile_refused(&reader, &account, errors).await
        }
        Ok(name) => {
            let id = account.id;
            reader.app.db.run(move |conn| Ok(Account::rename(conn, id, &name)?)).await?;
            let mut response = see_other("/profile");
            notice(&mut response, &reader, "notice.name_changed", "")?;
            Ok(response)
        }
    }
}

/// `POST /profile/password`: ends every other session of the account.
pub async fn change_password(
    reader: Reader,
    session: Session,
    account: CurrentAccount,
    fields: Fields,
) -> Result<HttpResponse> {
    let (new, confirm) = new_password(&fields);
    let mut errors =
        ProfileErrors { password: new.as_ref().err().copied(), password_confirm: confirm, ..ProfileErrors::default() };
    let current = fields.get("current_password").to_owned();
    let (id, limit) = (account.id, reader.app.config.accounts.failures_per_account);
    let (wait, hash) = reader
        .app
        .db
        .run(move |conn| {
            let wait = throttle::take(conn, &[(Subject::Password(&id.to_string()), limit)], db::now())?;
            Ok((wait, Account::by_id(conn, id)?.password_hash))
        })
        .await?;
    if wait > 0 {
        return Err(Error::TooMany(wait));
    }
    let known = current.len() <= 1024 && password::verify(current, Some(hash)).await?;
    if known {
        reader.app.db.run(move |conn| Ok(throttle::forget(conn, Subject::Password(&id.to_string()))?)).await?;
    } else {
        errors.current_password = Some("validation.current_password.wrong");
    }
    let new = match new {
        Ok(new) if known && errors.password_confirm.is_none() => new,
        _ => return profile_refused(&reader, &account, errors).await,
    };
    let hash = password::hash(new).await?;
    reader
        .app
        .db
        .run(move |conn| {
            Account::set_password(conn, id, &hash)?;
            session::end_all(conn, id)?;
            Ok(())
        })
        .await?;
    // This session goes on under a new key.
    session.renew();
    let mut response = see_other("/profile");
    notice(&mut response, &reader, "notice.password_changed", "")?;
    Ok(response)
}
