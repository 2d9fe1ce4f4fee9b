//! The forms as they are shown: what was typed, what is wrong with it, what is known of name and image.

use super::{Context, format};
use crate::applications::forms::{Errors, USUAL_PORT};
use crate::applications::host::HostLabel;
use crate::applications::model::{Deployed, Size};
use crate::applications::views::{Choice, Form, ImageCheck, NameCheck};
use crate::registry::{ImageFacts, RegistryError};
use crate::text::shorten;
use crate::validation::Checked;
use crate::web::body::Fields;
use crate::web::page::{Field, Lang};

/// What an image turned out to be.
pub type Inspected = Result<ImageFacts, RegistryError>;

impl Context<'_> {
    /// The form for a new container, with what was typed. An empty one has the usual ports.
    pub fn new_form(&self, typed: &Fields, errors: &Errors) -> Form {
        let usual = USUAL_PORT.to_string();
        let first = !typed.has("internal_port");
        let port = |name: &str| if typed.has(name) { typed.get(name).to_owned() } else { usual.clone() };
        let values = Values {
            image: typed.get("image").to_owned(),
            internal_port: port("internal_port"),
            external_port: port("external_port"),
            port_guess: if first { usual.clone() } else { typed.get("port_guess").to_owned() },
            variables: typed.get("variables").to_owned(),
            size: Size::from_name(typed.get("size")).unwrap_or(Size::Small),
            replicas: typed.get("replicas").parse().unwrap_or(1),
            secret_names: Vec::new(),
        };
        self.form(values, typed, errors)
    }

    /// The form for a change: what is deployed, and what was typed over it.
    pub fn edit_form(&self, deployed: &Deployed, typed: &Fields, errors: &Errors) -> Form {
        let or = |name: &str, there: String| if typed.has(name) { typed.get(name).to_owned() } else { there };
        let internal = deployed.internal_port.to_string();
        let variables: Vec<String> = deployed.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // One that the image says may change with the image.
        let guessed = deployed.exposed_ports.first() == Some(&deployed.internal_port);
        let values = Values {
            image: or("image", deployed.image.clone()),
            internal_port: or("internal_port", internal.clone()),
            external_port: or("external_port", deployed.external_port.to_string()),
            port_guess: or("port_guess", if guessed { internal } else { String::new() }),
            variables: or("variables", variables.join("\n")),
            size: Size::from_name(typed.get("size")).unwrap_or(deployed.size),
            replicas: typed.get("replicas").parse().unwrap_or(deployed.replicas),
            secret_names: deployed.secret_names.clone(),
        };
        self.form(values, typed, errors)
    }

    fn form(&self, values: Values, typed: &Fields, errors: &Errors) -> Form {
        let say = |sentence: Option<&'static str>| sentence.map(|key| self.t(key)).unwrap_or_default();
        let field = |value: &str, most: usize, error| Field { value: shorten(value, most), error: say(error) };
        let most = self.app.config.applications.max_replicas;
        let more = [errors.get("variables"), errors.get("secrets"), errors.get("size"), errors.get("replicas")];
        let secrets_lost = !typed.get("secrets").trim().is_empty();
        Form {
            image: field(&values.image, 512, errors.get("image")),
            image_check: None,
            internal_port: field(&values.internal_port, 16, errors.get("internal_port")),
            external_port: field(&values.external_port, 16, errors.get("external_port")),
            port_guess: shorten(&values.port_guess, 16),
            variables: field(&values.variables, 20_000, errors.get("variables")),
            secrets: Field { value: String::new(), error: say(errors.get("secrets")) },
            secrets_lost,
            size: Field { value: values.size.name().to_owned(), error: say(errors.get("size")) },
            sizes: self.size_choices(values.size),
            replicas: Field { value: values.replicas.to_string(), error: say(errors.get("replicas")) },
            replica_choices: (1..=most)
                .map(|number| Choice {
                    value: number.to_string(),
                    label: self.lang.t1("applications.new.replicas_choice", "n", number).into_owned(),
                    selected: number == values.replicas,
                })
                .collect(),
            open: secrets_lost || more.iter().any(Option::is_some) || !values.is_plain(),
            secret_names: values.secret_names,
            error: String::new(),
        }
    }

    /// The address that a name gets, as it is typed.
    pub fn name_check(&self, checked: &Checked<HostLabel>, free: bool) -> NameCheck {
        let config = &self.app.config.applications;
        match checked {
            Err(sentence) => NameCheck { text: self.t(sentence), ok: false, url: String::new() },
            Ok(label) => NameCheck {
                text: self.t(match (free, label.generated) {
                    (false, _) => "validation.app_name.taken",
                    (true, true) => "applications.new.url_generated",
                    (true, false) => "applications.new.url_free",
                }),
                ok: free,
                url: config.url(&label.text),
            },
        }
    }

    /// `http://이름.apps.localhost:8001`: what is shown before a name is typed.
    pub fn url_placeholder(&self) -> String {
        self.app.config.applications.url(&self.t("applications.new.empty_name"))
    }

    /// Why an image can't be read or used.
    pub fn say_image(lang: Lang, error: &RegistryError) -> String {
        let (key, values) = error.sentence();
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        lang.tv(key, &values).into_owned()
    }

    /// What was typed is no image's address.
    pub fn image_mistake(&self, sentence: &'static str) -> ImageCheck {
        ImageCheck { tone: "bad", text: self.t(sentence), ..ImageCheck::default() }
    }

    pub fn image_check(&self, inspected: &Inspected) -> ImageCheck {
        let facts = match inspected {
            Err(error) => {
                let tone = if error.forbids_deploying() { "bad" } else { "warn" };
                return ImageCheck { tone, text: Self::say_image(self.lang, error), ..ImageCheck::default() };
            }
            Ok(facts) => facts,
        };
        let port = facts.ports.first().copied();
        let name = |part: &str| self.t(&format!("applications.new.found_{part}"));
        let mut told = Vec::new();
        if let Some(bytes) = facts.size_bytes {
            let megabytes = u32::try_from(bytes.div_ceil(1024 * 1024)).unwrap_or(u32::MAX);
            told.push((name("size"), format::megabytes(megabytes)));
        }
        if !facts.architectures.is_empty() {
            told.push((name("architectures"), shorten(&facts.architectures.join(", "), 80)));
        }
        if facts.ports.len() > 1 {
            let ports: Vec<String> = facts.ports.iter().take(8).map(u16::to_string).collect();
            told.push((name("ports"), ports.join(", ")));
        }
        told.push((name("digest"), format!("{}…", shorten(&facts.digest, 19))));
        ImageCheck {
            tone: "good",
            text: port.map_or_else(
                || self.t("applications.new.found_no_port"),
                |port| self.lang.t1("applications.new.found", "port", port).into_owned(),
            ),
            facts: told,
            port,
        }
    }
}

/// What stands in the fields.
struct Values {
    image: String,
    internal_port: String,
    external_port: String,
    port_guess: String,
    variables: String,
    size: Size,
    replicas: u32,
    secret_names: Vec<String>,
}

impl Values {
    /// Whether there is nothing to see in the fold.
    fn is_plain(&self) -> bool {
        self.variables.is_empty() && self.secret_names.is_empty() && self.size == Size::Small && self.replicas == 1
    }
}
