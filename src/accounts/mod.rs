//! Accounts: who signs in, and what they may do. Sign-up, log-in, log-out, the first admin, one's own profile.

pub mod device;
pub mod forms;
pub mod model;
pub mod password;
pub mod routes;
pub mod setup;
pub mod throttle;
pub mod views;
