//! The portal's sentences: `ko.yml` and `en.yml` beside this file, compiled in.

use std::borrow::Cow;

use crate::web::page::Lang;

/// The sentence of this name with `%{name}` replaced. See [`Lang::t`].
pub fn sentence(lang: Lang, key: &str, values: &[(&str, &str)]) -> Cow<'static, str> {
    let text = crate::_rust_i18n_try_translate(lang.code(), key)
        .map_or_else(|| Cow::Owned(key.to_owned()), |text| Cow::Owned(text.into_owned()));
    if values.is_empty() {
        return text;
    }
    let (names, values): (Vec<&str>, Vec<String>) = values.iter().map(|(name, value)| (*name, (*value).to_owned())).unzip();
    Cow::Owned(rust_i18n::replace_patterns(&text, &names, &values))
}

/// Whether there is a sentence of this name.
pub fn exists(key: &str) -> bool {
    crate::_rust_i18n_try_translate(Lang::Ko.code(), key).is_some()
}
