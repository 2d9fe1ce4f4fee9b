//! Applications from the click to the cluster and back: rows, work and sync, with the practice cloud's containers.

mod cluster;
mod deaths;
mod life;
mod refusals;
mod somebody;
