//! Applications from the click to the cluster and back: rows, work and sync, with the practice cloud's containers.

mod cluster;
mod deaths;
#[cfg(feature = "failpoints")]
mod killed;
mod life;
mod refusals;
mod somebody;
