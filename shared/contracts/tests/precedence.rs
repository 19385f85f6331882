//! The order of precedence: told by cases, and as a law against a plain model that is written differently.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use chrono::{DateTime, Utc};
use contracts::DevicePlatform;
use contracts::approvals::precedence::{
    ApprovedBy, BLOCK_RANK, CatalogueState, Considered, Decided, EffectiveState, Level, Place, Ruling,
    effective, rank_approves,
};
use contracts::approvals::{ApprovalLevel, ApprovalScope, Decisions};
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId, PatchId};
use proptest::prelude::*;
use uuid::Uuid;

const OWN: u128 = 1;
const OTHER: u128 = 2;

fn place() -> Place {
    Place {
        partner_id: PartnerId(Uuid::from_u128(OWN)),
        customer_id: CustomerId(Uuid::from_u128(OWN)),
        group_ids: [OWN, 3].map(|group| DeviceGroupId(Uuid::from_u128(group))).into(),
        device_id: DeviceId(Uuid::from_u128(OWN)),
    }
}

fn scope(level: ApprovalLevel, id: u128) -> ApprovalScope {
    let (id, customer_id) = (Uuid::from_u128(id), CustomerId(Uuid::from_u128(OWN)));
    match level {
        ApprovalLevel::Device => ApprovalScope::Device { customer_id, device_id: DeviceId(id) },
        ApprovalLevel::Group => ApprovalScope::Group { customer_id, group_id: DeviceGroupId(id) },
        ApprovalLevel::Customer => ApprovalScope::Customer { customer_id: CustomerId(id) },
        ApprovalLevel::Partner => ApprovalScope::Partner { partner_id: PartnerId(id) },
    }
}

fn at(level: ApprovalLevel, ruling: Ruling) -> Decided {
    Decided { scope: scope(level, OWN), ruling }
}

fn day(day: u32) -> DateTime<Utc> {
    format!("2026-12-{day:02}T00:00:00Z").parse().unwrap()
}

fn state_of(decisions: &[Decided]) -> (EffectiveState, Option<Level>) {
    let place = place();
    let considered = Considered {
        place: &place,
        platform: DevicePlatform::Windows,
        catalogue: CatalogueState::Published,
        blocked: false,
        decisions,
    };
    let found = effective(&considered);
    (found.state, found.decided_at)
}

const APPROVED: EffectiveState = EffectiveState::Approved { by: ApprovedBy::Person };

#[test]
fn what_nobody_decided_is_pending() {
    assert_eq!(state_of(&[]), (EffectiveState::Pending, None));
}

#[test]
fn what_is_nearer_to_the_device_decides() {
    let nearest_first =
        [ApprovalLevel::Device, ApprovalLevel::Group, ApprovalLevel::Customer, ApprovalLevel::Partner];
    for (index, near) in nearest_first.into_iter().enumerate() {
        for far in &nearest_first[index + 1..] {
            let approved = [at(*far, Ruling::Rejected), at(near, Ruling::Approved)];
            assert_eq!(state_of(&approved).0, APPROVED, "{near:?} before {far:?}");
            let rejected = [at(*far, Ruling::Approved), at(near, Ruling::Rejected)];
            assert_eq!(state_of(&rejected).0, EffectiveState::Rejected, "{near:?} before {far:?}");
        }
    }
}

#[test]
fn on_one_level_a_rejection_beats_a_deferral_and_a_deferral_an_approval() {
    let group = |id, ruling| Decided { scope: scope(ApprovalLevel::Group, id), ruling };
    let approved = group(OWN, Ruling::Approved);
    let deferred = group(3, Ruling::Deferred { until: day(7) });
    let until = EffectiveState::Deferred { until: day(7) };
    assert_eq!(state_of(&[approved, deferred]), (until, Some(Level::Group)));
    let rejected = group(3, Ruling::Rejected);
    assert_eq!(state_of(&[approved, rejected]), (EffectiveState::Rejected, Some(Level::Group)));
}

#[test]
fn of_several_deferrals_on_a_level_the_last_one_counts() {
    let group = |id, until| Decided {
        scope: scope(ApprovalLevel::Group, id),
        ruling: Ruling::Deferred { until: day(until) },
    };
    let until = EffectiveState::Deferred { until: day(9) };
    assert_eq!(state_of(&[group(OWN, 9), group(3, 7)]), (until, Some(Level::Group)));
}

#[test]
fn a_persons_word_at_the_partner_beats_a_rule_at_the_device() {
    let decisions =
        [at(ApprovalLevel::Device, Ruling::ApprovedByRule), at(ApprovalLevel::Partner, Ruling::Rejected)];
    assert_eq!(state_of(&decisions), (EffectiveState::Rejected, Some(Level::Partner)));
}

#[test]
fn the_partners_block_beats_the_device_and_the_lost_decision_is_still_told() {
    let decisions = [at(ApprovalLevel::Device, Ruling::Approved)];
    let considered = Considered {
        place: &place(),
        platform: DevicePlatform::Linux,
        catalogue: CatalogueState::Published,
        blocked: true,
        decisions: &decisions,
    };
    let found = effective(&considered);
    assert_eq!((found.state, found.decided_at), (EffectiveState::Blocked, Some(Level::Block)));
    assert_eq!(found.levels.iter().map(|evaluated| evaluated.level).collect::<Vec<_>>(), Level::ALL);
    let device = found.levels.iter().find(|evaluated| evaluated.level == Level::Device).unwrap();
    assert_eq!((device.outcome, &device.decisions[..]), (APPROVED, &decisions[..]));
}

#[test]
fn a_withdrawn_patch_is_not_installable_whatever_was_decided() {
    for catalogue in [CatalogueState::Superseded, CatalogueState::Withdrawn] {
        let decisions = [at(ApprovalLevel::Device, Ruling::Approved)];
        let considered = Considered {
            place: &place(),
            platform: DevicePlatform::Windows,
            catalogue,
            blocked: true,
            decisions: &decisions,
        };
        assert_eq!(effective(&considered).state, EffectiveState::NotInstallable);
    }
}

#[test]
fn point_132_no_rule_approves_for_linux() {
    let decisions = [at(ApprovalLevel::Customer, Ruling::ApprovedByRule)];
    let considered = Considered {
        place: &place(),
        platform: DevicePlatform::Linux,
        catalogue: CatalogueState::Published,
        blocked: false,
        decisions: &decisions,
    };
    assert_eq!(effective(&considered).state, EffectiveState::Pending);
    assert_eq!(state_of(&decisions).0, EffectiveState::Approved { by: ApprovedBy::Rule });
}

/// The order as a person would tell it: one question after the other, with no levels and no ranks.
fn told_plainly(considered: &Considered<'_>) -> EffectiveState {
    if considered.catalogue != CatalogueState::Published {
        return EffectiveState::NotInstallable;
    }
    if considered.blocked {
        return EffectiveState::Blocked;
    }
    let place = considered.place;
    let is_device = |decided: &Decided| matches!(decided.scope, ApprovalScope::Device { device_id, customer_id } if device_id == place.device_id && customer_id == place.customer_id);
    let is_group = |decided: &Decided| matches!(decided.scope, ApprovalScope::Group { group_id, customer_id } if place.group_ids.contains(&group_id) && customer_id == place.customer_id);
    let is_customer = |decided: &Decided| decided.scope.whole_customer() == Some(place.customer_id);
    let is_partner =
        |decided: &Decided| decided.scope == ApprovalScope::Partner { partner_id: place.partner_id };
    let questions: [&dyn Fn(&Decided) -> bool; 4] = [&is_device, &is_group, &is_customer, &is_partner];
    for holds in questions {
        let mut approved = false;
        let mut latest = None;
        for decided in considered.decisions.iter().filter(|decided| holds(decided)) {
            match decided.ruling {
                Ruling::Rejected => return EffectiveState::Rejected,
                Ruling::Deferred { until } => latest = latest.max(Some(until)),
                Ruling::Approved => approved = true,
                Ruling::ApprovedByRule => {}
            }
        }
        if let Some(until) = latest {
            return EffectiveState::Deferred { until };
        }
        if approved {
            return APPROVED;
        }
    }
    let by_rule = considered.decisions.iter().any(|decided| {
        decided.ruling == Ruling::ApprovedByRule && questions.iter().any(|holds| holds(decided))
    });
    if by_rule && considered.platform == DevicePlatform::Windows {
        return EffectiveState::Approved { by: ApprovedBy::Rule };
    }
    EffectiveState::Pending
}

fn rulings() -> impl Strategy<Value = Ruling> {
    prop_oneof![
        Just(Ruling::Rejected),
        (1u32..28).prop_map(|on| Ruling::Deferred { until: day(on) }),
        Just(Ruling::Approved),
        Just(Ruling::ApprovedByRule),
    ]
}

fn decisions() -> impl Strategy<Value = Vec<Decided>> {
    let level = prop_oneof![
        Just(ApprovalLevel::Device),
        Just(ApprovalLevel::Group),
        Just(ApprovalLevel::Customer),
        Just(ApprovalLevel::Partner),
    ];
    let id = prop_oneof![Just(OWN), Just(OTHER), Just(3)];
    let decided =
        (level, id, rulings()).prop_map(|(level, id, ruling)| Decided { scope: scope(level, id), ruling });
    proptest::collection::vec(decided, 0..8)
}

fn catalogue() -> impl Strategy<Value = CatalogueState> {
    prop_oneof![
        6 => Just(CatalogueState::Published),
        1 => Just(CatalogueState::Superseded),
        1 => Just(CatalogueState::Withdrawn),
    ]
}

fn platform() -> impl Strategy<Value = DevicePlatform> {
    prop_oneof![Just(DevicePlatform::Windows), Just(DevicePlatform::Linux)]
}

proptest! {
    #[test]
    fn precedence_is_what_the_plain_model_tells(
        decisions in decisions(),
        catalogue in catalogue(),
        blocked in proptest::bool::weighted(0.1),
        platform in platform(),
    ) {
        let place = place();
        let considered = Considered { place: &place, platform, catalogue, blocked, decisions: &decisions };
        let found = effective(&considered);
        prop_assert_eq!(found.state, told_plainly(&considered));
        let decisive = found.levels.iter().find(|evaluated| Some(evaluated.level) == found.decided_at);
        prop_assert_eq!(decisive.map_or(EffectiveState::Pending, |evaluated| evaluated.outcome), found.state);
        // Nothing that holds for the device is lost on the way.
        let kept: usize = found.levels.iter().map(|evaluated| evaluated.decisions.len()).sum();
        let holds = decisions.iter().filter(|decided| place.lies_in(decided.scope));
        let counts = holds.filter(|decided| {
            platform == DevicePlatform::Windows || decided.ruling != Ruling::ApprovedByRule
        });
        prop_assert_eq!(kept, counts.count());
    }

    #[test]
    fn the_lowest_rank_that_holds_says_the_same(
        decisions in decisions(),
        blocked in proptest::bool::weighted(0.1),
    ) {
        let place = place();
        let considered = Considered {
            place: &place,
            platform: DevicePlatform::Windows,
            catalogue: CatalogueState::Published,
            blocked,
            decisions: &decisions,
        };
        let holding = decisions.iter().filter(|decided| place.lies_in(decided.scope)).map(Decided::rank);
        let lowest = holding.chain(blocked.then_some(BLOCK_RANK)).min();
        let state = effective(&considered).state;
        prop_assert_eq!(rank_approves(lowest), matches!(state, EffectiveState::Approved { .. }));
        prop_assert_eq!(lowest.is_none(), state == EffectiveState::Pending);
    }

    #[test]
    fn what_was_collected_for_many_devices_says_the_same_for_each(
        decisions in decisions(),
        catalogue in catalogue(),
        blocked in proptest::bool::weighted(0.1),
        platform in platform(),
    ) {
        let (place, patch_id) = (place(), PatchId(Uuid::from_u128(9)));
        let mut collected = Decisions::default();
        collected.catalogue(patch_id, catalogue, platform);
        if blocked {
            collected.block(patch_id, place.partner_id);
        }
        // One decision stands for a patch in a scope: the last.
        let mut last: Vec<Decided> = Vec::new();
        for decided in decisions {
            collected.decide(patch_id, decided);
            last.retain(|earlier| earlier.scope != decided.scope);
            last.push(decided);
        }
        let considered = Considered { place: &place, platform, catalogue, blocked, decisions: &last };
        prop_assert_eq!(collected.of(patch_id, &place), effective(&considered));
        prop_assert_eq!(
            collected.of(PatchId(Uuid::from_u128(10)), &place).state,
            EffectiveState::NotInstallable
        );
    }

    #[test]
    fn a_scope_and_a_ruling_are_read_as_they_are_written(decisions in decisions()) {
        for Decided { scope, ruling } in decisions {
            let level = ApprovalLevel::read(scope.level().word()).unwrap();
            prop_assert_eq!(ApprovalScope::of(level, scope.id(), scope.customer_id()), Some(scope));
            prop_assert_eq!(Ruling::read(ruling.word(), ruling.until()), Some(ruling));
            prop_assert_eq!(serde_json::to_value(level).unwrap(), level.word());
        }
    }

    #[test]
    fn a_further_rejection_never_lets_a_patch_through(decisions in decisions(), level in 0usize..4) {
        let levels = [ApprovalLevel::Device, ApprovalLevel::Group, ApprovalLevel::Customer, ApprovalLevel::Partner];
        let stricter: Vec<Decided> =
            decisions.iter().copied().chain([at(levels[level], Ruling::Rejected)]).collect();
        let is_approved = |decisions: &[Decided]| matches!(state_of(decisions).0, EffectiveState::Approved { .. });
        prop_assert!(is_approved(&decisions) || !is_approved(&stricter));
    }
}
