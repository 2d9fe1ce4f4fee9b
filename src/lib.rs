//! fast cloud: a classroom cloud portal. One process: a web server, a worker that carries requests out in the cloud,
//! and a loop that takes over what the cloud says; one MySQL database between them.
//!
//! The map: [`routes`] is every URL. A feature ([`accounts`], [`instances`], [`instance_templates`], [`keys`],
//! [`dashboard`], [`admin`]) has its handlers in `routes.rs`, its tables in `model.rs`, its pages in `views.rs` and
//! `templates/`. [`operations`] is the queue between requests and the clouds, [`cloud`] the seam to them, [`sync`] the
//! loop. [`web`] is what every page shares. [`health`], [`metrics`] and [`pulse`] tell how it is. [`start`] puts it together.

rust_i18n::i18n!("src/i18n", fallback = "ko");

pub mod accounts;
pub mod admin;
pub mod app;
pub mod applications;
pub mod buckets;
pub mod cause;
pub mod check;
pub mod cloud;
pub mod cloud_services;
pub mod config;
pub mod dashboard;
pub mod db;
pub mod embedded;
pub mod error;
pub mod health;
pub mod i18n;
pub mod ids;
pub mod instance_templates;
pub mod instances;
pub mod keys;
pub mod live;
pub mod metrics;
pub mod operations;
pub mod preferences;
pub mod pulse;
pub mod quotas;
pub mod random;
pub mod registry;
pub mod routes;
pub mod schema;
pub mod session;
pub mod settings;
pub mod start;
pub mod strays;
pub mod sync;
pub mod text;
pub mod validation;
pub mod web;
