//! Pages and fragments of containers. Values are ready to show; templates branch, they don't compute.

use askama::Template;

use super::forms::USUAL_PORT;
use crate::instances::views::{Filter, QuotaBar};
use crate::web::page::{Age, Field, Page};

/// One container, as a row of the list and at the head of its own page.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The row's element is `application-{id}`.
    pub id: String,
    pub name: String,
    /// `data-status`: pending, running, stopped, failed, deleting, unknown.
    pub status: &'static str,
    /// Its word: 실행 중, or 다시 배포 중 while a new version is on its way.
    pub status_label: String,
    /// Something is under way: the row refreshes itself.
    pub unsettled: bool,
    /// What it waits for or why it is broken or unknown, in one line; may be empty.
    pub why: String,
    /// Whether `why` is about what the person can mend.
    pub needs_fix: bool,
    /// As it was typed.
    pub image: String,
    pub external_port: u16,
    pub internal_port: u16,
    /// `http://my-app.apps.localhost:8001`
    pub url: String,
    /// The same without the scheme.
    pub address: String,
    /// Whether it is worth to be opened: something answers there, as far as is known.
    pub can_open: bool,
    /// "3분 전", and the full time for `title`.
    pub deployed: String,
    pub deployed_at: String,
    pub can_start: bool,
    pub can_stop: bool,
    pub can_redeploy: bool,
    pub can_delete: bool,
    pub csrf_token: String,
}

impl Row {
    /// The symbol of its status.
    pub fn icon(&self) -> &'static str {
        status_icon(self.status)
    }

    /// Under way to somewhere although its status is a settled one (running, and stopping): the symbol turns.
    pub fn busy(&self) -> bool {
        self.unsettled && matches!(self.status, "running" | "stopped" | "failed")
    }

    pub fn is_pending(&self) -> bool {
        self.status == "pending"
    }

    pub fn is_stopped(&self) -> bool {
        self.status == "stopped"
    }

    pub fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// The address's own part, and the rest, which all addresses have in common.
    pub fn label(&self) -> &str {
        self.address.split_once('.').map_or(self.address.as_str(), |(label, _)| label)
    }

    pub fn domain(&self) -> &str {
        &self.address[self.label().len()..]
    }

    /// Selects its row, for htmx.
    pub fn selector(&self) -> String {
        format!("#application-{}", self.id)
    }
}

/// The symbol of a status in the pages' sprite.
pub fn status_icon(status: &str) -> &'static str {
    match status {
        "pending" => "st-build",
        "running" => "st-on",
        "stopped" => "st-off",
        "deleting" => "st-del",
        "failed" => "st-err",
        _ => "st-unk",
    }
}

/// `GET /applications`. 30 a page; htmx asks for `GET /applications/rows?…` (the list below) while it is open.
#[derive(Template)]
#[template(path = "applications/index.html")]
pub struct IndexPage {
    pub page: Page,
    pub list: List,
}

/// The part of the list page that refreshes itself: totals, filters, rows. Root element `#application-list`.
#[derive(Template)]
#[template(path = "applications/_list.html")]
pub struct ListFragment {
    pub page: Page,
    pub list: List,
}

#[derive(Debug, Clone, Default)]
pub struct List {
    pub rows: Vec<Row>,
    /// 총 컨테이너, of the account, whatever the filter.
    pub total: u32,
    /// 실행 중인 컨테이너
    pub running: u32,
    pub quota: Vec<QuotaBar>,
    pub filters: Vec<Filter>,
    pub search: String,
    /// How old what the rows say is.
    pub age: Age,
    /// How often the list asks again by itself (seconds).
    pub refresh_seconds: Option<u32>,
    /// The URL of this list as a fragment, with the same filter, search and page.
    pub refresh_url: String,
    /// Empty when there is none.
    pub newer_href: String,
    pub older_href: String,
}

impl List {
    /// Nothing was deployed, as opposed to nothing found.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub fn has_pages(&self) -> bool {
        !self.newer_href.is_empty() || !self.older_href.is_empty()
    }
}

/// `GET /applications/{id}/row` for htmx: the row alone, as after start and stop from the list.
#[derive(Template)]
#[template(path = "applications/_row.html")]
pub struct RowFragment {
    pub page: Page,
    pub row: Row,
}

/// A thing to choose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub selected: bool,
}

/// What the fields say that both forms have: for a new container, and for a change.
#[derive(Debug, Clone, Default)]
pub struct Form {
    pub image: Field,
    /// What is known of the image that stands in the field; None: it was not looked at.
    pub image_check: Option<ImageCheck>,
    pub internal_port: Field,
    pub external_port: Field,
    /// The port that we put into the field ourselves: while it still stands there, what the image says counts. Empty
    /// when a person typed it.
    pub port_guess: String,
    /// `NAME=value`, one a line.
    pub variables: Field,
    /// The same; never filled in.
    pub secrets: Field,
    /// Secret values were typed and not taken over, because something else was wrong.
    pub secrets_lost: bool,
    /// Secret variables that are kept already.
    pub secret_names: Vec<String>,
    pub size: Field,
    pub sizes: Vec<Choice>,
    pub replicas: Field,
    pub replica_choices: Vec<Choice>,
    /// Whether the fold with variables and size is open.
    pub open: bool,
    /// The sentence above the button (quota used up); empty when all is well.
    pub error: String,
}

impl Form {
    /// What stands in the port's field when nothing is known.
    pub fn usual_port(&self) -> u16 {
        USUAL_PORT
    }

    /// What the drawing of the route says before anything is typed.
    pub fn replicas_text(&self) -> &str {
        if self.replicas.value.is_empty() { "1" } else { &self.replicas.value }
    }
}

/// The address that a name gets.
#[derive(Debug, Clone, Default)]
pub struct NameCheck {
    /// In words; an error's sentence when `ok` is false.
    pub text: String,
    pub ok: bool,
    /// Empty when there is none.
    pub url: String,
}

/// `GET /applications/check?name=` for htmx: into `#name-check`, and the address into the drawing.
#[derive(Template)]
#[template(path = "applications/_name_check.html")]
pub struct NameFragment {
    pub page: Page,
    pub name_check: NameCheck,
    /// For the drawing: what stands there while there is no address.
    pub placeholder: String,
}

/// What is known of an image.
#[derive(Debug, Clone, Default)]
pub struct ImageCheck {
    /// `good`, `warn` (it could not be read, and may be deployed all the same) or `bad`.
    pub tone: &'static str,
    pub text: String,
    /// What to know of it: name and value.
    pub facts: Vec<(String, String)>,
    /// The port that it exposes, for the field.
    pub port: Option<u16>,
}

impl ImageCheck {
    pub fn is_good(&self) -> bool {
        self.tone == "good"
    }

    pub fn is_bad(&self) -> bool {
        self.tone == "bad"
    }
}

/// `GET /applications/image?image=` for htmx: into `#image-check`.
#[derive(Template)]
#[template(path = "applications/_image_check.html")]
pub struct ImageFragment {
    pub page: Page,
    pub image_check: ImageCheck,
}

/// `GET /applications/new`, and `POST /applications` with errors (422). Fields `name`, `image`, `internal_port`,
/// `external_port`, `variables`, `secrets`, `size`, `replicas`, `port_guess`, `launch_key`.
#[derive(Template)]
#[template(path = "applications/new.html")]
pub struct NewPage {
    pub page: Page,
    pub name: Field,
    /// None: nothing was typed yet.
    pub name_check: Option<NameCheck>,
    /// `이름.apps.localhost`: what the drawing shows before a name is typed.
    pub placeholder: String,
    pub form: Form,
    /// Hidden field `launch_key`: a double click deploys one container.
    pub launch_key: String,
    pub quota: Vec<QuotaBar>,
    /// What the number of containers would be afterwards.
    pub after: QuotaBar,
    /// Whether there is room for another one.
    pub can_deploy: bool,
}

impl NewPage {
    /// The address in the drawing.
    pub fn url(&self) -> &str {
        match &self.name_check {
            Some(check) if !check.url.is_empty() => &check.url,
            _ => &self.placeholder,
        }
    }
}

/// `GET /applications/{id}/edit`, and `POST /applications/{id}/redeploy` with errors (422). Fields as [`NewPage`], without
/// a name, and `remove_secret` for each secret variable that goes.
#[derive(Template)]
#[template(path = "applications/edit.html")]
pub struct EditPage {
    pub page: Page,
    pub row: Row,
    pub form: Form,
    pub quota: Vec<QuotaBar>,
}

/// One thing that happened to a container.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// For the icon: as `Row::status`; empty for none.
    pub status: &'static str,
    pub text: String,
    /// May be empty. Hostile text.
    pub detail: String,
    /// "13:20" and RFC 3339; may be empty.
    pub when: String,
    pub at: String,
}

impl Event {
    pub fn icon(&self) -> &'static str {
        if self.status.is_empty() { "dot" } else { status_icon(self.status) }
    }
}

/// `GET /applications/{id}`.
#[derive(Template)]
#[template(path = "applications/show.html")]
pub struct ShowPage {
    pub page: Page,
    pub detail: Detail,
}

/// The part of a container's page that refreshes itself: `GET /applications/{id}/detail` for htmx. Root
/// `#application-detail`.
#[derive(Template)]
#[template(path = "applications/_detail.html")]
pub struct DetailFragment {
    pub page: Page,
    pub detail: Detail,
}

#[derive(Debug, Clone, Default)]
pub struct Detail {
    pub row: Row,
    pub age: Age,
    pub problem: Option<Problem>,
    /// Steps while it is being deployed, in order, with how far it is: (text, done).
    pub steps: Vec<(String, bool)>,
    /// From the address to the container.
    pub route: Vec<RouteStep>,
    /// `sha256:…`, empty until it is known; and its beginning.
    pub digest: String,
    pub digest_short: String,
    pub pods: Vec<Pod>,
    /// "2개 중 1개 준비됨"
    pub ready: String,
    pub restarts: String,
    /// "작게 · 0.25 vCPU · 128 MB"
    pub size: String,
    pub revision: String,
    /// "3분 전", and the full time for `title`.
    pub created: String,
    pub created_at: String,
    pub variables: Vec<(String, String)>,
    pub secret_names: Vec<String>,
    pub events: Vec<Event>,
    pub log: Log,
    pub refresh_seconds: Option<u32>,
    /// About the practice cloud: where its addresses lead. Empty on a real cluster.
    pub practice: String,
}

impl Detail {
    /// Whether this step, counted from 0, is the one that is under way: the first that isn't done.
    pub fn step_now(&self, index: &usize) -> bool {
        self.steps.iter().position(|(_, done)| !done) == Some(*index)
    }

    pub fn is_broken(&self) -> bool {
        self.route.iter().any(|step| step.broken)
    }

    /// Whether the page's one primary button is that of the problem, not the one that opens the address.
    pub fn fix_is_primary(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| !problem.fixes.is_empty() || problem.by_hand)
    }
}

/// What is wrong, what it means, and what to do.
#[derive(Debug, Clone, Default)]
pub struct Problem {
    /// Its name, for scripts and tests; empty while it can't be seen.
    pub reason: String,
    /// Something waits or can't be seen, as opposed to broken.
    pub is_warning: bool,
    pub icon: &'static str,
    pub title: String,
    pub text: String,
    /// About the exit code; may be empty.
    pub more: String,
    pub next: String,
    /// The former version goes on answering: said with it. May be empty.
    pub old_answers: String,
    /// Buttons; the first is the page's primary one.
    pub fixes: Vec<Fix>,
    /// Whether the form for changes is a way out: the primary one if there is no button.
    pub by_hand: bool,
    /// How frameworks are told to wait at 0.0.0.0.
    pub loopback: Vec<(&'static str, &'static str)>,
    /// The last lines of the log. Hostile text.
    pub log: Vec<String>,
    /// The cluster's own words; may be empty. Hostile text.
    pub detail: String,
}

/// A button that mends: a form with these hidden fields.
#[derive(Debug, Clone, Default)]
pub struct Fix {
    /// `redeploy`, `delete`, `stop`, `start`.
    pub verb: &'static str,
    pub fields: Vec<(&'static str, String)>,
    pub label: String,
    pub icon: &'static str,
}

/// One stop between the browser and the container.
#[derive(Debug, Clone, Default)]
pub struct RouteStep {
    pub icon: &'static str,
    pub title: String,
    pub note: String,
    pub broken: bool,
}

/// One replica.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    pub name: String,
    /// The end of its name, which tells it from the others.
    pub short: String,
    pub status: &'static str,
    pub label: String,
    /// "다시 시작 3번"; empty when never.
    pub restarts: String,
}

impl Pod {
    pub fn icon(&self) -> &'static str {
        status_icon(self.status)
    }
}

/// Whose log is shown, and where more of it comes from.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The container's id and name.
    pub id: String,
    pub name: String,
    /// Of the replica that is shown; empty when there is none.
    pub pod: String,
    /// Replicas to choose from: the value is the pod's name.
    pub pods: Vec<Choice>,
    /// The run before the last restart.
    pub previous: bool,
    /// Whether there was one.
    pub has_previous: bool,
    /// As far as they were asked for.
    pub lines: Vec<LogLine>,
    /// What stands in place of the lines; may be empty.
    pub message: String,
    /// "마지막 200줄이에요."
    pub note: String,
    /// It has a page of its own already.
    pub is_page: bool,
}

impl Log {
    /// The page with this log.
    pub fn href(&self, pod: &str, previous: bool) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("pod", pod);
        if previous {
            query.append_pair("previous", "true");
        }
        format!("/applications/{}/logs?{}", self.id, query.finish())
    }

    /// The page with what is shown now.
    pub fn here(&self) -> String {
        self.href(&self.pod, self.previous)
    }

    /// Where the log is followed.
    pub fn stream(&self) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("pod", &self.pod).finish();
        format!("/applications/{}/logs/stream?{query}", self.id)
    }

    pub fn has_choice(&self) -> bool {
        self.pods.len() > 1
    }
}

/// A line of a log. Hostile text.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// "14:31:02.118"; empty when it is not known.
    pub time: String,
    pub text: String,
    /// `warn`, `bad` or empty.
    pub tone: &'static str,
}

/// `GET /applications/{id}/logs`: a page, for htmx its section alone.
#[derive(Template)]
#[template(path = "applications/logs.html")]
pub struct LogsPage {
    pub page: Page,
    pub row: Row,
    pub log: Log,
}

/// The same for htmx. Root `#application-log`.
#[derive(Template)]
#[template(path = "applications/_log.html")]
pub struct LogFragment {
    pub page: Page,
    pub log: Log,
}

/// `GET /applications/{id}/events`: what the cluster tells; a page, for htmx its section alone.
#[derive(Template)]
#[template(path = "applications/events.html")]
pub struct EventsPage {
    pub page: Page,
    pub row: Row,
    pub events: ClusterEvents,
}

/// The same for htmx. Root `#cluster-events`.
#[derive(Template)]
#[template(path = "applications/_events.html")]
pub struct EventsFragment {
    pub page: Page,
    pub events: ClusterEvents,
}

#[derive(Debug, Clone, Default)]
pub struct ClusterEvents {
    pub id: String,
    /// Newest first.
    pub lines: Vec<Event>,
    /// The cluster did not answer.
    pub failed: bool,
}

/// `GET /applications/{id}/delete`: the question, without JavaScript a page of its own.
#[derive(Template)]
#[template(path = "applications/delete.html")]
pub struct DeletePage {
    pub page: Page,
    pub row: Row,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::page::{Lang, Simulated};

    #[test]
    fn a_pod_s_name_is_escaped_in_links() {
        let log = Log { id: "1".to_owned(), pod: "a&previous=true#x".to_owned(), ..Log::default() };
        assert_eq!(log.stream(), "/applications/1/logs/stream?pod=a%26previous%3Dtrue%23x");
        assert_eq!(log.href("a b", true), "/applications/1/logs?pod=a+b&previous=true");
        assert_eq!(log.href("a", false), "/applications/1/logs?pod=a");
    }

    #[test]
    fn the_banner_names_what_is_pretended() {
        let banner = |machines, containers, files| {
            let page = Page { simulated: Simulated { machines, containers, files }, ..Page::default() };
            let text = DeletePage { page, row: Row::default() }.render().unwrap();
            let start = text.find("<aside class=\"banner\"")?;
            Some(text[start..start + text[start..].find("</aside>")?].to_owned())
        };
        let says = |machines, containers, files, sentence| {
            let banner = banner(machines, containers, files).unwrap();
            assert!(banner.contains(Lang::Ko.t(sentence).as_ref()), "{banner}");
        };
        says(true, true, true, "layout.banner_both");
        says(true, false, false, "layout.banner_machines");
        says(false, true, false, "layout.banner_containers");
        says(true, true, true, "layout.banner_files");
        says(false, false, true, "layout.banner_files");
        assert_eq!(banner(false, false, false), None);
    }

    #[test]
    fn the_first_step_that_is_not_done_is_under_way() {
        let steps = [("a", true), ("b", false), ("c", false)].map(|(text, done)| (text.to_owned(), done)).to_vec();
        let detail = Detail { steps, ..Detail::default() };
        assert_eq!([0, 1, 2].map(|index| detail.step_now(&index)), [false, true, false]);
    }
}
