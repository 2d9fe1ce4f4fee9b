//! Forms: read as a stream, each value cut at a bound, so that ten megabytes in one field cost no memory and still end
//! in an answer that names the field.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures::StreamExt;
use futures::future::{Ready, ready};

use crate::error::Error;

/// Bytes of one value that are kept, still encoded: more than any field of ours takes, so a cut value is too long.
const KEPT: usize = 64 * 1024;
/// Bytes that are read of one request, before the rest is refused (413).
const READ: usize = 32 * 1024 * 1024;
/// Fields that are kept; no form of ours has as many: a page of files that are all chosen has a hundred.
const FIELDS: usize = 256;

/// The fields of a form, in order. Extracted by handlers from what the guard of forms has read.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of this name; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Fields made by us, for drawing a form without a body.
    pub fn of<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        Self(fields.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// Every value of this name: ticked boxes share one.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

impl FromRequest for Fields {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let fields = request.extensions().get::<Self>().cloned();
        ready(fields.ok_or_else(|| Error::BadRequest("a form was expected".to_owned())))
    }
}

/// Reads a body of `application/x-www-form-urlencoded` to its end.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::BadRequest`] when the client leaves.
pub async fn read(mut payload: web::Payload) -> Result<Fields, Error> {
    let mut parser = Parser::default();
    let mut total = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Error::BadRequest(error.to_string()))?;
        total += chunk.len();
        if total > READ {
            return Err(Error::TooLarge);
        }
        parser.push(&chunk);
    }
    Ok(parser.finish())
}

/// Splits at `&`, keeps at most [`KEPT`] bytes of each pair and [`FIELDS`] pairs.
#[derive(Default)]
struct Parser {
    pair: Vec<u8>,
    fields: Vec<(String, String)>,
}

impl Parser {
    fn push(&mut self, chunk: &[u8]) {
        for (place, part) in chunk.split(|byte| *byte == b'&').enumerate() {
            if place > 0 {
                self.end_pair();
            }
            let room = KEPT.saturating_sub(self.pair.len());
            self.pair.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn end_pair(&mut self) {
        let pair = std::mem::take(&mut self.pair);
        if self.fields.len() < FIELDS {
            // Bytes that are no UTF-8 become U+FFFD, which no field takes.
            self.fields.extend(url::form_urlencoded::parse(&pair).into_owned().take(1));
        }
    }

    fn finish(mut self) -> Fields {
        self.end_pair();
        Fields(self.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Fields {
        let mut parser = Parser::default();
        chunks.iter().for_each(|chunk| parser.push(chunk));
        parser.finish()
    }

    #[test]
    fn pairs_survive_any_cut_of_the_stream() {
        let whole = b"name=%EA%B0%80+b&x=1&&empty=&name=second&bad=%FF";
        for at in 0..whole.len() {
            let fields = parse(&[&whole[..at], &whole[at..]]);
            assert_eq!(
                (fields.get("name"), fields.get("x"), fields.get("empty"), fields.get("bad"), fields.get("none")),
                ("가 b", "1", "", "\u{FFFD}", "")
            );
            assert!(fields.has("empty") && !fields.has("none"));
        }
    }

    #[test]
    fn a_huge_value_is_cut_and_its_neighbours_are_not() {
        let huge = vec![b'x'; 1024 * 1024];
        let fields = parse(&[b"a=1&big=", &huge, &huge, b"&b=2"]);
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("big").len()), ("1", "2", KEPT - 4));
        assert!(parse(&[&b"a=1&".repeat(10_000)]).0.len() == FIELDS);
    }
}
