//! What every page shares: its reader's language and theme, who is signed in, the menu, the messages on top.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};

pub use crate::i18n::Lang;

/// The reader's choice of brightness; `System` follows the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// The value of `data-theme` on `<html>`; empty for the device's own.
    pub fn code(self) -> &'static str {
        match self {
            Self::System => "",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The entry of the menu that the page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Menu {
    #[default]
    None,
    Dashboard,
    Instances,
    Applications,
    Buckets,
    Profile,
    Templates,
    Cloud,
}

/// Who is signed in, as the page's corner shows it.
#[derive(Debug, Clone, Default)]
pub struct AccountCard {
    pub login_id: String,
    pub name: String,
    /// Shows the admin's menu.
    pub is_admin: bool,
}

impl AccountCard {
    /// The letter in the circle.
    pub fn initial(&self) -> String {
        self.name.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default()
    }
}

/// A message on top of the next page, once.
#[derive(Debug, Clone)]
pub struct Notice {
    /// `good`, `warn` or `bad`.
    pub tone: &'static str,
    pub text: String,
}

/// Which services are practice ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Simulated {
    pub machines: bool,
    pub containers: bool,
    /// They are kept in the data folder: real, but not in a Swift.
    pub files: bool,
}

impl Simulated {
    pub fn any(self) -> bool {
        self.machines || self.containers || self.files
    }
}

/// Embedded in every page's struct as `page`.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub lang: Lang,
    pub theme: Theme,
    /// None on pages for everybody.
    pub account: Option<AccountCard>,
    pub menu: Menu,
    /// For the hidden field `csrf_token` of every form.
    pub csrf_token: String,
    pub notice: Option<Notice>,
    /// What is only pretended: the banner.
    pub simulated: Simulated,
    /// Path and query of this page, for the language and theme switches to come back to.
    pub here: String,
}

impl Page {
    pub fn t(&self, key: &str) -> Cow<'static, str> {
        self.lang.t(key)
    }

    pub fn tv(&self, key: &str, values: &[(&str, &str)]) -> Cow<'static, str> {
        self.lang.tv(key, values)
    }

    pub fn t1(&self, key: &str, name: &str, value: impl std::fmt::Display) -> Cow<'static, str> {
        self.lang.t1(key, name, value)
    }

    pub fn signed_in(&self) -> bool {
        self.account.is_some()
    }

    pub fn is_admin(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.is_admin)
    }

    /// The address of a static file, with its content's hash.
    pub fn asset(&self, path: &str) -> String {
        super::assets::href(path)
    }

    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// The value of `aria-current` of a menu's entry, by its name: `page` where we are, else empty.
    pub fn current(&self, entry: &str) -> &'static str {
        let current = match self.menu {
            Menu::None => "",
            Menu::Dashboard => "dashboard",
            Menu::Instances => "instances",
            Menu::Applications => "applications",
            Menu::Buckets => "buckets",
            Menu::Profile => "profile",
            Menu::Templates => "templates",
            Menu::Cloud => "cloud",
        };
        if entry == current { "page" } else { "" }
    }
}

/// How old what a page shows is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Age {
    /// In words: "12초 전 기준".
    pub text: String,
    /// RFC 3339 in UTC, for `<time datetime>`.
    pub at: String,
    /// Below 60 s: the green dot.
    pub live: bool,
    /// Three checks missed: orange.
    pub stale: bool,
    /// How many seconds old it is; the page goes on counting from there. None: never checked.
    pub seconds: Option<u32>,
    /// From how many seconds on it is stale.
    pub stale_after: u32,
    /// The service that was asked, where an open page is told when it answers again; else empty.
    pub service: &'static str,
}

impl Age {
    /// The age, at `now`, of what was checked at `at`.
    pub fn of(lang: Lang, at: DateTime<Utc>, now: DateTime<Utc>, stale_after: u32) -> Self {
        let seconds = u32::try_from((now - at).num_seconds().max(0)).unwrap_or(u32::MAX);
        let (key, n) = match seconds {
            0..60 => ("age.seconds", seconds),
            60..3_600 => ("age.minutes", seconds / 60),
            3_600..86_400 => ("age.hours", seconds / 3_600),
            _ => ("age.days", seconds / 86_400),
        };
        let stale = seconds >= stale_after;
        Self {
            text: lang.t1(key, "n", n).into_owned(),
            at: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            live: seconds < 60 && !stale,
            stale,
            seconds: Some(seconds),
            stale_after,
            service: "",
        }
    }

    /// The same, of one of the clouds.
    #[must_use]
    pub fn of_service(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    /// Nothing was checked yet.
    pub fn never(lang: Lang) -> Self {
        Self { text: lang.t("age.never").into_owned(), stale: true, ..Self::default() }
    }
}

/// A field of a form: its value as typed, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    pub value: String,
    /// In the reader's language; empty when nothing is wrong.
    pub error: String,
}

impl Field {
    pub fn of(value: impl Into<String>) -> Self {
        Self { value: value.into(), error: String::new() }
    }

    pub fn has_error(&self) -> bool {
        !self.error.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn aged(seconds: i64) -> Age {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        Age::of(Lang::Ko, now - TimeDelta::seconds(seconds), now, 180)
    }

    #[test]
    fn an_age_is_live_then_plain_then_stale() {
        assert_eq!((aged(12).text.as_str(), aged(12).live, aged(12).stale), ("12초 전 기준", true, false));
        assert_eq!((aged(120).text.as_str(), aged(120).live, aged(120).stale), ("2분 전 기준", false, false));
        assert_eq!((aged(7_300).text.as_str(), aged(7_300).live, aged(7_300).stale), ("2시간 전 기준", false, true));
    }

    #[test]
    fn a_clock_that_runs_ahead_is_no_negative_age() {
        assert_eq!(aged(-30).seconds, Some(0));
    }
}
