//! Pages and fragments of mini PCs. Values are ready to show; templates branch, they don't compute.

use askama::Template;

use crate::web::format;
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

impl Row {
    /// The symbol of its status.
    pub fn icon(&self) -> &'static str {
        status_icon(self.status)
    }

    /// Under way to somewhere although its status is a settled one (active, and stopping): the symbol turns.
    pub fn busy(&self) -> bool {
        self.unsettled && matches!(self.status, "active" | "stopped")
    }

    pub fn is_error(&self) -> bool {
        self.status == "error"
    }

    pub fn is_unknown(&self) -> bool {
        self.status == "unknown"
    }

    pub fn is_building(&self) -> bool {
        self.status == "building"
    }

    pub fn is_active(&self) -> bool {
        self.status == "active"
    }

    /// Selects its row, for htmx.
    pub fn selector(&self) -> String {
        format!("#instance-{}", self.id)
    }

    /// The address to show: the one that can be reached from farther away.
    pub fn address(&self) -> &str {
        if self.floating_ip.is_empty() { &self.ip_address } else { &self.floating_ip }
    }
}

/// The symbol of a status in the pages' sprite.
pub fn status_icon(status: &str) -> &'static str {
    match status {
        "building" => "st-build",
        "active" => "st-on",
        "stopped" => "st-off",
        "rebooting" => "st-again",
        "deleting" => "st-del",
        "error" => "st-err",
        _ => "st-unk",
    }
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

/// A piece of a quota's bar, in percent of its width: `is-used`, `is-add` or the empty track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub x: String,
    pub width: String,
    pub class: &'static str,
}

/// Up to how many countable things are drawn as slots; more are a bar.
const SLOTS: u32 = 16;

impl QuotaBar {
    /// What is used, without the limit: "2", "512 MB".
    pub fn used_text(&self) -> String {
        if self.kind == "ram" { format::megabytes(self.used) } else { self.used.to_string() }
    }

    /// The bar as it is.
    pub fn pieces(&self) -> Vec<Piece> {
        self.pieces_from(self.used, self.percent)
    }

    /// The bar after `self`, with what it would take more than `now` drawn apart.
    pub fn pieces_after(&self, now: &QuotaBar) -> Vec<Piece> {
        self.pieces_from(now.used, now.percent)
    }

    /// The bar with the part above `used` (`percent`) as an addition.
    fn pieces_from(&self, used: u32, percent: u32) -> Vec<Piece> {
        let piece = |x: f64, width: f64, class| Piece { x: format!("{x:.2}%"), width: format!("{width:.2}%"), class };
        if self.kind == "ram" || self.limit == 0 || self.limit > SLOTS {
            let now = f64::from(percent.min(100));
            let after = f64::from(self.percent.min(100));
            let mut pieces = vec![piece(0.0, 100.0, "")];
            if after > now {
                pieces.push(piece(now, after - now, "is-add"));
            }
            pieces.push(piece(0.0, now.min(after), "is-used"));
            return pieces;
        }
        let step = 100.0 / f64::from(self.limit);
        let gap = if self.limit == 1 { 0.0 } else { 1.2 };
        (0..self.limit)
            .map(|slot| {
                let class = match slot {
                    slot if slot < used.min(self.used) => "is-used",
                    slot if slot < self.used => "is-add",
                    _ => "",
                };
                let gap = if slot + 1 == self.limit { 0.0 } else { gap };
                piece(f64::from(slot) * step, step - gap, class)
            })
            .collect()
    }
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
    /// As [`Detail::key_waiting`]: whoever has just rented a mini PC lands on the list.
    pub key_waiting: bool,
}

impl List {
    /// Nothing was rented, as opposed to nothing found.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub fn has_pages(&self) -> bool {
        !self.newer_href.is_empty() || !self.older_href.is_empty()
    }
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
    /// "Ubuntu 22.04 · 스왑 1 GB"
    pub image: String,
    pub vcpus: u32,
    /// "512 MB", "10 GB"
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

impl NewPage {
    /// Whether anything can be chosen.
    pub fn can_rent(&self) -> bool {
        self.templates.iter().any(|template| template.blocked.is_empty())
    }

    /// Whether a pair is made for this PC unless something else is chosen: what the closed fold says.
    pub fn makes_key(&self) -> bool {
        self.keys.iter().find(|key| key.checked).or(self.keys.first()).is_none_or(|key| key.value == "new")
    }

    /// The key that is chosen unless something else is: what the closed fold says.
    pub fn chosen_key(&self) -> &str {
        self.keys.iter().find(|key| key.checked).or(self.keys.first()).map_or("", |key| key.label.as_str())
    }

    /// The first is chosen unless another is.
    pub fn key_checked(&self, key: &KeyChoice, index: &usize) -> bool {
        key.checked || (*index == 0 && !self.keys.iter().any(|key| key.checked))
    }
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

impl Event {
    pub fn icon(&self) -> &'static str {
        status_icon(self.status)
    }
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

impl Detail {
    /// Whether this step, counted from 0, is the one that is under way: the first that isn't done.
    pub fn step_now(&self, index: &usize) -> bool {
        self.steps.iter().position(|(_, done)| !done) == Some(*index)
    }
}

/// `GET /instances/{id}/delete`: the question, without JavaScript a page of its own.
#[derive(Template)]
#[template(path = "instances/delete.html")]
pub struct DeletePage {
    pub page: Page,
    pub row: Row,
    pub size: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(pieces: &[Piece]) -> Vec<&'static str> {
        pieces.iter().map(|piece| piece.class).collect()
    }

    #[test]
    fn countable_things_are_slots() {
        let now = QuotaBar { kind: "instances", used: 1, limit: 3, percent: 33, ..QuotaBar::default() };
        let after = QuotaBar { used: 2, percent: 66, ..now.clone() };
        assert_eq!(classes(&now.pieces()), ["is-used", "", ""]);
        assert_eq!(classes(&after.pieces_after(&now)), ["is-used", "is-add", ""]);
    }

    #[test]
    fn measurable_things_are_a_bar() {
        let now = QuotaBar { kind: "ram", used: 512, limit: 4_096, percent: 12, ..QuotaBar::default() };
        let after = QuotaBar { used: 1_024, percent: 25, ..now.clone() };
        assert_eq!(classes(&now.pieces()), ["", "is-used"]);
        let pieces = after.pieces_after(&now);
        assert_eq!(classes(&pieces), ["", "is-add", "is-used"]);
        assert_eq!((pieces[1].x.as_str(), pieces[1].width.as_str()), ("12.00%", "13.00%"));
    }

    #[test]
    fn more_than_the_limit_stays_within_the_bar() {
        let over = QuotaBar { kind: "vcpus", used: 9, limit: 4, percent: 225, ..QuotaBar::default() };
        assert_eq!(classes(&over.pieces()), ["is-used"; 4]);
        assert_eq!(QuotaBar { kind: "ram", percent: 225, ..over }.pieces()[1].width, "100.00%");
    }
}
