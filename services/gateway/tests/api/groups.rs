//! Device groups, and devices by where they stand.

use crate::system::{Fact, System, codes};
use crate::world::{World, global};
use contracts::devices::{
    DeviceEvent, DeviceExposureChanged, DeviceQuery, DeviceRegionChanged, GroupChanged, GroupDefined,
    GroupEvent, GroupMembers, GroupMembershipChanged, GroupRemoved,
};
use contracts::permissions::Role;
use kernel::{DeviceGroupId, DeviceId, derived_id};
use serde_json::{Value, json};
use testkit::id;

const DEFINE: &str = "mutation($input: DefineGroupInput!) { defineGroup(input: $input) {
    groupId userErrors { code field } } }";

impl World {
    pub(crate) fn group(&self) -> DeviceGroupId {
        DeviceGroupId(derived_id(self.customer.0, "group"))
    }

    /// The device stands somewhere, can be reached from the internet, and is found by a group.
    pub(crate) async fn record_group(&self, system: &System) {
        let (device_id, region) = (self.device, Some(self.text("region")));
        let placed = vec![
            Fact::of::<DeviceEvent>(DeviceExposureChanged { device_id, exposed: true }),
            Fact::of::<DeviceEvent>(DeviceRegionChanged { device_id, region: region.clone() }),
        ];
        system.record(self.tenant(), device_id.0, placed).await;
        let query = DeviceQuery { region, exposed: Some(true), ..DeviceQuery::default() };
        let defined = GroupDefined {
            group_id: self.group(),
            customer_id: self.customer,
            name: self.text("group"),
            members: GroupMembers::Found { query },
        };
        self.group_says(system, defined).await;
        self.move_devices(system, vec![device_id], vec![]).await;
    }

    async fn group_says(&self, system: &System, event: impl Into<GroupEvent>) {
        system.record(self.tenant(), self.group().0, vec![Fact::of::<GroupEvent>(event)]).await;
    }

    async fn move_devices(&self, system: &System, added: Vec<DeviceId>, removed: Vec<DeviceId>) {
        let (group_id, customer_id) = (self.group(), self.customer);
        self.group_says(system, GroupMembershipChanged { group_id, customer_id, added, removed }).await;
    }

    /// The same customer's next device.
    async fn next_device(&self, system: &System) -> World {
        let next = World { device: id(), ..self.clone() };
        system.record(next.tenant(), next.device.0, vec![next.enrolled()]).await;
        next
    }
}

impl System {
    /// Ids of a customer's devices that a filter leaves.
    async fn devices(&self, world: &World, filter: Value) -> Value {
        let query = "query($filter: DeviceFilter) { viewer { customers { nodes { devices(filter: $filter) {
            totalCount nodes { id } } } } } }";
        let who = world.subject(Role::CustomerAuditor);
        let data = self.data(&who, query, json!({ "filter": filter })).await;
        let devices = &data["viewer"]["customers"]["nodes"][0]["devices"];
        assert_eq!(devices["totalCount"], devices["nodes"].as_array().unwrap().len());
        devices["nodes"].clone()
    }
}

fn ids(worlds: &[&World]) -> Value {
    worlds.iter().map(|world| json!({ "id": global("Device", world.device) })).collect()
}

// Point 84.
#[tokio::test]
async fn a_group_and_its_devices_are_shown_from_either_side_and_page_by_page() {
    let (system, first) = (System::start().await, World::new("acker"));
    first.record(&system).await;
    let second = first.next_device(&system).await;
    first.move_devices(&system, vec![second.device], vec![]).await;
    let who = first.subject(Role::CustomerAuditor);
    let query = "query($after: String) { viewer { groups { totalCount nodes { id name customer { name }
        query { platform region exposed nameContains }
        members(first: 1, after: $after) { totalCount pageInfo { hasNextPage endCursor }
            nodes { id exposed region groups { totalCount nodes { name } } } } } } } }";
    let page = async |after: Value| {
        let data = system.data(&who, query, json!({ "after": after })).await;
        data["viewer"]["groups"]["nodes"][0].clone()
    };
    let shown = page(Value::Null).await;
    assert_eq!(
        (&shown["id"], &shown["name"], &shown["customer"]["name"]),
        (&json!(global("DeviceGroup", first.group())), &json!("acker group"), &json!("acker customer"))
    );
    assert_eq!(
        shown["query"],
        json!({ "platform": null, "region": "acker region", "exposed": true, "nameContains": null })
    );
    assert_eq!(
        (&shown["members"]["totalCount"], &shown["members"]["pageInfo"]["hasNextPage"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(
        shown["members"]["nodes"],
        json!([{ "id": global("Device", first.device), "exposed": true, "region": "acker region",
                 "groups": { "totalCount": 1, "nodes": [{ "name": "acker group" }] } }])
    );
    let rest = page(shown["members"]["pageInfo"]["endCursor"].clone()).await;
    assert_eq!(rest["members"]["pageInfo"]["hasNextPage"], false);
    assert_eq!(rest["members"]["nodes"][0]["id"], global("Device", second.device));
    assert_eq!(rest["members"]["nodes"][0]["exposed"], false);

    let members = GroupMembers::Listed { device_ids: vec![second.device] };
    let changed = GroupChanged { group_id: first.group(), name: "acker list".to_owned(), members };
    first.group_says(&system, changed).await;
    first.move_devices(&system, vec![], vec![first.device]).await;
    let shown = page(Value::Null).await;
    assert_eq!((&shown["name"], &shown["query"]), (&json!("acker list"), &Value::Null));
    assert_eq!(shown["members"]["nodes"][0]["id"], global("Device", second.device));
    first.move_devices(&system, vec![], vec![second.device]).await;
    let removed = GroupRemoved { group_id: first.group(), customer_id: first.customer };
    first.group_says(&system, removed).await;
    assert_eq!(page(Value::Null).await, Value::Null);
    system.stop().await;
}

// Point 23.
#[tokio::test]
async fn devices_are_found_by_region_exposure_and_group() {
    let (system, first) = (System::start().await, World::new("acker"));
    first.record(&system).await;
    let second = first.next_device(&system).await;
    let elsewhere = DeviceRegionChanged { device_id: second.device, region: Some("EMEA".to_owned()) };
    system.record(second.tenant(), second.device.0, vec![Fact::of::<DeviceEvent>(elsewhere)]).await;
    let group = global("DeviceGroup", first.group());
    for (filter, expected) in [
        (Value::Null, &[&first, &second][..]),
        (json!({}), &[&first, &second]),
        (json!({ "region": "EMEA" }), &[&second]),
        (json!({ "region": "emea" }), &[]),
        (json!({ "exposed": true }), &[&first]),
        (json!({ "exposed": false }), &[&second]),
        (json!({ "groupId": group }), &[&first]),
        (json!({ "groupId": group, "region": "EMEA" }), &[]),
        (json!({ "groupId": group, "region": "acker region", "exposed": true }), &[&first]),
        (json!({ "groupId": global("DeviceGroup", id::<DeviceGroupId>()) }), &[]),
    ] {
        assert_eq!(system.devices(&first, filter.clone()).await, ids(expected), "{filter}");
    }
    let forgotten = DeviceRegionChanged { device_id: second.device, region: None };
    system.record(second.tenant(), second.device.0, vec![Fact::of::<DeviceEvent>(forgotten)]).await;
    assert_eq!(system.devices(&first, json!({ "region": "EMEA" })).await, json!([]));

    let query = "query($filter: DeviceFilter) { viewer { customers { nodes { devices(filter: $filter) { nodes { id } } } } } }";
    for (filter, code) in [
        (json!({ "region": "" }), "graphql.input_invalid"),
        (json!({ "region": "r".repeat(101) }), "graphql.input_invalid"),
        (json!({ "region": "a\0b" }), "graphql.input_invalid"),
        (json!({ "groupId": global("Device", first.device) }), "graphql.id_invalid"),
    ] {
        let who = first.subject(Role::CustomerAuditor);
        let answer = system.ask(&who, query, json!({ "filter": filter })).await;
        assert_eq!(codes(&answer), [code], "{filter}");
    }
    system.stop().await;
}

#[tokio::test]
async fn somebody_sees_the_groups_of_the_customers_that_their_roles_reach() {
    let (system, first) = (System::start().await, World::new("acker"));
    first.record(&system).await;
    let [second, third] = ["beck", "conrad"].map(|mark| World { partner: first.partner, ..World::new(mark) });
    for world in [&second, &third] {
        let customer = contracts::tenancy::CustomerRegistered {
            customer_id: world.customer,
            partner_id: world.partner,
            name: world.text("customer"),
            time_zone: "UTC".to_owned(),
        };
        let fact = Fact::of::<contracts::tenancy::CustomerEvent>(customer);
        system.record(world.tenant(), world.customer.0, vec![fact]).await;
        world.record_device(&system).await;
        world.record_group(&system).await;
    }
    first.grant(&system, Role::CustomerAdmin, second.customer).await;
    let query = "{ viewer { groups { totalCount nodes { name } } } }";
    let data = system.data(&first.subject(Role::CustomerAdmin), query, Value::Null).await;
    let both = json!([{ "name": "acker group" }, { "name": "beck group" }]);
    assert_eq!(data["viewer"]["groups"], json!({ "totalCount": 2, "nodes": both }));
    let data = system.data(&first.subject(Role::PartnerViewer), query, Value::Null).await;
    assert_eq!(data["viewer"]["groups"]["totalCount"], 3);
    let node = "query($id: ID!) { node(id: $id) { id } }";
    for (world, seen) in [(&second, true), (&third, false)] {
        let variables = json!({ "id": global("DeviceGroup", world.group()) });
        let data = system.data(&first.subject(Role::CustomerAdmin), node, variables).await;
        assert_eq!(data["node"].is_object(), seen, "{}", world.mark);
    }
    system.stop().await;
}

#[tokio::test]
async fn what_a_group_cannot_be_made_of_is_said_with_its_field() {
    let (system, world, other) = (System::start().await, World::new("acker"), World::new("beck"));
    world.record(&system).await;
    other.record(&system).await;
    let input = |more: Value| {
        let mut input =
            json!({ "idempotencyKey": "1", "customerId": global("Customer", world.customer), "name": "Web" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "input": input })
    };
    let (own, foreign) = (global("Device", world.device), global("Device", other.device));
    for (who, more, code, field) in [
        (Role::PartnerAdmin, json!({}), "graphql.input_invalid", json!("query")),
        (
            Role::PartnerAdmin,
            json!({ "deviceIds": [own], "query": {} }),
            "graphql.input_invalid",
            json!("query"),
        ),
        (
            Role::PartnerAdmin,
            json!({ "deviceIds": [own, foreign] }),
            "devices.device_not_found",
            json!("deviceIds.1"),
        ),
        (Role::PartnerAdmin, json!({ "deviceIds": ["x"] }), "graphql.id_invalid", json!("deviceIds.0")),
        (Role::PartnerViewer, json!({ "query": {} }), "access.forbidden", Value::Null),
    ] {
        let data = system.data(&world.subject(who), DEFINE, input(more.clone())).await;
        let expected = json!({ "groupId": null, "userErrors": [{ "code": code, "field": field }] });
        assert_eq!(data["defineGroup"], expected, "{more}");
    }
    let remove =
        "mutation($input: RemoveGroupInput!) { removeGroup(input: $input) { userErrors { code field } } }";
    let variables =
        json!({ "input": { "idempotencyKey": "1", "groupId": global("DeviceGroup", other.group()) } });
    let data = system.data(&world.subject(Role::PartnerAdmin), remove, variables).await;
    let error = json!({ "code": "devices.device_group_not_found", "field": "groupId" });
    assert_eq!(data["removeGroup"]["userErrors"], json!([error]));
    system.stop().await;
}
