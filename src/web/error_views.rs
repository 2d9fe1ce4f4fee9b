//! What is shown when something went wrong.

use askama::Template;

use super::page::Page;

/// A whole page: 403, 404, 405, 413, 429, 500, 503. Needs neither database nor session.
#[derive(Template)]
#[template(path = "errors/page.html")]
pub struct ErrorPage {
    pub page: Page,
    /// The HTTP status: 404.
    pub status: u16,
    /// What happened, what still works, what to do next.
    pub title: String,
    pub text: String,
    /// To quote to the admin; copyable.
    pub request_id: String,
    /// Where to go: (href, label); the first is the primary button.
    pub links: Vec<(String, String)>,
}

/// The same for htmx: a toast, swapped into `#toasts`.
#[derive(Template)]
#[template(path = "errors/_toast.html")]
pub struct ErrorToast {
    pub title: String,
    pub text: String,
    pub request_id: String,
    pub close_label: String,
}
