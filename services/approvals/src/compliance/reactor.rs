//! Keeps what compliance is measured with, measures a device when its scan is complete, and says which others must be.

use super::{fleet, measuring::Measuring, tasks};
use contracts::approvals::{ApprovalScope, BaselineAssignmentEvent, BaselineEvent};
use contracts::devices::{
    AgentEnrolled, DeviceEvent, GroupDefined, GroupEvent, GroupMembershipChanged, GroupRemoved,
    PatchFoundInstalled, PatchFoundMissing, PatchNoLongerApplicable, ScanCompleted,
};
use contracts::feeds::{PatchEvent, VulnerabilityEvent};
use eventstore::{Store, Tx};
use kernel::{CustomerId, DeviceId, Envelope, EventData, Scope};
use messaging::{Consumer, HandlerError, Outcome};
use tasks::Set;

/// What it listens to.
const INTERESTS: &[&str] = &[
    "feeds.PatchPublished",
    "feeds.PatchRevised",
    "feeds.VulnerabilityAddedToKev",
    "feeds.VulnerabilityRemovedFromKev",
    "devices.AgentEnrolled",
    "devices.PatchFoundMissing",
    "devices.PatchFoundInstalled",
    "devices.PatchNoLongerApplicable",
    "devices.ScanCompleted",
    "devices.GroupDefined",
    "devices.GroupMembershipChanged",
    "devices.GroupRemoved",
    "approvals.BaselineVersionCreated",
    "approvals.BaselineRetired",
    "approvals.BaselineAssigned",
    "approvals.BaselineUnassigned",
];

/// Most events only change a row; a scan's end takes a few statements.
const BATCH: usize = 32;

/// The consumer; handles events in their order.
pub struct Reactor {
    store: Store,
}

impl Reactor {
    /// A reactor that appends to `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait::async_trait]
impl Consumer for Reactor {
    fn name(&self) -> &'static str {
        "approvals.compliance"
    }

    fn interests(&self) -> &'static [&'static str] {
        INTERESTS
    }

    fn batch(&self) -> usize {
        BATCH
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if DeviceEvent::owns(&event.event_type) {
            let Some(customer_id) = event.tenant.customer_id else {
                return Ok(Outcome::Park("a device without a customer".to_owned()));
            };
            self.device_told(tx, event, customer_id).await?;
        } else if GroupEvent::owns(&event.event_type) {
            group_changed(tx, event).await?;
        } else if PatchEvent::owns(&event.event_type) {
            catalogue_changed(tx, event).await?;
        } else if VulnerabilityEvent::owns(&event.event_type) {
            exploited_changed(tx, event).await?;
        } else if BaselineEvent::owns(&event.event_type) {
            baseline_changed(tx, event).await?;
        } else if BaselineAssignmentEvent::owns(&event.event_type) {
            assignment_changed(tx, event).await?;
        }
        Ok(Outcome::Handled)
    }
}

impl Reactor {
    async fn device_told(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        customer_id: CustomerId,
    ) -> Result<(), HandlerError> {
        match event.read::<DeviceEvent>()? {
            DeviceEvent::AgentEnrolled(AgentEnrolled { device_id, .. }) => {
                fleet::keep_device(tx, event.tenant.partner_id, customer_id, device_id).await?;
                tasks::add(tx, event, Set::Devices(&[device_id])).await?;
            }
            DeviceEvent::PatchFoundMissing(PatchFoundMissing { device_id, patch_id, .. }) => {
                fleet::keep_missing(tx, event.tenant.partner_id, customer_id, device_id, patch_id).await?;
                tasks::add(tx, event, Set::Devices(&[device_id])).await?;
            }
            DeviceEvent::PatchFoundInstalled(PatchFoundInstalled { device_id, patch_id, .. })
            | DeviceEvent::PatchNoLongerApplicable(PatchNoLongerApplicable { device_id, patch_id, .. }) => {
                fleet::forget_missing(tx, device_id, patch_id).await?;
                tasks::add(tx, event, Set::Devices(&[device_id])).await?;
            }
            // The scan's findings came before it.
            DeviceEvent::ScanCompleted(ScanCompleted { device_id, pending_reboot, .. }) => {
                fleet::keep_device(tx, event.tenant.partner_id, customer_id, device_id).await?;
                fleet::keep_scan(tx, device_id, event.recorded_at, pending_reboot).await?;
                tasks::settle(tx, device_id).await?;
                self.measure(tx, event, device_id).await?;
            }
            DeviceEvent::DeviceCameOnline(_)
            | DeviceEvent::DeviceWentOffline(_)
            | DeviceEvent::DeviceExposureChanged(_)
            | DeviceEvent::DeviceRegionChanged(_)
            | DeviceEvent::ScanFailed(_)
            | DeviceEvent::AvailableUpdatesChanged(_)
            | DeviceEvent::JobDelivered(_)
            | DeviceEvent::JobReported(_) => {}
        }
        Ok(())
    }

    async fn measure(&self, tx: &mut Tx, event: &Envelope, device_id: DeviceId) -> Result<(), HandlerError> {
        let scope = Scope::partner_of(event.tenant);
        let measuring = Measuring { store: &self.store, scope: &scope, now: event.recorded_at };
        let cause = |what: &str| event.reaction("approvals", what);
        measuring.measure(tx, &[device_id.0], cause).await?;
        Ok(())
    }
}

async fn group_changed(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    match event.read::<GroupEvent>()? {
        GroupEvent::GroupDefined(GroupDefined { group_id, customer_id, .. }) => {
            fleet::keep_group(tx, event.tenant.partner_id, customer_id, group_id).await?;
        }
        GroupEvent::GroupMembershipChanged(GroupMembershipChanged {
            group_id,
            customer_id,
            added,
            removed,
        }) => {
            let of = (event.tenant.partner_id, customer_id, group_id);
            fleet::keep_members(tx, of, &added, &removed).await?;
            let both: Vec<DeviceId> = added.into_iter().chain(removed).collect();
            tasks::add(tx, event, Set::Devices(&both)).await?;
        }
        GroupEvent::GroupRemoved(GroupRemoved { group_id, .. }) => {
            let left = fleet::forget_group(tx, group_id).await?;
            tasks::add(tx, event, Set::Devices(&left)).await?;
        }
        // Which devices are meant says the membership that follows.
        GroupEvent::GroupChanged(_) => {}
    }
    Ok(())
}

async fn catalogue_changed(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    let patch = match event.read::<PatchEvent>()? {
        PatchEvent::PatchPublished(fact) => fact.patch,
        PatchEvent::PatchRevised(fact) => fact.patch,
        // Where it was missing, the device itself says that it is not any more.
        PatchEvent::PatchSuperseded(_)
        | PatchEvent::PatchWithdrawn(_)
        | PatchEvent::PatchMarkedOutOfBand(_) => return Ok(()),
    };
    fleet::keep_patch(tx, event.tenant.partner_id, &patch).await?;
    tasks::add(tx, event, Set::Patch(patch.patch_id)).await?;
    Ok(())
}

async fn exploited_changed(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    let (cve, listed) = match event.read::<VulnerabilityEvent>()? {
        VulnerabilityEvent::VulnerabilityAddedToKev(fact) => (fact.cve, true),
        VulnerabilityEvent::VulnerabilityRemovedFromKev(fact) => (fact.cve, false),
        VulnerabilityEvent::KevEntryChanged(_)
        | VulnerabilityEvent::EpssChanged(_)
        | VulnerabilityEvent::CvssChanged(_)
        | VulnerabilityEvent::SsvcInputsChanged(_)
        | VulnerabilityEvent::VulnerabilityRejected(_)
        | VulnerabilityEvent::VulnerabilityReinstated(_) => return Ok(()),
    };
    fleet::keep_exploited(tx, &cve, listed).await?;
    tasks::add(tx, event, Set::Cve(&cve)).await?;
    Ok(())
}

async fn baseline_changed(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    let baseline_id = match event.read::<BaselineEvent>()? {
        // It holds nowhere yet.
        BaselineEvent::BaselineCreated(_) => return Ok(()),
        BaselineEvent::BaselineVersionCreated(fact) => fact.baseline_id,
        BaselineEvent::BaselineRetired(fact) => fact.baseline_id,
    };
    tasks::add(tx, event, Set::Baseline(baseline_id)).await?;
    Ok(())
}

async fn assignment_changed(tx: &mut Tx, event: &Envelope) -> Result<(), HandlerError> {
    let scope = match event.read::<BaselineAssignmentEvent>()? {
        BaselineAssignmentEvent::BaselineAssigned(fact) => fact.scope,
        BaselineAssignmentEvent::BaselineUnassigned(fact) => fact.scope,
    };
    let set = match scope {
        ApprovalScope::Partner { partner_id } => Set::Partner(partner_id),
        ApprovalScope::Customer { customer_id } => Set::Customer(customer_id),
        ApprovalScope::Group { group_id, .. } => Set::Group(group_id),
        ApprovalScope::Device { device_id, .. } => Set::Devices(&[device_id]),
    };
    tasks::add(tx, event, set).await?;
    Ok(())
}
