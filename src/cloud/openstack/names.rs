//! Names to ids. Templates name images, flavors and networks as people do; Nova takes ids.

use std::time::{Duration, Instant};

use super::flight::Flight;
use crate::cloud::{CloudError, Named};

/// How long a list of names is believed: long enough that a class launching at once asks for it once.
const TTL: Duration = Duration::from_secs(60);

/// What of one kind the cloud has, remembered for a minute.
#[derive(Debug)]
pub(super) struct Names {
    /// "image", for messages.
    what: &'static str,
    known: Flight<Known>,
}

#[derive(Debug)]
struct Known {
    all: Vec<Named>,
    at: Instant,
}

/// What a name turned out to be.
enum Match {
    One(String),
    None,
    Several,
}

impl Names {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, known: Flight::default() }
    }

    /// The id of what is called so, or has this as its id. An unknown name is looked for in a new list before it is
    /// refused.
    ///
    /// # Errors
    /// [`CloudError::Rejected`] for a name that nothing has, or several things have.
    pub(super) async fn resolve<F>(&self, wanted: &str, fetch: impl Fn() -> F) -> Result<String, CloudError>
    where
        F: Future<Output = Result<Vec<Named>, CloudError>>,
    {
        let asked = Instant::now();
        let mut found = pick(&self.all_since(asked.checked_sub(TTL), &fetch).await?.all, wanted);
        if matches!(found, Match::None) {
            found = pick(&self.all_since(Some(asked), &fetch).await?.all, wanted);
        }
        let what = self.what;
        match found {
            Match::One(id) => Ok(id),
            // One that is not listed may be usable all the same; Nova will say so if it isn't.
            Match::None if uuid::Uuid::try_parse(wanted).is_ok() => Ok(wanted.to_owned()),
            Match::None => Err(CloudError::Rejected(format!("the cloud has no {what} {wanted:?}"))),
            Match::Several => Err(CloudError::Rejected(format!("several {what}s are called {wanted:?}: use the id"))),
        }
    }

    /// The id of the only one that there is.
    ///
    /// # Errors
    /// [`CloudError::Rejected`] when there is none, or more than one: then with their names.
    pub(super) async fn only<F>(&self, fetch: impl Fn() -> F) -> Result<String, CloudError>
    where
        F: Future<Output = Result<Vec<Named>, CloudError>>,
    {
        let known = self.all_since(Instant::now().checked_sub(TTL), &fetch).await?;
        let what = self.what;
        match known.all.as_slice() {
            [only] => Ok(only.id.clone()),
            [] => Err(CloudError::Rejected(format!("the cloud has no {what}"))),
            several => {
                let names: Vec<&str> = several.iter().map(|named| named.name.as_str()).collect();
                Err(CloudError::Rejected(format!("the cloud has several {what}s, name one: {}", names.join(", "))))
            }
        }
    }

    /// Forgets what is known: an id of it was refused.
    pub(super) fn forget(&self) {
        self.known.forget();
    }

    async fn all_since<F>(
        &self,
        since: Option<Instant>,
        fetch: impl Fn() -> F,
    ) -> Result<std::sync::Arc<Known>, CloudError>
    where
        F: Future<Output = Result<Vec<Named>, CloudError>>,
    {
        let young = |known: &Known| since.is_none_or(|since| known.at >= since);
        // The time before the call: what was made while it went on may not be in its answer.
        self.known
            .get(young, async {
                let at = Instant::now();
                Ok(Known { all: fetch().await?, at })
            })
            .await
    }
}

fn pick(all: &[Named], wanted: &str) -> Match {
    if let Some(named) = all.iter().find(|named| named.id == wanted) {
        return Match::One(named.id.clone());
    }
    let mut called = all.iter().filter(|named| named.name == wanted);
    match (called.next(), called.next()) {
        (None, _) => Match::None,
        (Some(one), None) => Match::One(one.id.clone()),
        (Some(_), Some(_)) => Match::Several,
    }
}
