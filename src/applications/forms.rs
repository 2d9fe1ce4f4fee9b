//! The forms for a new container and for a change of one.

use secrecy::SecretString;

use super::host::{self, HostLabel};
use super::model::Size;
use crate::registry::ImageReference;
use crate::validation::{Checked, thing_name};
use crate::web::body::Fields;

/// Sentences of the name field.
pub const NAME: [&str; 3] =
    ["validation.app_name.missing", "validation.app_name.too_long", "validation.app_name.characters"];

/// Where web servers wait, and browsers ask, unless something else is said.
pub const USUAL_PORT: u16 = 80;

/// Environment variables of one container, plain and secret ones each.
const MOST_VARIABLES: usize = 50;
/// Bytes of all of them together; the cluster takes no more than a megabyte, and nobody types as much.
const MOST_BYTES: usize = 16 * 1024;
const LONGEST_NAME: usize = 128;

/// What is wrong: fields with the names of their sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(Vec<(&'static str, &'static str)>);

impl Errors {
    pub fn of(field: &'static str, sentence: &'static str) -> Self {
        Self(vec![(field, sentence)])
    }

    /// The sentence of a field.
    pub fn get(&self, field: &str) -> Option<&'static str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, sentence)| *sentence)
    }

    pub fn first(&self) -> Option<&'static str> {
        self.0.first().map(|(_, sentence)| *sentence)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn note<T>(&mut self, field: &'static str, checked: Checked<T>) -> Option<T> {
        checked.map_err(|sentence| self.0.push((field, sentence))).ok()
    }
}

/// An image, as it was typed and as it is understood.
#[derive(Debug, Clone)]
pub struct Image {
    pub typed: String,
    pub reference: ImageReference,
}

impl Image {
    /// # Errors
    /// `validation.image.*`
    pub fn parse(text: &str) -> Checked<Self> {
        let reference = ImageReference::parse(text)?;
        Ok(Self { typed: text.trim().to_owned(), reference })
    }
}

/// The address that a name gets.
///
/// # Errors
/// `validation.app_name.*`
pub fn address_of(name: &str, reserved: &[String]) -> Checked<(String, HostLabel)> {
    let name = thing_name(name, NAME)?;
    let label = host::label_of(&name, reserved)?;
    Ok((name, label))
}

/// A checked order.
#[derive(Debug, Clone)]
pub struct DeployForm {
    pub name: String,
    pub label: HostLabel,
    pub image: Image,
    /// None: the one that the image exposes.
    pub internal_port: Option<u16>,
    pub external_port: u16,
    pub variables: Vec<(String, String)>,
    pub secrets: Vec<(String, SecretString)>,
    pub size: Size,
    pub replicas: u32,
    pub launch_key: String,
}

impl DeployForm {
    /// # Errors
    /// Every field that is wrong.
    pub fn parse(fields: &Fields, reserved: &[String], max_replicas: u32) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let address = errors.note("name", address_of(fields.get("name"), reserved));
        let image = errors.note("image", Image::parse(fields.get("image")));
        let internal_port = errors.note("internal_port", internal_port(fields));
        let external_port = errors.note("external_port", port(fields.get("external_port")));
        let variables = errors.note("variables", variables(fields.get("variables")));
        let secrets = errors.note("secrets", secrets(fields.get("secrets")));
        let size = errors.note("size", size(fields.get("size")));
        let replicas = errors.note("replicas", replicas(fields.get("replicas"), max_replicas));
        if let (Some(plain), Some(secret)) = (&variables, &secrets)
            && let Some(sentence) = both(plain, secret)
        {
            errors.note::<()>("secrets", Err(sentence));
        }
        match (address, image, internal_port, external_port, variables, secrets, size, replicas) {
            (
                Some((name, label)),
                Some(image),
                Some(internal_port),
                Some(external_port),
                Some(variables),
                Some(secrets),
                Some(size),
                Some(replicas),
            ) if errors.is_empty() => Ok(Self {
                name,
                label,
                image,
                internal_port,
                external_port: external_port.unwrap_or(USUAL_PORT),
                variables,
                secrets,
                size: size.unwrap_or(Size::Small),
                replicas: replicas.unwrap_or(1),
                launch_key: launch_key(fields.get("launch_key")),
            }),
            _ => Err(errors),
        }
    }
}

/// A checked change: None is what stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ChangeForm {
    pub image: Option<Image>,
    /// `Some(None)`: the one that the image exposes.
    pub internal_port: Option<Option<u16>>,
    pub external_port: Option<u16>,
    pub variables: Option<Vec<(String, String)>>,
    pub secrets_set: Vec<(String, SecretString)>,
    pub secrets_removed: Vec<String>,
    pub size: Option<Size>,
    pub replicas: Option<u32>,
    /// The former deployment that it starts from.
    pub revision: Option<u32>,
}

impl ChangeForm {
    /// # Errors
    /// Every field that is there and wrong.
    pub fn parse(fields: &Fields, max_replicas: u32) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let mut form = Self { revision: fields.get("revision").parse().ok(), ..Self::default() };
        if fields.has("image") {
            form.image = errors.note("image", Image::parse(fields.get("image")));
        }
        if fields.has("internal_port") {
            form.internal_port = errors.note("internal_port", internal_port(fields));
        }
        if fields.has("external_port") {
            let port = errors.note("external_port", port(fields.get("external_port")));
            form.external_port = port.map(|port| port.unwrap_or(USUAL_PORT));
        }
        if fields.has("variables") {
            form.variables = errors.note("variables", variables(fields.get("variables")));
        }
        form.secrets_set = errors.note("secrets", secrets(fields.get("secrets"))).unwrap_or_default();
        form.secrets_removed = fields.all("remove_secret").map(str::to_owned).collect();
        form.size = errors.note("size", size(fields.get("size"))).flatten();
        form.replicas = errors.note("replicas", replicas(fields.get("replicas"), max_replicas)).flatten();
        if errors.is_empty() { Ok(form) } else { Err(errors) }
    }
}

/// A name in two lists is an error of the second.
pub fn both(plain: &[(String, String)], secret: &[(String, SecretString)]) -> Option<&'static str> {
    let twice = secret.iter().any(|(name, _)| plain.iter().any(|(other, _)| other == name));
    twice.then_some("validation.variables.twice")
}

/// None: what the image says. That is meant by an empty field, and by a number that the form had put in itself.
fn internal_port(fields: &Fields) -> Checked<Option<u16>> {
    let (typed, guess) = (fields.get("internal_port").trim(), fields.get("port_guess").trim());
    if !typed.is_empty() && typed == guess {
        return Ok(None);
    }
    port(typed)
}

fn port(text: &str) -> Checked<Option<u16>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(Some(port)),
        _ => Err("validation.port.invalid"),
    }
}

fn size(text: &str) -> Checked<Option<Size>> {
    match text {
        "" => Ok(None),
        name => Size::from_name(name).map(Some).ok_or("validation.size.unknown"),
    }
}

fn replicas(text: &str, most: u32) -> Checked<Option<u32>> {
    match text.trim() {
        "" => Ok(None),
        text => match text.parse::<u32>() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err("validation.replicas.range"),
        },
    }
}

/// `NAME=value`, one a line, as in a file for `docker run --env-file`: empty lines and lines that begin with `#` say
/// nothing, and the value is everything behind the first `=`.
fn variables(text: &str) -> Checked<Vec<(String, String)>> {
    if text.len() > MOST_BYTES {
        return Err("validation.variables.too_long");
    }
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or("validation.variables.form")?;
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if !is_variable(name) {
            return Err("validation.variables.name");
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("validation.variables.characters");
        }
        if all.iter().any(|(there, _)| there == name) {
            return Err("validation.variables.twice");
        }
        all.push((name.to_owned(), value.to_owned()));
    }
    if all.len() > MOST_VARIABLES { Err("validation.variables.too_many") } else { Ok(all) }
}

fn secrets(text: &str) -> Checked<Vec<(String, SecretString)>> {
    let all = variables(text)?;
    Ok(all.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
}

/// As Kubernetes takes them for variables and for keys of a Secret.
fn is_variable(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// A client that sends none (a script) deploys one with each request.
fn launch_key(text: &str) -> String {
    let fits = (16..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { text.to_owned() } else { crate::random::token() }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn deploy(fields: &[(&str, &str)]) -> Result<DeployForm, Errors> {
        DeployForm::parse(&Fields::of(fields.iter().copied()), &["www".to_owned()], 3)
    }

    #[test]
    fn two_fields_are_enough() {
        let form = deploy(&[("name", "My App"), ("image", "nginx")]).unwrap();
        assert_eq!((form.name.as_str(), form.label.text.as_str()), ("My App", "my-app"));
        assert_eq!((form.internal_port, form.external_port, form.replicas), (None, 80, 1));
        assert_eq!(form.size, Size::Small);
        assert!(!form.launch_key.is_empty());
    }

    #[test]
    fn a_port_that_was_put_in_for_the_person_is_a_guess() {
        let with = |port: &str, guess: &str| {
            deploy(&[("name", "a"), ("image", "nginx"), ("internal_port", port), ("port_guess", guess)])
                .map(|form| form.internal_port)
        };
        assert_eq!(with("80", "80"), Ok(None));
        assert_eq!(with("80", ""), Ok(Some(80)));
        assert_eq!(with("3000", "80"), Ok(Some(3000)));
        assert_eq!(with("", "80"), Ok(None));
        assert_eq!(with("", ""), Ok(None));
    }

    #[test]
    fn every_wrong_field_is_told() {
        let errors = deploy(&[
            ("name", "www"),
            ("image", "https://nginx"),
            ("internal_port", "0"),
            ("external_port", "+80"),
            ("variables", "A"),
            ("secrets", "1=2"),
            ("size", "huge"),
            ("replicas", "4"),
        ])
        .unwrap_err();
        for (field, sentence) in [
            ("name", "validation.app_name.reserved"),
            ("image", "validation.image.url"),
            ("internal_port", "validation.port.invalid"),
            ("external_port", "validation.port.invalid"),
            ("variables", "validation.variables.form"),
            ("secrets", "validation.variables.name"),
            ("size", "validation.size.unknown"),
            ("replicas", "validation.replicas.range"),
        ] {
            assert_eq!(errors.get(field), Some(sentence), "{field}");
        }
        for port in ["65536", "-1", "８０", "80 80", "eighty", "1e3"] {
            let errors = deploy(&[("name", "a"), ("image", "b"), ("internal_port", port)]).unwrap_err();
            assert_eq!(errors, Errors::of("internal_port", "validation.port.invalid"), "{port}");
        }
    }

    #[test]
    fn variables_are_read_line_by_line() {
        let text = "# a comment\r\nNODE_ENV=production\n\n  export A.b-c = x=y \nEMPTY=\n한글은=값";
        assert_eq!(variables(text), Err("validation.variables.name"));
        let read = variables(text.rsplit_once('\n').unwrap().0).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("NODE_ENV", "production"), ("A.b-c", " x=y "), ("EMPTY", "")]);
        for (text, why) in [
            ("A=1\nA=2", "twice"),
            ("A=a\0b", "characters"),
            ("A=a\u{1b}[31m", "characters"),
            (&"x".repeat(20_000), "too_long"),
            (&(0..51).map(|n| format!("A{n}=1\n")).collect::<String>(), "too_many"),
            (&format!("{}=1", "A".repeat(129)), "name"),
            ("=1", "name"),
        ] {
            assert_eq!(variables(text), Err(format!("validation.variables.{why}").leak() as &str), "{why}");
        }
        let secret = secrets("TOKEN=a b").unwrap();
        assert_eq!(secret[0].1.expose_secret(), "a b");
    }

    #[test]
    fn a_name_is_plain_or_secret() {
        let errors = deploy(&[("name", "a"), ("image", "b"), ("variables", "A=1"), ("secrets", "A=2")]).unwrap_err();
        assert_eq!(errors, Errors::of("secrets", "validation.variables.twice"));
    }

    #[test]
    fn a_change_says_only_what_changes() {
        let parse = |fields: &[(&str, &str)]| ChangeForm::parse(&Fields::of(fields.iter().copied()), 3);
        let none = parse(&[]).unwrap();
        assert!(none.image.is_none() && none.internal_port.is_none() && none.variables.is_none());
        assert!(none.size.is_none() && none.replicas.is_none() && none.revision.is_none());
        let some = parse(&[
            ("image", "hello:2"),
            ("internal_port", ""),
            ("external_port", ""),
            ("variables", ""),
            ("remove_secret", "A"),
            ("remove_secret", "B"),
            ("revision", "4"),
        ])
        .unwrap();
        assert_eq!(some.image.unwrap().typed, "hello:2");
        assert_eq!((some.internal_port, some.external_port), (Some(None), Some(80)));
        assert_eq!(some.variables, Some(vec![]));
        assert_eq!(some.secrets_removed, ["A", "B"]);
        assert_eq!(some.revision, Some(4));
        assert_eq!(parse(&[("image", "")]).unwrap_err(), Errors::of("image", "validation.image.missing"));
    }
}
