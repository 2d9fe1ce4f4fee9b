//! What the tests stand on: a real portal on a database of its own ([`TestApp`]), and people in front of it ([`Person`]).

pub mod answer;
pub mod containers;
pub mod database;
pub mod gate;
pub mod log;
pub mod map;
pub mod person;
pub mod portal;
pub mod program;
#[path = "../../common/secrets.rs"]
pub mod secrets;

use std::time::{Duration, Instant};

pub use answer::Answer;
pub use person::Person;
pub use portal::TestApp;

/// Asks again and again, for as long as a slow machine may need; the first `Some` is the answer.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        actix_web::rt::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A form's fields as a body.
pub fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
