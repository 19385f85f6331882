//! Given, when, then for device groups.

use super::{Command, GROUPS_MAX, Group, LISTED_MAX, MOVED_MAX, Refusal, State, Surroundings};
use contracts::devices::{
    DeviceQuery, GroupChanged, GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged, GroupRemoved,
};
use kernel::{Aggregate, CustomerId, DeviceGroupId, DeviceId, fold};
use proptest::prelude::*;
use scenario::given;
use std::collections::BTreeSet;
use uuid::Uuid;

const GROUP: DeviceGroupId = DeviceGroupId(Uuid::from_u128(1));
const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(2));

fn device(n: usize) -> DeviceId {
    DeviceId(Uuid::from_u128(0x100 + n as u128))
}

fn devices(numbers: impl IntoIterator<Item = usize>) -> Vec<DeviceId> {
    numbers.into_iter().map(device).collect()
}

fn listed(numbers: impl IntoIterator<Item = usize>) -> GroupMembers {
    GroupMembers::Listed { device_ids: devices(numbers) }
}

fn found() -> GroupMembers {
    GroupMembers::Found { query: DeviceQuery { exposed: Some(true), ..DeviceQuery::default() } }
}

/// A customer with these devices among those that are meant.
fn with(numbers: impl IntoIterator<Item = usize>) -> Surroundings {
    Surroundings { devices: devices(numbers).into_iter().collect(), ..Surroundings::default() }
}

fn define(name: &str, members: GroupMembers, surroundings: Surroundings) -> Command {
    let name = name.to_owned();
    Command::Define { group_id: GROUP, customer_id: CUSTOMER, name, members, surroundings }
}

fn change(name: &str, members: GroupMembers, surroundings: Surroundings) -> Command {
    Command::Change { name: name.to_owned(), members, surroundings }
}

fn defined(members: GroupMembers) -> GroupEvent {
    GroupDefined { group_id: GROUP, customer_id: CUSTOMER, name: "Web".to_owned(), members }.into()
}

fn changed(name: &str, members: GroupMembers) -> GroupEvent {
    GroupChanged { group_id: GROUP, name: name.to_owned(), members }.into()
}

fn moved(added: impl IntoIterator<Item = usize>, removed: impl IntoIterator<Item = usize>) -> GroupEvent {
    let (added, removed) = (devices(added), devices(removed));
    GroupMembershipChanged { group_id: GROUP, customer_id: CUSTOMER, added, removed }.into()
}

fn removed() -> GroupEvent {
    GroupRemoved { group_id: GROUP, customer_id: CUSTOMER }.into()
}

#[test]
fn a_listed_group_is_made_of_its_list_in_order_and_each_device_once() {
    given::<Group>([])
        .when(define("Web", listed([2, 1, 2]), with([1, 2])))
        .then([defined(listed([1, 2])), moved([1, 2], [])]);
}

#[test]
fn a_group_that_nothing_belongs_to_has_no_membership_to_tell_of() {
    given::<Group>([]).when(define("Web", listed([]), with([]))).then([defined(listed([]))]);
    given::<Group>([]).when(define("Web", found(), with([]))).then([defined(found())]);
}

#[test]
fn a_found_group_is_made_of_what_the_query_finds() {
    given::<Group>([]).when(define("Web", found(), with([3, 1]))).then([defined(found()), moved([1, 3], [])]);
}

#[test]
fn a_device_of_somebody_else_is_not_found() {
    let refusal = Refusal::DeviceUnknown { device_id: device(7) };
    given::<Group>([]).when(define("Web", listed([1, 7]), with([1]))).then_refused(&refusal);
    given::<Group>([defined(found())]).when(change("Web", listed([7]), with([]))).then_refused(&refusal);
}

#[test]
fn a_name_is_one_of_its_kind_at_the_customer() {
    let taken = Surroundings { name_taken: true, ..with([]) };
    let refusal = Refusal::NameTaken { name: "Web".to_owned() };
    given::<Group>([]).when(define("Web", found(), taken.clone())).then_refused(&refusal);
    given::<Group>([defined(found())]).when(change("Web", found(), taken)).then_refused(&refusal);
}

#[test]
fn a_name_that_nobody_could_read_is_refused() {
    let (fits, long) = ("n".repeat(200), "n".repeat(201));
    for name in ["", "  ", " Web", "a\0b", long.as_str()] {
        given::<Group>([]).when(define(name, found(), with([]))).then_refused(&Refusal::InvalidName);
    }
    assert!(Group::decide(&State::NotDefined, define(&fits, found(), with([]))).is_ok());
}

#[test]
fn a_query_with_an_empty_text_is_refused() {
    let query = |query: DeviceQuery| define("Web", GroupMembers::Found { query }, with([]));
    let (none, empty) = (DeviceQuery::default, || Some(String::new()));
    for (field, wrong) in [
        ("os_id", DeviceQuery { os_id: empty(), ..none() }),
        ("os_version", DeviceQuery { os_version: empty(), ..none() }),
        ("region", DeviceQuery { region: empty(), ..none() }),
        ("name_contains", DeviceQuery { name_contains: Some("x".repeat(257)), ..none() }),
    ] {
        given::<Group>([]).when(query(wrong)).then_refused(&Refusal::InvalidQuery { field });
    }
}

#[test]
fn a_list_is_bounded() {
    let many = 0..=LISTED_MAX;
    given::<Group>([])
        .when(define("Web", listed(many.clone()), with(many)))
        .then_refused(&Refusal::TooManyListed { count: LISTED_MAX + 1 });
}

#[test]
fn a_customer_has_so_many_groups_and_no_more() {
    let full = Surroundings { other_groups: GROUPS_MAX, ..with([]) };
    given::<Group>([]).when(define("Web", found(), full.clone())).then_refused(&Refusal::TooManyGroups);
    // Those that it has can be changed.
    given::<Group>([defined(found())]).when(change("Mail", found(), full)).then([changed("Mail", found())]);
}

#[test]
fn a_change_tells_of_what_is_different_only() {
    let past = || [defined(listed([1, 2])), moved([1, 2], [])];
    given::<Group>(past()).when(change("Web", listed([2, 1]), with([1, 2]))).then([]);
    given::<Group>(past())
        .when(change("Mail", listed([1, 2]), with([1, 2])))
        .then([changed("Mail", listed([1, 2]))]);
    given::<Group>(past())
        .when(change("Web", listed([2, 3]), with([2, 3])))
        .then([changed("Web", listed([2, 3])), moved([3], [1])]);
}

#[test]
fn a_device_comes_to_a_found_group_and_goes_again() {
    let moves = |belongs| Command::Move { device_id: device(1), belongs };
    given::<Group>([defined(found())]).when(moves(true)).then([moved([1], [])]);
    given::<Group>([defined(found()), moved([1], [])]).when(moves(false)).then([moved([], [1])]);
    given::<Group>([defined(found())]).when(moves(false)).then([]);
}

#[test]
fn what_becomes_of_a_device_does_not_change_a_list() {
    let moves = |belongs| Command::Move { device_id: device(1), belongs };
    given::<Group>([defined(listed([]))]).when(moves(true)).then([]);
    given::<Group>([defined(listed([1])), moved([1], [])]).when(moves(false)).then([]);
}

#[test]
fn a_removed_group_has_let_go_of_its_devices_before() {
    given::<Group>([defined(found()), moved([1, 2], [])])
        .when(Command::Remove)
        .then([moved([], [1, 2]), removed()]);
    given::<Group>([defined(found())]).when(Command::Remove).then([removed()]);
}

#[test]
fn what_is_not_there_cannot_be_changed() {
    for past in [vec![], vec![defined(found()), removed()]] {
        given::<Group>(past).when(change("Web", found(), with([]))).then_refused(&Refusal::Unknown);
    }
    given::<Group>([]).when(Command::Remove).then_refused(&Refusal::Unknown);
}

#[test]
fn a_whole_fleet_comes_in_several_facts() {
    let events = Group::decide(&State::NotDefined, define("All", found(), with(0..=2 * MOVED_MAX))).unwrap();
    assert_eq!(events.len(), 4);
    let State::Defined(group) = fold::<Group>(&events) else { unreachable!("it is defined") };
    assert_eq!(group.devices.len(), 2 * MOVED_MAX + 1);
}

proptest! {
    #[test]
    fn whatever_is_listed_in_turn_the_facts_add_up_to_the_last_list(
        lists in prop::collection::vec(prop::collection::btree_set(0_usize..6, 0..6), 1..6),
    ) {
        let mut state = fold::<Group>(&[defined(listed([]))]);
        for list in &lists {
            let command = change("Web", listed(list.iter().copied()), with(list.iter().copied()));
            let events = Group::decide(&state, command).unwrap();
            for event in &events {
                if let GroupEvent::GroupMembershipChanged(fact) = event {
                    prop_assert!(!fact.added.is_empty() || !fact.removed.is_empty());
                }
            }
            state = events.iter().fold(state, Group::evolve);
        }
        let State::Defined(group) = state else { unreachable!("it is defined") };
        let last: BTreeSet<DeviceId> = lists.last().unwrap().iter().map(|n| device(*n)).collect();
        prop_assert_eq!(group.devices, last);
    }
}

/// A kept state that is read in another sense than it was written would decide wrongly: a change of it, or of `evolve`,
/// needs another shape number beside the text below.
#[test]
fn the_kept_state_has_the_form_of_its_shape_number() {
    let snapshot = <Group as Aggregate>::SNAPSHOT.unwrap();
    let state = fold::<Group>(&[defined(listed([1])), moved([1], [])]);
    let kept = (snapshot.write)(&state).unwrap();
    assert_eq!((snapshot.read)(&kept), Some(state));
    let one = device(1);
    let expected = format!(
        r#"{{"Defined":{{"group_id":"{GROUP}","customer_id":"{CUSTOMER}","name":"Web","members":{{"kind":"LISTED","device_ids":["{one}"]}},"devices":["{one}"]}}}}"#,
    );
    assert_eq!((snapshot.shape, String::from_utf8(kept).unwrap()), (1, expected));
}
