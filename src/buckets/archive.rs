//! Several files, or a folder, as one zip archive, written while it is read: nothing of it is ever held as a whole.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::rt;
use async_zip::tokio::write::ZipFileWriter;
use async_zip::{Compression, ZipEntryBuilder, ZipString};
use bytes::Bytes;
use futures::{AsyncWriteExt, Stream, StreamExt};
use tokio::io::{AsyncReadExt, DuplexStream};

use crate::app::App;
use crate::cloud::CloudError;
use crate::cloud::objects::{Entry, GetQuery, ListQuery, ObjectKey};

/// Between the writer and the reader.
const BUFFER: usize = 256 * 1024;
const PIECE: usize = 64 * 1024;
/// Names that are listed at once.
const LISTED: usize = 1000;

/// What goes into an archive.
#[derive(Debug, Clone)]
pub struct Contents {
    pub container: String,
    /// What is left out of the names: the folder that they are in.
    pub prefix: String,
    /// Objects, and folders with their `/` at the end; an empty one is everything.
    pub keys: Vec<String>,
}

/// The archive's bytes. If something goes wrong on the way, they end with an error and not as if that were all.
pub fn stream(app: Arc<App>, contents: Contents) -> impl Stream<Item = Result<Bytes, CloudError>> {
    let (writer, reader) = tokio::io::duplex(BUFFER);
    let (tell, told) = futures::channel::oneshot::channel();
    rt::spawn(async move {
        let result = write(&app, &contents, writer).await;
        if let Err(error) = &result {
            tracing::warn!(%error, "an archive broke off");
        }
        let _ = tell.send(result);
    });
    futures::stream::unfold(Some((reader, told)), |state| async move {
        let (mut reader, told) = state?;
        let mut piece = vec![0; PIECE];
        match reader.read(&mut piece).await {
            Ok(0) => match told.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((Err(error), None)),
                Err(_) => Some((Err(CloudError::unavailable("the archive was not finished")), None)),
            },
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), Some((reader, told))))
            }
            Err(error) => Some((Err(CloudError::unavailable(error)), None)),
        }
    })
}

fn broken(error: impl std::fmt::Display) -> CloudError {
    CloudError::unavailable(format_args!("the archive: {error}"))
}

async fn write(app: &App, contents: &Contents, to: DuplexStream) -> Result<(), CloudError> {
    let mut archive = Archive { zip: ZipFileWriter::with_tokio(to), names: HashSet::new() };
    for key in &contents.keys {
        if !key.is_empty() && !key.ends_with('/') {
            if let Ok(key) = ObjectKey::parse(key.as_str()) {
                archive.add(app, contents, &key).await?;
            }
            continue;
        }
        let mut marker = String::new();
        loop {
            let query = ListQuery { prefix: key.clone(), marker, limit: LISTED, ..ListQuery::default() };
            let listed = app.objects.list(&contents.container, &query).await?;
            marker = listed.last().map(|entry| entry.name().to_owned()).unwrap_or_default();
            for entry in &listed {
                // What stands for a folder has no bytes; what we could not name ourselves can't be fetched by its name.
                if let (Entry::Object(object), Ok(key)) = (entry, ObjectKey::parse(entry.name()))
                    && !(key.is_folder() && object.bytes == 0)
                {
                    archive.add(app, contents, &key).await?;
                }
            }
            if listed.len() < LISTED {
                break;
            }
        }
    }
    archive.zip.close().await.map_err(broken)?;
    Ok(())
}

struct Archive {
    zip: ZipFileWriter<DuplexStream>,
    /// Names that are in it.
    names: HashSet<String>,
}

impl Archive {
    async fn add(&mut self, app: &App, contents: &Contents, key: &ObjectKey) -> Result<(), CloudError> {
        let mut download = match app.objects.get(&contents.container, key, &GetQuery::default()).await {
            // Deleted since it was listed.
            Err(CloudError::NotFound(_)) => return Ok(()),
            download => download?,
        };
        let name = self.name(key.as_str().strip_prefix(&contents.prefix).unwrap_or(key.as_str()));
        let mut entry = ZipEntryBuilder::new(ZipString::from(name), Compression::Stored).unix_permissions(0o644);
        if let Some(modified) = download.modified {
            entry = entry.last_modification_date(modified.into());
        }
        let mut writer = self.zip.write_entry_stream(entry).await.map_err(broken)?;
        while let Some(piece) = download.body.next().await {
            writer.write_all(&piece?).await.map_err(broken)?;
        }
        writer.close().await.map_err(broken)
    }

    /// A name that no program unpacks to another place, and that nothing else in the archive has.
    fn name(&mut self, name: &str) -> String {
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
        let clean = parts.join("/").replace(['\\', ':'], "_");
        let clean = if clean.is_empty() { "_".to_owned() } else { clean };
        let mut free = clean.clone();
        let mut number = 2;
        while !self.names.insert(free.clone()) {
            free = format!("{clean} ({number})");
            number += 1;
        }
        free
    }
}
