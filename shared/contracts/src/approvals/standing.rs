//! The decisions that stand, as those who read the facts keep them.

use super::decisions::ApprovalEvent;
use super::precedence::{CatalogueState, Considered, Decided, Effective, Place, Ruling, effective};
use super::scope::ApprovalScope;
use super::{ApprovalMode, BlockEvent};
use crate::DevicePlatform;
use kernel::{PartnerId, PatchId};
use std::collections::{HashMap, HashSet};

/// What a fact does to the decisions that stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This stands from now on, instead of what stood in its scope.
    Stands {
        /// The patch.
        patch_id: PatchId,
        /// Where, and what.
        decided: Decided,
    },
    /// Nothing stands in the scope any more.
    Falls {
        /// The patch.
        patch_id: PatchId,
        /// Where.
        scope: ApprovalScope,
    },
}

impl Change {
    /// What the fact changes, if it does.
    pub fn of(fact: &ApprovalEvent) -> Option<Self> {
        let stands =
            |patch_id, scope, ruling| Some(Self::Stands { patch_id, decided: Decided { scope, ruling } });
        let falls = |patch_id, scope| Some(Self::Falls { patch_id, scope });
        match fact {
            ApprovalEvent::PatchApproved(fact) => {
                let ruling = match fact.by {
                    ApprovalMode::Manual { .. } => Ruling::Approved,
                    ApprovalMode::Auto { .. } => Ruling::ApprovedByRule,
                };
                stands(fact.patch_id, fact.scope, ruling)
            }
            ApprovalEvent::PatchRejected(fact) => stands(fact.patch_id, fact.scope, Ruling::Rejected),
            ApprovalEvent::PatchDeferred(fact) => {
                stands(fact.patch_id, fact.scope, Ruling::Deferred { until: fact.until })
            }
            ApprovalEvent::DeferralEnded(fact) => falls(fact.patch_id, fact.scope),
            ApprovalEvent::ApprovalRevoked(fact) => falls(fact.patch_id, fact.scope),
            ApprovalEvent::ApprovalLapsed(fact) => falls(fact.patch_id, fact.scope),
            // Whoever waits for a second person has not decided yet.
            ApprovalEvent::ApprovalOpened(_)
            | ApprovalEvent::SecondApprovalRequested(_)
            | ApprovalEvent::SecondApprovalGiven(_)
            | ApprovalEvent::AutoApprovalRefused(_)
            | ApprovalEvent::ApprovalScheduled(_) => None,
        }
    }

    /// Which patch it is about.
    pub fn patch_id(&self) -> PatchId {
        match self {
            Self::Stands { patch_id, .. } | Self::Falls { patch_id, .. } => *patch_id,
        }
    }

    /// Where it holds.
    pub fn scope(&self) -> ApprovalScope {
        match self {
            Self::Stands { decided, .. } => decided.scope,
            Self::Falls { scope, .. } => *scope,
        }
    }

    /// What stands now.
    pub fn decided(&self) -> Option<Decided> {
        match self {
            Self::Stands { decided, .. } => Some(*decided),
            Self::Falls { .. } => None,
        }
    }
}

impl BlockEvent {
    /// Which patch it is about, whose block it is, and whether it is blocked now.
    pub fn now(&self) -> (PatchId, PartnerId, bool) {
        match self {
            Self::PatchBlocked(fact) => (fact.patch_id, fact.partner_id, true),
            Self::PatchUnblocked(fact) => (fact.patch_id, fact.partner_id, false),
        }
    }
}

/// Everything that was decided about some patches, ready to be asked device by device.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    stands: HashMap<(PatchId, ApprovalScope), Ruling>,
    blocked: HashSet<(PatchId, PartnerId)>,
    patches: HashMap<PatchId, (CatalogueState, DevicePlatform)>,
}

impl Decisions {
    /// Adds a decision.
    pub fn decide(&mut self, patch_id: PatchId, decided: Decided) {
        self.stands.insert((patch_id, decided.scope), decided.ruling);
    }

    /// Adds a partner's hard block.
    pub fn block(&mut self, patch_id: PatchId, partner_id: PartnerId) {
        self.blocked.insert((patch_id, partner_id));
    }

    /// Says how a patch stands in the catalogue and what it runs on; nobody installs what is not said to be there.
    pub fn catalogue(&mut self, patch_id: PatchId, state: CatalogueState, platform: DevicePlatform) {
        self.patches.insert(patch_id, (state, platform));
    }

    /// What holds for the patch on the device.
    pub fn of(&self, patch_id: PatchId, place: &Place) -> Effective {
        let decisions: Vec<Decided> = place
            .scopes()
            .filter_map(|scope| {
                let ruling = *self.stands.get(&(patch_id, scope))?;
                Some(Decided { scope, ruling })
            })
            .collect();
        let unknown = (CatalogueState::Withdrawn, DevicePlatform::Linux);
        let (catalogue, platform) = self.patches.get(&patch_id).copied().unwrap_or(unknown);
        effective(&Considered {
            place,
            platform,
            catalogue,
            blocked: self.blocked.contains(&(patch_id, place.partner_id)),
            decisions: &decisions,
        })
    }
}

impl Place {
    /// Every scope in which a decision holds for the device.
    pub fn scopes(&self) -> impl Iterator<Item = ApprovalScope> {
        let customer_id = self.customer_id;
        let device = ApprovalScope::Device { customer_id, device_id: self.device_id };
        let groups = self
            .group_ids
            .iter()
            .map(move |group_id| ApprovalScope::Group { customer_id, group_id: *group_id });
        let partner = ApprovalScope::Partner { partner_id: self.partner_id };
        std::iter::once(device).chain(groups).chain([customer_id.into(), partner])
    }
}
