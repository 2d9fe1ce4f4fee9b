//! fast cloud: a classroom cloud portal.
rust_i18n::i18n!("src/i18n", fallback = "ko");

pub mod cloud;
pub mod i18n;
pub mod ids;
pub mod web;

pub mod accounts;
pub mod admin;
pub mod dashboard;
pub mod instance_templates;
pub mod instances;
