//! The admin's view of the cloud.

pub mod routes;
pub mod views;
