//! The stream of one tab.

use actix_web::http::header::{self, ContentEncoding};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use chrono::TimeDelta;
use futures::StreamExt;
use serde::Deserialize;

use super::hub::Hub;
use super::model::{self, Moment};
use super::{Cursor, Topics, WINDOW};
use crate::error::{Error, Result};
use crate::session;
use crate::web::reader::{CurrentAccount, Reader};

/// The header in which a browser says by itself, when it opens a stream again, up to where it has read.
const LAST_EVENT_ID: &str = "last-event-id";

/// Who was away for longer asks for everything.
const AWAY: TimeDelta = TimeDelta::hours(24);

#[derive(Debug, Deserialize)]
pub struct Place {
    /// The id of the last event that was read.
    #[serde(default)]
    since: String,
    /// Or, of a page that has read none: how many seconds ago it was asked for.
    #[serde(default)]
    ago: String,
}

/// Up to where a page knows everything.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    Nothing,
    Until(Cursor),
    SecondsAgo(f64),
}

impl Place {
    /// What is none of ours is as if nothing were known.
    fn known(&self, request: &HttpRequest) -> Known {
        let told = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
        match (told.unwrap_or(&self.since), self.ago.parse::<f64>()) {
            ("", Ok(seconds)) if seconds.is_finite() && seconds >= 0.0 => Known::SecondsAgo(seconds),
            (id, _) => Cursor::parse(id).map_or(Known::Nothing, Known::Until),
        }
    }
}

impl Known {
    /// From when on it is to be looked for what was missed, and whether the clouds' health is another; None: everything
    /// was missed.
    fn missed(self, now: &Moment) -> Option<(chrono::NaiveDateTime, Topics)> {
        let Cursor { at: now, failing } = now.cursor;
        let (at, turned) = match self {
            Self::Nothing => return None,
            Self::Until(cursor) => (cursor.at, cursor.failing != failing),
            Self::SecondsAgo(seconds) => {
                let away = AWAY.num_seconds() as f64;
                (now - TimeDelta::milliseconds((seconds.min(away * 2.0) * 1000.0) as i64), false)
            }
        };
        // A time that is still to come is none of ours either.
        let fits = at <= now + WINDOW && now - at <= AWAY;
        fits.then(|| (at - WINDOW, if turned { Topics::CLOUDS } else { Topics::NONE }))
    }
}

fn answer() -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(StatusCode::OK);
    answer
        .content_type("text/event-stream")
        // Events come one by one: nothing may wait for more of them.
        .insert_header(ContentEncoding::Identity)
        .insert_header((header::HeaderName::from_static("x-accel-buffering"), "no"));
    answer
}

/// `GET /live?since=&ago=`: what changes of the account's things, as server-sent events. `hello` and, every few seconds,
/// `beat` (how many seconds ago each cloud answered, as JSON), `change` (topics, with a space between), and `end` with
/// the reason. An event's id is up to where everything was told.
pub async fn stream(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    place: web::Query<Place>,
) -> Result<HttpResponse> {
    if request.method() == Method::HEAD {
        return Ok(answer().finish());
    }
    let session = session::of_request(&request, &reader.app).ok_or(Error::SignIn)?;
    let (known, id) = (place.known(&request), account.id);
    // First among those who are told, then a look at what was missed: nothing falls in between.
    let taken = Hub::sit_down(&reader.app.clone().into_inner(), id, session);
    let (moment, missed) = reader
        .app
        .db
        .run(move |conn| {
            let moment = model::moment(conn)?;
            let missed = match known.missed(&moment) {
                None => Topics::ALL,
                Some((since, turned)) => model::touched_of(conn, id, since)?.and(turned),
            };
            Ok((moment, missed))
        })
        .await?;
    taken.begin(&moment, missed);
    Ok(answer().streaming(taken.stream().map(Ok::<_, std::convert::Infallible>)))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn now() -> Moment {
        let at = (DateTime::UNIX_EPOCH + TimeDelta::days(20_000)).naive_utc();
        Moment { cursor: Cursor { at, failing: 1 }, ages: [None; 3] }
    }

    #[test]
    fn who_knows_nothing_or_something_impossible_has_missed_everything() {
        let now = now();
        let Cursor { at, failing } = now.cursor;
        let until = |at| Known::Until(Cursor { at, failing });
        for known in [
            Known::Nothing,
            until(at + TimeDelta::hours(1)),
            until(at - TimeDelta::days(2)),
            Known::SecondsAgo(f64::MAX),
            Known::SecondsAgo(100_000.0),
        ] {
            assert_eq!(known.missed(&now), None, "{known:?}");
        }
    }

    #[test]
    fn it_is_looked_back_beyond_what_was_read() {
        let now = now();
        let at = now.cursor.at;
        assert_eq!(Known::SecondsAgo(2.5).missed(&now), Some((at - TimeDelta::milliseconds(32_500), Topics::NONE)));
        let before = at - TimeDelta::seconds(5);
        let healthy = Known::Until(Cursor { at: before, failing: 0 });
        assert_eq!(healthy.missed(&now), Some((before - WINDOW, Topics::CLOUDS)));
    }
}
