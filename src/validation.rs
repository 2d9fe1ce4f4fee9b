//! What may stand in a field. Each function returns the cleaned value, or the name of the sentence that says what is
//! wrong (`validation.*` in `src/i18n`).

use chrono::{Datelike, NaiveDate};
use unicode_normalization::UnicodeNormalization;

/// The cleaned value, or the name of a sentence.
pub type Checked<T> = Result<T, &'static str>;

/// Text of one line as people type it: in one Unicode form (NFC), without blanks around it.
fn tidy(text: &str) -> String {
    text.trim().nfc().collect()
}

/// Letters and digits of any script, and the marks that some scripts write with. Not: controls, invisible and
/// direction-changing characters, private use, symbols and emoji.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() && !matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}')
        || unicode_normalization::char::is_combining_mark(c)
}

/// A name of a thing (mini PC, key, template): letters, digits, blank, `.`, `-`, `_`; at most 63 characters, starting
/// with a letter or digit.
///
/// # Errors
/// The sentence's name under the prefix given: `.missing`, `.too_long`, `.characters`.
pub fn thing_name(text: &str, sentences: [&'static str; 3]) -> Checked<String> {
    let [missing, too_long, characters] = sentences;
    let name = tidy(text);
    if name.is_empty() {
        return Err(missing);
    }
    if name.chars().count() > 63 {
        return Err(too_long);
    }
    let starts_well = name.chars().next().is_some_and(char::is_alphanumeric);
    if !starts_well || !name.chars().all(|c| is_word(c) || matches!(c, ' ' | '.' | '-' | '_')) {
        return Err(characters);
    }
    Ok(name)
}

/// A person's name: letters of any script, blank, `.`, `-`, `'`, `·`; at most 50 characters.
///
/// # Errors
/// `validation.name.*`
pub fn person_name(text: &str) -> Checked<String> {
    let name = tidy(text);
    if name.is_empty() {
        return Err("validation.name.missing");
    }
    if name.chars().count() > 50 {
        return Err("validation.name.too_long");
    }
    let starts_well = name.chars().next().is_some_and(char::is_alphanumeric);
    if !starts_well || !name.chars().all(|c| is_word(c) || matches!(c, ' ' | '.' | '-' | '\'' | '’' | '·')) {
        return Err("validation.name.characters");
    }
    Ok(name)
}

/// A login id: 4 to 32 of `a-z 0-9 . _ -`, starting with a letter or digit; capitals become small letters.
///
/// # Errors
/// `validation.login_id.*`
pub fn login_id(text: &str) -> Checked<String> {
    let id = text.trim().to_ascii_lowercase();
    if id.is_empty() {
        return Err("validation.login_id.missing");
    }
    if id.chars().count() > 32 {
        return Err("validation.login_id.long");
    }
    let starts_well = id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_well || !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')) {
        return Err("validation.login_id.characters");
    }
    if id.len() < 4 {
        return Err("validation.login_id.short");
    }
    Ok(id)
}

/// A new password: 8 to 128 characters, no control characters; kept exactly as typed.
///
/// # Errors
/// `validation.password.*`
pub fn password(text: &str) -> Checked<String> {
    if text.is_empty() {
        return Err("validation.password.missing");
    }
    let length = text.chars().count();
    if length < 8 {
        return Err("validation.password.short");
    }
    if length > 128 {
        return Err("validation.password.long");
    }
    if text.chars().any(char::is_control) {
        return Err("validation.password.control");
    }
    Ok(text.to_owned())
}

/// `YYYY-MM-DD`, from 1900 to today.
///
/// # Errors
/// `validation.birth_date.*`
pub fn birth_date(text: &str, today: NaiveDate) -> Checked<NaiveDate> {
    let text = text.trim();
    if text.is_empty() {
        return Err("validation.birth_date.missing");
    }
    if text.len() != 10 {
        return Err("validation.birth_date.invalid");
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| "validation.birth_date.invalid")?;
    if date.year() < 1900 || date > today {
        return Err("validation.birth_date.range");
    }
    Ok(date)
}

/// A name or id in the cloud (image, flavor, network): printable, at most 255 bytes.
///
/// # Errors
/// The sentence's name given.
pub fn cloud_name(text: &str, sentence: &'static str) -> Checked<String> {
    let name = tidy(text);
    if name.len() > 255 || name.chars().any(|c| c.is_control() || matches!(c, '<' | '>') || is_direction(c)) {
        return Err(sentence);
    }
    Ok(name)
}

/// Characters that change the direction of the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const THING: [&str; 3] = ["missing", "too_long", "characters"];

    #[test]
    fn names_of_things() {
        assert_eq!(thing_name("  my-test-server ", THING).unwrap(), "my-test-server");
        assert_eq!(thing_name("과제 서버 1", THING).unwrap(), "과제 서버 1");
        assert_eq!(thing_name("\u{1100}\u{1161}", THING).unwrap(), "가", "one form for what looks the same");
        assert_eq!(thing_name(" \t", THING), Err("missing"));
        assert!(thing_name(&"가".repeat(63), THING).is_ok());
        assert_eq!(thing_name(&"a".repeat(64), THING), Err("too_long"));
        for bad in ["<b>x</b>", "{{7*7}}", "a\0b", "a\u{202E}b", "pc😀", "-rf", ".hidden", "a/b", "a\nb", "a\u{200B}b", "\u{3164}", "a\"b"] {
            assert_eq!(thing_name(bad, THING), Err("characters"), "{bad:?}");
        }
    }

    #[test]
    fn names_of_people() {
        for good in ["김하늘", "O'Brien", "Ana-María", "J. R. R. Tolkien"] {
            assert_eq!(person_name(good).unwrap(), good);
        }
        for bad in ["<script>", "a\u{202E}b", "x\0", "😀", "=cmd()"] {
            assert_eq!(person_name(bad), Err("validation.name.characters"), "{bad:?}");
        }
    }

    #[test]
    fn login_ids() {
        assert_eq!(login_id(" Kim.01 ").unwrap(), "kim.01");
        for (bad, why) in [("", "missing"), ("abc", "short"), ("ab c", "characters"), ("김하늘이", "characters"), ("a'--b", "characters")] {
            assert_eq!(login_id(bad), Err(format!("validation.login_id.{why}").leak() as &str), "{bad:?}");
        }
        assert_eq!(login_id(&"a".repeat(33)), Err("validation.login_id.long"));
    }

    #[test]
    fn birth_dates() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        assert!(birth_date("2008-02-29", today).is_ok());
        for bad in ["2009-02-29", "1899-12-31", "2026-11-23", "20081-1-1", "08-02-29", "2008/02/29", "２００８-02-29"] {
            assert!(birth_date(bad, today).is_err(), "{bad}");
        }
    }
}
