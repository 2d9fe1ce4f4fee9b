//! What the portal tells Prometheus of itself.
//!
//! Requests, calls to the clouds and open streams are counted as they happen ([`Metrics`]); what the database knows is
//! asked at each scrape ([`scrape`]). Labels are words of ours, a few for each: routes as they are written in the table,
//! never a path, a name or an id.

pub mod clouds;
mod known;
pub mod requests;
pub mod routes;
pub mod scrape;

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::Semaphore;

/// Upper bounds of the buckets of latencies, in seconds.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is counted in this process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    pub(crate) calls: Calls,
    streams: IntGaugeVec,
    /// Whose turn it is to ask the database for a scrape.
    turn: Arc<Semaphore>,
}

/// Calls to the clouds.
#[derive(Clone)]
pub(crate) struct Calls {
    count: IntCounterVec,
    seconds: HistogramVec,
}

impl Calls {
    fn count(&self, service: &str, operation: &str, outcome: &str, took: Duration) {
        self.count.with_label_values(&[service, operation, outcome]).inc();
        self.seconds.with_label_values(&[service, operation]).observe(took.as_secs_f64());
    }
}

impl Default for Metrics {
    #[expect(clippy::expect_used, reason = "names and labels are constants, and a test makes them")]
    fn default() -> Self {
        Self::new().expect("names and labels are well-formed, and each is there once")
    }
}

impl Metrics {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            registered(&registry, HistogramVec::new(options, labels)?)
        };
        Ok(Self {
            requests: counter(
                "fastcloud_http_requests_total",
                "Requests, by the route's pattern, method and class of the status.",
                &["route", "method", "status"],
            )?,
            request_seconds: seconds(
                "fastcloud_http_request_duration_seconds",
                "From a request's head to the head of its answer; bodies come and go after that.",
                &["route", "method"],
            )?,
            calls: Calls {
                count: counter(
                    "fastcloud_cloud_calls_total",
                    "Calls to a cloud's service by what was asked and what came of it; abandoned: nobody waited any longer.",
                    &["service", "operation", "outcome"],
                )?,
                seconds: seconds(
                    "fastcloud_cloud_call_duration_seconds",
                    "How long calls took, with what one call asks of several parts of a cloud, and with a body that is sent.",
                    &["service", "operation"],
                )?,
            },
            streams: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new("fastcloud_streams", "Answers that go on for as long as somebody looks."),
                    &["kind"],
                )?,
            )?,
            registry,
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// A stream is open for as long as this is kept.
    pub fn stream(&self, kind: &'static str) -> OpenStream {
        let open = self.streams.with_label_values(&[kind]);
        open.inc();
        OpenStream(open)
    }

    fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// A stream that is counted as open.
pub struct OpenStream(IntGauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_counted_while_it_is_open() {
        let metrics = Metrics::default();
        let (one, other) = (metrics.stream("log"), metrics.stream("log"));
        let open = || metrics.streams.with_label_values(&["log"]).get();
        assert_eq!(open(), 2);
        drop(one);
        assert_eq!(open(), 1);
        drop(other);
        assert_eq!(open(), 0);
    }
}
