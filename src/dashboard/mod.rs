//! The dashboard: the first page after log-in.

pub mod routes;
pub mod views;
