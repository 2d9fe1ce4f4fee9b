//! Mini PCs: virtual machines that students rent, servers of OpenStack's Nova.
//!
//! A row says what the person wanted and what the cloud said last: `status` is one of building, active, stopped, error,
//! unknown, and `transition` what is under way on top of it (starting, stopping, rebooting, deleting). Requests write
//! the row and an [operation](crate::operations) in one transaction; [`work`] carries operations out; [`sync`] takes
//! over what the cloud says.

pub mod events;
pub mod forms;
pub mod model;
pub mod present;
pub mod routes;
pub mod sync;
pub mod views;
pub mod work;
