//! Handlers of the dashboard.

use actix_web::HttpResponse;
use chrono::NaiveDateTime;

use super::views::{ApplicationsCard, ApplicationsFragment, InstancesCard, InstancesFragment, ShowPage, Summary};
use crate::applications::model::{self as applications, Application};
use crate::applications::present::Context as Containers;
use crate::buckets::model::{self as buckets};
use crate::buckets::present::Context as Files;
use crate::buckets::views::DashboardCard;
use crate::cloud_services::{self, CloudService};
use crate::config::Quota;
use crate::error::Result;
use crate::ids::AccountId;
use crate::instances::model::{self as instances, Instance};
use crate::instances::present::Context as Machines;
use crate::quotas;
use crate::web::format;
use crate::web::page::{Lang, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{fragment, html, see_other};

/// Rows on a card; the list has the rest.
const ROWS: i64 = 5;

/// How many of everything there are, and how the services are.
struct Overview {
    machines: instances::Counts,
    containers: applications::Counts,
    files: buckets::Usage,
    limit: Quota,
    compute: CloudService,
    cluster: CloudService,
    objects: CloudService,
}

impl Overview {
    async fn load(reader: &Reader, account: AccountId) -> Result<Self> {
        let default = reader.app.config.quota;
        reader
            .app
            .db
            .run(move |conn| {
                Ok(Self {
                    machines: Instance::counts(conn, account)?,
                    containers: Application::counts(conn, account)?,
                    files: buckets::usage(conn, account)?,
                    limit: quotas::limit(conn, account, default)?,
                    compute: CloudService::load(conn, cloud_services::COMPUTE)?,
                    cluster: CloudService::load(conn, cloud_services::APPLICATIONS)?,
                    objects: CloudService::load(conn, cloud_services::OBJECTS)?,
                })
            })
            .await
    }

    fn machines<'a>(&'a self, reader: &'a Reader) -> Machines<'a> {
        Machines::new(reader.lang, &reader.app, &self.compute, reader.csrf_token())
    }

    fn containers<'a>(&'a self, reader: &'a Reader) -> Containers<'a> {
        Containers::new(reader.lang, &reader.app, &self.cluster, reader.csrf_token())
    }

    fn files<'a>(&'a self, reader: &'a Reader) -> Files<'a> {
        Files::new(reader.lang, &reader.app, &self.objects)
    }

    fn summary(&self, reader: &Reader, name: &str) -> Summary {
        let (machines, containers) = (self.machines(reader), self.containers(reader));
        let silent = (machines.silent_since().is_some() && self.machines.total > 0)
            || (containers.silent_since().is_some() && self.containers.total > 0);
        let mut quota = machines.quota(self.machines.usage, self.limit);
        quota.extend(containers.quota(self.containers.usage, self.limit));
        quota.extend(self.files(reader).quota(self.files, self.limit));
        let start = self.machines.total == 0 && self.containers.total == 0 && self.files.buckets == 0;
        if start {
            // Who has nothing yet is told what there is to have; the rest stands on each form.
            quota.retain(|bar| matches!(bar.kind, "instances" | "applications" | "storage"));
        }
        Summary {
            headline: headline(reader.lang, name, self.machines, self.containers, silent),
            quota,
            start,
            refresh_seconds: machines.refresh(false),
        }
    }
}

/// "14:02부터 응답이 없어요."; empty when the service answers.
fn silence(reader: &Reader, since: Option<NaiveDateTime>, now: NaiveDateTime) -> String {
    since.map_or_else(String::new, |since| {
        let time = format::clock(since, now, reader.app.config.server.time_zone);
        reader.lang.t1("cloud.silent_since", "time", &time).into_owned()
    })
}

async fn instances_card(reader: &Reader, account: AccountId, overview: &Overview) -> Result<InstancesCard> {
    let load = move |conn: &mut diesel::mysql::MysqlConnection| {
        Ok(Instance::list(conn, account, instances::Filter::All, "", 0, ROWS)?)
    };
    let rows = reader.app.db.run(load).await?;
    let context = overview.machines(reader);
    Ok(InstancesCard {
        rows: rows.iter().map(|row| context.row(row)).collect(),
        total: overview.machines.total,
        running: overview.machines.running,
        age: context.age(),
        refresh_seconds: context.refresh(overview.machines.unsettled > 0),
        problem: silence(reader, context.silent_since(), context.now),
    })
}

async fn applications_card(reader: &Reader, account: AccountId, overview: &Overview) -> Result<ApplicationsCard> {
    let load = move |conn: &mut diesel::mysql::MysqlConnection| {
        Ok(Application::list(conn, account, applications::Filter::All, "", 0, ROWS)?)
    };
    let rows = reader.app.db.run(load).await?;
    let context = overview.containers(reader);
    Ok(ApplicationsCard {
        rows: rows.iter().map(|(row, deployed)| context.row(row, deployed)).collect(),
        total: overview.containers.total,
        running: overview.containers.running,
        age: context.age(),
        refresh_seconds: context.refresh(overview.containers.unsettled > 0),
        problem: silence(reader, context.silent_since(), context.now),
    })
}

/// How things are, in a sentence for each service that is used: what needs a look comes first.
fn headline(
    lang: Lang,
    name: &str,
    machines: instances::Counts,
    containers: applications::Counts,
    silent: bool,
) -> String {
    let mut sentences: Vec<(u8, String)> = [
        ("headline", machines.total, machines.running, machines.needs_look, machines.unsettled),
        ("apps", containers.total, containers.running, containers.needs_look, containers.unsettled),
    ]
    .into_iter()
    .filter(|(_, total, ..)| *total > 0)
    .map(|(kind, total, running, needs_look, unsettled)| {
        let (urgency, part, count) = match (needs_look, unsettled) {
            (1.., _) => (0, "look", needs_look),
            (0, 1..) => (1, "building", unsettled),
            _ if running == total => (2, "all", 0),
            _ => (2, "some", 0),
        };
        let values = [total, running, count].map(|number| number.to_string());
        let values = [("total", values[0].as_str()), ("running", &values[1]), ("count", &values[2])];
        (urgency, lang.tv(&format!("dashboard.{kind}_{part}"), &values).into_owned())
    })
    .collect();
    if sentences.is_empty() {
        return lang.t("dashboard.headline_none").into_owned();
    }
    if silent {
        return lang.t("dashboard.headline_cloud").into_owned();
    }
    sentences.sort_by_key(|(urgency, _)| *urgency);
    let text = sentences.into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>().join(" ");
    lang.tv("dashboard.headline_name", &[("name", name), ("text", &text)]).into_owned()
}

/// `GET /dashboard`
pub async fn show(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    let overview = Overview::load(&reader, account.id).await?;
    html(&ShowPage {
        summary: overview.summary(&reader, &account.name),
        instances: instances_card(&reader, account.id, &overview).await?,
        applications: applications_card(&reader, account.id, &overview).await?,
        buckets: crate::buckets::routes::list(&reader, account.id, 0, ROWS).await?,
        page: reader.page(Menu::Dashboard),
    })
}

/// `GET /dashboard/instances`: the card of mini PCs alone.
pub async fn instances(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other("/dashboard"));
    }
    let overview = Overview::load(&reader, account.id).await?;
    fragment(&InstancesFragment {
        summary: overview.summary(&reader, &account.name),
        instances: instances_card(&reader, account.id, &overview).await?,
        page: reader.page(Menu::Dashboard),
    })
}

/// `GET /dashboard/applications`: the card of containers alone.
pub async fn applications(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other("/dashboard"));
    }
    let overview = Overview::load(&reader, account.id).await?;
    fragment(&ApplicationsFragment {
        summary: overview.summary(&reader, &account.name),
        applications: applications_card(&reader, account.id, &overview).await?,
        page: reader.page(Menu::Dashboard),
    })
}

/// `GET /dashboard/buckets`: the card of files alone.
pub async fn buckets(reader: Reader, account: CurrentAccount) -> Result<HttpResponse> {
    if !reader.htmx {
        return Ok(see_other("/dashboard"));
    }
    let list = crate::buckets::routes::list(&reader, account.id, 0, ROWS).await?;
    fragment(&DashboardCard { list, page: reader.page(Menu::Dashboard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines(total: u32, running: u32, needs_look: u32, unsettled: u32) -> instances::Counts {
        instances::Counts { total, running, needs_look, unsettled, ..instances::Counts::default() }
    }

    fn containers(total: u32, running: u32, needs_look: u32, unsettled: u32) -> applications::Counts {
        applications::Counts { total, running, needs_look, unsettled, ..applications::Counts::default() }
    }

    #[test]
    fn what_needs_a_look_is_said_first() {
        let say = |machines, containers| headline(Lang::Ko, "하늘", machines, containers, false);
        assert_eq!(say(machines(0, 0, 0, 0), containers(0, 0, 0, 0)), "무엇부터 켜 볼까요?");
        assert_eq!(say(machines(2, 2, 0, 0), containers(0, 0, 0, 0)), "하늘 님, 미니 PC 2대가 모두 켜져 있어요.");
        assert_eq!(
            say(machines(3, 2, 0, 0), containers(4, 2, 1, 1)),
            "하늘 님, 컨테이너 1개를 확인해 주세요. 미니 PC 3대 중 2대가 켜져 있어요."
        );
        assert_eq!(
            say(machines(3, 2, 0, 1), containers(1, 1, 0, 0)),
            "하늘 님, 미니 PC 1대를 만들고 있어요. 컨테이너 1개가 모두 켜져 있어요."
        );
    }

    #[test]
    fn a_silent_cloud_is_told_only_to_who_uses_it() {
        let nothing = headline(Lang::En, "Kim", machines(0, 0, 0, 0), containers(0, 0, 0, 0), true);
        assert_eq!(nothing, Lang::En.t("dashboard.headline_none"));
        let something = headline(Lang::En, "Kim", machines(0, 0, 0, 0), containers(1, 1, 0, 0), true);
        assert_eq!(something, Lang::En.t("dashboard.headline_cloud"));
    }
}
