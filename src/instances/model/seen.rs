//! What the sync compares and writes.

use super::*;

/// A row as far as the cloud's word concerns it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = instances)]
pub struct Known {
    pub id: InstanceId,
    pub account_id: AccountId,
    pub nova_id: Option<NovaId>,
    status: String,
    transition: Option<String>,
    pub transition_accepted: bool,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    pub ip_address: Option<String>,
    pub floating_ip: Option<String>,
    pub version: u32,
}

impl Known {
    pub fn status(&self) -> Status {
        Status::from_name(&self.status)
    }

    pub fn transition(&self) -> Option<Transition> {
        self.transition.as_deref().and_then(Transition::from_name)
    }
}

#[cfg(test)]
impl Known {
    /// A row for tests of pure logic.
    pub fn fake(
        id: InstanceId,
        account_id: AccountId,
        nova_id: NovaId,
        status: Status,
        transition: Option<Transition>,
        transition_accepted: bool,
    ) -> Self {
        Self {
            id,
            account_id,
            nova_id: Some(nova_id),
            status: status.name().to_owned(),
            transition: transition.map(|transition| transition.name().to_owned()),
            transition_accepted,
            reason: None,
            reason_text: None,
            ip_address: None,
            floating_ip: None,
            version: 1,
        }
    }

    /// The same after a write.
    #[must_use]
    pub fn with(mut self, transition: Option<Transition>, accepted: bool, reason: Option<String>) -> Self {
        self.transition = transition.map(|transition| transition.name().to_owned());
        self.transition_accepted = accepted;
        self.reason = reason;
        self
    }
}

/// What is to be written of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub id: InstanceId,
    pub version: u32,
    pub status: Status,
    pub transition: Option<Transition>,
    pub transition_accepted: bool,
    pub reason: Option<String>,
    pub reason_text: Option<String>,
    pub ip_address: Option<String>,
    pub floating_ip: Option<String>,
    pub event: Option<Kind>,
    pub event_detail: Option<String>,
    /// It runs now and has no address from outside; one is attached if it was ordered with one.
    pub attach_address: bool,
}

/// All rows that are not gone.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut MysqlConnection) -> QueryResult<Vec<Known>> {
    alive().select(Known::as_select()).load(conn)
}

/// Rows by their own ids, gone ones marked by None: for servers that fit no row read before.
///
/// # Errors
/// The database's.
pub fn by_ids(conn: &mut MysqlConnection, ids: &[InstanceId]) -> QueryResult<Vec<(Known, Option<NaiveDateTime>)>> {
    instances::table.filter(instances::id.eq_any(ids)).select((Known::as_select(), instances::deleted_at)).load(conn)
}

/// Rows of these machines that are not gone.
///
/// # Errors
/// The database's.
pub fn by_nova_ids(conn: &mut MysqlConnection, ids: &[NovaId]) -> QueryResult<Vec<Known>> {
    alive().filter(instances::nova_id.eq_any(ids)).select(Known::as_select()).load(conn)
}

/// Rows on their way from one state to another that the cloud knows of.
///
/// # Errors
/// The database's.
pub fn unsettled(conn: &mut MysqlConnection) -> QueryResult<Vec<Known>> {
    alive()
        .filter(instances::nova_id.is_not_null())
        .filter(instances::transition.is_not_null().or(instances::status.eq("building")))
        .select(Known::as_select())
        .load(conn)
}

/// Whether there are any.
///
/// # Errors
/// The database's.
pub fn any_unsettled(conn: &mut MysqlConnection) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        alive()
            .filter(instances::nova_id.is_not_null())
            .filter(instances::transition.is_not_null().or(instances::status.eq("building"))),
    ))
    .get_result(conn)
}

/// Writes a change, unless the row has been written since it was read. Says whether it was.
///
/// # Errors
/// The database's.
pub fn write(conn: &mut MysqlConnection, change: &Change) -> QueryResult<bool> {
    db::transaction(conn, |conn| {
        let now = db::now();
        let written = diesel::update(
            instances::table
                .find(change.id)
                .filter(instances::version.eq(change.version))
                .filter(instances::deleted_at.is_null()),
        )
        .set((
            instances::status.eq(change.status.name()),
            instances::transition.eq(change.transition.map(Transition::name)),
            instances::transition_accepted.eq(change.transition_accepted),
            instances::reason.eq(&change.reason),
            instances::reason_text.eq(change.reason_text.as_deref().map(|text| crate::text::shorten(text, 1000))),
            instances::ip_address.eq(&change.ip_address),
            instances::floating_ip.eq(&change.floating_ip),
            instances::version.eq(change.version + 1),
            instances::updated_at.eq(now),
        ))
        .execute(conn)?;
        if written == 0 {
            return Ok(false);
        }
        if let Some(kind) = change.event {
            events::record(conn, change.id, kind, change.event_detail.as_deref())?;
        }
        if change.attach_address {
            let (account, spec): (AccountId, String) =
                instances::table.find(change.id).select((instances::account_id, instances::spec)).first(conn)?;
            let wanted = serde_json::from_str::<Spec>(&spec).is_ok_and(|spec| !spec.floating_network.is_empty());
            if wanted && !operations::is_open(conn, change.id, Action::AttachAddress)? {
                operations::enqueue(conn, account, change.id, Action::AttachAddress)?;
            }
        }
        Ok(true)
    })
}
