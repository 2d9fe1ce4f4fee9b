//! Ids of rows: a type each, so that an account's id can't be passed where an instance's is due.
//!
//! All are UUIDs made by us (version 7, so that they sort by time): the database has no `RETURNING`, and an id is
//! needed before the first write, because the cloud's objects carry it.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::mysql::Mysql;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Binary;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow, Serialize, Deserialize)]
        #[diesel(sql_type = Binary)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later in order than those made before it.
            #[expect(clippy::new_without_default, reason = "a new id is never a default one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Only the form that we print ourselves: 36 characters, lower case, with hyphens.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Uuid::try_parse(text)?;
                if id.to_string() == text { Ok(Self(id)) } else { Uuid::try_parse("").map(Self) }
            }
        }

        impl ToSql<Binary, Mysql> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
                out.write_all(self.0.as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<Binary, Mysql> for $name {
            fn from_sql(bytes: <Mysql as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                let bytes = <Vec<u8> as FromSql<Binary, Mysql>>::from_sql(bytes)?;
                Ok(Self(Uuid::from_slice(&bytes)?))
            }
        }
    };
}

id!(
    /// Who signs in.
    AccountId
);
id!(
    /// A mini PC; also the value of the cloud object's metadata that says which row it belongs to.
    InstanceId
);
id!(
    /// What can be rented: an image, a flavor and a network under one name.
    TemplateId
);
id!(
    /// A public SSH key of an account.
    SshKeyId
);
id!(
    /// A machine's id in the cloud (Nova's).
    NovaId
);
id!(
    /// A container application; also the value of the label that its objects in the cluster carry.
    ApplicationId
);
id!(
    /// A bucket; also in the mark that its container carries.
    BucketId
);
id!(
    /// A file on its way into a bucket; later, of a large one, whose segments they are.
    UploadId
);
id!(
    /// An address by which anybody can fetch one object for a while.
    ShareLinkId
);
id!(
    /// A credential for tools, for one bucket.
    TokenId
);
id!(
    /// A folder that is being deleted.
    RemovalId
);
id!(
    /// A line of a resource's history.
    EventId
);
id!(
    /// A piece of work that a cloud is asked for.
    OperationId
);

/// The first id that could have been made at a time, as a column holds it: ids are UUIDv7, whose first 48 bits are the
/// milliseconds at which they were made, and the primary keys are in that order.
pub fn first_at(time: chrono::NaiveDateTime) -> Vec<u8> {
    let milliseconds = u64::try_from(time.and_utc().timestamp_millis()).unwrap_or(0);
    (u128::from(milliseconds) << 80).to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_printed_form_is_an_id() {
        let id = InstanceId::new();
        assert_eq!(id.to_string().parse::<InstanceId>().unwrap(), id);
        for other in ["", "..", "1", &id.0.simple().to_string(), &id.to_string().to_uppercase(), &format!("{{{id}}}")] {
            assert!(other.parse::<InstanceId>().is_err(), "{other} is taken as an id");
        }
    }
}
