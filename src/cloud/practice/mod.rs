//! The practice cloud: what is pretended, for a first look and for fast tests. Every page says so.

mod compute;

pub use compute::{Fault, PracticeCompute};
