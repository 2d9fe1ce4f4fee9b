//! Pages and fragments of mini PCs. Values are ready to show; templates branch, they don't compute.

use askama::Template;

use crate::web::page::{Age, Field, Page};

/// One mini PC, as a row of the list and at the head of its own page.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The row's element is `instance-{id}`.
    pub id: String,
    pub name: String,
    /// The template's name, as it was when it was rented.
    pub template: String,
    /// `data-status`: building, active, stopped, rebooting, deleting, error, unknown.
    pub status: &'static str,
    /// Its word: 실행 중, or 끄는 중 while a stop is under way.
    pub status_label: String,
    /// Something is under way (building, starting, stopping, rebooting, deleting): the row refreshes itself.
    pub unsettled: bool,
    /// What the machine waits for or why it is broken or unknown, in plain words; may be empty. For unknown:
    /// "14:02부터 확인되지 않아요. 마지막으로 본 상태: 실행 중".
    pub why: String,
    /// The cloud's own words under `why`, for who wants to know; may be empty. Hostile text.
    pub why_detail: String,
    /// Empty until there is one.
    pub ip_address: String,
    /// Empty when there is none.
    pub floating_ip: String,
    /// "3분 전", and the full time for `title`.
    pub created: String,
    pub created_at: String,
    pub can_start: bool,
    pub can_stop: bool,
    pub can_reboot: bool,
    pub can_delete: bool,
    pub csrf_token: String,
}

/// Use of one resource against its limit.
#[derive(Debug, Clone, Default)]
pub struct QuotaBar {
    /// `instances`, `vcpus` or `ram`.
    pub kind: &'static str,
    /// 미니 PC, vCPU, 메모리.
    pub name: String,
    pub used: u32,
    pub limit: u32,
    /// "2 / 3대", "512 MB / 4 GB".
    pub text: String,
    /// 0 to 100, for bars.
    pub percent: u32,
    pub near: bool,
    pub full: bool,
}

/// A link above the list that narrows it.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub label: String,
    pub count: u32,
    pub href: String,
    pub current: bool,
}

/// `GET /instances`. 30 a page; htmx asks for `GET /instances/rows?…` (the list below) while something is unsettled.
#[derive(Template)]
#[template(path = "instances/index.html")]
pub struct IndexPage {
    pub page: Page,
    pub list: List,
}

/// The part of the list page that refreshes itself: totals, filters, rows. Root element `#instance-list`.
#[derive(Template)]
#[template(path = "instances/_list.html")]
pub struct ListFragment {
    pub page: Page,
    pub list: List,
}

#[derive(Debug, Clone, Default)]
pub struct List {
    pub rows: Vec<Row>,
    /// 총 인스턴스, of the account, whatever the filter.
    pub total: u32,
    /// 실행 중인 인스턴스
    pub running: u32,
    pub quota: Vec<QuotaBar>,
    pub filters: Vec<Filter>,
    pub search: String,
    /// How old what the rows say is.
    pub age: Age,
    /// Whether the list asks again by itself, and how often (seconds).
    pub refresh_seconds: Option<u32>,
    /// The URL of this list as a fragment, with the same filter, search and page.
    pub refresh_url: String,
    /// Empty when there is none.
    pub newer_href: String,
    pub older_href: String,
}

/// `GET /instances/{id}/row` for htmx: the row alone, as after start, stop, reboot and delete from the list.
#[derive(Template)]
#[template(path = "instances/_row.html")]
pub struct RowFragment {
    pub page: Page,
    pub row: Row,
}

/// A template's card on the rent form.
#[derive(Debug, Clone, Default)]
pub struct TemplateCard {
    pub id: String,
    pub name: String,
    /// "개인 프로젝트"
    pub purpose: String,
    /// "Ubuntu 22.04"
    pub image: String,
    pub vcpus: u32,
    /// "512 MB", "10 GB + 1 GB 스왑"
    pub ram: String,
    pub disk: String,
    /// Shares of the largest template, 0 to 100, for the three bars.
    pub vcpus_percent: u32,
    pub ram_percent: u32,
    pub disk_percent: u32,
    pub checked: bool,
    /// Why it can't be rented now (quota, or the cloud lacks the flavor); empty when it can.
    pub blocked: String,
    /// What the account's quota would be with it, in the order of `NewPage::quota`: "3 / 3대".
    pub after: Vec<QuotaBar>,
}

/// A key to choose on the rent form.
#[derive(Debug, Clone, Default)]
pub struct KeyChoice {
    /// A key's id, or `new` for a pair that the portal makes.
    pub value: String,
    pub label: String,
    pub checked: bool,
}

/// `GET /instances/new`, and `POST /instances` with errors (422). Fields `name`, `template_id`, `ssh_key`, `launch_key`.
#[derive(Template)]
#[template(path = "instances/new.html")]
pub struct NewPage {
    pub page: Page,
    pub name: Field,
    pub template_id: Field,
    pub templates: Vec<TemplateCard>,
    /// Hidden field `launch_key`: a double click rents one PC.
    pub launch_key: String,
    /// Within a fold: "접속 키". The first is chosen unless another is checked.
    pub keys: Vec<KeyChoice>,
    pub ssh_key: Field,
    pub quota: Vec<QuotaBar>,
    /// The sentence above the button (quota used up, no template); empty when all is well.
    pub error: String,
}

/// One thing that happened to a mini PC, newest first.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// For the icon: as `Row::status`.
    pub status: &'static str,
    pub text: String,
    /// May be empty.
    pub detail: String,
    /// "오늘 13:20" and RFC 3339.
    pub when: String,
    pub at: String,
}

/// How to get in by SSH. None until there is an address.
#[derive(Debug, Clone, Default)]
pub struct SshHelp {
    /// `ssh -i ~/Downloads/fast-cloud-my-key.pem root@203.0.113.7`
    pub command: String,
    pub user: String,
    /// The file that the private key was downloaded as; empty when the person brought a key of their own.
    pub key_file: String,
    /// No key was installed (the template's key pair is used): SSH needs the admin's help.
    pub no_key: bool,
}

/// `GET /instances/{id}`.
#[derive(Template)]
#[template(path = "instances/show.html")]
pub struct ShowPage {
    pub page: Page,
    pub detail: Detail,
}

/// The part of an instance's page that refreshes itself: `GET /instances/{id}/detail` for htmx. Root `#instance-detail`.
#[derive(Template)]
#[template(path = "instances/_detail.html")]
pub struct DetailFragment {
    pub page: Page,
    pub detail: Detail,
}

#[derive(Debug, Clone, Default)]
pub struct Detail {
    pub row: Row,
    pub age: Age,
    /// "1 vCPU · 512 MB · 10 GB"
    pub size: String,
    pub image: String,
    pub network: String,
    /// The cloud's id; empty until it is known.
    pub cloud_id: String,
    pub ssh: Option<SshHelp>,
    pub events: Vec<Event>,
    pub refresh_seconds: Option<u32>,
    /// A private key waits to be downloaded (once): form `POST /keys/pick-up` with no other field; shows `secret`.
    pub key_waiting: bool,
    /// Steps while building, in order, with how far it is: (text, done).
    pub steps: Vec<(String, bool)>,
}

/// `GET /instances/{id}/delete`: the question, without JavaScript a page of its own.
#[derive(Template)]
#[template(path = "instances/delete.html")]
pub struct DeletePage {
    pub page: Page,
    pub row: Row,
    pub size: String,
}
