//! The practice cloud: what is pretended, for a first look and for fast tests. Every page says so.

mod cluster;
mod compute;
mod file;
mod ingress;
mod objects;

pub use cluster::{ClusterFault, PracticeCluster, Reply, Step};
pub use compute::{Fault, PracticeCompute};
pub use ingress::{PracticeIngress, serve};
pub use objects::{ObjectFault, PracticeObjects};
