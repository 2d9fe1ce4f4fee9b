//! A small file on its way in. It is read whole before anything else: then it can be sent more than once, and the store
//! need not be asked beforehand whether there is one of its name, which would take about as long as storing it.

use std::sync::Arc;

use bytes::Bytes;
use fail::fail_point;
use futures::channel::mpsc;
use futures::{StreamExt, stream};
use md5::{Digest, Md5};

use super::{Existing, Failure, NAMES, Order, Piece, Place, SILENCE, Stored, Written, abandon, beside, find, settle};
use crate::app::App;
use crate::buckets::model::uploading::{Confirmed, Refusal};
use crate::cloud::CloudError;
use crate::cloud::objects::{ObjectKey, PutOrder};

/// Bytes that are held in memory: less than the pieces of any other upload.
pub(super) const MOST: u64 = 64 << 10;

/// What has come.
struct Whole {
    pieces: Vec<Bytes>,
    bytes: u64,
    md5: String,
}

pub(super) async fn carry(app: &Arc<App>, order: &Order, incoming: mpsc::Receiver<Piece>) -> Result<Stored, Failure> {
    let whole = read(incoming).await?;
    if app.config.buckets.max_file().is_some_and(|most| whole.bytes > most) {
        return Err(Failure::TooLarge);
    }
    let _open = app.desk.open();
    let mut key = order.key.clone();
    for number in 2..NAMES {
        match app.desk.begin(order.bucket.account_id, order.row(&key, false, whole.bytes)).await? {
            Ok((id, granted)) => {
                fail_point!("upload_begun");
                let mut place = Place { id, key, old: None, granted, in_segments: false };
                match write(app, order, &mut place, &whole).await {
                    Ok(true) => {
                        return confirm(app, order, place, whole).await;
                    }
                    Ok(false) => abandon(app, order, &place).await,
                    Err(failure) => {
                        abandon(app, order, &place).await;
                        return Err(failure);
                    }
                }
            }
            Err(Refusal::Busy) if order.existing == Existing::Keep => {}
            Err(refusal) => return Err(refusal.into()),
        }
        key = beside(&order.key, number).ok_or(Failure::Busy)?;
    }
    Err(Failure::Busy)
}

/// All of it; who leaves, or sends nothing for a while, has failed.
async fn read(mut incoming: mpsc::Receiver<Piece>) -> Result<Whole, Failure> {
    let (mut pieces, mut bytes, mut md5) = (Vec::new(), 0, Md5::new());
    loop {
        match tokio::time::timeout(SILENCE, incoming.next()).await {
            Ok(Some(Piece::Bytes(piece))) => {
                bytes += piece.len() as u64;
                md5.update(&piece);
                pieces.push(piece);
            }
            Ok(Some(Piece::End)) => return Ok(Whole { pieces, bytes, md5: hex::encode(md5.finalize()) }),
            Ok(None) | Err(_) => return Err(Failure::Left),
        }
    }
}

/// Its row goes, and the bucket is counted.
async fn confirm(app: &Arc<App>, order: &Order, place: Place, whole: Whole) -> Result<Stored, Failure> {
    let Whole { bytes, md5, .. } = whole;
    if place.old.as_ref().is_some_and(|old| old.large) {
        // The segments of what was there are to be swept.
        return settle(app, order, place, Written { bytes, md5, large: false }).await;
    }
    let (id, bucket) = (place.id, &order.bucket);
    let old = place.old.map(|old| old.bytes);
    let ours = app.desk.confirm(bucket.account_id, Confirmed { id, bucket: bucket.id, bytes, old }).await?;
    fail_point!("upload_settled");
    if !ours {
        tracing::warn!(upload.id = %id, "an upload got there after it had been given up");
    }
    Ok(Stored { key: place.key, bytes, md5 })
}

/// Writes it under the name of its place, and says in the place what it has replaced. False: the name is taken.
async fn write(app: &App, order: &Order, place: &mut Place, whole: &Whole) -> Result<bool, Failure> {
    if place.granted < whole.bytes {
        return Err(Failure::OverQuota);
    }
    let stored = match put(app, order, &place.key, whole, true).await {
        Err(CloudError::Conflict(_)) if order.existing == Existing::Keep => return Ok(false),
        Err(CloudError::Conflict(_)) => {
            place.old = find(app, order, &place.key).await?;
            put(app, order, &place.key, whole, false).await
        }
        stored => stored,
    };
    fail_point!("upload_put");
    if stored? != whole.md5 {
        app.objects.delete(&order.bucket.name, &place.key).await?;
        return Err(CloudError::unavailable("the store has other bytes than were sent").into());
    }
    Ok(true)
}

async fn put(
    app: &App,
    order: &Order,
    key: &ObjectKey,
    whole: &Whole,
    only_if_absent: bool,
) -> Result<String, CloudError> {
    let put = PutOrder { content_type: order.content_type.clone(), length: Some(whole.bytes), only_if_absent };
    let body = stream::iter(whole.pieces.clone()).map(Ok).boxed();
    app.objects.put(&order.bucket.name, key, &put, body).await
}
