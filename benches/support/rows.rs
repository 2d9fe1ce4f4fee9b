//! Mini PCs written by SQL: nobody has ordered them.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use fast_cloud::ids::{AccountId, InstanceId, NovaId};
use fast_cloud::schema::instances;

pub struct Row {
    pub id: InstanceId,
    /// None: it is still being ordered.
    pub nova_id: Option<NovaId>,
    pub status: &'static str,
    pub address: Option<String>,
    pub created_at: NaiveDateTime,
}

const SPEC: &str = r#"{"image":"Ubuntu 22.04","flavor":"m1.nano","network":"","floating_network":"",
    "security_groups":["default"],"key_pair":"","ssh_user":"ubuntu","user_data":"","public_key":null,"key_file":""}"#;

pub fn insert(conn: &mut MysqlConnection, account: AccountId, rows: &[Row]) -> QueryResult<()> {
    for rows in rows.chunks(1_000) {
        let values: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    instances::id.eq(row.id),
                    instances::account_id.eq(account),
                    instances::name.eq(format!("class-pc-{}", row.id.0.as_u128() % 100_000)),
                    instances::template_name.eq("Nano"),
                    instances::spec.eq(SPEC),
                    instances::vcpus.eq(1),
                    instances::ram_mb.eq(512),
                    instances::disk_gb.eq(10),
                    instances::nova_id.eq(row.nova_id),
                    instances::status.eq(row.status),
                    instances::ip_address.eq(&row.address),
                    instances::launch_key.eq(row.id.to_string()),
                    instances::created_at.eq(row.created_at),
                    instances::updated_at.eq(row.created_at),
                )
            })
            .collect();
        diesel::insert_into(instances::table).values(values).execute(conn)?;
    }
    Ok(())
}
