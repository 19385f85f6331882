//! Applies a customer's rules to a patch and records what each of them says.

use crate::facts::{self, ActiveRule, Patch};
use approvals_domain::approval::{Approval, Command};
use approvals_domain::evaluation::{Verdict, evaluate};
use contracts::approvals::ApprovalMode;
use eventstore::{Store, Target, Tx};
use kernel::{Actor, Cause, Envelope, Scope, StreamId, Tenant};
use messaging::{HandlerError, settled};
use uuid::Uuid;

/// The stream of a patch's approval at a customer.
pub(crate) fn approval_stream(patch_id: kernel::PatchId, tenant: Tenant) -> StreamId {
    StreamId::derived(patch_id.0, &format!("approval/{}", tenant.customer_id.map_or(Uuid::nil(), |id| id.0)))
}

/// What follows from one event, at one customer.
pub(crate) struct Evaluation<'a> {
    pub(crate) store: &'a Store,
    pub(crate) event: &'a Envelope,
    pub(crate) scope: Scope,
    pub(crate) tenant: Tenant,
}

impl Evaluation<'_> {
    /// Applies every active rule to the patches until one approves.
    pub(crate) async fn apply(&self, tx: &mut Tx, patches: &[Patch]) -> Result<(), HandlerError> {
        let Some(customer_id) = self.tenant.customer_id else { return Ok(()) };
        let rules = facts::active_rules(tx, customer_id).await?;
        if rules.is_empty() || patches.is_empty() {
            return Ok(());
        }
        let whitelist = facts::whitelist(tx, customer_id).await?;
        for patch in patches {
            for rule in &rules {
                let verdict = evaluate(&patch.candidate, &rule.conditions, &whitelist);
                let approved = matches!(verdict, Verdict::Approve(_));
                self.record(tx, patch, rule, verdict).await?;
                if approved {
                    facts::keep_approval(tx, self.tenant, patch.patch_id, false).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    async fn record(
        &self,
        tx: &mut Tx,
        patch: &Patch,
        rule: &ActiveRule,
        verdict: Verdict,
    ) -> Result<(), HandlerError> {
        let Some(customer_id) = self.tenant.customer_id else { return Ok(()) };
        let subject = patch.at(customer_id);
        let command = match verdict {
            Verdict::Approve(whitelist) => Command::AutoApprove {
                subject,
                by: ApprovalMode::Auto {
                    rule_id: rule.rule_id,
                    rule_version: rule.rule_version,
                    whitelist,
                    severity: patch.candidate.severity,
                    classification: patch.candidate.classification,
                },
            },
            Verdict::Refuse(reason) => Command::NoteRefusal {
                subject,
                rule_id: rule.rule_id,
                rule_version: rule.rule_version,
                reason,
            },
        };
        let what = format!("rule {} {} {customer_id}", rule.rule_id, patch.patch_id);
        let cause = Cause { actor: Actor::rule(rule.rule_id), ..self.event.reaction("approvals", &what) };
        self.carry_out(tx, patch, command, &cause).await
    }

    /// Carries out a command on the approval of `patch`.
    pub(crate) async fn carry_out(
        &self,
        tx: &mut Tx,
        patch: &Patch,
        command: Command,
        cause: &Cause,
    ) -> Result<(), HandlerError> {
        let target = Target {
            scope: &self.scope,
            tenant: self.tenant,
            stream_id: approval_stream(patch.patch_id, self.tenant),
            cause,
            occurred_at: None,
        };
        settled(self.store.execute_in::<Approval>(tx, target, command).await)?;
        Ok(())
    }
}
