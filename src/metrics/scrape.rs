//! All that is told, put together when somebody asks.

use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, GaugeVec, IntCounter, Opts, TextEncoder};

use super::known::Known;
use crate::app::App;
use crate::cloud_services::{APPLICATIONS, COMPUTE, OBJECTS};

/// How long the database may take; Prometheus itself waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything, in Prometheus' text format. Without the database, what it knows is left out and said to be.
///
/// # Errors
/// When two things have one name, which a test would have found.
pub async fn scrape(app: &App) -> anyhow::Result<String> {
    let mut sheet = Sheet::default();
    this_process(app, &mut sheet)?;
    let known = ask(app).await;
    sheet.gauge(
        "fastcloud_database_up",
        "Whether the database answers within 2 s.",
        &[],
        [(vec![], f64::from(u8::from(known.is_some())))],
    )?;
    if let Some(known) = known {
        database(&known, &mut sheet)?;
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&[app.metrics.gather(), sheet.0].concat(), &mut text)?;
    Ok(String::from_utf8(text)?)
}

/// One question at a time: a database that hangs is not asked again by each scrape.
async fn ask(app: &App) -> Option<Known> {
    let asking = async {
        let turn = app.metrics.turn.clone().acquire_owned().await.ok()?;
        let known = app.db.run_job(move |conn| {
            let _turn = turn;
            Ok(Known::load(conn)?)
        });
        known.await.inspect_err(|error| tracing::debug!(%error, "a scrape goes without the database")).ok()
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
}

fn this_process(app: &App, sheet: &mut Sheet) -> anyhow::Result<()> {
    sheet.gauge(
        "fastcloud_build_info",
        "Always 1; the version is its label.",
        &["version"],
        [(vec![env!("CARGO_PKG_VERSION")], 1.0)],
    )?;
    // Before the scrape takes one itself.
    let (used, most) = app.db.state();
    let one = |value: u32| [(vec![], f64::from(value))];
    sheet.gauge("fastcloud_database_connections_used", "Connections of the pool in use.", &[], one(used))?;
    sheet.gauge("fastcloud_database_connections_max", "Connections that the pool may have.", &[], one(most))?;
    sheet.counter(
        "fastcloud_database_refusals_total",
        "Requests and jobs that got no connection in time.",
        app.db.refused(),
    )?;
    let simulated = app.simulated();
    let word = |is: bool| f64::from(u8::from(is));
    sheet.gauge(
        "fastcloud_cloud_simulated",
        "Whether a service is only the practice cloud's.",
        &["service"],
        [(COMPUTE, simulated.machines), (APPLICATIONS, simulated.containers), (OBJECTS, simulated.files)]
            .map(|(name, is)| (vec![name], word(is))),
    )?;
    let now = Instant::now();
    let ages = app.pulse.all().into_iter().filter_map(|beat| Some((vec![beat.name], beat.age(now)?.as_secs_f64())));
    sheet.gauge(
        "fastcloud_loop_age_seconds",
        "How long ago a loop of this process began its last turn.",
        &["loop"],
        ages,
    )
}

fn database(known: &Known, sheet: &mut Sheet) -> anyhow::Result<()> {
    let labels = &["kind", "state"];
    let operations = || known.operations.iter().map(|(kind, state, n, age)| (vec![kind.as_str(), state], *n, *age));
    sheet.gauge(
        "fastcloud_operations",
        "Requests to the clouds that have not ended.",
        labels,
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 of them")]
        operations().map(|(labels, n, _)| (labels, n as f64)),
    )?;
    let oldest = operations().map(|(_, _, age)| age).fold(0.0, f64::max);
    sheet.gauge(
        "fastcloud_operations_oldest_seconds",
        "For how long the oldest of them has been waiting or worked on; 0: there is none.",
        &[],
        [(vec![], oldest)],
    )?;
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 of them")]
    let sessions = known.sessions as f64;
    sheet.gauge("fastcloud_sessions", "Sessions of people who are signed in.", &[], [(vec![], sessions)])?;
    let services = || known.services.iter().map(|service| (vec![service.name.as_str()], service));
    sheet.gauge(
        "fastcloud_sync_age_seconds",
        "How long ago a service answered a comparison last.",
        &["service"],
        services().filter_map(|(name, service)| Some((name, service.age?))),
    )?;
    sheet.gauge(
        "fastcloud_sync_duration_seconds",
        "How long the last comparison of everything took.",
        &["service"],
        services().map(|(name, service)| (name, service.seconds)),
    )?;
    sheet.gauge(
        "fastcloud_cloud_failing_seconds",
        "For how long a service has not answered; 0: it answers.",
        &["service"],
        services().map(|(name, service)| (name, service.failing.unwrap_or(0.0))),
    )
}

/// Samples that are made for one scrape.
#[derive(Default)]
struct Sheet(Vec<MetricFamily>);

impl Sheet {
    /// One that has no samples is left out.
    fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        samples: impl IntoIterator<Item = (Vec<&'a str>, f64)>,
    ) -> anyhow::Result<()> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        let mut any = false;
        for (values, value) in samples {
            gauge.get_metric_with_label_values(&values)?.set(value);
            any = true;
        }
        if any {
            self.0.extend(gauge.collect());
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> anyhow::Result<()> {
        let counter = IntCounter::with_opts(Opts::new(name, help))?;
        counter.inc_by(value);
        self.0.extend(counter.collect());
        Ok(())
    }
}
