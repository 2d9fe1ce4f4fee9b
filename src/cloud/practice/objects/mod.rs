//! The practice cloud's files: real ones, in the data folder.
//!
//! A container is a folder with an index ([`index`]) and the objects' bytes as files named by UUIDs, so that no name that
//! anybody thinks of is ever a path. Bytes are written beside first, and count only once the index has a line of them: a
//! process that is killed leaves what was there before. More than one process may use the folder; a file's lock is
//! between them.

mod index;
mod listing;
mod reading;

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
use chrono::Utc;
use futures::StreamExt;
use md5::{Digest, Md5};
use sha2::Sha256;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use self::index::{Body, Index, Stored};
use crate::cloud::objects::{
    ByteStream, ContainerUse, Creation, Download, Entry, GetQuery, ListQuery, ManifestOrder, Mark, ObjectInfo,
    ObjectKey, ObjectStore, PutOrder, is_container_name,
};
use crate::cloud::{CheckLine, CheckOutcome, CloudError};

/// What nobody has written to for this long was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(600);

/// A fault that a test orders.
#[derive(Debug, Clone)]
pub enum ObjectFault {
    /// Every call fails so, until [`PracticeObjects::heal`].
    Down(CloudError),
    /// No call ends.
    Hang,
    /// The next object is not taken, after so many bytes of it.
    Put(u64, CloudError),
    /// The next object is confirmed with another sum than it has.
    WrongSum,
    /// The next body breaks off after so many bytes.
    Broken(u64),
    /// The next container is made, and the answer lost.
    AnswerLost,
}

/// The practice cloud's object store. Clones share it.
#[derive(Clone)]
pub struct PracticeObjects(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    /// Of the portal; what comes before a container's name in its address.
    base: String,
    indexes: Mutex<HashMap<String, Index>>,
    faults: Mutex<VecDeque<ObjectFault>>,
    calls: std::sync::atomic::AtomicU64,
}

impl PracticeObjects {
    /// Keeps its files in `dir`, which is made. `base` is where the portal shows buckets.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(dir: &Path, base: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("making the practice cloud's folder {}", dir.display()))?;
        let (indexes, faults) = (Mutex::default(), Mutex::default());
        let inner = Inner { dir: dir.to_owned(), base: base.to_owned(), indexes, faults, calls: 0.into() };
        Ok(Self(Arc::new(inner)))
    }

    /// Adds a fault; several are used up in order.
    pub fn script(&self, fault: ObjectFault) {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }

    /// Ends all faults; says how many were not used up.
    pub fn heal(&self) -> usize {
        std::mem::take(&mut *self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    /// How many calls have been made.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn take(&self, fits: impl Fn(&ObjectFault) -> bool) -> Option<ObjectFault> {
        let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(fits)?;
        faults.remove(place)
    }

    /// The faults that hit every call.
    async fn answer(&self) -> Result<(), CloudError> {
        self.0.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fault = {
            let faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.iter().find(|fault| matches!(fault, ObjectFault::Down(_) | ObjectFault::Hang)).cloned()
        };
        match fault {
            Some(ObjectFault::Down(error)) => Err(error),
            Some(ObjectFault::Hang) => {
                // As the adapters of real services: every call ends.
                tokio::time::sleep(Duration::from_secs(2)).await;
                Err(CloudError::unavailable("the practice cloud did not answer in time"))
            }
            _ => Ok(()),
        }
    }

    /// Runs `work` off the runtime, with the lock that is between all processes.
    async fn locked<T, F>(&self, work: F) -> Result<T, CloudError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, CloudError> + Send + 'static,
    {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let lock = OpenOptions::new().write(true).create(true).truncate(false).open(inner.dir.join("lock"));
            let lock = lock.map_err(disk)?;
            // Released when it is closed, also by a process that is killed.
            lock.lock().map_err(disk)?;
            work(&inner)
        })
        .await
        .map_err(CloudError::unavailable)?
    }

    /// The same with a container's index, up to date.
    async fn with<T, F>(&self, container: &str, work: F) -> Result<T, CloudError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Index) -> Result<T, CloudError> + Send + 'static,
    {
        let container = container.to_owned();
        self.locked(move |inner| inner.with_index(&container, work)).await
    }

    /// Writes a body beside the objects; returns the file's name, its size and its sum.
    async fn receive(
        &self,
        dir: &Path,
        length: Option<u64>,
        mut body: ByteStream,
    ) -> Result<(Uuid, u64, String), CloudError> {
        let id = Uuid::new_v4();
        let path = dir.join("new").join(id.to_string());
        let wrong = self.take(|fault| matches!(fault, ObjectFault::WrongSum)).is_some();
        let fault = self.take(|fault| matches!(fault, ObjectFault::Put(..)));
        let mut unfinished = Unfinished(Some(path.clone()));
        let mut file =
            tokio::io::BufWriter::with_capacity(256 * 1024, tokio::fs::File::create(&path).await.map_err(disk)?);
        let (mut bytes, mut sum) = (0_u64, Md5::new());
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            bytes += chunk.len() as u64;
            if let Some(ObjectFault::Put(after, error)) = &fault
                && bytes >= *after
            {
                return Err(error.clone());
            }
            sum.update(&chunk);
            file.write_all(&chunk).await.map_err(disk)?;
        }
        if length.is_some_and(|length| length != bytes) {
            return Err(CloudError::unavailable("the body is not as long as was said"));
        }
        file.flush().await.map_err(disk)?;
        file.into_inner().sync_data().await.map_err(disk)?;
        unfinished.0 = None;
        let sum = if wrong { "0".repeat(32) } else { hex::encode(sum.finalize()) };
        Ok((id, bytes, sum))
    }

    /// Puts a file that was written in the place of an object.
    async fn keep(&self, container: &str, key: &ObjectKey, stored: Stored, absent: bool) -> Result<(), CloudError> {
        let key = key.as_str().to_owned();
        self.with(container, move |index| {
            if absent && index.objects.contains_key(&key) {
                index.forget_new(&stored);
                return Err(CloudError::Conflict("there is one of this name".to_owned()));
            }
            index.put(&key, stored)
        })
        .await
    }
}

/// A file that is removed unless it gets to its end.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Inner {
    /// The folder of a container. Its name is made of letters, digits, `-` and `_`, and can be longer than a file's.
    fn dir_of(&self, container: &str) -> Result<PathBuf, CloudError> {
        if !is_container_name(container) {
            return Err(CloudError::NotFound(container.to_owned()));
        }
        Ok(if container.len() <= 200 {
            self.dir.join(container)
        } else {
            self.dir.join(format!("{}.{}", &container[..100], hex::encode(&Sha256::digest(container)[..16])))
        })
    }

    fn with_index<T>(
        &self,
        container: &str,
        work: impl FnOnce(&mut Index) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        let dir = self.dir_of(container)?;
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if !index::exists(&dir) {
            indexes.remove(container);
            return Err(CloudError::NotFound(container.to_owned()));
        }
        let index = indexes.entry(container.to_owned()).or_insert_with(|| Index::at(&dir));
        index.refresh().map_err(disk)?;
        work(index)
    }

    fn names(&self) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            if let Some(name) = index::container_in(&entry?.path()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// What the disk could not do. A full one is said as Swift says it.
fn disk(error: std::io::Error) -> CloudError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            CloudError::QuotaExceeded("the disk is full".to_owned())
        }
        _ => CloudError::unavailable(format_args!("the practice cloud's files: {error}")),
    }
}

/// Removes what processes that died have left in a container's folder.
fn sweep(index: &Index) -> std::io::Result<()> {
    let (dir, used) = (&index.dir, index.files());
    let old = |path: &Path| {
        let modified = std::fs::metadata(path).and_then(|data| data.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() > ABANDONED)
    };
    for entry in std::fs::read_dir(dir.join("new"))? {
        let path = entry?.path();
        if old(&path) {
            std::fs::remove_file(path)?;
        }
    }
    for entry in std::fs::read_dir(dir.join("files"))? {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| Uuid::try_parse(name.to_str()?).ok());
        if id.is_none_or(|id| !used.contains(&id)) && old(&path) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[async_trait]
impl ObjectStore for PracticeObjects {
    fn simulated(&self) -> bool {
        true
    }

    async fn address(&self, container: &str) -> Result<String, CloudError> {
        Ok(format!("{}/{container}/objects", self.0.base))
    }

    async fn create(&self, container: &str, mark: Mark) -> Result<Creation, CloudError> {
        self.answer().await?;
        let name = container.to_owned();
        let made = self
            .locked(move |inner| {
                let dir = inner.dir_of(&name).map_err(|_| CloudError::Rejected("not a container's name".to_owned()))?;
                if !index::exists(&dir) {
                    index::create(&dir, &name, mark).map_err(disk)?;
                }
                let ours = inner.with_index(&name, |index| Ok(index.mark == Some(mark)))?;
                Ok(if ours { Creation::Made } else { Creation::Taken })
            })
            .await?;
        if self.take(|fault| matches!(fault, ObjectFault::AnswerLost)).is_some() {
            return Err(CloudError::unavailable("the answer was lost"));
        }
        Ok(made)
    }

    async fn containers(&self) -> Result<Vec<ContainerUse>, CloudError> {
        self.answer().await?;
        self.locked(|inner| {
            let names = inner.names().map_err(disk)?;
            names.iter().map(|name| inner.with_index(name, |index| Ok(index.usage()))).collect()
        })
        .await
    }

    async fn container(&self, container: &str) -> Result<ContainerUse, CloudError> {
        self.answer().await?;
        self.with(container, |index| Ok(index.usage())).await
    }

    async fn remove(&self, container: &str) -> Result<(), CloudError> {
        self.answer().await?;
        let name = container.to_owned();
        self.locked(move |inner| {
            let dir = match inner.with_index(&name, |index| {
                if index.objects.is_empty() {
                    Ok(index.dir.clone())
                } else {
                    Err(CloudError::Conflict("the container is not empty".to_owned()))
                }
            }) {
                Err(CloudError::NotFound(_)) => return Ok(()),
                dir => dir?,
            };
            inner.indexes.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            // Out of sight first: half a folder is never a container.
            let aside = inner.dir.join(format!("gone.{}", Uuid::new_v4()));
            std::fs::rename(dir, &aside).and_then(|()| std::fs::remove_dir_all(aside)).map_err(disk)
        })
        .await
    }

    async fn list(&self, container: &str, query: &ListQuery) -> Result<Vec<Entry>, CloudError> {
        self.answer().await?;
        let query = query.clone();
        self.with(container, move |index| Ok(listing::list(&index.objects, &query))).await
    }

    async fn head(&self, container: &str, key: &ObjectKey) -> Result<ObjectInfo, CloudError> {
        self.answer().await?;
        let key = key.as_str().to_owned();
        self.with(container, move |index| Ok(index.find(&key)?.info())).await
    }

    async fn get(&self, container: &str, key: &ObjectKey, query: &GetQuery) -> Result<Download, CloudError> {
        self.answer().await?;
        let (name, key, query) = (container.to_owned(), key.as_str().to_owned(), query.clone());
        // Opened under the lock: what is deleted meanwhile is still read to its end.
        let (stored, files) = self
            .locked(move |inner| {
                let stored = inner.with_index(&name, |index| index.find(&key).cloned())?;
                let files = inner.open(&name, &stored)?;
                Ok((stored, files))
            })
            .await?;
        let broken = match self.take(|fault| matches!(fault, ObjectFault::Broken(_))) {
            Some(ObjectFault::Broken(after)) => Some(after),
            _ => None,
        };
        Ok(reading::answer(&stored, files, &query, broken))
    }

    async fn put(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &PutOrder,
        body: ByteStream,
    ) -> Result<String, CloudError> {
        self.answer().await?;
        let name = key.as_str().to_owned();
        let absent = order.only_if_absent;
        let dir = self
            .with(container, move |index| {
                if absent && index.objects.contains_key(&name) {
                    return Err(CloudError::Conflict("there is one of this name".to_owned()));
                }
                if !std::mem::replace(&mut index.swept, true) {
                    sweep(index).map_err(disk)?;
                }
                Ok(index.dir.clone())
            })
            .await?;
        let (file, bytes, etag) = self.receive(&dir, order.length, body).await?;
        let stored = Stored {
            body: Body::File(file),
            bytes,
            etag: etag.clone(),
            content_type: order.content_type.clone(),
            modified: Utc::now(),
            upload: None,
        };
        self.keep(container, key, stored, order.only_if_absent).await?;
        Ok(etag)
    }

    async fn put_manifest(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &ManifestOrder,
    ) -> Result<String, CloudError> {
        self.answer().await?;
        let segments = order.segments.clone();
        self.with(&order.container, move |index| {
            for segment in &segments {
                let there = index.objects.get(&segment.name);
                if there.is_none_or(|there| there.bytes != segment.bytes || there.etag != segment.etag) {
                    return Err(CloudError::Rejected(format!("the segment {} is not what it should be", segment.name)));
                }
            }
            Ok(())
        })
        .await?;
        let mut sum = Md5::new();
        order.segments.iter().for_each(|segment| sum.update(segment.etag.as_bytes()));
        let etag = hex::encode(sum.finalize());
        let stored = Stored {
            bytes: order.segments.iter().map(|segment| segment.bytes).sum(),
            body: Body::Segments(order.container.clone(), order.segments.iter().map(|s| s.name.clone()).collect()),
            etag: etag.clone(),
            content_type: order.put.content_type.clone(),
            modified: Utc::now(),
            upload: Some(order.upload),
        };
        self.keep(container, key, stored, order.put.only_if_absent).await?;
        Ok(etag)
    }

    async fn copy(
        &self,
        from: (&str, &ObjectKey),
        to: (&str, &ObjectKey),
        only_if_absent: bool,
    ) -> Result<(), CloudError> {
        self.answer().await?;
        let (source, from) = (from.0.to_owned(), from.1.as_str().to_owned());
        let target = to.0.to_owned();
        let stored = self
            .locked(move |inner| {
                let mut stored = inner.with_index(&source, |index| index.find(&from).cloned())?;
                stored.modified = Utc::now();
                if let Body::File(file) = stored.body {
                    let copied = Uuid::new_v4();
                    let old = inner.dir_of(&source)?.join("files").join(file.to_string());
                    let new = inner.dir_of(&target)?.join("new").join(copied.to_string());
                    std::fs::copy(old, &new).and_then(|_| File::open(new)?.sync_data()).map_err(disk)?;
                    stored.body = Body::File(copied);
                }
                Ok(stored)
            })
            .await?;
        self.keep(to.0, to.1, stored, only_if_absent).await
    }

    async fn delete(&self, container: &str, key: &ObjectKey) -> Result<(), CloudError> {
        self.delete_many(container, &[key.as_str().to_owned()]).await
    }

    async fn delete_many(&self, container: &str, names: &[String]) -> Result<(), CloudError> {
        self.answer().await?;
        let names = names.to_vec();
        match self.with(container, move |index| index.remove(&names)).await {
            Err(CloudError::NotFound(_)) => Ok(()),
            result => result,
        }
    }

    async fn check(&self) -> Vec<CheckLine> {
        let outcome = match self.containers().await {
            Ok(containers) => CheckOutcome::Works(format!("{} buckets in {}", containers.len(), self.0.dir.display())),
            Err(error) => CheckOutcome::Fails {
                problem: error.to_string(),
                advice: format!("check that {} can be written", self.0.dir.display()),
            },
        };
        vec![CheckLine { what: "Practice files".to_owned(), outcome }]
    }
}

#[cfg(test)]
mod tests;
