//! What the planner answers, as text, and what holds for every answer.

use super::{Approved, Chosen, Device, HeldBack, HoldReason, Missing, Part, plan};
use contracts::devices::AgentMode;
use contracts::scheduling::SkipReason;
use kernel::{DeviceId, PatchId};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use std::collections::BTreeSet;
use uuid::Uuid;

fn device_id(n: u128) -> DeviceId {
    DeviceId(Uuid::from_u128(n))
}

fn patch_id(n: u128) -> PatchId {
    PatchId(Uuid::from_u128(n))
}

fn patches(ids: impl IntoIterator<Item = u128>) -> BTreeSet<PatchId> {
    ids.into_iter().map(patch_id).collect()
}

fn device(n: u128, online: bool, mode: AgentMode, missing: impl IntoIterator<Item = u128>) -> Device {
    let missing = missing
        .into_iter()
        .map(|p| Missing { patch_id: patch_id(p), vendor_patch_id: format!("DSA-{p}"), packages: vec![] })
        .collect();
    Device { device_id: device_id(n), online, mode, missing }
}

fn fleet() -> Vec<Device> {
    vec![
        device(1, true, AgentMode::Full, [1, 2, 3]),
        device(2, false, AgentMode::Full, [1]),
        device(3, false, AgentMode::ScanOnly, []),
        device(4, true, AgentMode::ScanOnly, [1]),
        device(5, true, AgentMode::Full, []),
        device(6, true, AgentMode::Full, [3]),
        device(7, true, AgentMode::Full, [2]),
    ]
}

/// The patches on every one of the devices.
fn everywhere(devices: &[Device], patches: &BTreeSet<PatchId>) -> Approved {
    devices.iter().flat_map(|device| patches.iter().map(|patch| (device.device_id, *patch))).collect()
}

fn text(devices: &[Device], approved: &BTreeSet<PatchId>, chosen: &Chosen) -> String {
    plan(devices, &everywhere(devices, approved), chosen)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_approved_patch_goes_where_it_is_missing() {
    insta::assert_snapshot!(text(&fleet(), &patches([1, 2]), &Chosen::EveryApproved), @r"
    00000000-0000-0000-0000-000000000001: install DSA-1 DSA-2; hold back 00000000-0000-0000-0000-000000000003, NotApproved
    00000000-0000-0000-0000-000000000002: skip, DeviceOffline
    00000000-0000-0000-0000-000000000003: skip, DeviceOffline
    00000000-0000-0000-0000-000000000004: skip, NoAgent
    00000000-0000-0000-0000-000000000005: skip, NotApplicable
    00000000-0000-0000-0000-000000000006: skip, NotApproved
    00000000-0000-0000-0000-000000000007: install DSA-2
    ");
}

#[test]
fn chosen_patches_go_where_they_are_missing_and_approved() {
    let chosen = Chosen::of(&[patch_id(3), patch_id(1)]);
    insta::assert_snapshot!(text(&fleet(), &patches([1, 2]), &chosen), @r"
    00000000-0000-0000-0000-000000000001: install DSA-1; hold back 00000000-0000-0000-0000-000000000003, NotApproved
    00000000-0000-0000-0000-000000000002: skip, DeviceOffline
    00000000-0000-0000-0000-000000000003: skip, DeviceOffline
    00000000-0000-0000-0000-000000000004: skip, NoAgent
    00000000-0000-0000-0000-000000000005: skip, NotApplicable
    00000000-0000-0000-0000-000000000006: skip, NotApproved
    00000000-0000-0000-0000-000000000007: skip, NotApplicable
    ");
}

#[test]
fn what_is_approved_on_one_device_only_goes_there_only() {
    let approved =
        [(device_id(1), patch_id(1)), (device_id(7), patch_id(2)), (device_id(6), patch_id(1))].into();
    let plans = plan(&fleet(), &approved, &Chosen::EveryApproved);
    let queued: Vec<_> = plans
        .iter()
        .filter(|plan| matches!(plan.part, Part::Queue { .. }))
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(queued.join("\n"), @r"
    00000000-0000-0000-0000-000000000001: install DSA-1; hold back 00000000-0000-0000-0000-000000000002, NotApproved; hold back 00000000-0000-0000-0000-000000000003, NotApproved
    00000000-0000-0000-0000-000000000007: install DSA-2
    ");
}

#[test]
fn offline_is_the_reason_before_all_others() {
    let offline = device(1, false, AgentMode::ScanOnly, []);
    let parts = plan(&[offline], &Approved::new(), &Chosen::EveryApproved);
    assert_eq!(parts[0].part, Part::Skip { reason: SkipReason::DeviceOffline });
}

#[test]
fn what_is_left_out_of_a_job_has_its_reason() {
    let parts = plan(
        &fleet()[..1],
        &everywhere(&fleet(), &patches([1])),
        &Chosen::of(&[patch_id(1), patch_id(2), patch_id(9)]),
    );
    let Part::Queue { held_back, .. } = &parts[0].part else { panic!("{parts:?}") };
    assert_eq!(
        held_back,
        &[
            HeldBack { patch_id: patch_id(2), because: HoldReason::NotApproved },
            HeldBack { patch_id: patch_id(9), because: HoldReason::NotApplicable },
        ]
    );
}

/// Small numbers, so that devices and patches meet often.
fn some_patches() -> impl Strategy<Value = Vec<u128>> {
    prop::collection::vec(0..6_u128, 0..6)
}

fn some_devices() -> impl Strategy<Value = Vec<Device>> {
    let mode = any::<bool>().prop_map(|full| if full { AgentMode::Full } else { AgentMode::ScanOnly });
    let one = (0..8_u128, any::<bool>(), mode, some_patches());
    prop::collection::vec(one.prop_map(|(n, online, mode, missing)| device(n, online, mode, missing)), 0..10)
}

proptest! {
    #[test]
    fn there_is_exactly_one_plan_per_device(devices in some_devices(), approved in some_patches(), chosen in some_patches()) {
        let chosen = Chosen::of(&chosen.into_iter().map(patch_id).collect::<Vec<_>>());
        let planned: Vec<_> = plan(&devices, &everywhere(&devices, &patches(approved)), &chosen).iter().map(|plan| plan.device_id).collect();
        let expected: BTreeSet<_> = devices.iter().map(|device| device.device_id).collect();
        prop_assert_eq!(planned, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_job_holds_exactly_what_is_approved_and_missing_and_chosen(device in some_devices(), approved in some_patches(), chosen in some_patches()) {
        let approved = patches(approved);
        let chosen = Chosen::of(&chosen.into_iter().map(patch_id).collect::<Vec<_>>());
        for device in device {
            let wanted: Vec<_> = device.missing.iter().map(|missing| missing.patch_id).collect::<BTreeSet<_>>()
                .into_iter().filter(|id| approved.contains(id) && chosen.covers(*id)).collect();
            let able = device.online && device.mode == AgentMode::Full;
            let one = std::slice::from_ref(&device);
            match &plan(one, &everywhere(one, &approved), &chosen)[0].part {
                Part::Queue { patches, .. } => {
                    prop_assert!(able && !patches.is_empty());
                    prop_assert_eq!(patches.iter().map(|order| order.patch_id).collect::<Vec<_>>(), wanted);
                }
                Part::Skip { .. } => prop_assert!(!able || wanted.is_empty()),
            }
        }
    }
}
