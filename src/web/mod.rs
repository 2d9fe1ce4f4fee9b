//! What every page shares.

pub mod assets;
pub mod body;
pub mod csrf;
pub mod error_views;
pub mod errors;
pub mod format;
pub mod headers;
pub mod page;
pub mod reader;
pub mod respond;
pub mod trace;
