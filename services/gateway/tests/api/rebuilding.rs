//! The views are built anew while the API answers from them.

use crate::system::System;
use crate::world::{World, global};
use contracts::permissions::Role;
use eventstore::{DifferenceKind, RebuildOptions, check, rebuild};
use gateway::views::Views;
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn a_damaged_view_is_found_and_repaired_while_the_api_answers_from_it() {
    let system = System::start().await;
    let (world, other) = (World::new("acker"), World::new("baker"));
    world.record(&system).await;
    let who = world.subject(Role::PartnerAdmin);
    let query = "query($id: ID!) { node(id: $id) { ... on Device { name missingPatches { totalCount } } } }";
    let device = json!({ "id": global("Device", world.device) });
    let right = system.data(&who, query, device.clone()).await["node"].clone();
    assert_eq!(right, json!({ "name": world.text("device"), "missingPatches": { "totalCount": 1 } }));

    let damage = format!(
        "update views.device set name = 'nobody''s' where device_id = '{0}';
         update views.device_patch set state = 'INSTALLED' where device_id = '{0}'",
        world.device
    );
    sqlx::raw_sql(AssertSqlSafe(damage)).execute(&mut system.database.owner().await).await.unwrap();
    let wrong = json!({ "name": "nobody's", "missingPatches": { "totalCount": 0 } });
    assert_eq!(system.data(&who, query, device.clone()).await["node"], wrong);

    let (database, owner) = (system.database.connect().await, system.database.owner_url());
    let found = check(&database, &owner, &Views, &|_| {}).await.unwrap();
    let found: Vec<_> = found
        .tables
        .iter()
        .flat_map(|table| table.differences.iter().map(move |row| (table.table, row)))
        .map(|(table, row)| {
            assert_eq!(row.kind, DifferenceKind::Changed);
            (table, json!(row.key), row.columns.iter().map(|c| c.column.as_str()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("device", json!({ "device_id": world.device }), vec!["name"]),
            ("device_patch", json!({ "device_id": world.device, "patch_id": world.patch }), vec!["state"]),
        ]
    );

    let done = AtomicBool::new(false);
    let rebuilding = async {
        let rebuilt = rebuild(&database, &owner, &Views, RebuildOptions::default(), &|_| {}).await;
        done.store(true, Ordering::SeqCst);
        rebuilt.unwrap()
    };
    let asking = async {
        let mut answers = Vec::new();
        while !done.load(Ordering::SeqCst) {
            answers.push(system.data(&who, query, device.clone()).await["node"].clone());
        }
        answers.dedup();
        // What was damaged, then what is right, and never back; the one answer in the making may show some of each.
        assert_eq!(answers.first(), Some(&wrong), "{answers:?}");
        assert!(answers.len() <= 3, "{answers:?}");
        // The follower writes into the new tables.
        other.record(&system).await;
        assert_eq!(system.data(&who, query, device.clone()).await["node"], right);
    };
    tokio::join!(rebuilding, asking);
    system.stop().await;
}
