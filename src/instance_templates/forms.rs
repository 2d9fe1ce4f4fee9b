//! The admin's form of a template.

use std::collections::BTreeMap;

use super::model::TemplateChanges;
use crate::cloud::Catalogue;
use crate::validation::{Checked, cloud_name, thing_name};
use crate::web::body::Fields;

/// What is wrong, by field: names of sentences.
pub type Errors = BTreeMap<&'static str, &'static str>;

const NAME: [&str; 3] =
    ["validation.template_form.name_missing", "validation.template_form.too_long", "validation.template_form.characters"];

/// The names of the fields that the page repeats.
pub const FIELDS: [&str; 12] = [
    "name", "purpose_ko", "purpose_en", "image", "flavor", "network", "floating_network", "security_groups", "key_pair",
    "ssh_user", "user_data", "position",
];

fn sentence(text: &str, error: &'static str) -> Checked<String> {
    let text = text.trim();
    let fits = text.chars().count() <= 100 && !text.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
    if fits { cloud_name(text, error) } else { Err(error) }
}

/// A user name of the image: what `useradd` takes.
fn ssh_user(text: &str) -> Checked<String> {
    let text = text.trim();
    let fits = (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if fits { Ok(text.to_owned()) } else { Err("validation.template_form.ssh_user_characters") }
}

/// Text for cloud-init: at most 16,000 bytes (Nova takes 64 KiB encoded), no NUL.
fn user_data(text: &str) -> Checked<String> {
    let text = text.replace("\r\n", "\n");
    let fits = text.len() <= 16_000 && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    if fits { Ok(text) } else { Err("validation.template_form.user_data_too_long") }
}

/// Checks the fields. Sizes are those of the chosen flavor, when the cloud's catalogue has it.
///
/// # Errors
/// Every field that is wrong.
pub fn parse(fields: &Fields, catalogue: Option<&Catalogue>, before: Option<[u32; 4]>) -> Result<TemplateChanges, Errors> {
    let mut errors = Errors::new();
    let mut take = |name: &'static str, checked: Checked<String>| {
        checked.unwrap_or_else(|error| {
            errors.insert(name, error);
            String::new()
        })
    };
    let needed = |name: &str, missing: &'static str, wrong: &'static str| match fields.get(name).trim() {
        "" => Err(missing),
        text => cloud_name(text, wrong),
    };
    let name = take("name", thing_name(fields.get("name"), NAME));
    let purpose_ko = take("purpose_ko", sentence(fields.get("purpose_ko"), "validation.template_form.characters"));
    let purpose_en = take("purpose_en", sentence(fields.get("purpose_en"), "validation.template_form.characters"));
    let image = take("image", needed("image", "validation.template_form.image_missing", "validation.template_form.characters"));
    let flavor = take("flavor", needed("flavor", "validation.template_form.flavor_missing", "validation.template_form.characters"));
    let network = take("network", cloud_name(fields.get("network"), "validation.template_form.characters"));
    let floating = cloud_name(fields.get("floating_network"), "validation.template_form.characters");
    let floating_network = take("floating_network", floating);
    let groups = cloud_name(fields.get("security_groups"), "validation.template_form.characters");
    let security_groups = take("security_groups", groups);
    let key_pair = take("key_pair", cloud_name(fields.get("key_pair"), "validation.template_form.characters"));
    let ssh_user = take("ssh_user", ssh_user(fields.get("ssh_user")));
    let user_data = take("user_data", user_data(fields.get("user_data")));
    let position = match fields.get("position").trim() {
        "" => 0,
        text => text.parse::<i32>().ok().filter(|n| (0..=999).contains(n)).unwrap_or_else(|| {
            errors.insert("position", "validation.template_form.position_invalid");
            0
        }),
    };
    let known = catalogue.and_then(|catalogue| catalogue.flavor(&flavor));
    let sizes = known.map(|f| [f.vcpus, f.ram_mb, f.disk_gb, f.swap_mb]).or(before);
    if sizes.is_none() && !errors.contains_key("flavor") {
        // What can't be sized can't be counted.
        errors.insert("flavor", "validation.template_form.flavor_unknown");
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let [vcpus, ram_mb, disk_gb, swap_mb] = sizes.unwrap_or_default();
    Ok(TemplateChanges {
        name,
        purpose_ko,
        purpose_en,
        image,
        flavor,
        network,
        floating_network,
        security_groups,
        key_pair,
        ssh_user,
        user_data,
        vcpus,
        ram_mb,
        disk_gb,
        swap_mb,
        position,
        enabled: !fields.get("enabled").is_empty(),
    })
}
