//! Container applications: images that students put online, in Kubernetes a Deployment, a Service and an Ingress.
//!
//! A row says what the person wanted and what the cluster said last: `status` is one of pending, running, stopped,
//! failed, and `transition` what is under way on top of it (deploying, redeploying, starting, stopping, deleting). What
//! is deployed stands in a row of `application_configs` for each deployment (`revision`). Requests write the rows and an
//! [operation](crate::operations) in one transaction; [`work`] carries operations out.

pub mod diagnose;
pub mod events;
pub mod forms;
pub mod host;
pub mod model;
pub mod present;
pub mod routes;
mod secrets;
pub mod strays;
pub mod sync;
pub mod views;
pub mod work;
