//! `fast-cloud check`: each thing that the portal needs of OpenStack, tried, with advice where it fails.

use super::OpenStack;
use super::session::Service;
use crate::cloud::objects::ObjectStore;
use crate::cloud::{CheckLine, CheckOutcome, CloudError};

impl OpenStack {
    pub(super) async fn check_all(&self) -> Vec<CheckLine> {
        self.check_services(&[Service::Compute, Service::Image, Service::Network]).await
    }

    pub(super) async fn check_services(&self, services: &[Service]) -> Vec<CheckLine> {
        let login = self.check_login().await;
        let works = matches!(login, CheckOutcome::Works(_));
        let mut lines = vec![line("Keystone login", login)];
        for service in services.iter().copied() {
            let what = format!("{} address", service.name());
            if !works {
                lines.push(line(&what, CheckOutcome::Skipped("needs the login".to_owned())));
                continue;
            }
            let address = self.check_address(service).await;
            let known = matches!(address, CheckOutcome::Works(_));
            lines.push(line(&what, address));
            lines.extend(self.check_service(service, known).await);
        }
        lines
    }

    async fn check_login(&self) -> CheckOutcome {
        let credentials = self.session.credentials();
        match self.session.fresh_token().await {
            Ok(token) => {
                let unchecked = if credentials.verify { "" } else { "; WARNING: certificates are not checked" };
                CheckOutcome::Works(format!(
                    "{}, {}, tokens of {} minutes{unchecked}",
                    credentials.auth_url,
                    token.who,
                    token.life.as_secs() / 60
                ))
            }
            Err(err) => fails(&err, &format!("Look at the login in {}.", credentials.source)),
        }
    }

    async fn check_address(&self, service: Service) -> CheckOutcome {
        match self.session.address(service).await {
            Ok(url) => CheckOutcome::Works(url.to_string()),
            Err(err) => fails(&err, "Look at region_name and interface, and at `openstack catalog list`."),
        }
    }

    async fn check_service(&self, service: Service, known: bool) -> Vec<CheckLine> {
        if !known {
            return vec![line(service.name(), CheckOutcome::Skipped("its address is not known".to_owned()))];
        }
        match service {
            Service::Compute => vec![
                line("Nova version", self.check_version().await),
                line("Nova machines", counted(self.servers_since(None).await, "machines in the project")),
                line("Nova flavors", filled(self.flavors().await, "flavors", "Make a flavor.")),
            ],
            Service::Image => {
                vec![line("Glance images", filled(self.images().await, "images", "Upload an image."))]
            }
            Service::Network => {
                let networks = self.networks().await.map(|networks| networks.tenant);
                vec![line("Neutron networks", filled(networks, "networks", "Make a network with a subnet."))]
            }
            Service::Objects => vec![line("Swift containers", counted(self.containers().await, "containers"))],
        }
    }

    async fn check_version(&self) -> CheckOutcome {
        match self.newest_microversion().await {
            Ok(Some(version)) => CheckOutcome::Works(format!("up to {version}")),
            Ok(None) => CheckOutcome::Works("without microversions: machines are found by listing them all".to_owned()),
            Err(err) => fails(&err, advice(&err)),
        }
    }
}

fn counted<T>(result: Result<Vec<T>, CloudError>, what: &str) -> CheckOutcome {
    match result {
        Ok(list) => CheckOutcome::Works(format!("{} {what}", list.len())),
        Err(err) => fails(&err, advice(&err)),
    }
}

/// As [`counted`], but none at all is a failure.
fn filled<T>(result: Result<Vec<T>, CloudError>, what: &str, advice: &str) -> CheckOutcome {
    match result {
        Ok(list) if list.is_empty() => {
            CheckOutcome::Fails { problem: format!("the project sees no {what}"), advice: advice.to_owned() }
        }
        other => counted(other, what),
    }
}

fn fails(err: &CloudError, advice: &str) -> CheckOutcome {
    CheckOutcome::Fails { problem: err.to_string(), advice: advice.to_owned() }
}

fn advice(err: &CloudError) -> &'static str {
    match err {
        CloudError::Unavailable { .. } => {
            "See whether the service runs and its address can be reached from this machine; its log has the reason."
        }
        CloudError::Rejected(_) => "The user's role in the project may be too small: `member` is enough.",
        CloudError::NotFound(_) => "The address in the service catalogue seems to be another service's.",
        CloudError::QuotaExceeded(_) => "Raise the project's quota: `openstack quota set`.",
        CloudError::Conflict(_) => "Try again.",
    }
}

fn line(what: &str, outcome: CheckOutcome) -> CheckLine {
    CheckLine { what: what.to_owned(), outcome }
}

#[cfg(test)]
mod tests;
