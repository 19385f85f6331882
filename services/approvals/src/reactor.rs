//! Reacts to catalogue, scans, customers, groups, and the service's own rules and decisions.

use crate::decisions::{self, Decision};
use crate::facts::{self, Patch};
use crate::reacting::Reaction;
use crate::rules::{Affected, Judging, RuleKnowledge, Trigger, look_again};
use approvals_domain::approval::{Command, Standing};
use contracts::approvals::{ApprovalEvent, RuleEvent, WhitelistEvent};
use contracts::devices::{DeviceEvent, GroupEvent, PatchFoundMissing};
use contracts::feeds::{FeedEvent, PatchEvent, RatingEvent, VulnerabilityEvent};
use contracts::tenancy::CustomerRegistered;
use eventstore::{Store, Tx};
use kernel::{Envelope, EventData, PatchId, Scope, Tenant};
use messaging::{Consumer, HandlerError, Outcome};
use runtime::Clock;
use std::sync::Arc;
use std::time::Duration;

/// The catalogue's event may still wait in a retry queue; by then it has arrived.
const CATALOGUE_DELAY: Duration = Duration::from_secs(1);

/// What it listens to.
const INTERESTS: &[&str] = &[
    "tenancy.CustomerRegistered",
    "feeds.PatchPublished",
    "feeds.PatchRevised",
    "feeds.PatchSuperseded",
    "feeds.PatchWithdrawn",
    "feeds.FeedRegistered",
    "feeds.FeedChanged",
    "feeds.VulnerabilityAddedToKev",
    "feeds.VulnerabilityRemovedFromKev",
    "feeds.PatchRated",
    "feeds.PatchRatingCleared",
    "devices.AgentEnrolled",
    "devices.PatchFoundMissing",
    "devices.PatchFoundInstalled",
    "devices.PatchNoLongerApplicable",
    "devices.GroupDefined",
    "devices.GroupMembershipChanged",
    "devices.GroupRemoved",
    "devices.PatchFoundMissing",
    "devices.PatchFoundInstalled",
    "devices.PatchNoLongerApplicable",
    "approvals.RuleCreated",
    "approvals.RuleVersionCreated",
    "approvals.RuleEnabled",
    "approvals.RuleDisabled",
    "approvals.WhitelistEntryAdded",
    "approvals.WhitelistEntryRemoved",
    "approvals.SecondApprovalRequested",
    "approvals.PatchApproved",
    "approvals.PatchRejected",
    "approvals.PatchDeferred",
    "approvals.DeferralEnded",
    "approvals.ApprovalRevoked",
    "approvals.ApprovalLapsed",
];

/// The one consumer of the service; handles events in their order.
pub struct Reactor {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Reactor {
    /// A reactor that appends to `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait::async_trait]
impl Consumer for Reactor {
    fn name(&self) -> &'static str {
        "approvals.reactor"
    }

    fn interests(&self) -> &'static [&'static str] {
        INTERESTS
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if PatchEvent::owns(&event.event_type) {
            self.catalogue_changed(tx, event).await
        } else if RuleEvent::owns(&event.event_type) || WhitelistEvent::owns(&event.event_type) {
            look_again(tx, Affected::Tenant(event.tenant), &event.into(), event.recorded_at).await?;
            Ok(Outcome::Handled)
        } else if ApprovalEvent::owns(&event.event_type) {
            self.decided(tx, event).await
        } else if DeviceEvent::owns(&event.event_type) {
            self.scanned(tx, event).await
        } else if GroupEvent::owns(&event.event_type) {
            let fact: GroupEvent = event.read()?;
            decisions::keep_group(tx, event.tenant.partner_id, &fact).await?;
            RuleKnowledge::take_group(tx, event, fact).await?;
            Ok(Outcome::Handled)
        } else if FeedEvent::owns(&event.event_type) {
            RuleKnowledge::take_feed(tx, event, event.read()?).await?;
            Ok(Outcome::Handled)
        } else if VulnerabilityEvent::owns(&event.event_type) {
            if let Some(cve) = RuleKnowledge::take_vulnerability(tx, event.read()?).await? {
                look_again(tx, Affected::Vulnerability(&cve), &event.into(), event.recorded_at).await?;
            }
            Ok(Outcome::Handled)
        } else if RatingEvent::owns(&event.event_type) {
            let patch_id = RuleKnowledge::take_rating(tx, event, event.read()?).await?;
            let affected = Affected::PatchAt(patch_id, event.tenant);
            look_again(tx, affected, &event.into(), event.recorded_at).await?;
            Ok(Outcome::Handled)
        } else if event.event_type == CustomerRegistered::TYPE {
            if let Some(customer_id) = event.tenant.customer_id {
                facts::keep_customer(tx, event.tenant.partner_id, customer_id).await?;
            }
            Ok(Outcome::Handled)
        } else {
            Ok(Outcome::Handled)
        }
    }
}

impl Reactor {
    fn reaction(&self, event: &Envelope, tenant: Tenant) -> Reaction<'_> {
        Reaction { store: &self.store, scope: Scope::partner_of(event.tenant), tenant }
    }

    /// Lets rules look at a patch that has begun to wait.
    async fn judge(&self, tx: &mut Tx, event: &Envelope, patch: &Patch) -> Result<(), HandlerError> {
        let now = self.clock.now();
        if let Some(judging) = Judging::at(tx, &self.store, event.tenant, now).await? {
            judging.judge(tx, patch, &Trigger::from(event)).await?;
        }
        Ok(())
    }

    async fn catalogue_changed(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        match event.read::<PatchEvent>()? {
            PatchEvent::PatchPublished(fact) => {
                facts::keep_patch(tx, event.tenant.partner_id, &fact.patch).await?;
            }
            // A changed severity may let a rule approve what it left pending.
            PatchEvent::PatchRevised(fact) => {
                facts::keep_patch(tx, event.tenant.partner_id, &fact.patch).await?;
                let affected = Affected::Patch(fact.patch.patch_id);
                look_again(tx, affected, &event.into(), event.recorded_at).await?;
            }
            PatchEvent::PatchSuperseded(fact) => {
                let newer = (fact.superseded_by, fact.superseded_by_vendor_id);
                facts::keep_supersedence(tx, fact.patch_id, newer.0, &newer.1, event.recorded_at).await?;
                self.lapse(tx, event, fact.patch_id).await?;
            }
            PatchEvent::PatchWithdrawn(fact) => {
                facts::keep_withdrawal(tx, fact.patch_id, event.recorded_at).await?;
                self.lapse(tx, event, fact.patch_id).await?;
            }
            // No rule asks for it yet.
            PatchEvent::PatchMarkedOutOfBand(_) => {}
        }
        Ok(Outcome::Handled)
    }

    async fn lapse(&self, tx: &mut Tx, event: &Envelope, patch_id: PatchId) -> Result<(), HandlerError> {
        let Some(patch) = facts::patch(tx, patch_id).await? else { return Ok(()) };
        let newer = patch.newer();
        for tenant in facts::customers_with(tx, patch_id).await? {
            let Some(customer_id) = tenant.customer_id else { continue };
            let subject = patch.at(customer_id);
            let command = Command::Lapse { subject: subject.clone(), newer: newer.clone() };
            let cause = event.reaction("approvals", &format!("lapse {customer_id}"));
            self.reaction(event, tenant).carry_out(tx, &subject, command, &cause).await?;
            facts::keep_approval(tx, tenant, patch_id, false).await?;
        }
        for decision in decisions::outside_customers(tx, patch_id).await? {
            self.lapse_one(tx, event, &patch, &decision).await?;
        }
        Ok(())
    }

    async fn lapse_one(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        patch: &Patch,
        decision: &Decision,
    ) -> Result<(), HandlerError> {
        let cause = event.reaction("approvals", &format!("lapse {}", decision.scope.id()));
        let subject = patch.at(decision.scope);
        let command = Command::Lapse { subject: subject.clone(), newer: patch.newer() };
        self.reaction(event, decision.tenant).carry_out(tx, &subject, command, &cause).await
    }

    /// Keeps the decisions that stand. One that was taken while the patch's end was on its way lapses at once.
    async fn decided(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        let fact = event.read::<ApprovalEvent>()?;
        let stands = decisions::keep(tx, event.tenant, &fact).await?;
        if let Some(decision) = stands {
            if let Some(patch) = facts::patch(tx, decision.patch_id).await?
                && patch.standing != Standing::Published
            {
                self.lapse_one(tx, event, &patch, &decision).await?;
            }
        } else if let ApprovalEvent::DeferralEnded(fact) = fact
            && fact.scope.whole_customer().is_some()
        {
            // The patch waits again, for rules as well.
            facts::keep_approval(tx, event.tenant, fact.patch_id, true).await?;
            let affected = Affected::PatchAt(fact.patch_id, event.tenant);
            look_again(tx, affected, &event.into(), event.recorded_at).await?;
        }
        Ok(Outcome::Handled)
    }

    async fn scanned(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        let fact: DeviceEvent = event.read()?;
        if event.tenant.customer_id.is_none() {
            return Ok(Outcome::Park("a device without a customer".to_owned()));
        }
        if let DeviceEvent::AgentEnrolled(enrolled) = &fact {
            decisions::keep_device(tx, event.tenant.partner_id, enrolled).await?;
        }
        if let DeviceEvent::PatchFoundMissing(found) = &fact {
            let outcome = self.found_missing(tx, event, found).await?;
            if outcome != Outcome::Handled {
                return Ok(outcome);
            }
        }
        RuleKnowledge::take_scan(tx, event, &fact).await?;
        Ok(Outcome::Handled)
    }

    async fn found_missing(
        &self,
        tx: &mut Tx,
        event: &Envelope,
        fact: &PatchFoundMissing,
    ) -> Result<Outcome, HandlerError> {
        let Some(customer_id) = event.tenant.customer_id else { return Ok(Outcome::Handled) };
        let Some(patch) = facts::patch(tx, fact.patch_id).await? else {
            return Ok(Outcome::RetryAfter(CATALOGUE_DELAY));
        };
        // A scan may be older than the end of the patch: then nothing is left to decide.
        let installable = patch.standing == Standing::Published;
        if installable && !facts::was_opened(tx, customer_id, fact.patch_id).await? {
            let subject = patch.at(customer_id);
            let cause = event.reaction("approvals", "open");
            let open = Command::Open(subject.clone());
            self.reaction(event, event.tenant).carry_out(tx, &subject, open, &cause).await?;
            facts::keep_approval(tx, event.tenant, fact.patch_id, true).await?;
            self.judge(tx, event, &patch).await?;
        }
        Ok(Outcome::Handled)
    }
}
