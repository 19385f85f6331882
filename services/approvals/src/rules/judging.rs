//! Lets the rules of a customer and its partner look at a patch, and records what each of them says.

use super::kept::{self, KeptRule, Whitelists};
use super::knowledge::{Ratings, known_groups};
use super::queue;
use crate::facts::{self, Patch};
use crate::streams::approval_stream;
use approvals_domain::approval::{Approval, Command, Subject};
use approvals_domain::evaluation::{Candidate, Listed, Verdict, evaluate};
use chrono::{DateTime, Utc};
use contracts::approvals::{ApprovalMode, ApprovalScope};
use eventstore::{Store, Target, Tx};
use kernel::{
    Actor, Cause, CommandId, CorrelationId, CustomerId, DeviceGroupId, Envelope, EventId, Scope, Tenant,
};
use messaging::{HandlerError, settled};

/// The event because of which rules look.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) event_id: EventId,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) traceparent: Option<String>,
    /// Which of the looks that follow from it.
    pub(crate) occasion: String,
}

impl From<&Envelope> for Trigger {
    fn from(event: &Envelope) -> Self {
        Self {
            event_id: event.event_id,
            correlation_id: event.correlation_id,
            traceparent: event.traceparent.clone(),
            occasion: "at once".to_owned(),
        }
    }
}

impl Trigger {
    fn cause(&self, rule: &KeptRule, subject: &Subject) -> Cause {
        let what = format!(
            "approvals/rule {} version {} {} {:?} {}",
            rule.rule_id, rule.rule_version, subject.patch_id, subject.scope, self.occasion
        );
        Cause {
            command_id: CommandId::derived(self.event_id.0, &what),
            correlation_id: self.correlation_id,
            causation_id: Some(self.event_id),
            actor: Actor::rule(rule.rule_id),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// The rules of one customer, ready to look at patches.
pub(crate) struct Judging<'a> {
    store: &'a Store,
    scope: Scope,
    tenant: Tenant,
    customer_id: CustomerId,
    now: DateTime<Utc>,
    rules: Vec<KeptRule>,
    whitelist: Vec<Listed>,
}

impl<'a> Judging<'a> {
    /// Reads the rules that work at the customer; none where there is no customer.
    pub(crate) async fn at(
        tx: &mut Tx,
        store: &'a Store,
        tenant: Tenant,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, HandlerError> {
        let Some(customer_id) = tenant.customer_id else { return Ok(None) };
        let rules = kept::active_rules(tx, tenant).await?;
        let whitelist =
            if rules.is_empty() { vec![] } else { Whitelists::read(tx, tenant).await?.at(customer_id) };
        let scope = Scope::partner_of(tenant);
        Ok(Some(Self { store, scope, tenant, customer_id, now, rules, whitelist }))
    }

    /// Applies every rule to the patch until one approves it for the whole customer, and notes when to look again.
    pub(crate) async fn judge(
        &self,
        tx: &mut Tx,
        patch: &Patch,
        trigger: &Trigger,
    ) -> Result<(), HandlerError> {
        let mut next: Option<DateTime<Utc>> = None;
        if !self.rules.is_empty() {
            let ratings = Ratings::read(tx, self.tenant, Some(&[patch.patch_id])).await?;
            let rating = ratings.at(patch.patch_id, self.customer_id);
            let candidate = Candidate { rating, ..patch.candidate.clone() };
            let today = self.now.date_naive();
            for rule in &self.rules {
                let verdict = evaluate(&candidate, &rule.contents, &self.whitelist, today);
                next = [next, verdict.next_change_at()].into_iter().flatten().min();
                let is_decided =
                    matches!(verdict, Verdict::Approve { .. }) && rule.contents.groups.is_empty();
                self.record(tx, patch, rule, verdict, trigger).await?;
                if is_decided {
                    facts::keep_approval(tx, self.tenant, patch.patch_id, false).await?;
                    next = None;
                    break;
                }
            }
        }
        Ok(queue::plan(tx, self.tenant, patch.patch_id, next, trigger).await?)
    }

    async fn record(
        &self,
        tx: &mut Tx,
        patch: &Patch,
        rule: &KeptRule,
        verdict: Verdict,
        trigger: &Trigger,
    ) -> Result<(), HandlerError> {
        let (rule_id, rule_version) = (rule.rule_id, rule.rule_version);
        match verdict {
            Verdict::Approve { inputs } => {
                let by = ApprovalMode::Auto { rule_id, rule_version, inputs, next_change_at: None };
                for subject in self.subjects(tx, patch, &rule.contents.groups).await? {
                    let command = Command::AutoApprove { subject: subject.clone(), by: by.clone() };
                    self.carry_out(tx, subject, command, rule, trigger).await?;
                }
                Ok(())
            }
            Verdict::Scheduled { at, inputs } => {
                for subject in self.subjects(tx, patch, &rule.contents.groups).await? {
                    let command = Command::Schedule {
                        subject: subject.clone(),
                        rule_id,
                        rule_version,
                        approves_at: at,
                        inputs: inputs.clone(),
                    };
                    self.carry_out(tx, subject, command, rule, trigger).await?;
                }
                Ok(())
            }
            Verdict::Refuse { reason, next_change_at } => {
                let subject = patch.at(self.customer_id);
                let command = Command::NoteRefusal {
                    subject: subject.clone(),
                    rule_id,
                    rule_version,
                    reason,
                    next_change_at,
                };
                self.carry_out(tx, subject, command, rule, trigger).await
            }
        }
    }

    /// The patch at the customer, or at those of the rule's groups that are still there.
    async fn subjects(
        &self,
        tx: &mut Tx,
        patch: &Patch,
        groups: &[DeviceGroupId],
    ) -> Result<Vec<Subject>, HandlerError> {
        let customer_id = self.customer_id;
        let whole = patch.at(customer_id);
        if groups.is_empty() {
            return Ok(vec![whole]);
        }
        let groups = known_groups(tx, customer_id, groups).await?;
        let at =
            |group_id| Subject { scope: ApprovalScope::Group { customer_id, group_id }, ..whole.clone() };
        Ok(groups.into_iter().map(at).collect())
    }

    async fn carry_out(
        &self,
        tx: &mut Tx,
        subject: Subject,
        command: Command,
        rule: &KeptRule,
        trigger: &Trigger,
    ) -> Result<(), HandlerError> {
        let cause = trigger.cause(rule, &subject);
        let target = Target {
            scope: &self.scope,
            tenant: self.tenant,
            stream_id: approval_stream(subject.patch_id, subject.scope),
            cause: &cause,
            occurred_at: None,
        };
        settled(self.store.execute_in::<Approval>(tx, target, command).await)?;
        Ok(())
    }
}
