//! Pages of sign-up, log-in, the first admin, and one's own profile.

use askama::Template;

use crate::web::page::{Field, Page};

/// `GET /`, for who is not signed in.
#[derive(Template)]
#[template(path = "accounts/landing.html")]
pub struct LandingPage {
    pub page: Page,
}

/// `GET /signup`, and `POST /signup` with errors (422).
#[derive(Template)]
#[template(path = "accounts/signup.html")]
pub struct SignupPage {
    pub page: Page,
    /// Where the form posts to: `/signup`, or `/setup` for the first admin.
    pub action: String,
    /// The first admin's page: another heading, and the token of the one-time link in a hidden field `token`.
    pub setup_token: Option<String>,
    pub login_id: Field,
    /// Said below the field when the id was asked for without JavaScript (`GET /signup/check` as a page) and is free;
    /// else empty.
    pub login_id_free: String,
    /// Never holds a value.
    pub password: Field,
    pub password_confirm: Field,
    pub name: Field,
    /// `YYYY-MM-DD`
    pub birth_date: Field,
}

/// `GET /signup/check?login_id=`: the answer below the field; swapped into `#login_id-check`.
#[derive(Template)]
#[template(path = "accounts/_login_id_check.html")]
pub struct LoginIdCheck {
    /// Class: `ok` shows `field__ok`, else `field__error` with id `login_id-error`.
    pub ok: bool,
    pub text: String,
}

/// `GET /login`, and `POST /login` refused (422, or 429 when throttled).
#[derive(Template)]
#[template(path = "accounts/login.html")]
pub struct LoginPage {
    pub page: Page,
    pub login_id: Field,
    pub password: Field,
    /// Above the button: does not say which of the two is wrong.
    pub error: String,
    /// Where to go after, a path of ours; hidden field `next`. May be empty.
    pub next: String,
}

/// A public SSH key of the account, in the profile's list.
pub struct KeyRow {
    pub id: String,
    pub name: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// `ssh-ed25519`
    pub algorithm: String,
    pub created: String,
}

/// `GET /profile`, `POST /profile/{name,password}`, `POST /keys` with errors.
#[derive(Template)]
#[template(path = "accounts/profile.html")]
pub struct ProfilePage {
    pub page: Page,
    pub login_id: String,
    /// In words: 학생, 선생님, 관리자.
    pub role: String,
    /// Form `POST /profile/name`, field `name`.
    pub name: Field,
    /// Form `POST /profile/password`, fields `current_password`, `password`, `password_confirm`.
    pub current_password: Field,
    pub password: Field,
    pub password_confirm: Field,
    /// Keys, newest first. Delete: `POST /keys/{id}/delete`.
    pub keys: Vec<KeyRow>,
    /// Form `POST /keys`, fields `key_name` and `public_key` (one line as in `id_ed25519.pub`). A second form,
    /// `POST /keys/generate` with `key_name`, answers with the private key as a download.
    pub key_name: Field,
    pub public_key: Field,
}
