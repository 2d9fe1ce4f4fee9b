//! What every page shares: its reader's language and theme, who is signed in, the menu, the messages on top.

use std::borrow::Cow;

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    #[default]
    Ko,
    En,
}

impl Lang {
    /// As in `lang="…"` and in the file names of the sentences.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }

    /// The sentence of this name in this language. A name without a sentence is shown as it is, and a test fails.
    pub fn t(self, key: &str) -> Cow<'static, str> {
        crate::i18n::sentence(self, key, &[])
    }

    /// The same with `%{name}` replaced by values.
    pub fn tv(self, key: &str, values: &[(&str, &str)]) -> Cow<'static, str> {
        crate::i18n::sentence(self, key, values)
    }

    /// `tv` with one value, for templates.
    pub fn t1(self, key: &str, name: &str, value: &dyn std::fmt::Display) -> Cow<'static, str> {
        crate::i18n::sentence(self, key, &[(name, &value.to_string())])
    }
}

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
    /// Whether machines are only pretended: the banner.
    pub simulated: bool,
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

    pub fn t1(&self, key: &str, name: &str, value: &dyn std::fmt::Display) -> Cow<'static, str> {
        self.lang.t1(key, name, value)
    }

    pub fn signed_in(&self) -> bool {
        self.account.is_some()
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
