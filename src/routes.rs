//! The whole URL map of pages, in one table: what is not in it does not exist, and a test walks it as everybody.

use actix_web::http::Method;
use actix_web::{Route, web};

use crate::accounts::routes as accounts;
use crate::admin::routes as admin;
use crate::applications::routes as applications;
use crate::buckets::routes::{self as buckets, links, objects, tools, upload};
use crate::dashboard::routes as dashboard;
use crate::instance_templates::routes as templates;
use crate::instances::routes as instances;
use crate::keys::routes as keys;
use crate::live::routes as live;
use crate::metrics::routes as metrics;
use crate::preferences;

/// Who may use a route. The handlers' own extractors see to it; the table says what a test expects of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever is signed in; ids in its path are those of the account's own things.
    Account,
    /// Admins; for others it does not exist.
    Admin,
}

/// A route of a page.
pub struct Entry {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    route: fn(Method) -> Route,
}

macro_rules! table {
    ($($access:ident $method:ident $path:literal $handler:path;)*) => {
        vec![$(Entry {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            route: |method| web::method(method).to($handler),
        }),*]
    };
}

/// Every route. Fixed paths stand before those with an id.
pub fn table() -> Vec<Entry> {
    table! {
        Public GET "/" accounts::landing;
        Public GET "/metrics" metrics::show;
        Public GET "/signup" accounts::signup;
        Public POST "/signup" accounts::create;
        Public GET "/signup/check" accounts::check_login_id;
        Public GET "/setup" accounts::setup_form;
        Public POST "/setup" accounts::setup_create;
        Public GET "/login" accounts::login;
        Public POST "/login" accounts::sign_in;
        Public POST "/logout" accounts::logout;
        Public POST "/preferences/language" preferences::language;
        Public POST "/preferences/theme" preferences::theme;

        Account GET "/dashboard" dashboard::show;
        Account GET "/dashboard/instances" dashboard::instances;
        Account GET "/dashboard/applications" dashboard::applications;
        Account GET "/live" live::stream;
        Account GET "/profile" accounts::profile;
        Account POST "/profile/name" accounts::rename;
        Account POST "/profile/password" accounts::change_password;
        Account POST "/keys" keys::create;
        Account POST "/keys/generate" keys::generate;
        Account POST "/keys/pick-up" keys::pick_up;
        Account POST "/keys/{key_id}/delete" keys::delete;

        Account GET "/instances" instances::index;
        Account POST "/instances" instances::create;
        Account GET "/instances/new" instances::new;
        Account GET "/instances/rows" instances::rows;
        Account GET "/instances/{instance_id}" instances::show;
        Account GET "/instances/{instance_id}/row" instances::row;
        Account GET "/instances/{instance_id}/detail" instances::detail;
        Account POST "/instances/{instance_id}/start" instances::start;
        Account POST "/instances/{instance_id}/stop" instances::stop;
        Account POST "/instances/{instance_id}/reboot" instances::reboot;
        Account GET "/instances/{instance_id}/delete" instances::confirm_delete;
        Account POST "/instances/{instance_id}/delete" instances::delete;

        Account GET "/applications" applications::index;
        Account POST "/applications" applications::deploy::create;
        Account GET "/applications/new" applications::deploy::new;
        Account GET "/applications/rows" applications::rows;
        Account GET "/applications/check" applications::deploy::check;
        Account GET "/applications/image" applications::deploy::image;
        Account GET "/applications/{application_id}" applications::show;
        Account GET "/applications/{application_id}/row" applications::row;
        Account GET "/applications/{application_id}/detail" applications::detail;
        Account GET "/applications/{application_id}/edit" applications::deploy::edit;
        Account GET "/applications/{application_id}/events" applications::live::events;
        Account GET "/applications/{application_id}/logs" applications::live::logs;
        Account GET "/applications/{application_id}/logs/stream" applications::live::stream;
        Account POST "/applications/{application_id}/redeploy" applications::deploy::redeploy;
        Account POST "/applications/{application_id}/start" applications::start;
        Account POST "/applications/{application_id}/stop" applications::stop;
        Account GET "/applications/{application_id}/delete" applications::confirm_delete;
        Account POST "/applications/{application_id}/delete" applications::delete;
        Account GET "/dashboard/buckets" dashboard::buckets;
        Account GET "/buckets" buckets::index;
        Account POST "/buckets" buckets::create;
        Account GET "/buckets/new" buckets::new;
        Account GET "/buckets/{bucket}" buckets::show;
        Account GET "/buckets/{bucket}/delete" buckets::confirm_delete;
        Account POST "/buckets/{bucket}/delete" buckets::delete;
        Account POST "/buckets/{bucket}/folders" buckets::create_folder;
        Account GET "/buckets/{bucket}/file" objects::file;
        Account GET "/buckets/{bucket}/archive" objects::archive;
        Account POST "/buckets/{bucket}/move" objects::rename;
        Account GET "/buckets/{bucket}/links" links::index;
        Account POST "/buckets/{bucket}/links" links::create;
        Account POST "/buckets/{bucket}/links/{link_id}/delete" links::delete;
        Account GET "/buckets/{bucket}/tools" tools::index;
        Account POST "/buckets/{bucket}/tools" tools::create;
        Account POST "/buckets/{bucket}/tools/{token_id}/delete" tools::delete;
        Account POST "/buckets/{bucket}/objects" upload::create;
        Account GET "/buckets/{bucket}/objects/delete" objects::confirm_delete;
        Account POST "/buckets/{bucket}/objects/delete" objects::delete;
        Account GET "/buckets/{bucket}/objects/{key:.*}" objects::download;
        Public GET "/share/{link_id}/{token}" links::open;

        Admin GET "/admin/cloud" admin::cloud;
        Admin GET "/admin/templates" templates::index;
        Admin POST "/admin/templates" templates::create;
        Admin GET "/admin/templates/new" templates::new;
        Admin GET "/admin/templates/{template_id}/edit" templates::edit;
        Admin POST "/admin/templates/{template_id}" templates::update;
        Admin POST "/admin/templates/{template_id}/delete" templates::delete;
    }
}

/// Puts the table into the server: one resource a path, so that another method is a 405.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut entries = table().into_iter().peekable();
    let mut done: Vec<&'static str> = Vec::new();
    while let Some(first) = entries.next() {
        debug_assert!(!done.contains(&first.path), "{} stands in two places of the table", first.path);
        done.push(first.path);
        let mut resource = web::resource(first.path);
        let mut same = Some(first);
        while let Some(entry) = same {
            if entry.method == Method::GET {
                // The same without a body (RFC 9110, 9.3.2).
                resource = resource.route((entry.route)(Method::HEAD));
            }
            resource = resource.route((entry.route)(entry.method.clone()));
            same = entries.next_if(|next| next.path == entry.path);
        }
        config.service(resource);
    }
}
