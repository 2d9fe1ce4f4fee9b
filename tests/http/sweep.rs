//! What the sync removes: what has expired, and history that is old.

use crate::support::{TestApp, until};

#[actix_web::test]
async fn what_has_expired_is_removed_and_nothing_else() {
    let mut app = TestApp::new().await;
    let student = app.student().await;
    let (old, young, lives) = (
        app.running(&student, "old").await,
        app.running(&student, "young").await,
        app.running(&student, "lives").await,
    );
    for id in [&old, &young] {
        student.press("delete", id).await;
        app.settle(&student, id, "gone").await;
    }
    app.stop_working();
    app.anon().log_in(&student.login_id, "not the password").await.is(422);
    let database = &app.database;
    let is = |id: &str| format!("= UNHEX(REPLACE('{id}', '-', ''))");
    let days_ago = |days: u32| format!("UTC_TIMESTAMP(6) - INTERVAL {days} DAY");
    let (sessions, operations) = (database.count("sessions"), database.count("operations"));
    let events_of = |id: &str| database.text("COUNT(*)", &format!("instance_events WHERE instance_id {}", is(id)));
    let (of_young, of_lives) = (events_of(&young), events_of(&lives));
    for statement in [
        format!("UPDATE instances SET deleted_at = {} WHERE id {}", days_ago(366), is(&old)),
        format!("UPDATE instances SET deleted_at = {} WHERE id {}", days_ago(364), is(&young)),
        // Ids are what the age of an event is read from: their first 48 bits are milliseconds.
        format!(
            "INSERT INTO instance_events (id, instance_id, kind, created_at) SELECT CONCAT(UNHEX(LPAD(HEX( \
             (UNIX_TIMESTAMP(UTC_TIMESTAMP()) - days * 86400) * 1000), 12, '0')), RANDOM_BYTES(10)), UNHEX(REPLACE('{lives}', '-', '')), \
             'active', UTC_TIMESTAMP(6) FROM (SELECT 366 AS days UNION SELECT 364) AS ages"
        ),
        format!(
            "INSERT INTO sessions SELECT REVERSE(key_hash), account_id, state, created_at, {} FROM sessions",
            days_ago(1)
        ),
        format!("UPDATE operations SET updated_at = {} WHERE resource_id {}", days_ago(31), is(&old)),
        format!(
            "UPDATE operations SET updated_at = {}, state = 'running', leased_until = {} WHERE resource_id {} LIMIT 1",
            days_ago(31),
            "UTC_TIMESTAMP(6) + INTERVAL 1 DAY",
            is(&young)
        ),
        format!("UPDATE throttles SET last_at = {}", days_ago(1)),
    ] {
        database.sql(&statement);
    }
    let throttled = database.count("throttles");
    assert!(throttled > 0 && database.count("sessions") == 2 * sessions, "there is something to remove");

    app.work_and_sync();
    // The last thing that a sweep does.
    until("the old to be removed", async || (app.database.count("instances") == 2).then_some(())).await;
    app.stop_working();
    let database = &app.database;
    let events_of = |id: &str| database.text("COUNT(*)", &format!("instance_events WHERE instance_id {}", is(id)));
    assert_eq!(database.text("GROUP_CONCAT(name ORDER BY name)", "instances"), "lives,young");
    assert_eq!(events_of(&old), "0");
    assert_eq!(events_of(&young), of_young);
    let with_one_more = of_lives.parse::<u32>().unwrap() + 1;
    assert_eq!(events_of(&lives), with_one_more.to_string(), "of the two that were added, the younger");
    assert_eq!((database.count("throttles"), database.count("sessions")), (0, sessions));
    assert!(student.is_signed_in().await);
    assert_eq!(database.count("operations"), operations - 2, "those of the one that is gone");
}
