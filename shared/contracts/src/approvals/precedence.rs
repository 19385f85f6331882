//! What holds for one patch on one device, out of everything that was decided about it.
//!
//! ```text
//! superseded or withdrawn ▶ blocked by the partner ▶ device ▶ group ▶ customer ▶ partner ▶ rule (Windows) ▶ pending
//! ```
//! The first level that says something decides. On one level a rejection beats a deferral, and a deferral an approval:
//! whoever is more careful wins. A deferral counts until the fact of its end, not until its time has come, so that
//! everybody who has read as far gives the same answer; a timer that is late keeps the patch away a little longer.

use super::scope::{ApprovalLevel, ApprovalScope};
use crate::DevicePlatform;
use chrono::{DateTime, Utc};
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId};
use std::collections::BTreeSet;

/// How the patch stands in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogueState {
    /// Published.
    Published,
    /// Replaced by a newer patch.
    Superseded,
    /// Taken back by its publisher.
    Withdrawn,
}

/// What a decision says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Must not be installed.
    Rejected,
    /// Not yet.
    Deferred {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// May be installed, a person says.
    Approved,
    /// May be installed, a rule says.
    ApprovedByRule,
}

/// A decision that stands. There is one for a patch in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Where it holds.
    pub scope: ApprovalScope,
    /// What it says.
    pub ruling: Ruling,
}

/// Where a device belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its customer's partner.
    pub partner_id: PartnerId,
    /// Its customer.
    pub customer_id: CustomerId,
    /// Its groups.
    pub group_ids: BTreeSet<DeviceGroupId>,
    /// The device.
    pub device_id: DeviceId,
}

/// Everything that matters for one patch on one device.
#[derive(Debug, Clone, Copy)]
pub struct Considered<'a> {
    /// The device.
    pub place: &'a Place,
    /// What the patch runs on: rules approve for Windows only.
    pub platform: DevicePlatform,
    /// How the patch stands in the catalogue.
    pub catalogue: CatalogueState,
    /// Whether the device's partner keeps it from all of its customers.
    pub blocked: bool,
    /// Decisions about the patch; those that hold elsewhere are passed over.
    pub decisions: &'a [Decided],
}

/// A level that was looked at, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The patch itself: superseded or withdrawn.
    Catalogue,
    /// The partner's hard block.
    Block,
    /// The device.
    Device,
    /// The device's groups.
    Group,
    /// The customer.
    Customer,
    /// The partner.
    Partner,
    /// Auto-approval rules.
    Rule,
}

/// Who approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovedBy {
    /// A person.
    Person,
    /// A rule.
    Rule,
}

/// What holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectiveState {
    /// Superseded or withdrawn.
    NotInstallable,
    /// The partner keeps it from all of its customers.
    Blocked,
    /// Must not be installed.
    Rejected,
    /// Not yet.
    Deferred {
        /// Until when; the last one where several deferrals meet on a level.
        until: DateTime<Utc>,
    },
    /// May be installed.
    Approved {
        /// Who said so.
        by: ApprovedBy,
    },
    /// Nobody has decided.
    Pending,
}

/// What one level says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// The level.
    pub level: Level,
    /// What it says, whether or not it decides; [`EffectiveState::Pending`] where it says nothing.
    pub outcome: EffectiveState,
    /// The decisions on it that hold for the device, the strictest first.
    pub decisions: Vec<Decided>,
}

/// What holds, and what every level says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// What holds.
    pub state: EffectiveState,
    /// The level that decided; none while it is pending.
    pub decided_at: Option<Level>,
    /// All levels in the order of precedence, also those below the one that decided.
    pub levels: Vec<Evaluated>,
}

/// Works out what holds.
pub fn effective(considered: &Considered<'_>) -> Effective {
    let levels: Vec<Evaluated> = Level::ALL.map(|level| evaluate(level, considered)).into();
    let decisive = levels.iter().find(|evaluated| evaluated.outcome != EffectiveState::Pending);
    Effective {
        state: decisive.map_or(EffectiveState::Pending, |evaluated| evaluated.outcome),
        decided_at: decisive.map(|evaluated| evaluated.level),
        levels,
    }
}

fn evaluate(level: Level, considered: &Considered<'_>) -> Evaluated {
    let mut decisions: Vec<Decided> = considered
        .decisions
        .iter()
        .copied()
        .filter(|decided| decided.level() == level && considered.counts(decided))
        .collect();
    decisions.sort_by_key(|decided| (decided.ruling.strictness(), decided.scope));
    let outcome = match level {
        Level::Catalogue if considered.catalogue != CatalogueState::Published => {
            EffectiveState::NotInstallable
        }
        Level::Block if considered.blocked => EffectiveState::Blocked,
        Level::Catalogue | Level::Block => EffectiveState::Pending,
        Level::Device | Level::Group | Level::Customer | Level::Partner | Level::Rule => outcome(&decisions),
    };
    Evaluated { level, outcome, decisions }
}

/// What the decisions of one level, the strictest first, come to.
fn outcome(decisions: &[Decided]) -> EffectiveState {
    let Some(strictest) = decisions.first() else { return EffectiveState::Pending };
    match strictest.ruling {
        Ruling::Rejected => EffectiveState::Rejected,
        Ruling::Deferred { until } => {
            let last = decisions.iter().filter_map(|decided| decided.ruling.until()).max();
            EffectiveState::Deferred { until: last.unwrap_or(until) }
        }
        Ruling::Approved => EffectiveState::Approved { by: ApprovedBy::Person },
        Ruling::ApprovedByRule => EffectiveState::Approved { by: ApprovedBy::Rule },
    }
}

impl Considered<'_> {
    fn counts(&self, decided: &Decided) -> bool {
        let eligible = decided.ruling != Ruling::ApprovedByRule || self.platform == DevicePlatform::Windows;
        eligible && self.place.lies_in(decided.scope)
    }
}

impl Place {
    /// Whether what is decided in `scope` holds for the device.
    pub fn lies_in(&self, scope: ApprovalScope) -> bool {
        match scope {
            ApprovalScope::Partner { partner_id } => partner_id == self.partner_id,
            ApprovalScope::Customer { customer_id } => customer_id == self.customer_id,
            ApprovalScope::Group { customer_id, group_id } => {
                customer_id == self.customer_id && self.group_ids.contains(&group_id)
            }
            ApprovalScope::Device { customer_id, device_id } => {
                customer_id == self.customer_id && device_id == self.device_id
            }
        }
    }
}

impl Level {
    /// Every level, in the order of precedence.
    pub const ALL: [Self; 7] =
        [Self::Catalogue, Self::Block, Self::Device, Self::Group, Self::Customer, Self::Partner, Self::Rule];
}

impl Ruling {
    fn strictness(self) -> i16 {
        match self {
            Self::Rejected => 0,
            Self::Deferred { .. } => 1,
            Self::Approved | Self::ApprovedByRule => APPROVAL,
        }
    }

    /// Its word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rejected => "REJECTED",
            Self::Deferred { .. } => "DEFERRED",
            Self::Approved => "APPROVED",
            Self::ApprovedByRule => "APPROVED_BY_RULE",
        }
    }

    /// The ruling with this word; a deferral needs its end.
    pub fn read(word: &str, until: Option<DateTime<Utc>>) -> Option<Self> {
        match (word, until) {
            ("REJECTED", _) => Some(Self::Rejected),
            ("DEFERRED", Some(until)) => Some(Self::Deferred { until }),
            ("APPROVED", _) => Some(Self::Approved),
            ("APPROVED_BY_RULE", _) => Some(Self::ApprovedByRule),
            _ => None,
        }
    }

    /// The end of a deferral.
    pub fn until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Deferred { until } => Some(until),
            Self::Rejected | Self::Approved | Self::ApprovedByRule => None,
        }
    }
}

/// The last digit of an approval's rank.
const APPROVAL: i16 = 2;

/// The rank of a partner's hard block: before every decision.
pub const BLOCK_RANK: i16 = 0;

impl Decided {
    /// The level on which it counts: a rule's approval is the last word wherever it holds.
    pub fn level(&self) -> Level {
        match (self.ruling, self.scope.level()) {
            (Ruling::ApprovedByRule, _) => Level::Rule,
            (_, ApprovalLevel::Device) => Level::Device,
            (_, ApprovalLevel::Group) => Level::Group,
            (_, ApprovalLevel::Customer) => Level::Customer,
            (_, ApprovalLevel::Partner) => Level::Partner,
        }
    }

    /// Its place in the order of precedence, for those who compare decisions in SQL: of those that hold for a device the
    /// lowest rank decides, as [`effective`] would.
    pub fn rank(&self) -> i16 {
        let level = match self.level() {
            // Nobody decides there.
            Level::Catalogue | Level::Block => 0,
            Level::Device => 1,
            Level::Group => 2,
            Level::Customer => 3,
            Level::Partner => 4,
            Level::Rule => 5,
        };
        level * 10 + self.ruling.strictness()
    }
}

/// Whether the lowest rank that holds for a device means that the patch may be installed there; none is pending.
pub fn rank_approves(rank: Option<i16>) -> bool {
    rank.is_some_and(|rank| rank % 10 == APPROVAL)
}
