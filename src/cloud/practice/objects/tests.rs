//! The practice cloud's files.
