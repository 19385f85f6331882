//! What would change the answer whether a patch may be installed on a device: the question asked again without what is
//! in the way.

use crate::words::ChangeKind;
use chrono::{DateTime, Utc};
use contracts::DevicePlatform;
use contracts::approvals::effective;
use contracts::approvals::precedence::{
    ApprovedBy, CatalogueState, Considered, Decided, Effective, EffectiveState, Level, Ruling,
};

/// Something that would change the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PossibleChange {
    pub(crate) kind: ChangeKind,
    /// The level on which it would happen, where it is one.
    pub(crate) level: Option<Level>,
    /// When it happens by itself.
    pub(crate) at: Option<DateTime<Utc>>,
    /// What would hold then.
    pub(crate) then: EffectiveState,
}

/// Everything that would change what holds now.
pub(crate) fn changes(considered: &Considered<'_>, awaits_second: bool) -> Vec<PossibleChange> {
    let now = effective(considered);
    match now.state {
        EffectiveState::NotInstallable => match considered.catalogue {
            CatalogueState::Superseded => {
                vec![change(ChangeKind::DecideOnNewerPatch, None, EffectiveState::NotInstallable)]
            }
            CatalogueState::Published | CatalogueState::Withdrawn => vec![],
        },
        EffectiveState::Blocked => {
            let then = effective(&Considered { blocked: false, ..*considered }).state;
            vec![change(ChangeKind::EndBlock, Some(Level::Block), then)]
        }
        EffectiveState::Rejected | EffectiveState::Deferred { .. } | EffectiveState::Approved { .. } => {
            decided(considered, &now)
        }
        EffectiveState::Pending => pending(considered, awaits_second),
    }
}

fn change(kind: ChangeKind, level: Option<Level>, then: EffectiveState) -> PossibleChange {
    PossibleChange { kind, level, at: None, then }
}

const APPROVED: EffectiveState = EffectiveState::Approved { by: ApprovedBy::Person };

fn decided(considered: &Considered<'_>, now: &Effective) -> Vec<PossibleChange> {
    let Some(level) = now.decided_at else { return vec![] };
    let without = |in_the_way: &dyn Fn(&Decided) -> bool| {
        let rest: Vec<Decided> = considered
            .decisions
            .iter()
            .copied()
            .filter(|decided| !(decided.level() == level && in_the_way(decided)))
            .collect();
        effective(&Considered { decisions: &rest, ..*considered }).state
    };
    let revoke =
        |in_the_way: &dyn Fn(&Decided) -> bool| change(ChangeKind::Revoke, Some(level), without(in_the_way));
    let nearer =
        (level > Level::Device).then_some(change(ChangeKind::Approve, Some(Level::Device), APPROVED));
    match now.state {
        EffectiveState::Rejected => {
            let revoked = revoke(&|decided| decided.ruling == Ruling::Rejected);
            std::iter::once(revoked).chain(nearer).collect()
        }
        EffectiveState::Deferred { until } => {
            let is_deferral = |decided: &Decided| decided.ruling.until().is_some();
            let ends = PossibleChange {
                at: Some(until),
                ..change(ChangeKind::DeferralEnds, Some(level), without(&is_deferral))
            };
            [ends, revoke(&is_deferral)].into_iter().chain(nearer).collect()
        }
        EffectiveState::Approved { .. } => {
            let level_of_rejection = if level == Level::Rule { Level::Partner } else { level };
            let rejected = change(ChangeKind::Reject, Some(level_of_rejection), EffectiveState::Rejected);
            vec![revoke(&|_| true), rejected]
        }
        EffectiveState::NotInstallable | EffectiveState::Blocked | EffectiveState::Pending => vec![],
    }
}

fn pending(considered: &Considered<'_>, awaits_second: bool) -> Vec<PossibleChange> {
    let second = awaits_second.then_some(change(ChangeKind::GiveSecondApproval, None, APPROVED));
    let approve = change(ChangeKind::Approve, None, APPROVED);
    let by_rule = EffectiveState::Approved { by: ApprovedBy::Rule };
    let rule = (considered.platform == DevicePlatform::Windows).then_some(change(
        ChangeKind::RuleApproves,
        Some(Level::Rule),
        by_rule,
    ));
    second.into_iter().chain([approve]).chain(rule).collect()
}

/// What holds, as a part of a sentence.
pub(crate) fn words(state: EffectiveState) -> String {
    match state {
        EffectiveState::NotInstallable => "superseded or withdrawn".to_owned(),
        EffectiveState::Blocked => "blocked by the partner".to_owned(),
        EffectiveState::Rejected => "rejected".to_owned(),
        EffectiveState::Deferred { until } => format!("put off until {}", time(until)),
        EffectiveState::Approved { by: ApprovedBy::Person } => "approved".to_owned(),
        EffectiveState::Approved { by: ApprovedBy::Rule } => "approved by a rule".to_owned(),
        EffectiveState::Pending => "waiting for a decision".to_owned(),
    }
}

/// Where a level is, as a part of a sentence.
pub(crate) fn place(level: Level) -> &'static str {
    match level {
        Level::Catalogue => "in the catalogue",
        Level::Block => "by the partner's block",
        Level::Device => "for this device",
        Level::Group => "for a group of the device",
        Level::Customer => "for the whole customer",
        Level::Partner => "for all customers of the partner",
        Level::Rule => "by an auto-approval rule",
    }
}

impl PossibleChange {
    /// The change as a sentence.
    pub(crate) fn words(&self) -> String {
        let place = self.level.map(place).unwrap_or_default();
        let what = match self.kind {
            ChangeKind::DecideOnNewerPatch => {
                return "a newer patch takes its place: decide on that one".to_owned();
            }
            ChangeKind::EndBlock => "if the partner ends its block".to_owned(),
            ChangeKind::Revoke => format!("if what was decided {place} is taken back"),
            ChangeKind::DeferralEnds => match self.at {
                Some(at) => format!("at {}, when it is put off no longer {place}", time(at)),
                None => format!("when it is put off no longer {place}"),
            },
            ChangeKind::GiveSecondApproval => "if a second person agrees to the approval".to_owned(),
            ChangeKind::Approve if self.level.is_some() => format!("if it is approved {place}"),
            ChangeKind::Approve => "if somebody approves it".to_owned(),
            ChangeKind::Reject => format!("if it is rejected {place} or nearer to the device"),
            ChangeKind::RuleApproves => "if a rule approves it".to_owned(),
        };
        format!("{what}, it is {}", words(self.then))
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::{ChangeKind, PossibleChange, changes};
    use contracts::DevicePlatform;
    use contracts::approvals::ApprovalScope;
    use contracts::approvals::precedence::{
        CatalogueState, Considered, Decided, EffectiveState, Level, Place, Ruling,
    };
    use kernel::{CustomerId, DeviceId, PartnerId};
    use std::collections::BTreeSet;
    use uuid::Uuid;

    const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(2));
    const DEVICE: DeviceId = DeviceId(Uuid::from_u128(3));

    fn told(decisions: &[Decided], blocked: bool, awaits_second: bool) -> Vec<String> {
        let place = Place {
            partner_id: PartnerId(Uuid::from_u128(1)),
            customer_id: CUSTOMER,
            group_ids: BTreeSet::new(),
            device_id: DEVICE,
        };
        let considered = Considered {
            place: &place,
            platform: DevicePlatform::Linux,
            catalogue: CatalogueState::Published,
            blocked,
            decisions,
        };
        changes(&considered, awaits_second).iter().map(PossibleChange::words).collect()
    }

    fn at_customer(ruling: Ruling) -> Decided {
        Decided { scope: CUSTOMER.into(), ruling }
    }

    fn at_device(ruling: Ruling) -> Decided {
        Decided { scope: ApprovalScope::Device { customer_id: CUSTOMER, device_id: DEVICE }, ruling }
    }

    #[test]
    fn what_waits_is_decided_by_a_person_or_by_the_second_one() {
        assert_eq!(told(&[], false, false), ["if somebody approves it, it is approved"]);
        assert_eq!(told(&[], false, true)[0], "if a second person agrees to the approval, it is approved");
    }

    #[test]
    fn the_end_of_a_deferral_shows_what_lies_below_it() {
        let until = "2026-12-07T06:00:00Z".parse().unwrap();
        let decisions = [at_device(Ruling::Deferred { until }), at_customer(Ruling::Approved)];
        assert_eq!(
            told(&decisions, false, false),
            [
                "at 2026-12-07 06:00 UTC, when it is put off no longer for this device, it is approved",
                "if what was decided for this device is taken back, it is approved",
            ]
        );
    }

    #[test]
    fn a_rejection_is_taken_back_or_overruled_nearer_to_the_device() {
        assert_eq!(
            told(&[at_customer(Ruling::Rejected)], false, false),
            [
                "if what was decided for the whole customer is taken back, it is waiting for a decision",
                "if it is approved for this device, it is approved",
            ]
        );
    }

    #[test]
    fn behind_a_block_stands_what_was_decided() {
        assert_eq!(
            told(&[at_customer(Ruling::Approved)], true, false),
            ["if the partner ends its block, it is approved"]
        );
    }

    #[test]
    fn a_superseded_patch_leads_to_the_newer_one() {
        let place = Place {
            partner_id: PartnerId(Uuid::from_u128(1)),
            customer_id: CUSTOMER,
            group_ids: BTreeSet::new(),
            device_id: DEVICE,
        };
        let considered = Considered {
            place: &place,
            platform: DevicePlatform::Linux,
            catalogue: CatalogueState::Superseded,
            blocked: false,
            decisions: &[],
        };
        let newer = PossibleChange {
            kind: ChangeKind::DecideOnNewerPatch,
            level: None,
            at: None,
            then: EffectiveState::NotInstallable,
        };
        assert_eq!(changes(&considered, false), [newer]);
        assert_eq!(Level::ALL[0], Level::Catalogue);
    }
}
