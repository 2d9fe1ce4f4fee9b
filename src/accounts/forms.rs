//! Forms of sign-up and passwords.

use chrono::NaiveDate;

use crate::validation;
use crate::web::body::Fields;

/// A checked sign-up, its password not yet hashed.
pub struct SignupForm {
    pub login_id: String,
    pub password: String,
    pub name: String,
    pub birth_date: NaiveDate,
}

/// What is wrong, by field: names of sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignupErrors {
    pub login_id: Option<&'static str>,
    pub password: Option<&'static str>,
    pub password_confirm: Option<&'static str>,
    pub name: Option<&'static str>,
    pub birth_date: Option<&'static str>,
}

impl SignupForm {
    /// # Errors
    /// Every field that is wrong.
    pub fn parse(fields: &Fields, today: NaiveDate) -> Result<Self, SignupErrors> {
        let mut errors = SignupErrors::default();
        let login_id = validation::login_id(fields.get("login_id")).map_err(|e| errors.login_id = Some(e));
        let (password, confirm) = new_password(fields);
        let password = password.map_err(|e| errors.password = Some(e));
        errors.password_confirm = confirm;
        let name = validation::person_name(fields.get("name")).map_err(|e| errors.name = Some(e));
        let birth_date = validation::birth_date(fields.get("birth_date"), today).map_err(|e| errors.birth_date = Some(e));
        match (login_id, password, name, birth_date) {
            (Ok(login_id), Ok(password), Ok(name), Ok(birth_date)) if errors == SignupErrors::default() => {
                Ok(Self { login_id, password, name, birth_date })
            }
            _ => Err(errors),
        }
    }
}

/// A new password and what is wrong with its repetition.
pub fn new_password(fields: &Fields) -> (validation::Checked<String>, Option<&'static str>) {
    let password = validation::password(fields.get("password"));
    let same = fields.get("password") == fields.get("password_confirm");
    let confirm = (password.is_ok() && !same).then_some("validation.password.mismatch");
    (password, confirm)
}
