//! What no output of a portal may ever hold: looked for at the end of every portal of tests, in all that it has said.

/// What secrets begin with, or hold: everybody's password in tests, a private key, a token of Keystone (Fernet) or of an
/// HTTP login, a tool's credential for a bucket.
const MARKS: [&str; 5] = ["correct horse", "BEGIN OPENSSH", "gAAAA", "Bearer ", "fcb_"];

/// Hexadecimal digits in a row from which on they are no id: share links have 40, forms' tokens and sessions' keys 64.
const SECRET_DIGITS: usize = 40;

/// The lines that hold a secret, by their form or because they hold one of `values`; with what was found.
pub fn found(output: &str, values: &[String]) -> Vec<String> {
    let by_form = output.lines().filter_map(|line| {
        let mark = MARKS.iter().find(|mark| line.contains(**mark)).map(|mark| format!("{mark:?}"));
        let digits = || has_digits(line).then(|| "a row of hexadecimal digits".to_owned());
        mark.or_else(digits).map(|what| format!("{what}: {line}"))
    });
    let by_value = values.iter().filter(|value| output.contains(value.as_str())).map(|value| {
        let line = output.lines().find(|line| line.contains(value.as_str())).unwrap_or_default();
        format!("a secret of this test: {line}")
    });
    by_form.chain(by_value).collect()
}

/// Whether there are as many as a secret has, letters among them; an image's digest, which says so, is none.
fn has_digits(line: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let mut at = 0;
    while let Some(start) = line[at..].find(is_digit).map(|start| at + start) {
        let end = line[start..].find(|c| !is_digit(c)).map_or(line.len(), |end| start + end);
        let row = &line[start..end];
        let mixed = row.contains(|c: char| c.is_ascii_digit()) && row.contains(|c: char| c.is_ascii_alphabetic());
        if row.len() >= SECRET_DIGITS && mixed && !line[..start].ends_with("sha256:") {
            return true;
        }
        at = end;
    }
    false
}

/// Fails the test that has a portal whose output holds a secret; of one that has failed already, it is only said.
pub fn check(whose: &str, output: &str, values: &[String]) {
    let found = found(output, values);
    if found.is_empty() {
        return;
    }
    let message = format!("{whose} tells secrets:\n{}", found[..found.len().min(10)].join("\n"));
    if std::thread::panicking() {
        eprintln!("{message}");
    } else {
        panic!("{message}");
    }
}
