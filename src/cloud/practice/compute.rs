//! The practice cloud's machines.
//!
//! Its state is one JSON file in the data folder, locked for each call, so that it outlives a restart and two portal
//! processes see the same machines. States settle by the clock. Tests script faults ([`PracticeCompute::script`]).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::file::StateFile;
use crate::cloud::{
    Catalogue, CheckLine, CheckOutcome, CloudError, Compute, Flavor, FloatingAddress, LaunchOrder, Limits, Named,
    OwnerTag, Server, ServerStatus,
};
use crate::ids::InstanceId;

/// The only image, network and floating network that there are.
const IMAGE: &str = "Ubuntu 22.04";
const NETWORK: &str = "practice-net";
const EXTERNAL_NETWORK: &str = "practice-external";

/// What the practice cloud is told to do wrong. Each is used up by the call that it hits, but for [`Fault::Down`] and
/// [`Fault::Hang`], which last until [`PracticeCompute::heal`].
#[derive(Debug, Clone)]
pub enum Fault {
    /// The next launch is refused.
    Launch(CloudError),
    /// The next launch is accepted, and ends in error with this fault.
    Build(String),
    /// The next launch is carried out, but its answer is lost.
    AnswerLost,
    /// The next start, stop, reboot or deletion is refused.
    Action(CloudError),
    /// Every call is refused.
    Down(CloudError),
    /// Every call waits for ever.
    Hang,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Machine {
    id: Uuid,
    name: String,
    owner: Option<OwnerTag>,
    flavor: String,
    address: Ipv4Addr,
    floating: Option<FloatingAddress>,
    fault: Option<String>,
    /// What it is until `settles_at`, and what from then on.
    now: ServerStatus,
    then: ServerStatus,
    settles_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Machine {
    fn status(&self, now: DateTime<Utc>) -> ServerStatus {
        if now >= self.settles_at { self.then } else { self.now }
    }

    fn last_change(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        if now >= self.settles_at { self.settles_at.max(self.changed_at) } else { self.changed_at }
    }

    fn server(&self, now: DateTime<Utc>) -> Server {
        let status = self.status(now);
        Server {
            id: self.id,
            name: self.name.clone(),
            status,
            raw_status: format!("practice/{status:?}"),
            address: (status != ServerStatus::Building).then_some(IpAddr::V4(self.address)),
            floating_address: self.floating.as_ref().map(|floating| floating.address),
            fault: self.fault.clone().filter(|_| status == ServerStatus::Error),
            owner: self.owner,
            created_at: Some(self.created_at),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    machines: Vec<Machine>,
    keys: Vec<String>,
    /// Addresses given out so far.
    addresses: u32,
}

impl State {
    fn next_address(&mut self, network: u32) -> Ipv4Addr {
        self.addresses += 1;
        Ipv4Addr::from(network + self.addresses % 0xffff)
    }

    fn machine(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<&mut Machine, CloudError> {
        self.machines
            .iter_mut()
            .find(|machine| machine.id == id && machine.status(now) != ServerStatus::Deleted)
            .ok_or_else(|| CloudError::NotFound(format!("machine {id}")))
    }
}

/// The practice cloud's machines.
pub struct PracticeCompute {
    file: StateFile,
    build: TimeDelta,
    faults: Mutex<VecDeque<Fault>>,
    limit: Option<u32>,
    calls: std::sync::atomic::AtomicU64,
}

impl PracticeCompute {
    /// Keeps its state in `dir`, which is made. A machine takes `build` to be built, half of it to start, stop, reboot
    /// or be deleted.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(dir: &Path, build: std::time::Duration) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("making the practice cloud's folder {}", dir.display()))?;
        Ok(Self {
            file: StateFile::new(dir.join("compute.json")),
            build: TimeDelta::from_std(build).context("practice.build_seconds is too long")?,
            faults: Mutex::default(),
            limit: None,
            calls: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// The same with a limit of machines in all, as a cloud's project has.
    #[must_use]
    pub fn with_limit(mut self, machines: u32) -> Self {
        self.limit = Some(machines);
        self
    }

    /// Adds a fault; several are used up in order.
    pub fn script(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }

    /// Ends all faults; says how many were not used up.
    pub fn heal(&self) -> usize {
        std::mem::take(&mut *self.faults.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    /// How many calls have been made.
    pub fn calls(&self) -> u64 {
        self.calls.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Machines that exist, for tests that compare them with the rows.
    ///
    /// # Errors
    /// When the state can't be read.
    pub async fn machines(&self) -> Result<Vec<Server>, CloudError> {
        self.with(|state, now| {
            Ok(state.machines.iter().map(|m| m.server(now)).filter(|s| s.status != ServerStatus::Deleted).collect())
        })
        .await
    }

    /// A machine disappears behind the portal's back.
    ///
    /// # Errors
    /// When the state can't be written.
    pub async fn lose(&self, id: Uuid) -> Result<(), CloudError> {
        self.with(move |state, _| {
            state.machines.retain(|machine| machine.id != id);
            Ok(())
        })
        .await
    }

    fn take(&self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(fits)?;
        faults.remove(place)
    }

    /// The faults that hit every call.
    async fn answer(&self) -> Result<(), CloudError> {
        self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fault = {
            let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.iter().find(|fault| matches!(fault, Fault::Down(_) | Fault::Hang)).cloned()
        };
        match fault {
            Some(Fault::Down(error)) => Err(error),
            Some(Fault::Hang) => std::future::pending().await,
            _ => Ok(()),
        }
    }

    /// Reads the state, lets `work` change it, and writes it back, under a lock of the file, off the runtime.
    async fn with<T, F>(&self, work: F) -> Result<T, CloudError>
    where
        T: Send + 'static,
        F: FnOnce(&mut State, DateTime<Utc>) -> Result<T, CloudError> + Send + 'static,
    {
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || {
            let _lock = file.lock()?;
            let before = file.read()?;
            let mut state: State = if before.is_empty() { State::default() } else { serde_json::from_slice(&before)? };
            let now = Utc::now();
            let result = work(&mut state, now);
            if result.is_ok() {
                // Those gone for a while are forgotten, as Nova's list of changes does.
                state.machines.retain(|machine| {
                    machine.status(now) != ServerStatus::Deleted || now - machine.settles_at < TimeDelta::minutes(5)
                });
                let after = serde_json::to_vec(&state)?;
                if after != before {
                    file.write(&after)?;
                }
            }
            Ok::<_, std::io::Error>(result)
        })
        .await
        .map_err(CloudError::unavailable)?
        .map_err(|error| CloudError::unavailable(format!("the practice cloud's state: {error}")))?
    }

    /// Sends a machine from one of the states in `from` to `then`, by way of `now`.
    async fn go(&self, id: Uuid, from: &[ServerStatus], by: ServerStatus, to: ServerStatus) -> Result<(), CloudError> {
        self.answer().await?;
        if let Some(Fault::Action(error)) = self.take(|fault| matches!(fault, Fault::Action(_))) {
            return Err(error);
        }
        let (from, half) = (from.to_vec(), self.build / 2);
        self.with(move |state, now| {
            let machine = state.machine(id, now)?;
            let status = machine.status(now);
            if !from.contains(&status) {
                return Err(CloudError::Conflict(format!("the machine is {status:?}")));
            }
            (machine.now, machine.then) = (by, to);
            (machine.changed_at, machine.settles_at) = (now, now + half);
            Ok(())
        })
        .await
    }
}

/// The flavors of the templates that the portal ships, and a big one.
fn flavors() -> Vec<Flavor> {
    [
        ("m1.nano", 1, 512, 10, 1024),
        ("m1.tiny", 1, 1024, 20, 2048),
        ("m1.small", 2, 3072, 40, 4096),
        ("m1.large", 4, 8192, 80, 0),
    ]
    .into_iter()
    .map(|(name, vcpus, ram_mb, disk_gb, swap_mb)| Flavor {
        id: name.to_owned(),
        name: name.to_owned(),
        vcpus,
        ram_mb,
        disk_gb,
        swap_mb,
    })
    .collect()
}

fn named(name: &str) -> Vec<Named> {
    vec![Named { id: name.to_owned(), name: name.to_owned() }]
}

#[async_trait]
impl Compute for PracticeCompute {
    fn simulated(&self) -> bool {
        true
    }

    async fn launch(&self, order: &LaunchOrder) -> Result<Uuid, CloudError> {
        self.answer().await?;
        if let Some(Fault::Launch(error)) = self.take(|fault| matches!(fault, Fault::Launch(_))) {
            return Err(error);
        }
        let fault = match self.take(|fault| matches!(fault, Fault::Build(_))) {
            Some(Fault::Build(text)) => Some(text),
            _ => None,
        };
        if !flavors().iter().any(|flavor| flavor.name == order.flavor) {
            return Err(CloudError::Rejected(format!("Flavor {} could not be found.", order.flavor)));
        }
        let (order, build, limit) = (order.clone(), self.build, self.limit);
        let id = self
            .with(move |state, now| {
                let alive = state.machines.iter().filter(|m| m.status(now) != ServerStatus::Deleted).count();
                if limit.is_some_and(|limit| alive >= limit as usize) {
                    return Err(CloudError::QuotaExceeded("Quota exceeded for instances".to_owned()));
                }
                if let Some(key) = order.key_pair.filter(|key| !state.keys.contains(key)) {
                    return Err(CloudError::Rejected(format!("Invalid key_name provided: {key}.")));
                }
                let id = Uuid::new_v4();
                // 198.18.0.0/15 is for tests (RFC 2544): nobody has such an address.
                let address = state.next_address(0xC612_0000);
                let then = if fault.is_some() { ServerStatus::Error } else { ServerStatus::Active };
                state.machines.push(Machine {
                    id,
                    name: order.name,
                    owner: Some(order.owner),
                    flavor: order.flavor,
                    address,
                    floating: None,
                    fault,
                    now: ServerStatus::Building,
                    then,
                    settles_at: now + build,
                    changed_at: now,
                    created_at: now,
                });
                Ok(id)
            })
            .await?;
        if self.take(|fault| matches!(fault, Fault::AnswerLost)).is_some() {
            return Err(CloudError::unavailable("the answer was lost"));
        }
        Ok(id)
    }

    async fn find(&self, instance: InstanceId) -> Result<Vec<Server>, CloudError> {
        self.answer().await?;
        let all = self.machines().await?;
        Ok(all.into_iter().filter(|server| server.owner.is_some_and(|owner| owner.instance == instance)).collect())
    }

    async fn list(&self, changed_since: Option<DateTime<Utc>>) -> Result<Vec<Server>, CloudError> {
        self.answer().await?;
        self.with(move |state, now| {
            let listed = state.machines.iter().filter(|machine| match changed_since {
                None => machine.status(now) != ServerStatus::Deleted,
                Some(since) => machine.last_change(now) >= since,
            });
            Ok(listed.map(|machine| machine.server(now)).collect())
        })
        .await
    }

    async fn show(&self, id: Uuid) -> Result<Server, CloudError> {
        self.answer().await?;
        self.with(move |state, now| Ok(state.machine(id, now)?.server(now))).await
    }

    async fn start(&self, id: Uuid) -> Result<(), CloudError> {
        self.go(id, &[ServerStatus::Stopped], ServerStatus::Starting, ServerStatus::Active).await
    }

    async fn stop(&self, id: Uuid) -> Result<(), CloudError> {
        self.go(id, &[ServerStatus::Active], ServerStatus::Stopping, ServerStatus::Stopped).await
    }

    async fn reboot(&self, id: Uuid) -> Result<(), CloudError> {
        self.go(id, &[ServerStatus::Active], ServerStatus::Rebooting, ServerStatus::Active).await
    }

    async fn delete(&self, id: Uuid) -> Result<(), CloudError> {
        let any = [
            ServerStatus::Building,
            ServerStatus::Active,
            ServerStatus::Stopping,
            ServerStatus::Stopped,
            ServerStatus::Starting,
            ServerStatus::Rebooting,
            ServerStatus::Deleting,
            ServerStatus::Error,
            ServerStatus::Unknown,
        ];
        match self.go(id, &any, ServerStatus::Deleting, ServerStatus::Deleted).await {
            Err(CloudError::NotFound(_)) => Ok(()),
            result => result,
        }
    }

    async fn import_key(&self, name: &str, _public_key: &str) -> Result<(), CloudError> {
        self.answer().await?;
        let name = name.to_owned();
        self.with(move |state, _| {
            if !state.keys.contains(&name) {
                state.keys.push(name);
            }
            Ok(())
        })
        .await
    }

    async fn delete_key(&self, name: &str) -> Result<(), CloudError> {
        self.answer().await?;
        let name = name.to_owned();
        self.with(move |state, _| {
            state.keys.retain(|key| *key != name);
            Ok(())
        })
        .await
    }

    async fn attach_address(&self, server: Uuid, _: InstanceId, network: &str) -> Result<FloatingAddress, CloudError> {
        self.answer().await?;
        if network != EXTERNAL_NETWORK {
            return Err(CloudError::Rejected(format!("Network {network} could not be found.")));
        }
        self.with(move |state, now| {
            // The other half of 198.18.0.0/15.
            let fresh = IpAddr::V4(state.next_address(0xC613_0000));
            let machine = state.machine(server, now)?;
            let floating = machine.floating.get_or_insert(FloatingAddress { id: Uuid::new_v4(), address: fresh });
            Ok(floating.clone())
        })
        .await
    }

    async fn release_addresses(&self, instance: InstanceId) -> Result<(), CloudError> {
        self.answer().await?;
        self.with(move |state, _| {
            for machine in &mut state.machines {
                if machine.owner.is_some_and(|owner| owner.instance == instance) {
                    machine.floating = None;
                }
            }
            Ok(())
        })
        .await
    }

    async fn catalogue(&self) -> Result<Catalogue, CloudError> {
        self.answer().await?;
        let used = self.machines().await?.len();
        Ok(Catalogue {
            flavors: flavors(),
            images: named(IMAGE),
            networks: named(NETWORK),
            external_networks: named(EXTERNAL_NETWORK),
            security_groups: named("default"),
            key_pairs: Vec::new(),
            limits: Some(Limits {
                instances: self.limit,
                instances_used: u32::try_from(used).unwrap_or(u32::MAX),
                ..Limits::default()
            }),
        })
    }

    async fn check(&self) -> Vec<CheckLine> {
        let outcome = match self.machines().await {
            Ok(machines) => CheckOutcome::Works(format!("{} pretended machines", machines.len())),
            Err(error) => CheckOutcome::Fails {
                problem: error.to_string(),
                advice: format!("check that {} can be written", self.file.path().display()),
            },
        };
        vec![CheckLine { what: "Practice cloud".to_owned(), outcome }]
    }
}
