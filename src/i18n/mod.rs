//! The portal's sentences: `ko.yml` and `en.yml` beside this file, compiled in.

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
        sentence(self, key, &[])
    }

    /// The same with `%{name}` replaced by values.
    pub fn tv(self, key: &str, values: &[(&str, &str)]) -> Cow<'static, str> {
        sentence(self, key, values)
    }

    /// `tv` with one value, for templates.
    pub fn t1(self, key: &str, name: &str, value: impl std::fmt::Display) -> Cow<'static, str> {
        sentence(self, key, &[(name, &value.to_string())])
    }
}

/// The sentence of this name with `%{name}` replaced. See [`Lang::t`].
pub fn sentence(lang: Lang, key: &str, values: &[(&str, &str)]) -> Cow<'static, str> {
    let text = crate::_rust_i18n_try_translate(lang.code(), key)
        .map_or_else(|| Cow::Owned(key.to_owned()), |text| Cow::Owned(text.into_owned()));
    if values.is_empty() {
        return text;
    }
    let (names, values): (Vec<&str>, Vec<String>) =
        values.iter().map(|(name, value)| (*name, (*value).to_owned())).unzip();
    Cow::Owned(rust_i18n::replace_patterns(&text, &names, &values))
}

/// Whether there is a sentence of this name.
pub fn exists(key: &str) -> bool {
    crate::_rust_i18n_try_translate(Lang::Ko.code(), key).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn flat(value: &serde_yaml_ng::Value, path: &str, into: &mut BTreeMap<String, String>) {
        match value {
            serde_yaml_ng::Value::Mapping(map) => {
                for (key, value) in map {
                    let key = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    flat(value, &path, into);
                }
            }
            serde_yaml_ng::Value::String(text) => drop(into.insert(path.to_owned(), text.clone())),
            _ => {}
        }
    }

    fn sentences(yaml: &str) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        flat(&serde_yaml_ng::from_str(yaml).unwrap(), "", &mut all);
        all
    }

    fn placeholders(text: &str) -> std::collections::BTreeSet<&str> {
        text.split("%{").skip(1).filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let (ko, en) = (sentences(include_str!("ko.yml")), sentences(include_str!("en.yml")));
        assert_eq!(ko.keys().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>());
        for (key, text) in &ko {
            // Korean particles have a place of their own; what a sentence is about has to be in both.
            assert_eq!(placeholders(text), placeholders(&en[key]), "{key}");
            assert!(!text.trim().is_empty() && !en[key].trim().is_empty(), "{key} says nothing");
        }
    }

    #[test]
    fn sentences_are_found_and_filled_in() {
        assert_eq!(sentence(Lang::Ko, "validation.instance_name.missing", &[]), "미니 PC 이름을 입력해주세요.");
        assert_eq!(sentence(Lang::En, "age.seconds", &[("n", "3")]), Lang::En.t1("age.seconds", "n", 3));
        assert_eq!(sentence(Lang::En, "no.such.sentence", &[]), "no.such.sentence");
        assert!(exists("status.active") && !exists("no.such.sentence"));
    }
}
