//! Swift: containers and objects. Its answers are HTML, plain text or nothing, so what they mean is read from the status.

mod exchange;
mod objects;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use self::exchange::Request;
use super::OpenStack;
use super::answer::Answer;
use super::session::Service;
use crate::cloud::objects::{
    ByteStream, ContainerUse, Creation, Download, Entry, GetQuery, ListQuery, Listed, MAX_DELETIONS, MAX_LISTING,
    ManifestOrder, Mark, ObjectInfo, ObjectKey, ObjectStore, PutOrder, is_container_name,
};
use crate::cloud::{CheckLine, CloudError};
use crate::ids::UploadId;

/// Pages of 10,000 containers.
const MAX_PAGES: usize = 20;
/// A copy of 5 GiB within the cloud takes about a minute.
const COPY_PATIENCE: u32 = 20;
/// Bytes of an encoded name in a bulk deletion. Swift refuses all of it for a line of more than twice 1,282 bytes
/// (`swift/common/middleware/bulk.py`), which a name of 850 bytes in Korean is with its container.
const MAX_BULK_NAME: usize = 2_250;
/// Which upload's segments a large file is made of.
const UPLOAD_HEADER: &str = "x-object-meta-fast-cloud-upload";

/// The header of our mark. With the portal in its name, two portals that share an account don't overwrite each other's.
fn mark_header(portal: Uuid) -> String {
    format!("x-container-meta-fast-cloud-{}", portal.simple())
}

#[derive(Deserialize)]
struct ContainerRow {
    name: String,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    count: u64,
}

/// A row of a listing: a folder has only `subdir`.
#[derive(Deserialize)]
struct ObjectRow {
    subdir: Option<String>,
    name: Option<String>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    last_modified: String,
    /// Only large files have one.
    slo_etag: Option<String>,
}

impl ObjectRow {
    fn entry(self) -> Option<Entry> {
        if let Some(folder) = self.subdir {
            return Some(Entry::Folder(folder));
        }
        Some(Entry::Object(Listed {
            name: self.name?,
            bytes: self.bytes,
            hash: self.hash,
            content_type: self.content_type,
            modified: listed_time(&self.last_modified),
            large: self.slo_etag.is_some(),
        }))
    }
}

/// `2026-11-24T20:37:03.827140`, in UTC.
fn listed_time(text: &str) -> Option<DateTime<Utc>> {
    text.parse::<NaiveDateTime>().ok().map(|time| time.and_utc())
}

fn http_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|time| time.with_timezone(&Utc))
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn info(answer: &Answer) -> Result<ObjectInfo, CloudError> {
    let text = |name: &str| answer.header(name).unwrap_or_default();
    Ok(ObjectInfo {
        bytes: number(answer, "content-length")?,
        etag: unquoted(text("etag")),
        content_type: text("content-type").to_owned(),
        modified: http_time(text("last-modified")),
        large: text("x-static-large-object").eq_ignore_ascii_case("true"),
        upload: Uuid::try_parse(text(UPLOAD_HEADER)).ok().map(UploadId),
    })
}

fn number(answer: &Answer, name: &str) -> Result<u64, CloudError> {
    let text = answer.header(name).and_then(|text| text.parse().ok());
    text.ok_or_else(|| {
        CloudError::unavailable(format_args!("Swift's answer has no {name} (is it Swift that answers?)"))
    })
}

impl OpenStack {
    fn swift(&self, method: Method) -> Request<'_> {
        Request::new(&self.session, method)
    }

    /// Removes the mark that a creation has just put on somebody else's container.
    async fn unmark(&self, container: &str, mark: Mark) -> Result<(), CloudError> {
        let header = mark_header(mark.portal).replacen("x-container-meta", "x-remove-container-meta", 1);
        self.swift(Method::POST).container(container).header(&header, "x").send().await.map(drop)
    }

    async fn server_copy(
        &self,
        from: (&str, &ObjectKey),
        to: (&str, &ObjectKey),
        only_if_absent: bool,
    ) -> Result<(), CloudError> {
        let source = format!("/{}/{}", from.0, exchange::encoded(from.1.as_str()));
        let mut request = self
            .swift(Method::PUT)
            .object(to.0, to.1)
            .query("multipart-manifest", "get")
            .header("x-copy-from", &source)
            .header("content-length", "0")
            .patience(COPY_PATIENCE);
        if only_if_absent {
            request = request.header("if-none-match", "*");
        }
        request.send().await.map(drop)
    }

    async fn bulk_delete(&self, container: &str, names: &[String]) -> Result<(), CloudError> {
        let lines: Vec<String> = names.iter().map(|name| format!("/{container}/{}", exchange::encoded(name))).collect();
        let answer = self
            .swift(Method::POST)
            .query("bulk-delete", "")
            .header("content-type", "text/plain")
            .header("accept", "application/json")
            .body(lines.join("\n").into_bytes())
            .patience(COPY_PATIENCE)
            .send()
            .await?;
        exchange::bulk_outcome(&answer)
    }
}

#[async_trait]
impl ObjectStore for OpenStack {
    fn simulated(&self) -> bool {
        false
    }

    async fn address(&self, container: &str) -> Result<String, CloudError> {
        let token = self.session.token().await?;
        let base = self.session.base(Service::Objects, &token)?;
        Ok(format!("{}/{}", base.as_str().trim_end_matches('/'), exchange::encoded(container)))
    }

    async fn create(&self, container: &str, mark: Mark) -> Result<Creation, CloudError> {
        if !is_container_name(container) {
            return Err(CloudError::Rejected("not a container's name".to_owned()));
        }
        let (header, ours) = (mark_header(mark.portal), mark.bucket.to_string());
        match self.swift(Method::HEAD).container(container).send().await {
            Ok(there) => {
                let marked = there.header(&header) == Some(ours.as_str());
                return Ok(if marked { Creation::Made } else { Creation::Taken });
            }
            Err(CloudError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let made = self.swift(Method::PUT).container(container).header(&header, &ours).send().await?;
        if made.status.as_u16() == 201 {
            return Ok(Creation::Made);
        }
        // 202: somebody made one since we looked. Swift never says 409.
        self.unmark(container, mark).await?;
        Ok(Creation::Taken)
    }

    async fn containers(&self) -> Result<Vec<ContainerUse>, CloudError> {
        let mut all: Vec<ContainerUse> = Vec::new();
        for _ in 0..MAX_PAGES {
            let marker = all.last().map(|last| last.name.clone()).unwrap_or_default();
            let query = self.swift(Method::GET).query("format", "json").query("limit", MAX_LISTING);
            let page = match query.query("marker", marker).send().await {
                // An account that nobody has used yet.
                Err(CloudError::NotFound(_)) => return Ok(all),
                page => page?,
            };
            let rows: Vec<ContainerRow> = page.json("Swift")?;
            let full = rows.len() >= MAX_LISTING;
            all.extend(rows.into_iter().map(|row| ContainerUse {
                name: row.name,
                bytes: row.bytes,
                objects: row.count,
            }));
            if !full {
                return Ok(all);
            }
        }
        Err(CloudError::unavailable("the account has more containers than are read"))
    }

    async fn container(&self, container: &str) -> Result<ContainerUse, CloudError> {
        let answer = self.swift(Method::HEAD).container(container).send().await?;
        Ok(ContainerUse {
            name: container.to_owned(),
            bytes: number(&answer, "x-container-bytes-used")?,
            objects: number(&answer, "x-container-object-count")?,
        })
    }

    async fn remove(&self, container: &str) -> Result<(), CloudError> {
        match self.swift(Method::DELETE).container(container).send().await {
            Ok(_) | Err(CloudError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, container: &str, query: &ListQuery) -> Result<Vec<Entry>, CloudError> {
        let mut request = self.swift(Method::GET).container(container).query("format", "json");
        request = request.query("limit", query.limit.min(MAX_LISTING));
        for (name, value) in [("prefix", &query.prefix), ("marker", &query.marker)] {
            if !value.is_empty() {
                request = request.query(name, value);
            }
        }
        if query.by_folder {
            request = request.query("delimiter", "/");
        }
        if query.reverse {
            request = request.query("reverse", "true");
        }
        let rows: Vec<ObjectRow> = request.send().await?.json("Swift")?;
        Ok(rows.into_iter().filter_map(ObjectRow::entry).collect())
    }

    async fn head(&self, container: &str, key: &ObjectKey) -> Result<ObjectInfo, CloudError> {
        info(&self.swift(Method::HEAD).object(container, key).send().await?)
    }

    async fn get(&self, container: &str, key: &ObjectKey, query: &GetQuery) -> Result<Download, CloudError> {
        self.download(container, key, query).await
    }

    async fn put(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &PutOrder,
        body: ByteStream,
    ) -> Result<String, CloudError> {
        self.upload(container, key, order, body).await
    }

    async fn put_manifest(
        &self,
        container: &str,
        key: &ObjectKey,
        order: &ManifestOrder,
    ) -> Result<String, CloudError> {
        self.manifest(container, key, order).await
    }

    async fn copy(
        &self,
        from: (&str, &ObjectKey),
        to: (&str, &ObjectKey),
        only_if_absent: bool,
    ) -> Result<(), CloudError> {
        if !only_if_absent {
            return self.server_copy(from, to, false).await;
        }
        match self.server_copy(from, to, true).await {
            // Of a large file Swift applies the condition to what it reads (304), not to what it writes.
            Err(CloudError::Unavailable { message, .. }) if message.contains("(304)") => {}
            result => return result,
        }
        match self.head(to.0, to.1).await {
            Ok(_) => Err(CloudError::Conflict("there is one of this name".to_owned())),
            Err(CloudError::NotFound(_)) => self.server_copy(from, to, false).await,
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, container: &str, key: &ObjectKey) -> Result<(), CloudError> {
        match self.swift(Method::DELETE).object(container, key).send().await {
            Ok(_) | Err(CloudError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete_many(&self, container: &str, names: &[String]) -> Result<(), CloudError> {
        let (long, short): (Vec<String>, Vec<String>) =
            names.iter().cloned().partition(|name| exchange::encoded(name).len() > MAX_BULK_NAME);
        for some in short.chunks(MAX_DELETIONS) {
            self.bulk_delete(container, some).await?;
        }
        for name in long {
            match self.swift(Method::DELETE).named(container, &name).send().await {
                Ok(_) | Err(CloudError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn check(&self) -> Vec<CheckLine> {
        self.check_services(&[Service::Objects]).await
    }
}

/// How long a body may stand still.
fn stall(limits: &super::answer::Limits) -> Duration {
    limits.request
}

#[cfg(test)]
mod lab;
#[cfg(test)]
mod tests;
