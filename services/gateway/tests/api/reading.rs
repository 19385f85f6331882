//! Pages, positions and the work that an answer takes.

use crate::system::{System, codes};
use crate::world::World;
use contracts::permissions::Role;
use kernel::DeviceId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::id;

/// Further devices of the world's customer, each with the same missing patch.
async fn devices(system: &System, world: &World, count: usize) {
    for _ in 0..count {
        let device = World { device: id::<DeviceId>(), ..world.clone() };
        let facts = vec![device.enrolled(), device.scanned(), device.missing()];
        system.record(world.tenant(), device.device.0, facts).await;
    }
}

#[tokio::test]
async fn pages_meet_every_device_once() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    devices(&system, &world, 6).await;
    let who = world.subject(Role::CustomerAuditor);
    let query = "query($after: String) { viewer { customers { nodes { devices(first: 3, after: $after) {
        totalCount edges { cursor } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } } }";
    let (mut met, mut after, mut sizes) = (BTreeSet::new(), Value::Null, Vec::new());
    loop {
        let data = system.data(&who, query, json!({ "after": after })).await;
        let page = &data["viewer"]["customers"]["nodes"][0]["devices"];
        let nodes = page["nodes"].as_array().unwrap();
        sizes.push(nodes.len());
        met.extend(nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["totalCount"], 7);
        assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
        assert_eq!(page["pageInfo"]["startCursor"], page["edges"][0]["cursor"]);
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!((sizes, met.len()), (vec![3, 3, 1], 7));
    system.stop().await;
}

#[tokio::test]
async fn a_page_too_large_and_a_cursor_of_another_list_are_the_client_s_errors() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerAuditor);
    let cursor = "{ viewer { customers { edges { cursor } } } }";
    let cursor =
        system.data(&who, cursor, Value::Null).await["viewer"]["customers"]["edges"][0]["cursor"].clone();
    for (arguments, code) in [
        ("first: 101".to_owned(), "graphql.page_size"),
        ("first: 0".to_owned(), "graphql.page_size"),
        ("first: -1".to_owned(), "graphql.page_size"),
        (format!("after: {cursor}"), "graphql.cursor_invalid"),
        ("after: \"AAAA\"".to_owned(), "graphql.cursor_invalid"),
    ] {
        let query = format!(
            "{{ viewer {{ customers {{ nodes {{ devices({arguments}) {{ nodes {{ id }} }} }} }} }} }}"
        );
        let answer = system.ask(&who, &query, Value::Null).await;
        assert_eq!(codes(&answer), [code], "{arguments}: {answer}");
    }
    system.stop().await;
}

#[tokio::test]
async fn more_devices_do_not_take_more_statements() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let query = "{ viewer { customers(first: 5) { nodes { name compliance { percent } pendingApprovals
        devices(first: 50) { totalCount nodes { name customer { name }
            missingPatches(first: 5) { totalCount nodes { state patch { name supersededBy { name } } } } } }
        deployments(first: 5) { nodes { run { state } jobs(first: 5) { nodes { state device { name } steps { state } patches { name } } } } }
    } } } }";
    let who = world.subject(Role::PartnerViewer);
    let one = system.ask(&who, query, Value::Null).await;
    devices(&system, &world, 30).await;
    let many = system.ask(&who, query, Value::Null).await;
    assert_eq!((codes(&one).len(), codes(&many).len()), (0, 0), "{many}");
    let listed = &many["data"]["viewer"]["customers"]["nodes"][0]["devices"]["nodes"];
    assert_eq!(listed.as_array().unwrap().len(), 31);
    // One or two more or less, as fields of one level happen to meet in a batch or not.
    for answer in [&one, &many] {
        assert!(answer["extensions"]["statements"].as_u64().unwrap() < 25, "{}", answer["extensions"]);
    }
    system.stop().await;
}

#[tokio::test]
async fn a_query_waits_for_the_position_it_names() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let position = system.sequence().await;
    let who = world.subject(Role::PartnerAdmin);
    // The caller must be known before a query can wait for anything.
    system.data(&who, "{ viewer { user { id } } }", Value::Null).await;

    let later = World { device: id(), ..world.clone() };
    system.record(world.tenant(), later.device.0, vec![later.enrolled()]).await;
    let query = "query($at: Position) { viewer(waitFor: $at) { customers { nodes { devices { totalCount } } } } position }";
    let wanted = json!({ "at": position.0 + 1 });
    let waiting = system.request(&who, query, &wanted).send();
    let (answer, _) = tokio::join!(waiting, async { system.sequence().await });
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["viewer"]["customers"]["nodes"][0]["devices"]["totalCount"], 2, "{answer}");
    assert!(answer["data"]["position"].as_i64().unwrap() > position.0);
    assert_eq!(answer["extensions"]["position"], answer["data"]["position"]);
    system.stop().await;
}

#[tokio::test]
async fn a_position_that_is_not_reached_in_time_is_an_error_with_a_code() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::PartnerAdmin);
    system.data(&who, "{ viewer { user { id } } }", Value::Null).await;
    let query = "{ position(waitFor: 1000000) viewer { user { id } } }";
    let answer: Value = system.request(&who, query, &Value::Null).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"], Value::Null);
    assert!(codes(&answer).iter().all(|code| *code == "views.behind"), "{answer}");
    assert!(!codes(&answer).is_empty());
    system.stop().await;
}

#[tokio::test]
async fn a_fact_that_cannot_be_read_stops_the_views_instead_of_being_left_out() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::PartnerAdmin);
    system.data(&who, "{ position }", Value::Null).await;
    let broken = crate::system::Fact::broken("tenancy.CustomerRegistered");
    system.record(world.tenant(), id::<DeviceId>().0, vec![broken]).await;
    let later = World { device: id(), ..world.clone() };
    system.record(world.tenant(), later.device.0, vec![later.enrolled()]).await;
    let answer = system.ask(&who, "{ position }", Value::Null).await;
    assert_eq!(codes(&answer), ["views.behind"], "{answer}");
    system.stop().await;
}

#[tokio::test]
async fn a_fact_that_no_view_shows_is_passed_by() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let unknown = crate::system::Fact::broken("weather.ItRained");
    system.record(world.tenant(), id::<DeviceId>().0, vec![unknown]).await;
    let position = system.sequence().await;
    let who = world.subject(Role::PartnerAdmin);
    let reached = system.data(&who, "{ position }", Value::Null).await;
    assert_eq!(reached["position"], position.0);
    system.stop().await;
}
