//! The table of accounts.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db;
use crate::ids::AccountId;
use crate::schema::accounts;

/// What an account may do. Stored by name; a name that we don't know may do the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Student,
    Teacher,
    Admin,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Teacher => "teacher",
            Self::Admin => "admin",
        }
    }

    pub fn from_name(name: &str) -> Self {
        match name {
            "admin" => Self::Admin,
            "teacher" => Self::Teacher,
            _ => Self::Student,
        }
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub struct Account {
    pub id: AccountId,
    pub login_id: String,
    pub name: String,
    pub password_hash: String,
    pub role: String,
    pub active: bool,
}

/// A person to be signed up; the fields have been checked.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub login_id: String,
    pub name: String,
    pub birth_date: NaiveDate,
    pub password_hash: String,
    pub role: Role,
}

impl Account {
    /// # Errors
    /// The database's; a taken login id is a unique violation ([`db::is_duplicate`]).
    pub fn create(conn: &mut MysqlConnection, new: &NewAccount) -> QueryResult<AccountId> {
        let id = AccountId::new();
        let now: NaiveDateTime = db::now();
        diesel::insert_into(accounts::table)
            .values((
                accounts::id.eq(id),
                accounts::login_id.eq(&new.login_id),
                accounts::name.eq(&new.name),
                accounts::birth_date.eq(new.birth_date),
                accounts::password_hash.eq(&new.password_hash),
                accounts::role.eq(new.role.name()),
                accounts::active.eq(true),
                accounts::created_at.eq(now),
                accounts::updated_at.eq(now),
            ))
            .execute(conn)?;
        Ok(id)
    }

    /// # Errors
    /// The database's.
    pub fn by_login_id(conn: &mut MysqlConnection, login_id: &str) -> QueryResult<Option<Self>> {
        accounts::table.filter(accounts::login_id.eq(login_id)).select(Self::as_select()).first(conn).optional()
    }

    /// # Errors
    /// The database's; not found.
    pub fn by_id(conn: &mut MysqlConnection, id: AccountId) -> QueryResult<Self> {
        accounts::table.find(id).select(Self::as_select()).first(conn)
    }

    /// # Errors
    /// The database's.
    pub fn is_taken(conn: &mut MysqlConnection, login_id: &str) -> QueryResult<bool> {
        diesel::select(diesel::dsl::exists(accounts::table.filter(accounts::login_id.eq(login_id)))).get_result(conn)
    }

    /// # Errors
    /// The database's.
    pub fn rename(conn: &mut MysqlConnection, id: AccountId, name: &str) -> QueryResult<()> {
        diesel::update(accounts::table.find(id))
            .set((accounts::name.eq(name), accounts::updated_at.eq(db::now())))
            .execute(conn)?;
        Ok(())
    }

    /// # Errors
    /// The database's.
    pub fn set_password(conn: &mut MysqlConnection, id: AccountId, hash: &str) -> QueryResult<()> {
        diesel::update(accounts::table.find(id))
            .set((accounts::password_hash.eq(hash), accounts::updated_at.eq(db::now())))
            .execute(conn)?;
        Ok(())
    }

    /// Whether anybody can administer this portal yet.
    ///
    /// # Errors
    /// The database's.
    pub fn any_admin(conn: &mut MysqlConnection) -> QueryResult<bool> {
        let admins = accounts::table.filter(accounts::role.eq(Role::Admin.name())).filter(accounts::active.eq(true));
        diesel::select(diesel::dsl::exists(admins)).get_result(conn)
    }
}
