//! Finding out why a container ended, or why one that runs does not answer.

use chrono::Utc;
use futures::StreamExt;

use super::*;
use crate::applications::diagnose::{Limits, Verdict, condition};
use crate::applications::model::Findings;
use crate::cloud::cluster::{Listeners, LogRequest, Observed};

/// Lines of a log that are kept, and characters of each.
const LINES: u32 = 20;
const LINE: usize = 400;
/// How long the end of a log, and a pod's answer on what listens, are waited for.
const LOG_LIMIT: Duration = Duration::from_secs(5);
const LISTEN_LIMIT: Duration = Duration::from_secs(10);
/// After so many tries nobody answers, and that is what was found out.
const TRIES: u32 = 5;

/// Ports that programs like to listen on, beside those that the image and the form name.
const LIKELY: [u16; 10] = [80, 8080, 3000, 5000, 8000, 8888, 4000, 5173, 9000, 8081];

pub(super) async fn look(app: &Arc<App>, operation: &Operation, row: &Application) -> Result<Outcome, Halt> {
    let Some((seen, verdict, key)) = wanted(app, row) else { return Ok(Outcome::Done) };
    let pod = condition::current(&seen).find(|pod| !pod.ready);
    let Some(pod) = pod.map(|pod| pod.name.clone()) else { return Ok(Outcome::Done) };
    let looked = if key.starts_with("silent/") { ports(app, row, &pod).await } else { log(app, row, &pod).await };
    let (reason, mut findings) = match looked {
        Ok(found) => found,
        Err(Halt::Cluster(error)) if operation.attempts < TRIES => {
            return Ok(Outcome::Again(backoff(operation.attempts), Some(error.to_string())));
        }
        Err(Halt::Cluster(error)) => {
            tracing::warn!(application.id = %row.id, %error, "why an application does not work could not be found out");
            (key.starts_with("silent/").then_some("port_unknown"), Findings::default())
        }
        Err(error) => return Err(error),
    };
    fail_point!("app_looked_into");
    findings.key.clone_from(&key);
    findings.exit_code = verdict.findings.exit_code;
    findings.old_answers = verdict.findings.old_answers;
    let id = row.id;
    let row = app.db.run(move |conn| Ok(Application::find_for_work(conn, id)?)).await?;
    // It may have changed while it was looked into: what was found goes to what it was found of only.
    let Some(row) = row else { return Ok(Outcome::Done) };
    match wanted(app, &row) {
        Some((.., now)) if now == key => {}
        Some(_) => return Ok(Outcome::Again(Duration::ZERO, None)),
        None => return Ok(Outcome::Done),
    }
    let written = app.db.run(move |conn| Ok(progress::found(conn, &row, reason, &findings)?)).await?;
    if !written {
        return Ok(Outcome::Again(Duration::ZERO, None));
    }
    sync::look_again(app).await.map_err(|error| Halt::Database(Error::internal(format!("{error:#}"))))?;
    Ok(Outcome::Done)
}

/// What is to be looked into now, if anything is.
fn wanted(app: &App, row: &Application) -> Option<(Observed, Verdict, String)> {
    let seen = row.observed()?;
    let verdict = sync::judge(row, &seen, Utc::now(), Limits::of(&app.config.applications))?;
    let key = verdict.investigate.clone()?;
    Some((seen, verdict, key))
}

type Found = (Option<&'static str>, Findings);

/// The last words of the container that ended.
async fn log(app: &Arc<App>, row: &Application, pod: &str) -> Result<Found, Halt> {
    let lines = match last_lines(app, row, pod, true).await {
        Ok(lines) if !lines.is_empty() => lines,
        // There is no former run, or it has said nothing: the one that is there now.
        Ok(_) | Err(CloudError::NotFound(_) | CloudError::Rejected(_)) => {
            match last_lines(app, row, pod, false).await {
                Ok(lines) => lines,
                Err(CloudError::NotFound(_) | CloudError::Rejected(_)) => Vec::new(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let foreign = lines.iter().any(|line| line.to_lowercase().contains("exec format error"));
    Ok((foreign.then_some("wrong_architecture"), Findings { log: lines, ..Findings::default() }))
}

async fn last_lines(app: &App, row: &Application, pod: &str, previous: bool) -> Result<Vec<String>, CloudError> {
    let request = LogRequest { owner: owner(app, row), pod: pod.to_owned(), previous, follow: false, tail: LINES };
    let reading = async {
        let mut lines = app.cluster.logs(&request).await?;
        let mut texts = Vec::new();
        while let Some(line) = lines.next().await {
            texts.push(crate::text::shorten(&line?.text, LINE));
        }
        Ok(texts)
    };
    let mut texts = tokio::time::timeout(LOG_LIMIT, reading)
        .await
        .unwrap_or_else(|_| Err(CloudError::unavailable("the log did not come in time")))?;
    texts.drain(..texts.len().saturating_sub(LINES as usize));
    Ok(texts)
}

/// Where the program listens instead.
async fn ports(app: &Arc<App>, row: &Application, pod: &str) -> Result<Found, Halt> {
    let (id, account, revision) = (row.id, row.account_id, row.revision);
    let config = app.db.run(move |conn| Ok(Application::deployed(conn, account, id, revision)?)).await?;
    let mut likely = vec![config.internal_port];
    for port in config.exposed_ports.iter().chain(&LIKELY) {
        if !likely.contains(port) {
            likely.push(*port);
        }
    }
    let listeners = app.cluster.listeners(owner(app, row), pod, &likely, LISTEN_LIMIT).await?;
    let (reason, suggested_port) = of_listeners(&listeners, config.internal_port, &likely);
    Ok((Some(reason), Findings { suggested_port, listeners: Some(listeners), ..Findings::default() }))
}

/// What it means that these ports are listened on, and not the one that is asked.
fn of_listeners(listeners: &Listeners, internal: u16, likely: &[u16]) -> (&'static str, Option<u16>) {
    let other = |ports: &[u16]| {
        let likely = likely.iter().find(|port| **port != internal && ports.contains(port));
        likely.or_else(|| ports.iter().find(|port| **port != internal)).copied()
    };
    if listeners.open.contains(&internal) {
        // It does listen there: it is slow, or it refuses.
        return ("port_unknown", None);
    }
    if let Some(port) = other(&listeners.open) {
        return ("port_other", Some(port));
    }
    if listeners.loopback.contains(&internal) {
        return ("port_loopback", None);
    }
    if let Some(port) = other(&listeners.loopback) {
        return ("port_loopback", Some(port));
    }
    (if listeners.complete { "port_silent" } else { "port_unknown" }, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_says_what_is_wrong() {
        for (open, loopback, complete, expected) in [
            (&[8080][..], &[][..], true, ("port_other", Some(8080))),
            (&[9999, 3000], &[], true, ("port_other", Some(3000))),
            (&[9999], &[], false, ("port_other", Some(9999))),
            (&[8080], &[80], true, ("port_other", Some(8080))),
            (&[], &[80], true, ("port_loopback", None)),
            (&[], &[5000], true, ("port_loopback", Some(5000))),
            (&[], &[], true, ("port_silent", None)),
            // Ports that were tried from outside say nothing of those that were not.
            (&[], &[], false, ("port_unknown", None)),
            (&[80, 8080], &[], true, ("port_unknown", None)),
        ] {
            let listeners = Listeners { open: open.to_vec(), loopback: loopback.to_vec(), complete };
            assert_eq!(of_listeners(&listeners, 80, &[80, 8080, 3000, 5000]), expected, "{listeners:?}");
        }
    }
}
