pub mod page;
pub mod error_views;
