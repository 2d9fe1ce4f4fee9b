//! Faults of the practice cloud's cluster, scripted by tests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::cloud::CloudError;
use crate::cloud::cluster::Part;

/// A call of the portal's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Prepare,
    Apply(Part),
    Scale,
    Delete(Part),
    Presence,
    Show,
    List,
    Ping,
    Events,
    Logs,
    Listeners,
}

/// What the cluster is told to do wrong. Each is used up by the call that it hits, but for [`ClusterFault::Down`] and
/// [`ClusterFault::Hang`], which last until they are healed.
#[derive(Debug, Clone)]
pub enum ClusterFault {
    /// The next call of this kind is refused.
    Step(Step, CloudError),
    /// The next call of this kind, one that changes something, is carried out, but its answer is lost.
    AnswerLost(Step),
    /// Every call is refused, the watch is silent, followed logs break off.
    Down(CloudError),
    /// Every call waits for ever, the watch and followed logs are silent.
    Hang,
}

#[derive(Default)]
pub(super) struct Faults {
    scripted: Mutex<VecDeque<ClusterFault>>,
    calls: AtomicU64,
}

impl Faults {
    pub(super) fn script(&self, fault: ClusterFault) {
        self.scripted.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }

    pub(super) fn heal(&self) -> usize {
        std::mem::take(&mut *self.scripted.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, fits: impl Fn(&ClusterFault) -> bool) -> Option<ClusterFault> {
        let mut scripted = self.scripted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = scripted.iter().position(fits)?;
        scripted.remove(place)
    }

    /// What hits every call.
    pub(super) fn lasting(&self) -> Option<ClusterFault> {
        let scripted = self.scripted.lock().unwrap_or_else(PoisonError::into_inner);
        scripted.iter().find(|fault| matches!(fault, ClusterFault::Down(_) | ClusterFault::Hang)).cloned()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.lasting().is_some()
    }

    /// The faults that hit a call before anything is done.
    pub(super) async fn before(&self, step: Step) -> Result<(), CloudError> {
        self.count();
        match self.lasting() {
            Some(ClusterFault::Down(error)) => return Err(error),
            Some(ClusterFault::Hang) => std::future::pending().await,
            _ => {}
        }
        match self.take(|fault| matches!(fault, ClusterFault::Step(hit, _) if *hit == step)) {
            Some(ClusterFault::Step(_, error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Those that hit it when all has been done.
    pub(super) fn after(&self, step: Step) -> Result<(), CloudError> {
        match self.take(|fault| matches!(fault, ClusterFault::AnswerLost(hit) if *hit == step)) {
            Some(_) => Err(CloudError::unavailable("the answer was lost")),
            None => Ok(()),
        }
    }
}
