//! What a piece of work is known by in all logs, the portal's own and the clouds': the id of the request, of the
//! operation, or of the round of the sync that a call to a cloud is made for.
//!
//! OpenStack's services write it into their logs as the global request id when it comes as `X-Openstack-Request-Id:
//! req-<UUID>` (`oslo_middleware.request_id`, `ID_FORMAT`); Swift appends what comes as `X-Trans-Id-Extra`, 32 characters
//! of it, to its own transaction id (`swift.common.middleware.catch_errors`).

use std::fmt;

use uuid::Uuid;

tokio::task_local! {
    static CAUSE: Cause;
}

/// The id. Whatever asks a cloud by itself, on nobody's behalf, has one of its own for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause(Uuid);

impl Cause {
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// That of the work under way in this task.
    pub fn current() -> Self {
        CAUSE.try_with(|cause| *cause).unwrap_or_else(|_| Self(Uuid::new_v4()))
    }

    /// Does some work in this name. A task that is started by it is not part of it.
    pub async fn of<F: Future>(self, work: F) -> F::Output {
        CAUSE.scope(self, work).await
    }

    /// As OpenStack's services take it.
    pub fn global_request_id(self) -> String {
        format!("req-{}", self.0)
    }

    /// As Swift takes it.
    pub fn transaction_suffix(self) -> String {
        self.0.simple().to_string()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_known_by_its_id_and_nothing_else_is() {
        let id = Uuid::new_v4();
        let (inside, nested, started) = Cause::new(id)
            .of(async {
                let nested = Cause::new(Uuid::nil()).of(async { Cause::current() }).await;
                let started = tokio::spawn(async { Cause::current() }).await.unwrap();
                (Cause::current(), nested, started)
            })
            .await;
        assert_eq!((inside, nested), (Cause(id), Cause(Uuid::nil())));
        assert_ne!(started, inside);
        assert_ne!(Cause::current(), Cause::current());
    }

    #[test]
    fn each_service_gets_the_form_that_it_takes() {
        let cause = Cause::new(Uuid::from_u128(0xabc));
        assert_eq!(cause.global_request_id(), "req-00000000-0000-0000-0000-000000000abc");
        assert_eq!(cause.transaction_suffix().len(), 32);
    }
}
