//! What a handler returns when it can't do what was asked: a variant exists where the person sees something different.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

/// The status and the kind of page; the page itself is drawn by [`crate::web::errors`], which knows who asks.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or it is somebody else's: the same answer for both.
    #[error("not found")]
    NotFound,
    /// Nobody is signed in: to the log-in page.
    #[error("sign in first")]
    SignIn,
    /// Signed in, but not as one who may.
    #[error("forbidden")]
    Forbidden,
    /// The form's token is missing, old, or not this session's; or the request comes from another site.
    #[error("the form's token does not fit: {0}")]
    Csrf(&'static str),
    /// Sent in a way that no form of ours does.
    #[error("bad request: {0}")]
    BadRequest(String),
    #[error("the request is too large")]
    TooLarge,
    /// The state of the thing does not allow it (any more).
    #[error("conflict: {0}")]
    Conflict(String),
    /// Too often; after so many seconds it is welcome again.
    #[error("too many tries, wait {0} s")]
    TooMany(u64),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The store of files does not answer, or can't take any more.
    #[error("the store of files: {0}")]
    Store(String),
    #[error("{0}")]
    Internal(String),
}

/// What handlers return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::SignIn => StatusCode::SEE_OTHER,
            Self::Forbidden | Self::Csrf(_) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// Sets the status and leaves itself in the response, for the middleware that draws the page.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status()).finish();
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        match error {
            diesel::result::Error::NotFound => Self::NotFound,
            error if is_outage(&error) => Self::Unavailable(error.to_string()),
            error => Self::Internal(format!("database: {error}")),
        }
    }
}

impl From<crate::cloud::CloudError> for Error {
    /// What the store of files says to a handler that asked it.
    fn from(error: crate::cloud::CloudError) -> Self {
        match error {
            crate::cloud::CloudError::NotFound(_) => Self::NotFound,
            error => Self::Store(error.to_string()),
        }
    }
}

/// Whether the database went away, rather than refused: then the request is answered with 503.
pub fn is_outage(error: &diesel::result::Error) -> bool {
    match error {
        diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::ClosedConnection, _) => true,
        diesel::result::Error::DatabaseError(_, info) => {
            let text = info.message();
            [
                "gone away",
                "Lost connection",
                "Can't connect",
                "shutdown in progress",
                "Server shutdown",
                "Connection was killed",
            ]
            .iter()
            .any(|sign| text.contains(sign))
        }
        diesel::result::Error::BrokenTransactionManager => true,
        diesel::result::Error::RollbackErrorOnCommit { rollback_error, commit_error } => {
            is_outage(rollback_error) || is_outage(commit_error)
        }
        _ => false,
    }
}
