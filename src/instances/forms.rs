//! The form for renting.

use crate::ids::TemplateId;
use crate::validation::thing_name;
use crate::web::body::Fields;

/// Sentences of the name field.
pub const NAME: [&str; 3] = [
    "validation.instance_name.missing",
    "validation.instance_name.too_long",
    "validation.instance_name.characters",
];

/// What was chosen about the SSH key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyWish {
    /// The portal makes a pair.
    New,
    /// One that the account has.
    Own(crate::ids::SshKeyId),
    /// Nothing was said: the latest one, or a new pair.
    Default,
}

/// A checked order.
#[derive(Debug, Clone)]
pub struct LaunchForm {
    pub name: String,
    pub template: TemplateId,
    pub key: KeyWish,
    pub launch_key: String,
}

/// What is wrong, by field: names of sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchErrors {
    pub name: Option<&'static str>,
    pub template_id: Option<&'static str>,
    pub ssh_key: Option<&'static str>,
}

impl LaunchForm {
    /// # Errors
    /// Every field that is wrong.
    pub fn parse(fields: &Fields) -> Result<Self, LaunchErrors> {
        let mut errors = LaunchErrors::default();
        let name = thing_name(fields.get("name"), NAME).map_err(|error| errors.name = Some(error));
        let template = match fields.get("template_id") {
            "" => Err("validation.template.missing"),
            id => id.parse::<TemplateId>().map_err(|_| "validation.template.unknown"),
        }
        .map_err(|error| errors.template_id = Some(error));
        let key = match fields.get("ssh_key") {
            "" => Ok(KeyWish::Default),
            "new" => Ok(KeyWish::New),
            id => id.parse().map(KeyWish::Own).map_err(|_| errors.ssh_key = Some("validation.ssh_key.unknown")),
        };
        let launch_key = fields.get("launch_key");
        let fits = (16..=64).contains(&launch_key.len()) && launch_key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // A client that sends none (a script) rents one with each request.
        let launch_key = if fits { launch_key.to_owned() } else { crate::random::token() };
        match (name, template, key) {
            (Ok(name), Ok(template), Ok(key)) => Ok(Self { name, template, key, launch_key }),
            _ => Err(errors),
        }
    }
}
