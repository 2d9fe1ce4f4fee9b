//! A file on its way in: from whoever sends it to the store, in constant memory.
//!
//! The bytes are handed over through a small channel to a task of its own, which ends in order whatever becomes of the
//! request: who leaves without having said that this was all leaves nothing. While bytes pass they are counted against
//! the largest size and against the account's quota, of which as much is reserved beforehand, in the database, so that
//! uploads at the same time can't take the same room. Their MD5 is compared with what the store says it has: only then
//! is the file there.
//!
//! What may be larger than the store takes in one piece is written in segments, put together by a manifest at the end.
//! Until then a row says whose segments they are: of a process that dies, [`super::sync`] sweeps them.

mod small;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use bytes::Bytes;
use fail::fail_point;
use futures::channel::{mpsc, oneshot};
use futures::{FutureExt, SinkExt, StreamExt};
use md5::{Digest, Md5};

use super::model::uploading::{self, Begun, NewUpload, Refusal};
use super::model::{Bucket, changed};
use crate::app::App;
use crate::cloud::CloudError;
use crate::cloud::objects::{
    ManifestOrder, Mark, ObjectInfo, ObjectKey, PutOrder, Segment, segment_name, segments_container,
};
use crate::error::Error;
use crate::ids::UploadId;

/// Pieces that wait beyond the one that is being taken. A piece is what a connection was read ahead, up to 128 KiB and as
/// much again of unused room: with four of them, twenty uploads at once took 35 MB.
const PIECES: usize = 1;
/// Who sends nothing for this long has left.
const SILENCE: Duration = Duration::from_secs(60);
/// How often an upload says that it is alive.
const RENEWAL: Duration = Duration::from_secs(5);
/// Bytes that are reserved at once, when more may come.
const FIRST_GRANT: u64 = 1 << 20;
const MOST_GRANTED: u64 = 64 << 20;
/// How many names are tried beside one that is taken.
const NAMES: u32 = 500;
/// Segments that Swift puts together.
const MAX_SEGMENTS: usize = 1000;

/// What to do when there is an object of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Keep both: the new one gets another name.
    #[default]
    Keep,
    Replace,
}

/// How many bytes will come, as the sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Announced {
    #[default]
    Nothing,
    /// A form has some bytes around its files, and may have several.
    AtMost(u64),
    Exactly(u64),
}

impl Announced {
    fn most(self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::AtMost(bytes) | Self::Exactly(bytes) => Some(bytes),
        }
    }

    /// What is left when so many bytes have come, if that is known.
    fn rest(self, come: u64) -> Option<u64> {
        match self {
            Self::Exactly(bytes) => Some(bytes.saturating_sub(come)),
            Self::Nothing | Self::AtMost(_) => None,
        }
    }
}

/// What is to be uploaded.
#[derive(Debug, Clone)]
pub struct Order {
    pub bucket: Bucket,
    pub key: ObjectKey,
    pub existing: Existing,
    pub content_type: String,
    pub announced: Announced,
    /// What the sender calls this upload, so that its next try takes the place of this one. Empty: nothing.
    pub attempt: String,
}

impl Order {
    fn row(&self, key: &ObjectKey, in_segments: bool, wanted: u64) -> NewUpload {
        let (bucket, attempt) = (self.bucket.id, self.attempt.clone());
        NewUpload { bucket, key: key.clone(), in_segments, wanted, attempt }
    }
}

/// What the sender hands over.
#[derive(Debug)]
pub enum Piece {
    Bytes(Bytes),
    /// That was all.
    End,
}

/// What has been stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Under which name.
    pub key: ObjectKey,
    pub bytes: u64,
    /// MD5 of the whole file, in hexadecimal.
    pub md5: String,
}

/// Why nothing has been stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    #[error("the account's quota is used up")]
    OverQuota,
    #[error("larger than a file may be")]
    TooLarge,
    #[error("another upload writes the same name")]
    Busy,
    #[error("the bucket is being deleted")]
    NotNow,
    #[error("the sender left")]
    Left,
    #[error("the store: {0}")]
    Store(#[from] CloudError),
    #[error("the database: {0}")]
    Database(#[from] Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy => Self::Busy,
            Refusal::NotNow => Self::NotNow,
            Refusal::Database(error) => Self::Database(error.into()),
        }
    }
}

/// Where the bytes are handed over, and where the outcome comes from.
pub struct Upload {
    pub pieces: mpsc::Sender<Piece>,
    pub outcome: oneshot::Receiver<Result<Stored, Failure>>,
}

/// Begins an upload on the current arbiter. Dropping the sender without [`Piece::End`] gives it up.
pub fn start(app: Arc<App>, order: Order) -> Upload {
    let (pieces, incoming) = mpsc::channel(PIECES);
    let (tell, outcome) = oneshot::channel();
    rt::spawn(async move {
        let result = carry(&app, &order, incoming).await;
        match &result {
            Ok(stored) => tracing::info!(bucket.id = %order.bucket.id, bytes = stored.bytes, "stored a file"),
            Err(Failure::Left) => tracing::info!(bucket.id = %order.bucket.id, "an upload was given up by its sender"),
            Err(error) => tracing::warn!(bucket.id = %order.bucket.id, %error, "an upload failed"),
        }
        // Nobody listens any more: it is stored, or it is not, all the same.
        let _ = tell.send(result);
    });
    Upload { pieces, outcome }
}

/// A place for an upload: its row, the name it got, what is there now.
struct Place {
    id: UploadId,
    key: ObjectKey,
    old: Option<ObjectInfo>,
    granted: u64,
    in_segments: bool,
}

/// How an upload ended, as far as the store is concerned.
struct Written {
    bytes: u64,
    md5: String,
    large: bool,
}

async fn carry(app: &Arc<App>, order: &Order, incoming: mpsc::Receiver<Piece>) -> Result<Stored, Failure> {
    let announced = order.announced.most();
    let in_segments = announced.is_none_or(|bytes| bytes > app.config.buckets.large_file());
    if let (Some(bytes), Some(most)) = (announced, app.config.buckets.max_file())
        // A form has some bytes around its file.
        && bytes > most.saturating_add(1 << 20)
    {
        return Err(Failure::TooLarge);
    }
    if announced.is_some_and(|bytes| bytes <= small::MOST) && !in_segments {
        return small::carry(app, order, incoming).await;
    }
    let place = reserve(app, order, in_segments).await?;
    let mut meter = Meter::new(app, order, &place, incoming);
    let written = if in_segments {
        in_pieces(app, order, &place, &mut meter).await
    } else {
        in_one(app, order, &place, &mut meter).await
    };
    match written {
        Ok(written) => settle(app, order, place, written).await,
        Err(failure) => {
            abandon(app, order, &place).await;
            Err(failure)
        }
    }
}

/// The name beside a name that is taken: `a (2).txt`, `a (3).txt`.
fn beside(key: &ObjectKey, number: u32) -> Option<ObjectKey> {
    let name = key.file_name();
    let (stem, ending) = match name.rfind('.') {
        // Two endings belong together in a.tar.gz.
        Some(dot) if dot > 0 => match name[..dot].strip_suffix(".tar") {
            Some(stem) if !stem.is_empty() => (stem, &name[stem.len()..]),
            _ => (&name[..dot], &name[dot..]),
        },
        _ => (name, ""),
    };
    ObjectKey::parse(format!("{}{stem} ({number}){ending}", key.folder())).ok()
}

async fn find(app: &App, order: &Order, key: &ObjectKey) -> Result<Option<ObjectInfo>, CloudError> {
    match app.objects.head(&order.bucket.name, key).await {
        Ok(info) => Ok(Some(info)),
        Err(CloudError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds the name, and writes down that it is being uploaded. The name is claimed first and looked at then: what another
/// upload has written under it is there to be seen.
async fn reserve(app: &Arc<App>, order: &Order, in_segments: bool) -> Result<Place, Failure> {
    let wanted = order.announced.most().unwrap_or(FIRST_GRANT).min(MOST_GRANTED);
    let mut key = order.key.clone();
    for number in 2..NAMES {
        match claim(app, order, &key, in_segments, wanted).await? {
            Ok((id, granted)) => match find(app, order, &key).await {
                Ok(old) if old.is_none() || order.existing == Existing::Replace => {
                    fail_point!("upload_begun");
                    return Ok(Place { id, key, old, granted, in_segments });
                }
                looked => {
                    app.db.run(move |conn| Ok(uploading::abandon(conn, id, false)?)).await?;
                    looked?;
                }
            },
            Err(Refusal::Busy) if order.existing == Existing::Keep => {}
            Err(refusal) => return Err(refusal.into()),
        }
        key = beside(&order.key, number).ok_or(Failure::Busy)?;
    }
    Err(Failure::Busy)
}

async fn claim(app: &App, order: &Order, key: &ObjectKey, in_segments: bool, wanted: u64) -> Result<Begun, Error> {
    let (account, new, quota) = (order.bucket.account_id, order.row(key, in_segments, wanted), app.config.quota);
    app.db.run(move |conn| Ok(uploading::begin(conn, account, &new, quota))).await
}

/// Takes the pieces in, counts them, and keeps the reservation and the lease.
struct Meter {
    app: Arc<App>,
    bucket: Bucket,
    id: UploadId,
    incoming: mpsc::Receiver<Piece>,
    /// What did not fit into the last segment.
    rest: Option<Bytes>,
    announced: Option<u64>,
    granted: u64,
    counted: u64,
    renewed: Instant,
    /// Of all segments together; of a file in one piece the store's request has it.
    md5: Option<Md5>,
}

impl Meter {
    fn new(app: &Arc<App>, order: &Order, place: &Place, incoming: mpsc::Receiver<Piece>) -> Self {
        Self {
            app: app.clone(),
            bucket: order.bucket.clone(),
            id: place.id,
            incoming,
            rest: None,
            announced: order.announced.most(),
            granted: place.granted,
            counted: 0,
            renewed: Instant::now(),
            md5: place.in_segments.then(Md5::new),
        }
    }

    /// The next bytes; None at the end. Who leaves, or sends nothing for a while, has failed.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        let mut silent = Duration::ZERO;
        let piece = loop {
            match tokio::time::timeout(RENEWAL, self.incoming.next()).await {
                Ok(piece) => break piece,
                Err(_) if silent + RENEWAL >= SILENCE => return Err(Failure::Left),
                Err(_) => {
                    silent += RENEWAL;
                    self.renew().await?;
                }
            }
        };
        match piece {
            None => Err(Failure::Left),
            Some(Piece::End) => Ok(None),
            Some(Piece::Bytes(bytes)) => {
                self.count(bytes.len() as u64).await?;
                if let Some(md5) = &mut self.md5 {
                    md5.update(&bytes);
                }
                Ok(Some(bytes))
            }
        }
    }

    async fn count(&mut self, bytes: u64) -> Result<(), Failure> {
        self.counted += bytes;
        if self.app.config.buckets.max_file().is_some_and(|most| self.counted > most) {
            return Err(Failure::TooLarge);
        }
        while self.counted > self.granted {
            let lacking = self.counted - self.granted;
            let more = match self.announced {
                Some(announced) => announced.saturating_sub(self.granted),
                None => self.granted.max(FIRST_GRANT),
            };
            if self.grant(more.clamp(lacking, lacking.max(MOST_GRANTED))).await? == 0 {
                return Err(Failure::OverQuota);
            }
        }
        if self.renewed.elapsed() >= RENEWAL { self.renew().await } else { Ok(()) }
    }

    async fn grant(&mut self, wanted: u64) -> Result<u64, Failure> {
        let (account, id, quota) = (self.bucket.account_id, self.id, self.app.config.quota);
        let granted = self.app.db.run(move |conn| Ok(uploading::grant(conn, account, id, wanted, quota)?)).await?;
        let granted = granted.ok_or(Failure::NotNow)?;
        self.renewed = Instant::now();
        self.granted += granted;
        Ok(granted)
    }

    /// A database that is away for a moment is waited for, as long as the lease lasts.
    async fn renew(&mut self) -> Result<(), Failure> {
        let (id, asked) = (self.id, Instant::now());
        match self.app.db.run(move |conn| Ok(uploading::renew(conn, id)?)).await {
            Ok(true) => self.renewed = asked,
            Ok(false) => return Err(Failure::NotNow),
            Err(error) if self.renewed.elapsed() >= uploading::LEASE.to_std().unwrap_or_default() => {
                return Err(error.into());
            }
            Err(error) => tracing::warn!(upload.id = %id, %error, "an upload's lease could not be renewed yet"),
        }
        Ok(())
    }
}

/// Sends at most `most` bytes to the store as one object; says how many there were, their sum, and whether more come.
async fn send(
    app: &App,
    container: &str,
    key: &ObjectKey,
    put: &PutOrder,
    most: u64,
    meter: &mut Meter,
) -> Result<(u64, String, bool), Failure> {
    // The store's connection has a buffer of its own.
    let (mut to_store, body) = mpsc::channel::<Result<Bytes, CloudError>>(0);
    let stored = app.objects.put(container, key, put, body.boxed());
    let feed = async move {
        let (mut bytes, mut sum) = (0_u64, Md5::new());
        loop {
            let piece = match meter.next().await {
                Ok(None) => return Ok((bytes, sum, false)),
                Ok(Some(piece)) => piece,
                Err(failure) => {
                    // The store must not take what came so far for the whole.
                    let _ = to_store.send(Err(CloudError::unavailable("the sender left"))).await;
                    return Err(failure);
                }
            };
            let room = usize::try_from(most - bytes).unwrap_or(usize::MAX);
            let now = piece.slice(..piece.len().min(room));
            if now.len() < piece.len() {
                meter.rest = Some(piece.slice(now.len()..));
            }
            bytes += now.len() as u64;
            sum.update(&now);
            fail_point!("upload_piece");
            // Refused already: the store's answer says why.
            if !now.is_empty() && to_store.send(Ok(now)).await.is_err() {
                return Ok((bytes, sum, false));
            }
            if meter.rest.is_some() || bytes == most {
                return Ok((bytes, sum, true));
            }
        }
    };
    let stored = async {
        let result = stored.await;
        fail_point!("upload_put");
        result
    };
    let (fed, etag) = both(feed, stored).await?;
    let (bytes, sum, more) = fed;
    let sum = hex::encode(sum.finalize());
    if etag != sum {
        app.objects.delete(container, key).await?;
        return Err(CloudError::unavailable("the store has other bytes than were sent").into());
    }
    Ok((bytes, sum, more))
}

type Fed = Result<(u64, Md5, bool), Failure>;

/// Waits for both; the sender's failure counts first, and a refusal of the store ends the feeding.
async fn both(
    feed: impl Future<Output = Fed>,
    stored: impl Future<Output = Result<String, CloudError>>,
) -> Result<((u64, Md5, bool), String), Failure> {
    let (feed, stored) = (std::pin::pin!(feed), std::pin::pin!(stored));
    match futures::future::select(feed, stored).await {
        futures::future::Either::Left((fed, stored)) => {
            let stored = stored.await;
            Ok((fed?, stored?))
        }
        // The sender may have failed at the same moment: that is why the store was told to end.
        futures::future::Either::Right((Err(error), feed)) => match feed.now_or_never() {
            Some(Err(failure)) => Err(failure),
            _ => Err(error.into()),
        },
        futures::future::Either::Right((Ok(etag), feed)) => Ok((feed.await?, etag)),
    }
}

async fn in_one(app: &App, order: &Order, place: &Place, meter: &mut Meter) -> Result<Written, Failure> {
    let put = PutOrder {
        content_type: order.content_type.clone(),
        length: order.announced.rest(0),
        only_if_absent: order.existing == Existing::Keep,
    };
    let (bytes, md5, _) = send(app, &order.bucket.name, &place.key, &put, u64::MAX, meter).await.map_err(clash)?;
    Ok(Written { bytes, md5, large: false })
}

/// Somebody else has just written this name.
fn clash(failure: Failure) -> Failure {
    match failure {
        Failure::Store(CloudError::Conflict(_)) => Failure::Busy,
        other => other,
    }
}

async fn in_pieces(app: &App, order: &Order, place: &Place, meter: &mut Meter) -> Result<Written, Failure> {
    let container = segments_container(order.bucket.id);
    let mark = Mark { portal: app.shared.portal, bucket: order.bucket.id };
    app.objects.create(&container, mark).await?;
    let most = app.config.buckets.segment();
    let mut segments: Vec<Segment> = Vec::new();
    let mut written = 0;
    loop {
        let length = order.announced.rest(written).map(|rest| rest.min(most));
        let put = PutOrder { content_type: order.content_type.clone(), length, only_if_absent: false };
        let name = segment_name(place.id, u32::try_from(segments.len()).unwrap_or(u32::MAX));
        let key = ObjectKey::parse(name.clone()).map_err(|error| Failure::Database(Error::internal(error)))?;
        let (bytes, etag, more) = send(app, &container, &key, &put, most, meter).await?;
        written += bytes;
        if bytes > 0 || segments.is_empty() {
            segments.push(Segment { name, bytes, etag });
        } else {
            app.objects.delete(&container, &key).await?;
        }
        fail_point!("upload_segment");
        if !more {
            break;
        }
        if segments.len() >= MAX_SEGMENTS {
            return Err(Failure::TooLarge);
        }
    }
    let (bytes, md5) = (written, meter.md5.take().map(|md5| hex::encode(md5.finalize())).unwrap_or_default());
    let absent = order.existing == Existing::Keep;
    if let [only] = segments.as_slice() {
        let key = ObjectKey::parse(only.name.clone()).map_err(|error| Failure::Database(Error::internal(error)))?;
        let (from, to) = ((container.as_str(), &key), (order.bucket.name.as_str(), &place.key));
        app.objects.copy(from, to, absent).await.map_err(|error| clash(error.into()))?;
        return Ok(Written { bytes, md5, large: false });
    }
    let mut sum = Md5::new();
    segments.iter().for_each(|segment| sum.update(segment.etag.as_bytes()));
    let put = PutOrder { content_type: order.content_type.clone(), length: None, only_if_absent: absent };
    let manifest = ManifestOrder { put, container, segments, upload: place.id };
    let etag = app.objects.put_manifest(&order.bucket.name, &place.key, &manifest).await;
    fail_point!("upload_manifest");
    if etag.map_err(|error| clash(error.into()))? != hex::encode(sum.finalize()) {
        app.objects.delete(&order.bucket.name, &place.key).await?;
        return Err(CloudError::unavailable("the store has other segments than were sent").into());
    }
    Ok(Written { bytes, md5, large: true })
}

async fn settle(app: &Arc<App>, order: &Order, place: Place, written: Written) -> Result<Stored, Failure> {
    let Written { bytes, md5, large } = written;
    let (id, bucket, old_bytes) = (place.id, order.bucket.id, place.old.as_ref().map(|old| old.bytes));
    let replaced = place.old.as_ref().filter(|old| old.large).and_then(|old| old.upload);
    let tidy = place.in_segments && !large;
    let ours = app
        .db
        .run(move |conn| {
            // The segments of what was there are nobody's now.
            if let Some(old) = replaced {
                uploading::abandon(conn, old, true)?;
            }
            let ours = uploading::settle(conn, id, bytes, old_bytes, large || tidy)?;
            if tidy {
                uploading::abandon(conn, id, true)?;
            }
            if !ours {
                // Swept as dead, and yet it got there: the bucket is measured anew.
                changed(conn, bucket, 0, 0)?;
            }
            Ok(ours)
        })
        .await?;
    fail_point!("upload_settled");
    if !ours {
        tracing::warn!(upload.id = %id, "an upload got there after it had been given up");
    }
    if tidy || replaced.is_some() {
        sweep_soon(app);
    }
    Ok(Stored { key: place.key, bytes, md5 })
}

/// What is left of a failed upload goes. What can't be done now is done by the sync.
async fn abandon(app: &Arc<App>, order: &Order, place: &Place) {
    let (id, in_segments, bucket) = (place.id, place.in_segments, order.bucket.id);
    let mut written = Ok(());
    // The database may be busy, or away for a moment; what is reserved keeps others out until its lease ends.
    for pause in [0, 1, 4] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let write = app.db.run(move |conn| {
            uploading::abandon(conn, id, in_segments)?;
            // Nobody knows whether the store took it after all.
            Ok(changed(conn, bucket, 0, 0)?)
        });
        written = write.await;
        if written.is_ok() {
            break;
        }
    }
    if let Err(error) = written {
        tracing::warn!(upload.id = %id, %error, "a failed upload could not be written down; its lease will run out");
    }
    if in_segments {
        sweep_soon(app);
    }
}

/// Without waiting for it.
pub fn sweep_soon(app: &Arc<App>) {
    let app = app.clone();
    rt::spawn(async move {
        if let Err(error) = super::sync::sweep(&app).await {
            tracing::warn!(error = format!("{error:#}"), "what uploads have left could not be swept yet");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_another_keeps_its_ending() {
        for (name, other) in [
            ("a.txt", "a (2).txt"),
            ("f/보고서.pdf", "f/보고서 (2).pdf"),
            ("x.tar.gz", "x (2).tar.gz"),
            (".bashrc", ".bashrc (2)"),
            ("README", "README (2)"),
            ("a.b/c", "a.b/c (2)"),
            (".tar.gz", ".tar (2).gz"),
        ] {
            assert_eq!(beside(&ObjectKey::parse(name).unwrap(), 2).unwrap().as_str(), other);
        }
    }
}
