//! The table of templates.

use chrono::NaiveDateTime;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;

use crate::cloud::Catalogue;
use crate::config::InstanceTemplates;
use crate::db;
use crate::ids::TemplateId;
use crate::schema::instance_templates;

/// An image, a flavor and a network under one name.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = instance_templates)]
pub struct InstanceTemplate {
    pub id: TemplateId,
    pub name: String,
    pub purpose_ko: String,
    pub purpose_en: String,
    pub image: String,
    pub flavor: String,
    /// Empty: the cloud's only tenant network.
    pub network: String,
    /// Empty: no floating address.
    pub floating_network: String,
    /// Comma-separated.
    pub security_groups: String,
    /// Empty: the person's own key.
    pub key_pair: String,
    pub ssh_user: String,
    pub user_data: String,
    pub vcpus: u32,
    pub ram_mb: u32,
    pub disk_gb: u32,
    pub swap_mb: u32,
    pub position: i32,
    pub enabled: bool,
    pub updated_at: NaiveDateTime,
}

/// A template as the admin's form gives it, or as the first start makes it; checked.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, AsChangeset)]
#[diesel(table_name = instance_templates)]
pub struct TemplateChanges {
    pub name: String,
    pub purpose_ko: String,
    pub purpose_en: String,
    pub image: String,
    pub flavor: String,
    pub network: String,
    pub floating_network: String,
    pub security_groups: String,
    pub key_pair: String,
    pub ssh_user: String,
    pub user_data: String,
    pub vcpus: u32,
    pub ram_mb: u32,
    pub disk_gb: u32,
    pub swap_mb: u32,
    pub position: i32,
    pub enabled: bool,
}

impl InstanceTemplate {
    /// In the admin's order; all of them, or those that are offered.
    ///
    /// # Errors
    /// The database's.
    pub fn list(conn: &mut MysqlConnection, only_enabled: bool) -> QueryResult<Vec<Self>> {
        let mut query = instance_templates::table.into_boxed();
        if only_enabled {
            query = query.filter(instance_templates::enabled.eq(true));
        }
        query
            .order((instance_templates::position, instance_templates::id))
            .limit(100)
            .select(Self::as_select())
            .load(conn)
    }

    /// # Errors
    /// The database's; not found.
    pub fn find(conn: &mut MysqlConnection, id: TemplateId) -> QueryResult<Self> {
        instance_templates::table.find(id).select(Self::as_select()).first(conn)
    }

    /// # Errors
    /// The database's.
    pub fn create(conn: &mut MysqlConnection, new: &TemplateChanges) -> QueryResult<TemplateId> {
        let id = TemplateId::new();
        let now = db::now();
        diesel::insert_into(instance_templates::table)
            .values((
                instance_templates::id.eq(id),
                new,
                instance_templates::created_at.eq(now),
                instance_templates::updated_at.eq(now),
            ))
            .execute(conn)?;
        Ok(id)
    }

    /// # Errors
    /// The database's; not found.
    pub fn update(conn: &mut MysqlConnection, id: TemplateId, changes: &TemplateChanges) -> QueryResult<()> {
        let written = diesel::update(instance_templates::table.find(id))
            .set((changes, instance_templates::updated_at.eq(db::now())))
            .execute(conn)?;
        if written == 0 { Err(diesel::result::Error::NotFound) } else { Ok(()) }
    }

    /// Mini PCs that were made from it stay as they are.
    ///
    /// # Errors
    /// The database's; not found.
    pub fn delete(conn: &mut MysqlConnection, id: TemplateId) -> QueryResult<()> {
        match diesel::delete(instance_templates::table.find(id)).execute(conn)? {
            0 => Err(diesel::result::Error::NotFound),
            _ => Ok(()),
        }
    }

    /// Fills a database without templates with the three that the portal ships; says how many were made.
    ///
    /// # Errors
    /// The database's.
    pub fn seed(conn: &mut MysqlConnection, config: &InstanceTemplates) -> QueryResult<usize> {
        conn.transaction(|conn| {
            let any: i64 = instance_templates::table.count().get_result(conn)?;
            if any > 0 {
                return Ok(0);
            }
            let shipped = shipped(config);
            for template in &shipped {
                Self::create(conn, template)?;
            }
            Ok(shipped.len())
        })
    }

    /// Takes over the sizes of the cloud's flavors, where they differ from what a template says: what is shown and
    /// counted is what will be rented.
    ///
    /// # Errors
    /// The database's.
    pub fn take_sizes(conn: &mut MysqlConnection, catalogue: &Catalogue) -> QueryResult<usize> {
        let mut written = 0;
        for template in Self::list(conn, false)? {
            let Some(flavor) = catalogue.flavor(&template.flavor) else { continue };
            let ours = (template.vcpus, template.ram_mb, template.disk_gb, template.swap_mb);
            let theirs = (flavor.vcpus, flavor.ram_mb, flavor.disk_gb, flavor.swap_mb);
            if ours != theirs {
                written += diesel::update(instance_templates::table.find(template.id))
                    .set((
                        instance_templates::vcpus.eq(flavor.vcpus),
                        instance_templates::ram_mb.eq(flavor.ram_mb),
                        instance_templates::disk_gb.eq(flavor.disk_gb),
                        instance_templates::swap_mb.eq(flavor.swap_mb),
                    ))
                    .execute(conn)?;
            }
        }
        Ok(written)
    }

    pub fn purpose(&self, lang: crate::web::page::Lang) -> &str {
        match lang {
            crate::web::page::Lang::Ko => &self.purpose_ko,
            crate::web::page::Lang::En => &self.purpose_en,
        }
    }

    /// What the cloud lacks of this template: names of ours, `image`, `flavor`, `network`, `floating_network`,
    /// `security_group`, `key_pair`. Empty when all is there, or when the cloud has not been asked yet.
    pub fn lacks(&self, catalogue: Option<&Catalogue>) -> Vec<&'static str> {
        let Some(catalogue) = catalogue else { return Vec::new() };
        let has = |list: &[crate::cloud::Named], name: &str| list.iter().any(|n| n.id == name || n.name == name);
        let mut lacks = Vec::new();
        if !has(&catalogue.images, &self.image) {
            lacks.push("image");
        }
        if catalogue.flavor(&self.flavor).is_none() {
            lacks.push("flavor");
        }
        if self.network.is_empty() {
            if catalogue.networks.len() != 1 {
                lacks.push("network");
            }
        } else if !has(&catalogue.networks, &self.network) {
            lacks.push("network");
        }
        if !self.floating_network.is_empty() && !has(&catalogue.external_networks, &self.floating_network) {
            lacks.push("floating_network");
        }
        if !self.security_groups().iter().all(|group| has(&catalogue.security_groups, group)) {
            lacks.push("security_group");
        }
        if !self.key_pair.is_empty() && !has(&catalogue.key_pairs, &self.key_pair) {
            lacks.push("key_pair");
        }
        lacks
    }

    pub fn security_groups(&self) -> Vec<String> {
        self.security_groups.split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned).collect()
    }
}

/// Nano, Standard and Pro, mapped to the cloud by the configuration.
fn shipped(config: &InstanceTemplates) -> Vec<TemplateChanges> {
    let base = |name: &str, ko: &str, en: &str, flavor: &str, size: [u32; 4], position| TemplateChanges {
        name: name.to_owned(),
        purpose_ko: ko.to_owned(),
        purpose_en: en.to_owned(),
        image: config.image.clone(),
        flavor: flavor.to_owned(),
        network: config.network.clone(),
        floating_network: config.floating_network.clone(),
        security_groups: config.security_groups.join(","),
        key_pair: String::new(),
        ssh_user: config.ssh_user.clone(),
        user_data: String::new(),
        vcpus: size[0],
        ram_mb: size[1],
        disk_gb: size[2],
        swap_mb: size[3],
        position,
        enabled: true,
    };
    vec![
        base("Nano", "개인 프로젝트", "Personal projects", &config.nano_flavor, [1, 512, 10, 1024], 1),
        base("Standard", "해커톤", "Hackathon", &config.standard_flavor, [1, 1024, 20, 2048], 2),
        base("Pro", "데모데이", "Demo day", &config.pro_flavor, [2, 3072, 40, 4096], 3),
    ]
}
