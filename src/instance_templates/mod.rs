//! Instance templates: what can be rented, an image, a flavor and a network under one name. An admin edits them.

pub mod forms;
pub mod model;
pub mod routes;
pub mod views;
