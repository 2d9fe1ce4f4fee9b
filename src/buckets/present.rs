//! From rows and listings to what pages show.

use chrono::{NaiveDateTime, TimeDelta};

use super::files::{Lines, Query, Sort};
use super::kinds;
use super::model::links::ShareLink;
use super::model::removals::Removal;
use super::model::{Bucket, Status, Usage};
use super::views::{Crumb, Folder, Line, Link, List, Row, SortLink};
use super::{bucket_path, file_path, folder_path, in_query, object_path};
use crate::app::App;
use crate::cloud::objects::{Entry, ObjectKey};
use crate::cloud_services::CloudService;
use crate::config::Quota;
use crate::db;
use crate::instances::views::QuotaBar;
use crate::web::format;
use crate::web::page::{Age, Lang};

/// What every row on a page is shown with.
pub struct Context<'a> {
    pub lang: Lang,
    pub now: NaiveDateTime,
    pub app: &'a App,
    pub service: &'a CloudService,
}

/// A number of things in the reader's language.
fn count(lang: Lang, key: &str, n: u64) -> String {
    lang.t1(key, "n", format::number(n)).into_owned()
}

impl<'a> Context<'a> {
    pub fn new(lang: Lang, app: &'a App, service: &'a CloudService) -> Self {
        Self { lang, now: db::now(), app, service }
    }

    fn t(&self, key: &str) -> String {
        self.lang.t(key).into_owned()
    }

    /// Since when the store has not answered, if that is to be told.
    pub fn silent_since(&self) -> Option<NaiveDateTime> {
        self.service.silent_since(self.now)
    }

    fn since(&self) -> String {
        let clock = |at| format::clock(at, self.now, self.app.config.server.time_zone);
        self.silent_since()
            .map(|at| self.lang.t1("buckets.silent_since", "time", clock(at)).into_owned())
            .unwrap_or_default()
    }

    pub fn age(&self) -> Age {
        let interval = i64::try_from(self.app.config.sync.interval_seconds).unwrap_or(60);
        format::age(self.lang, self.service.last_ok_at, self.now, TimeDelta::seconds(interval))
            .of_service(crate::cloud_services::OBJECTS)
    }

    fn status(&self, row: &Bucket) -> (&'static str, String) {
        if row.is_deleting() {
            let waits = row.reason.as_deref().map(|reason| self.t(&format!("buckets.why.{reason}")));
            let progress = if row.to_remove > 0 {
                let (done, all) = (format::number(row.removed), format::number(row.to_remove.max(row.removed)));
                self.lang.tv("buckets.progress", &[("done", &done), ("all", &all)]).into_owned()
            } else {
                String::new()
            };
            return ("deleting", waits.unwrap_or(progress));
        }
        match row.status() {
            Status::Active if self.silent_since().is_some() => ("unknown", self.since()),
            Status::Active => ("active", String::new()),
            Status::Creating => ("unknown", self.t("buckets.why.waiting_for_store")),
            Status::Refused => ("unknown", self.t("validation.bucket_name.taken")),
            Status::Lost => ("unknown", self.t("buckets.why.lost")),
        }
    }

    pub fn row(&self, row: &Bucket) -> Row {
        let (status, why) = self.status(row);
        let zone = self.app.config.server.time_zone;
        let changed = row.changed_at.unwrap_or(row.created_at);
        let label = if status == "active" { "buckets.status_active".to_owned() } else { format!("status.{status}") };
        Row {
            name: row.name.clone(),
            href: bucket_path(&row.name),
            status,
            status_label: self.t(&label),
            why,
            address: row.address.clone().unwrap_or_default(),
            objects: format::number(row.objects),
            bytes: format::bytes(row.bytes),
            changed: format::when(self.lang, changed, self.now, zone),
            changed_at: format::full(changed, zone),
            usable: row.is_usable(),
            can_delete: !row.is_deleting(),
            has_files: row.objects > 0,
        }
    }

    /// Seconds between two looks of an open page.
    pub fn refresh(&self, unsettled: bool) -> Option<u32> {
        let config = &self.app.config.sync;
        u32::try_from(if unsettled { config.transition_seconds } else { config.interval_seconds.min(15) }).ok()
    }

    pub fn quota(&self, usage: Usage, limit: Quota) -> Vec<QuotaBar> {
        let bar = |kind: &'static str, used: u64, limit: u64, text: String| {
            let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(100).min(100);
            QuotaBar {
                kind,
                name: self.t(&format!("buckets.quota_{kind}")),
                used: u32::try_from(used).unwrap_or(u32::MAX),
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                text,
                percent: u32::try_from(percent).unwrap_or(100),
                near: percent >= 80 && used < limit,
                full: used >= limit,
            }
        };
        let room = u64::from(limit.storage_mb) << 20;
        let buckets = [("used", usage.buckets.to_string()), ("limit", limit.buckets.to_string())];
        let buckets = [(buckets[0].0, buckets[0].1.as_str()), (buckets[1].0, buckets[1].1.as_str())];
        vec![
            bar(
                "storage",
                usage.bytes.saturating_add(usage.reserved),
                room,
                format!("{} / {}", format::bytes(usage.bytes), format::bytes(room)),
            ),
            bar(
                "buckets",
                u64::from(usage.buckets),
                u64::from(limit.buckets),
                self.lang.tv("buckets.quota_buckets_text", &buckets).into_owned(),
            ),
        ]
    }

    pub fn list(&self, rows: &[Bucket], usage: Usage, limit: Quota) -> List {
        let quota = self.quota(usage, limit);
        let near = quota.first().is_some_and(|bar| bar.near || bar.full);
        let left = (u64::from(limit.storage_mb) << 20).saturating_sub(usage.bytes);
        List {
            rows: rows.iter().map(|row| self.row(row)).collect(),
            total: usage.buckets,
            sum: count(self.lang, "buckets.sum", u64::from(usage.buckets)),
            quota,
            quota_hint: if near {
                self.lang.t1("buckets.quota_hint", "left", format::bytes(left)).into_owned()
            } else {
                String::new()
            },
            age: self.age(),
            problem: self.since(),
            refresh_seconds: self.refresh(usage.unsettled > 0),
            ..List::default()
        }
    }

    /// `캡스톤/데이터/` in the bucket: the way there.
    pub fn crumbs(&self, bucket: &str, prefix: &str, file: Option<&str>) -> Vec<Crumb> {
        let mut crumbs = vec![Crumb { label: bucket.to_owned(), href: bucket_path(bucket) }];
        let mut end = 0;
        while let Some(next) = prefix[end..].find('/') {
            let label = if next == 0 { "/".to_owned() } else { prefix[end..end + next].to_owned() };
            end += next + 1;
            crumbs.push(Crumb { label, href: folder_path(bucket, &prefix[..end]) });
        }
        crumbs.extend(file.map(|name| Crumb { label: name.to_owned(), href: String::new() }));
        if let Some(last) = crumbs.last_mut() {
            last.href = String::new();
        }
        crumbs
    }

    fn line(&self, bucket: &str, prefix: &str, entry: &Entry) -> Line {
        let key = entry.name();
        let name = key.strip_prefix(prefix).unwrap_or(key).to_owned();
        let zone = self.app.config.server.time_zone;
        match entry {
            Entry::Folder(key) => Line {
                is_folder: true,
                href: folder_path(bucket, key),
                icon: "folder",
                kind: self.t("file_kinds.folder"),
                more_href: format!("/buckets/{bucket}/objects/delete?key={}", in_query(key)),
                key: key.clone(),
                name,
                ..Line::default()
            },
            Entry::Object(object) => {
                let kind = kinds::kind(&object.name);
                let nameable = ObjectKey::parse(object.name.as_str()).is_ok();
                let modified = object.modified.map(|at| at.naive_utc());
                Line {
                    is_folder: false,
                    href: if nameable { file_path(bucket, key) } else { String::new() },
                    icon: kind.icon,
                    size: format::bytes(object.bytes),
                    modified: modified.map(|at| format::when(self.lang, at, self.now, zone)).unwrap_or_default(),
                    modified_at: modified.map(|at| format::full(at, zone)).unwrap_or_default(),
                    kind: self.t(&format!("file_kinds.{}", kind.name)),
                    download_href: if nameable { object_path(bucket, key) } else { String::new() },
                    more_href: if nameable { file_path(bucket, key) } else { String::new() },
                    key: key.to_owned(),
                    name,
                }
            }
        }
    }

    fn columns(&self, bucket: &str, query: &Query) -> Vec<SortLink> {
        let column = |label: &str, class, up: Sort, down: Sort| {
            let sorted = if query.sort == up {
                "ascending"
            } else if query.sort == down {
                "descending"
            } else {
                ""
            };
            // A search shows what it finds, in the order of names.
            let next = if query.sort == up { down } else { up };
            let href =
                if query.search.is_empty() { listing_path(bucket, &query.prefix, "", next, "") } else { String::new() };
            SortLink { label: self.t(label), href, sorted, class }
        };
        vec![
            column("buckets.column_name", "", Sort::Name, Sort::NameDown),
            column("buckets.column_size", "num", Sort::Size, Sort::SizeDown),
            column("buckets.column_modified", "", Sort::Time, Sort::TimeDown),
        ]
    }

    /// A folder's page. `lines` are None when the store did not answer.
    pub fn folder(
        &self,
        row: &Bucket,
        query: &Query,
        lines: Option<&Lines>,
        removals: &[Removal],
        room: u64,
    ) -> Folder {
        let (bucket, prefix) = (row.name.as_str(), query.prefix.as_str());
        let empty = Lines::default();
        let found = lines.unwrap_or(&empty);
        let path = |marker: &str| listing_path(bucket, prefix, &query.search, query.sort, marker);
        let sum = self
            .lang
            .tv("buckets.show.sum", &[("objects", &format::number(row.objects)), ("bytes", &format::bytes(row.bytes))]);
        let unsettled = row.is_unsettled() || !removals.is_empty();
        Folder {
            row: self.row(row),
            href: folder_path(bucket, prefix),
            prefix: prefix.to_owned(),
            folder_name: ObjectKey::parse(prefix).map(|key| key.file_name().to_owned()).unwrap_or_default(),
            crumbs: self.crumbs(bucket, prefix, None),
            sum: sum.into_owned(),
            age: self.live_age(lines.is_some()),
            search: query.search.clone(),
            sort: query.sort.name(),
            columns: self.columns(bucket, query),
            lines: found.entries.iter().map(|entry| self.line(bucket, prefix, entry)).collect(),
            first_href: if query.marker.is_empty() { String::new() } else { path("") },
            next_href: found.next.as_deref().map(path).unwrap_or_default(),
            too_many_to_sort: found.too_many_to_sort,
            problem: if lines.is_some() { String::new() } else { self.t("buckets.show.failed") },
            removals: removals.iter().filter_map(|removal| self.removal(removal)).collect(),
            refresh_seconds: self.refresh(unsettled).filter(|_| unsettled || lines.is_none()),
            refresh_url: path(&query.marker),
            upload_url: format!("/buckets/{bucket}/objects?prefix={}", in_query(prefix)),
            archive_href: format!("/buckets/{bucket}/archive?key={}", in_query(prefix)),
            room,
            max_file: self.app.config.buckets.max_file().unwrap_or(u64::MAX >> 11),
        }
    }

    /// The files on a page are as they are now.
    fn live_age(&self, answered: bool) -> Age {
        if answered { Age::of(self.lang, self.now.and_utc(), self.now.and_utc(), 60) } else { self.age() }
    }

    fn removal(&self, removal: &Removal) -> Option<String> {
        let (folder, n) = (removal.prefix()?, format::number(removal.removed));
        let key = if removal.error.is_some() { "buckets.show.removal_waits" } else { "buckets.show.removal" };
        Some(self.lang.tv(key, &[("folder", &folder), ("n", &n)]).into_owned())
    }

    pub fn link(&self, bucket: &str, link: &ShareLink) -> Option<Link> {
        let key = link.key()?;
        let zone = self.app.config.server.time_zone;
        Some(Link {
            id: link.id.to_string(),
            file_href: file_path(bucket, key.as_str()),
            key: key.as_str().to_owned(),
            url: format!("{}{}", self.app.config.server.public_url(), link.path(&self.app.shared)),
            expires: time_left(self.lang, link.expires_at, self.now),
            expires_at: format::full(link.expires_at, zone),
            used: count(self.lang, "buckets.links.used", link.downloads),
            revoke_url: format!("/buckets/{bucket}/links/{}/delete", link.id),
        })
    }
}

/// "7일 남음", within two days "24시간 남음": rounded up, so that a link of seven days begins with seven.
pub fn time_left(lang: Lang, end: NaiveDateTime, now: NaiveDateTime) -> String {
    let hours = ((end - now).num_minutes().max(0) + 59) / 60;
    if hours > 48 {
        lang.t1("buckets.links.expires_days", "n", (hours + 23) / 24).into_owned()
    } else {
        lang.t1("buckets.links.expires_hours", "n", hours.max(1)).into_owned()
    }
}

/// A listing's address; defaults are left out.
pub fn listing_path(bucket: &str, prefix: &str, search: &str, sort: Sort, marker: &str) -> String {
    let pairs = [("prefix", prefix), ("search", search), ("sort", sort.name()), ("marker", marker)];
    let query: Vec<String> = pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", in_query(value)))
        .collect();
    if query.is_empty() { bucket_path(bucket) } else { format!("/buckets/{bucket}?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_seven_days_begins_with_seven() {
        let now = db::now();
        let left = |minutes| time_left(Lang::Ko, now + TimeDelta::minutes(minutes), now);
        let day = 24 * 60;
        assert_eq!([7 * day, 7 * day - 1, 6 * day].map(left), ["7일 남음", "7일 남음", "6일 남음"]);
        assert_eq!([2 * day, day, 1, -5].map(left), ["48시간 남음", "24시간 남음", "1시간 남음", "1시간 남음"]);
    }
}
