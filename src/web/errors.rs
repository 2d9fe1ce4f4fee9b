//! What went wrong, drawn as a page or a toast. Handlers and guards only say what it was ([`Error`]); here it is known
//! who asks. The page needs neither the database nor a session.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use askama::Template;
use tracing_actix_web::RequestId;

use super::error_views::{ErrorPage, ErrorToast};
use super::page::{Lang, Menu, Page, Theme};
use super::reader::{language, local_path, theme};
use crate::app::App;
use crate::error::Error;

/// Who asks: noted before the request goes on, because a router needs it to itself.
struct Asker {
    request_id: String,
    htmx: bool,
    get: bool,
    here: String,
    referer: Option<String>,
    lang: Lang,
    theme: Theme,
    https: bool,
}

impl Asker {
    fn of(request: &HttpRequest) -> Self {
        let text = |name: header::HeaderName| request.headers().get(name)?.to_str().ok().map(str::to_owned);
        // A statement of its own: reading cookies borrows the extensions again.
        let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
        Self {
            request_id,
            htmx: request.headers().get("hx-request").is_some_and(|value| value == "true"),
            get: request.method() == Method::GET,
            here: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            referer: text(header::REFERER),
            lang: language(request),
            theme: theme(request),
            https: request.app_data::<web::Data<App>>().is_some_and(|app| app.config.server.is_https()),
        }
    }
}

/// The middleware: every answer of 4xx and 5xx that a guard or handler gave as an error gets its page; to be signed in
/// for becomes a redirect to the log-in page.
///
/// # Errors
/// What a guard refused, with its page already drawn.
pub async fn draw<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let asker = Asker::of(request.request());
    match next.call(request).await {
        Ok(response) => {
            let status = response.status();
            let error = response.response().error().map(|error| classify(error, status));
            // A route that is there, asked in a way that it is not for, has no error of its own.
            let method = || (status == StatusCode::METHOD_NOT_ALLOWED).then(|| Error::BadRequest("method".to_owned()));
            Ok(match error.or_else(method) {
                Some(error) => {
                    let answer = answer(&asker, &error, status);
                    response.into_response(answer.map_into_right_body())
                }
                None => response.map_into_left_body(),
            })
        }
        Err(error) => {
            let status = error.as_response_error().status_code();
            let error = classify(&error, status);
            let mut answer = answer(&asker, &error, error.status());
            // The middleware that adds these sees only answers.
            super::headers::add(answer.headers_mut(), asker.https);
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// Our own error, or what another crate's amounts to.
fn classify(error: &actix_web::Error, status: StatusCode) -> Error {
    if let Some(error) = error.as_error::<Error>() {
        return error.clone();
    }
    match status.as_u16() {
        404 => Error::NotFound,
        413 => Error::TooLarge,
        400..=499 => Error::BadRequest(error.to_string()),
        // The session could not be loaded or stored: the database is what it is kept in.
        500 if ["session state", "the database does not answer"]
            .iter()
            .any(|sign| error.to_string().contains(sign)) =>
        {
            Error::Unavailable(error.to_string())
        }
        _ => Error::Internal(error.to_string()),
    }
}

fn answer(asker: &Asker, error: &Error, status: StatusCode) -> HttpResponse {
    match error {
        Error::SignIn => return sign_in(asker),
        Error::Internal(cause) => tracing::error!(cause, "a request failed"),
        Error::Unavailable(cause) | Error::Store(cause) => tracing::warn!(cause, "a request could not be served"),
        other => tracing::debug!(%other, "a request was refused"),
    }
    let lang = asker.lang;
    let status = if matches!(error, Error::BadRequest(_)) { status } else { error.status() };
    let name = match error {
        Error::Csrf(_) => "csrf".to_owned(),
        Error::Store(_) => "store".to_owned(),
        _ => status.as_u16().to_string(),
    };
    let title = lang.t(&format!("errors.{name}.title")).into_owned();
    let text = match error {
        Error::TooMany(seconds) => lang.t1(&format!("errors.{name}.text"), "seconds", seconds).into_owned(),
        Error::Conflict(sentence) => sentence.clone(),
        _ => lang.t(&format!("errors.{name}.text")).into_owned(),
    };
    let mut response = HttpResponse::build(status);
    match error {
        Error::TooMany(seconds) => {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        Error::Unavailable(_) | Error::Store(_) => {
            response.insert_header((header::RETRY_AFTER, "5"));
        }
        _ => {}
    }
    let request_id = asker.request_id.clone();
    let body = if asker.htmx {
        response.insert_header(("HX-Retarget", "#toasts")).insert_header(("HX-Reswap", "beforeend"));
        ErrorToast { title, text, request_id, close_label: lang.t("layout.close").into_owned() }.render()
    } else {
        let page = Page { lang, theme: asker.theme, menu: Menu::None, here: "/".to_owned(), ..Page::default() };
        ErrorPage { page, status: status.as_u16(), title, text, request_id, links: links(asker, error) }.render()
    };
    // A page that can't even be drawn is said in one line.
    let body = body.unwrap_or_else(|_| format!("{status}"));
    response.content_type("text/html; charset=utf-8").insert_header((header::CACHE_CONTROL, "no-store")).body(body)
}

/// Where to go from here.
fn links(asker: &Asker, error: &Error) -> Vec<(String, String)> {
    let home = ("/".to_owned(), asker.lang.t("errors.home").into_owned());
    let again = |path: String| (path, asker.lang.t("errors.retry").into_owned());
    match error {
        Error::Unavailable(_) | Error::Store(_) | Error::Internal(_) | Error::TooMany(_) if asker.get => {
            vec![again(local_path(&asker.here, "/").to_owned()), home]
        }
        Error::Csrf(_) => {
            let path =
                asker.referer.as_deref().and_then(|url| url::Url::parse(url).ok()).map(|url| url.path().to_owned());
            vec![again(path.as_deref().map_or("/", |path| local_path(path, "/")).to_owned()), home]
        }
        _ => vec![home],
    }
}

fn sign_in(asker: &Asker) -> HttpResponse {
    let mut target = "/login".to_owned();
    if asker.get && !asker.htmx && asker.here != "/" {
        let next: String = url::form_urlencoded::byte_serialize(asker.here.as_bytes()).collect();
        target = format!("/login?next={next}");
    }
    if asker.htmx {
        // htmx follows a redirect inside the fragment; this one moves the whole page.
        return HttpResponse::Unauthorized().insert_header(("HX-Redirect", target)).finish();
    }
    HttpResponse::SeeOther().insert_header((header::LOCATION, target)).finish()
}
