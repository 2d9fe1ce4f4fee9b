//! Carrying out what takes long: each step so that it can be done again from any point.
//!
//! - **make**: ask the store for a container with our mark; done while the person waits, and again as an operation when
//!   the store did not answer.
//! - **delete**: everything in the container, then its segments, then both containers, then the row. A container that
//!   does not carry our mark (any more) is left alone.
//! - **remove a folder**: exactly what begins with its name and `/`.

use std::sync::Arc;
use std::time::Duration;

use fail::fail_point;

use super::model::removals::Removal;
use super::model::{self, Bucket, Status, uploading};
use crate::app::App;
use crate::cloud::CloudError;
use crate::cloud::objects::{Creation, Entry, ListQuery, Listed, Mark, ObjectKey, segments_container};
use crate::db;
use crate::error::Error;
use crate::ids::{BucketId, RemovalId};
use crate::operations::model::{Action, Operation, Outcome};

/// Objects that are deleted at once.
const BATCH: usize = 500;
/// Before another look at a container into which something is still being written.
const LOOK: Duration = Duration::from_secs(2);

/// What became of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    Yes,
    /// The store has a container of this name that is not ours.
    Taken,
}

enum Halt {
    Store(CloudError),
    Database(Error),
}

impl From<CloudError> for Halt {
    fn from(error: CloudError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

fn mark(app: &App, id: BucketId) -> Mark {
    Mark { portal: app.shared.portal, bucket: id }
}

/// Asks the store for a bucket's container and writes down what became of it. Can be repeated.
///
/// # Errors
/// The store's; the database's as unavailable.
pub async fn make(app: &App, bucket: &Bucket) -> Result<Made, CloudError> {
    let created = app.objects.create(&bucket.name, mark(app, bucket.id)).await?;
    fail_point!("bucket_made");
    if created == Creation::Taken {
        return Ok(Made::Taken);
    }
    let address = app.objects.address(&bucket.name).await?;
    let id = bucket.id;
    app.db.run(move |conn| Ok(model::made(conn, id, &address)?)).await.map_err(CloudError::unavailable)?;
    Ok(Made::Yes)
}

/// One try.
pub async fn carry_out(app: &Arc<App>, operation: &Operation, id: BucketId) -> Outcome {
    let row = match app.db.run(move |conn| Ok(Bucket::find_for_work(conn, id)?)).await {
        Ok(Some(row)) => row,
        Ok(None) => return Outcome::Done,
        Err(error) => return Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    };
    let result = match operation.action {
        Action::Create => create(app, &row).await,
        Action::Delete => delete(app, &row).await,
        _ => return Outcome::Failed("no action of a bucket".to_owned()),
    };
    match result {
        Ok(outcome) => outcome,
        Err(Halt::Database(error)) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
        Err(Halt::Store(error)) => {
            let (reason, text) = (reason_of(operation.action, &error), error.to_string());
            if let Err(error) = app.db.run(move |conn| Ok(model::waits(conn, id, Some(reason), &text)?)).await {
                tracing::warn!(%error, "the reason for waiting could not be written");
            }
            // What was asked for costs, or blocks a name, until it is done: it is asked for as long as it takes.
            Outcome::Again(backoff(operation.attempts), Some(error.to_string()))
        }
    }
}

fn reason_of(action: Action, error: &CloudError) -> &'static str {
    match (action, error) {
        (_, CloudError::Unavailable { .. }) => "waiting_for_store",
        (Action::Create, _) => "create_failed",
        _ => "delete_failed",
    }
}

/// 2, 4, 8, 16, 30, 30 … seconds.
fn backoff(attempts: u32) -> Duration {
    Duration::from_secs((1_u64 << attempts.min(5)).min(30))
}

async fn create(app: &App, row: &Bucket) -> Result<Outcome, Halt> {
    if row.status() != Status::Creating || row.is_deleting() {
        return Ok(Outcome::Done);
    }
    if make(app, row).await? == Made::Taken {
        let id = row.id;
        app.db.run(move |conn| Ok(model::write(conn, id, Status::Refused, Some("taken"), None)?)).await?;
    }
    Ok(Outcome::Done)
}

async fn delete(app: &Arc<App>, row: &Bucket) -> Result<Outcome, Halt> {
    let id = row.id;
    for container in [row.name.clone(), segments_container(id)] {
        if !is_ours(app, row, &container).await? {
            continue;
        }
        let files = container == row.name;
        while let Some((objects, bytes)) = delete_some(app, &container, "").await? {
            fail_point!("bucket_some_deleted");
            if files {
                app.db.run(move |conn| Ok(model::removed(conn, id, objects, bytes)?)).await?;
            }
        }
        match app.objects.remove(&container).await {
            Ok(()) => {}
            // Something was on its way into it.
            Err(CloudError::Conflict(_)) => return Ok(Outcome::Again(LOOK, None)),
            Err(error) => return Err(error.into()),
        }
    }
    fail_point!("bucket_gone");
    app.db.run(move |conn| Ok(model::gone(conn, id)?)).await?;
    Ok(Outcome::Done)
}

/// Whether a container is there and carries our mark. What belongs to somebody else is never touched.
async fn is_ours(app: &App, row: &Bucket, container: &str) -> Result<bool, CloudError> {
    match app.objects.container(container).await {
        Err(CloudError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
        Ok(_) => Ok(app.objects.create(container, mark(app, row.id)).await? == Creation::Made),
    }
}

/// Deletes the first objects of a container under a prefix; says how many and how large. None: there are none.
async fn delete_some(app: &App, container: &str, prefix: &str) -> Result<Option<(u64, u64)>, CloudError> {
    let query = ListQuery { prefix: prefix.to_owned(), limit: BATCH, ..ListQuery::default() };
    let listed: Vec<Listed> = app.objects.list(container, &query).await?.into_iter().filter_map(object).collect();
    if listed.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = listed.iter().map(|object| object.name.clone()).collect();
    app.objects.delete_many(container, &names).await?;
    Ok(Some((listed.len() as u64, listed.iter().map(|object| object.bytes).sum())))
}

fn object(entry: Entry) -> Option<Listed> {
    match entry {
        Entry::Object(object) => Some(object),
        Entry::Folder(_) => None,
    }
}

/// Gives an object another name: a copy on the server, then the old one goes. A crash between leaves both.
///
/// # Errors
/// [`CloudError::Conflict`] when there is one of the new name; the store's; the database's as unavailable.
pub async fn rename(app: &App, bucket: &Bucket, from: &ObjectKey, to: &ObjectKey) -> Result<(), CloudError> {
    let info = app.objects.head(&bucket.name, from).await?;
    if from == to {
        return Ok(());
    }
    // A large file takes its segments along: until the old name is gone, either may have them.
    let upload = info.upload.filter(|_| info.large);
    let write = async |key: ObjectKey, other: Option<ObjectKey>, copied: bool| {
        let Some(id) = upload else { return Ok(()) };
        let written = app.db.run(move |conn| match (copied, &other) {
            (false, Some(other)) => Ok(uploading::renaming(conn, id, other)?),
            _ => Ok(uploading::renamed(conn, id, &key, other.as_ref())?),
        });
        written.await.map_err(CloudError::unavailable)
    };
    write(from.clone(), Some(to.clone()), false).await?;
    app.objects.copy((&bucket.name, from), (&bucket.name, to), true).await?;
    fail_point!("renamed_copied");
    write(to.clone(), Some(from.clone()), true).await?;
    app.objects.delete(&bucket.name, from).await?;
    write(to.clone(), None, true).await?;
    let id = bucket.id;
    app.db.run(move |conn| Ok(model::changed(conn, id, 0, 0)?)).await.map_err(CloudError::unavailable)
}

/// One try of deleting a folder.
pub async fn remove_folder(app: &Arc<App>, operation: &Operation, id: RemovalId) -> Outcome {
    let loaded = app
        .db
        .run(move |conn| {
            let Some(removal) = Removal::find_for_work(conn, id)? else { return Ok(None) };
            Ok(Bucket::find_for_work(conn, removal.bucket_id)?.map(|bucket| (removal, bucket)))
        })
        .await;
    let (removal, bucket) = match loaded {
        Ok(Some(loaded)) => loaded,
        Ok(None) => return Outcome::Done,
        Err(error) => return Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
    };
    let Some(prefix) = removal.prefix() else { return Outcome::Failed("not a folder".to_owned()) };
    match empty_folder(app, &bucket, &removal, &prefix).await {
        Ok(()) => Outcome::Done,
        Err(Halt::Database(error)) => Outcome::Again(backoff(operation.attempts), Some(error.to_string())),
        Err(Halt::Store(error)) => {
            let text = error.to_string();
            if let Err(error) = app.db.run(move |conn| Ok(Removal::waits(conn, id, &text)?)).await {
                tracing::warn!(%error, "the reason for waiting could not be written");
            }
            let age = db::now() - operation.created_at;
            let longest = chrono::Duration::minutes(i64::try_from(app.config.operations.give_up_minutes).unwrap_or(60));
            if age < longest || error.is_transient() {
                return Outcome::Again(backoff(operation.attempts), Some(error.to_string()));
            }
            Outcome::Failed(error.to_string())
        }
    }
}

async fn empty_folder(app: &Arc<App>, bucket: &Bucket, removal: &Removal, prefix: &str) -> Result<(), Halt> {
    // Only what was there when it was asked for could be meant; what comes meanwhile under the same name goes, too.
    loop {
        let query = ListQuery { prefix: prefix.to_owned(), limit: BATCH, ..ListQuery::default() };
        let listed = match app.objects.list(&bucket.name, &query).await {
            Err(CloudError::NotFound(_)) => Vec::new(),
            listed => listed?,
        };
        let listed: Vec<Listed> =
            listed.into_iter().filter_map(object).filter(|o| o.name.starts_with(prefix)).collect();
        let (id, bucket_id) = (removal.id, bucket.id);
        if listed.is_empty() {
            app.db.run(move |conn| Ok(Removal::ended(conn, id)?)).await?;
            return Ok(());
        }
        let names: Vec<String> = listed.iter().map(|object| object.name.clone()).collect();
        let large = names.clone();
        app.db.run(move |conn| Ok(uploading::discard(conn, bucket_id, &large)?)).await?;
        app.objects.delete_many(&bucket.name, &names).await?;
        fail_point!("folder_some_deleted");
        let (count, bytes) = (listed.len() as u64, listed.iter().map(|object| object.bytes).sum());
        let removal = removal.clone();
        app.db.run(move |conn| Ok(removal.removed(conn, count, bytes)?)).await?;
        super::upload::sweep_soon(app);
    }
}
