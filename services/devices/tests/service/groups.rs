//! Groups, exposure and regions.

use crate::house::{Agent, Answer, House, code, packages, read, scan_of, updates, windows};
use access::Grant;
use contracts::{
    Accepted, Command, DevicePlatform, OsRelease,
    devices::{
        ChangeGroup, DefineGroup, DeviceQuery, GroupEvent, GroupMembers, RemoveGroup, SetDeviceExposure,
        SetDeviceRegion,
    },
    permissions::Role,
};
use devices_domain::group::MOVED_MAX;
use futures_util::future::join_all;
use kernel::{DeviceGroupId, DeviceId, Scope, StreamId, Tenant};
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::id;
use uuid::Uuid;

impl House {
    /// Sends a command in the name of the partner's admin.
    async fn wish<C: Command>(&self, tenant: Tenant, command: &C) -> Answer {
        let scope = Scope::Partner { partner_id: tenant.partner_id };
        self.command(scope, Grant::everywhere(Role::PartnerAdmin), command, id()).await
    }

    async fn define(&self, tenant: Tenant, name: &str, members: GroupMembers) -> DeviceGroupId {
        let (status, body) = self.wish(tenant, &definition(tenant, name, members)).await;
        assert_eq!(status, 200, "{body}");
        read::<Accepted<DeviceGroupId>>(body).answer
    }

    async fn expose(&self, agent: &Agent, exposed: bool) {
        let command = SetDeviceExposure { device_id: agent.device_id, exposed };
        let answer = self.wish(agent.tenant, &command).await;
        assert_eq!(answer.0, 200, "{answer:?}");
    }

    async fn put(&self, agent: &Agent, region: Option<&str>) {
        let command = SetDeviceRegion { device_id: agent.device_id, region: region.map(str::to_owned) };
        let answer = self.wish(agent.tenant, &command).await;
        assert_eq!(answer.0, 200, "{answer:?}");
    }

    /// What happened to a group, in short: names of events, and who came and went.
    async fn group_story(&self, group_id: DeviceGroupId) -> Vec<String> {
        self.story(DeviceId(group_id.0)).await;
        let facts = self.facts(DeviceId(group_id.0)).await;
        let short = |fact: GroupEvent| match fact {
            GroupEvent::GroupDefined(fact) => format!("defined {}", fact.name),
            GroupEvent::GroupChanged(fact) => format!("changed {}", fact.name),
            GroupEvent::GroupMembershipChanged(fact) => {
                format!("+{} -{}", fact.added.len(), fact.removed.len())
            }
            GroupEvent::GroupRemoved(_) => "removed".to_owned(),
        };
        facts.into_iter().map(|fact| short(fact.read().unwrap())).collect()
    }

    /// Who belongs to a group: by its facts, which the service's table has to agree with.
    async fn members(&self, group_id: DeviceGroupId) -> BTreeSet<DeviceId> {
        self.story(DeviceId(group_id.0)).await;
        let mut told = BTreeSet::new();
        for event in self.events().await.into_iter().filter(|event| event.stream_id == StreamId(group_id.0)) {
            if let GroupEvent::GroupMembershipChanged(fact) = event.read().unwrap() {
                for device in fact.added {
                    assert!(told.insert(device), "{device} came twice");
                }
                for device in fact.removed {
                    assert!(told.remove(&device), "{device} went without having come");
                }
            }
        }
        let kept: Vec<Uuid> =
            sqlx::query_scalar("select device_id from devices.group_member where group_id = $1")
                .bind(group_id.0)
                .fetch_all(&mut self.owner().await)
                .await
                .unwrap();
        assert_eq!(told, kept.into_iter().map(DeviceId).collect());
        told
    }
}

fn definition(tenant: Tenant, name: &str, members: GroupMembers) -> DefineGroup {
    DefineGroup { customer_id: tenant.customer_id.unwrap(), name: name.to_owned(), members }
}

fn listed(agents: &[&Agent]) -> GroupMembers {
    GroupMembers::Listed { device_ids: agents.iter().map(|agent| agent.device_id).collect() }
}

fn found(query: DeviceQuery) -> GroupMembers {
    GroupMembers::Found { query }
}

fn of_region(region: &str) -> DeviceQuery {
    DeviceQuery { region: Some(region.to_owned()), ..DeviceQuery::default() }
}

fn exposed() -> DeviceQuery {
    DeviceQuery { exposed: Some(true), ..DeviceQuery::default() }
}

#[actix_web::test]
async fn a_list_is_what_somebody_has_written_until_they_write_another() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let (one, two) = (
        house.agent(tenant, DevicePlatform::Linux).await,
        house.agent(tenant, DevicePlatform::Windows).await,
    );
    let group_id = house.define(tenant, "Web", listed(&[&one])).await;
    house.expose(&one, true).await;
    let change = |name: &str, agents: &[&Agent]| ChangeGroup {
        group_id,
        name: name.to_owned(),
        members: listed(agents),
    };
    let before = house.wish(tenant, &change("Web", &[&one])).await;
    assert_eq!((before.0, &before.1["written"]), (200, &Value::Null), "nothing changes");
    assert_eq!(house.wish(tenant, &change("Mail", &[&two])).await.0, 200);
    assert_eq!(house.group_story(group_id).await, ["defined Web", "+1 -0", "changed Mail", "+1 -1"]);
    assert_eq!(house.members(group_id).await, [two.device_id].into());

    let remove = RemoveGroup { group_id };
    let (scope, grant) =
        (Scope::Partner { partner_id: tenant.partner_id }, Grant::everywhere(Role::PartnerAdmin));
    let command_id = id();
    let first = house.command(scope, grant, &remove, command_id).await;
    let again = house.command(scope, grant, &remove, command_id).await;
    assert_eq!((first.0, again.0), (200, 200), "{again:?}");
    assert_eq!((&again.1["repeated"], &again.1["written"]), (&Value::Bool(true), &first.1["written"]));
    assert_eq!(house.group_story(group_id).await[4..], ["+0 -1", "removed"]);
    assert_eq!(house.members(group_id).await, BTreeSet::new());
    assert_eq!(code(&house.wish(tenant, &change("Web", &[])).await), (404, "devices.group_unknown"));
    // The name is free again.
    house.define(tenant, "Mail", listed(&[&two])).await;
    house.close().await;
}

#[actix_web::test]
async fn a_device_comes_and_goes_as_the_query_finds_it() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let agent = house.agent(tenant, DevicePlatform::Linux).await;
    let everywhere = house.define(tenant, "Everything", found(DeviceQuery::default())).await;
    let outside = house.define(tenant, "Outside", found(exposed())).await;
    let named = DeviceQuery { name_contains: Some("RV-1".to_owned()), ..of_region("EMEA") };
    let emea = house.define(tenant, "EMEA", found(named)).await;
    let bookworm = DeviceQuery {
        platform: Some(DevicePlatform::Linux),
        os_id: Some("debian".to_owned()),
        os_version: Some("12".to_owned()),
        ..DeviceQuery::default()
    };
    let bookworm = house.define(tenant, "Bookworm", found(bookworm)).await;
    // One that is let in later, and one of somebody else, which is nobody's business here.
    let later = house.agent(tenant, DevicePlatform::Windows).await;
    house.agent(house.customer().await, DevicePlatform::Linux).await;

    assert_eq!(house.members(everywhere).await, [agent.device_id, later.device_id].into());
    assert_eq!(house.members(bookworm).await, [agent.device_id].into());
    house.expose(&agent, true).await;
    house.expose(&agent, true).await;
    house.put(&agent, Some("EMEA")).await;
    assert_eq!(house.members(outside).await, [agent.device_id].into());
    assert_eq!(house.members(emea).await, [agent.device_id].into());
    house.expose(&agent, false).await;
    house.put(&agent, None).await;
    assert_eq!(house.group_story(outside).await, ["defined Outside", "+1 -0", "+0 -1"]);
    assert_eq!(house.group_story(emea).await, ["defined EMEA", "+1 -0", "+0 -1"]);

    // The system is upgraded, and a scan tells of it.
    let trixie = OsRelease { id: "debian".to_owned(), version: "13".to_owned() };
    assert_eq!(agent.scan(&scan_of(trixie.clone(), packages(&[("bash", "5.2")]))).await.0, 202);
    assert_eq!(agent.scan(&scan_of(trixie, packages(&[("bash", "5.3")]))).await.0, 202);
    assert_eq!(later.scan(&scan_of(windows(), updates(&["KB1"], &[]))).await.0, 202);
    assert_eq!(house.group_story(bookworm).await, ["defined Bookworm", "+1 -0", "+0 -1"]);
    assert_eq!(house.group_story(everywhere).await, ["defined Everything", "+1 -0", "+1 -0"]);

    // Another query, and the reverse of it.
    let change = |query| ChangeGroup { group_id: outside, name: "Outside".to_owned(), members: found(query) };
    let inside = DeviceQuery { exposed: Some(false), ..DeviceQuery::default() };
    assert_eq!(house.wish(tenant, &change(inside)).await.0, 200);
    assert_eq!(house.members(outside).await.len(), 2);
    house.expose(&later, true).await;
    assert_eq!(house.members(outside).await, [agent.device_id].into());
    house.close().await;
}

#[actix_web::test]
async fn what_is_wrong_with_a_group_is_said_with_a_code_and_leaves_no_trace() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let agent = house.agent(tenant, DevicePlatform::Linux).await;
    house.define(tenant, "Web", listed(&[])).await;
    let many = GroupMembers::Listed { device_ids: (0..1_001).map(|_| id()).collect() };
    let blank = found(of_region(" "));
    for (name, members, status, expected) in [
        ("wEB", listed(&[]), 409, "devices.group_name_taken"),
        ("", listed(&[]), 422, "devices.group_name_invalid"),
        ("a\u{7}b", listed(&[]), 422, "devices.group_name_invalid"),
        ("Mail", many, 422, "devices.group_too_many_devices"),
        ("Mail", blank, 422, "devices.group_query_invalid"),
        ("Mail", GroupMembers::Listed { device_ids: vec![id()] }, 404, "devices.group_device_unknown"),
    ] {
        let answer = house.wish(tenant, &definition(tenant, name, members)).await;
        assert_eq!(code(&answer), (status, expected), "{name:?}");
    }
    let region = SetDeviceRegion { device_id: agent.device_id, region: Some("a\u{7}b".to_owned()) };
    assert_eq!(code(&house.wish(tenant, &region).await), (422, "devices.region_invalid"));
    let groups: i64 = sqlx::query_scalar("select count(*) from devices.device_group")
        .fetch_one(&mut house.owner().await)
        .await
        .unwrap();
    assert_eq!(groups, 1);
    // The name is taken at one customer only.
    let other = house.customer().await;
    house.define(other, "Web", listed(&[])).await;
    house.close().await;
}

#[actix_web::test]
async fn what_is_another_tenant_s_is_not_found() {
    let house = House::open().await;
    let (own, foreign) = (house.customer().await, house.customer().await);
    let (mine, theirs) =
        (house.agent(own, DevicePlatform::Linux).await, house.agent(foreign, DevicePlatform::Linux).await);
    let group_id = house.define(foreign, "Web", listed(&[&theirs])).await;
    let before = house.group_story(group_id).await.len() + house.events().await.len();

    let listing = definition(own, "Web", listed(&[&mine, &theirs]));
    assert_eq!(code(&house.wish(own, &listing).await), (404, "devices.group_device_unknown"));
    let defining = definition(foreign, "Mail", listed(&[]));
    assert_eq!(code(&house.wish(own, &defining).await), (404, "devices.customer_unknown"));
    let change = ChangeGroup { group_id, name: "Mine".to_owned(), members: listed(&[]) };
    assert_eq!(code(&house.wish(own, &change).await), (404, "devices.group_unknown"));
    assert_eq!(code(&house.wish(own, &RemoveGroup { group_id }).await), (404, "devices.group_unknown"));
    let (device_id, region) = (theirs.device_id, Some("EMEA".to_owned()));
    let exposure = SetDeviceExposure { device_id, exposed: true };
    assert_eq!(code(&house.wish(own, &exposure).await), (404, "devices.device_not_found"));
    let region = SetDeviceRegion { device_id, region };
    assert_eq!(code(&house.wish(own, &region).await), (404, "devices.device_not_found"));

    // Nor is what another customer of the same partner has; who may look only is told so.
    let customer_id = own.customer_id.unwrap();
    let neighbour = Scope::Customer { partner_id: foreign.partner_id, customer_id };
    let admin = Grant::at(Role::CustomerAdmin, customer_id);
    let answer = house.command(neighbour, admin, &RemoveGroup { group_id }, id()).await;
    assert_eq!(code(&answer), (404, "devices.group_unknown"));
    let scope = Scope::Partner { partner_id: foreign.partner_id };
    let viewer = Grant::everywhere(Role::PartnerViewer);
    for answer in [
        house.command(scope, viewer, &exposure, id()).await,
        house.command(scope, viewer, &region, id()).await,
        house.command(scope, viewer, &change, id()).await,
        house.command(scope, viewer, &RemoveGroup { group_id }, id()).await,
        house.command(scope, viewer, &defining, id()).await,
    ] {
        assert_eq!(code(&answer), (403, "access.forbidden"));
    }
    assert_eq!(house.group_story(group_id).await.len() + house.events().await.len(), before);
    house.close().await;
}

#[actix_web::test]
async fn no_device_is_missed_by_groups_that_are_made_while_it_changes() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let agents = join_all((0..6).map(|_| house.agent(tenant, DevicePlatform::Linux))).await;
    let exposing = join_all(agents.iter().map(|agent| house.expose(agent, true)));
    let query = || found(exposed());
    let names: Vec<String> = (0..4).map(|n| format!("Group {n}")).collect();
    let defining = join_all(names.iter().map(|name| house.define(tenant, name, query())));
    let entering = join_all((0..4).map(|_| house.agent(tenant, DevicePlatform::Linux)));
    let (_, groups, _) = futures_util::join!(exposing, defining, entering);
    let expected: BTreeSet<DeviceId> = agents.iter().map(|agent| agent.device_id).collect();
    for group_id in groups {
        assert_eq!(house.members(group_id).await, expected);
    }
    house.close().await;
}

#[actix_web::test]
async fn a_whole_fleet_is_grouped_at_once() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let fleet = i32::try_from(2 * MOVED_MAX + 1).unwrap();
    sqlx::query(
        "insert into devices.device (device_id, partner_id, customer_id, platform, public_key, online,
                                     last_contact_at, name)
         select gen_random_uuid(), $1, $2, 'LINUX', '', false, now(), 'srv-' || n from generate_series(1, $3) n",
    )
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.unwrap().0)
    .bind(fleet)
    .execute(&mut house.owner().await)
    .await
    .unwrap();
    let group_id = house.define(tenant, "All", found(DeviceQuery::default())).await;
    assert_eq!(house.group_story(group_id).await, ["defined All", "+1000 -0", "+1000 -0", "+1 -0"]);
    assert_eq!(house.members(group_id).await.len(), 2 * MOVED_MAX + 1);
    house.close().await;
}
