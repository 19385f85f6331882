//! Whitelist and rules.

use super::payload;
use crate::commands::ids::Ids;
use crate::commands::{UserError, carry_out};
use crate::schema::global_id::{Kind, global};
use crate::words::{Classification, Severity, WhitelistKind};
use async_graphql::{Context, ID, InputObject, InputType, Object, Result, Value};
use contracts::approvals::{self, RuleConditions, WhitelistPattern};
use kernel::RuleId;

/// What approvals does about rules.
#[derive(Default)]
pub(crate) struct ApprovalsMutations;

#[derive(InputObject)]
pub(crate) struct AddToWhitelistInput {
    idempotency_key: String,
    customer_id: ID,
    kind: WhitelistKind,
    /// A vendor's patch id, a product text or a `Classification`, as `kind` says.
    value: String,
}

payload! { AddToWhitelistPayload of () {} }

#[derive(InputObject)]
pub(crate) struct RemoveFromWhitelistInput {
    idempotency_key: String,
    customer_id: ID,
    kind: WhitelistKind,
    /// As it was added.
    value: String,
}

payload! { RemoveFromWhitelistPayload of () {} }

#[derive(InputObject)]
pub(crate) struct CreateRuleInput {
    idempotency_key: String,
    customer_id: ID,
    name: String,
    /// Severities that match.
    #[graphql(default)]
    severities: Vec<Severity>,
    /// Classifications that match, whatever the severity.
    #[graphql(default)]
    classifications: Vec<Classification>,
}

payload! {
    CreateRulePayload of RuleId {
        rule_id: ID = |id| Some(global(Kind::Rule, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct ChangeRuleInput {
    idempotency_key: String,
    rule_id: ID,
    /// Severities that match from now on.
    #[graphql(default)]
    severities: Vec<Severity>,
    /// Classifications that match from now on, whatever the severity.
    #[graphql(default)]
    classifications: Vec<Classification>,
}

payload! { ChangeRulePayload of () {} }

#[derive(InputObject)]
pub(crate) struct DisableRuleInput {
    idempotency_key: String,
    rule_id: ID,
}

payload! { DisableRulePayload of () {} }

#[Object]
impl ApprovalsMutations {
    /// Lets patches through to the rules.
    async fn add_to_whitelist(
        &self,
        ctx: &Context<'_>,
        input: AddToWhitelistInput,
    ) -> Result<AddToWhitelistPayload> {
        let AddToWhitelistInput { idempotency_key, customer_id, kind, value } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            let pattern = pattern(ids, kind, value)?;
            Some(approvals::AddToWhitelist { customer_id: customer_id?, pattern })
        });
        Ok(outcome.await?.into())
    }

    /// Takes a whitelist entry away.
    async fn remove_from_whitelist(
        &self,
        ctx: &Context<'_>,
        input: RemoveFromWhitelistInput,
    ) -> Result<RemoveFromWhitelistPayload> {
        let RemoveFromWhitelistInput { idempotency_key, customer_id, kind, value } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            let pattern = pattern(ids, kind, value)?;
            Some(approvals::RemoveFromWhitelist { customer_id: customer_id?, pattern })
        });
        Ok(outcome.await?.into())
    }

    /// Creates an auto-approval rule, enabled.
    async fn create_rule(&self, ctx: &Context<'_>, input: CreateRuleInput) -> Result<CreateRulePayload> {
        let CreateRuleInput { idempotency_key, customer_id, name, severities, classifications } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id)?;
            let conditions = conditions(severities, classifications);
            Some(approvals::CreateRule { customer_id, name, conditions })
        });
        Ok(outcome.await?.into())
    }

    /// Makes a new version of a rule.
    async fn change_rule(&self, ctx: &Context<'_>, input: ChangeRuleInput) -> Result<ChangeRulePayload> {
        let ChangeRuleInput { idempotency_key, rule_id, severities, classifications } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let rule_id = ids.one("ruleId", Kind::Rule, &rule_id)?;
            Some(approvals::ChangeRule { rule_id, conditions: conditions(severities, classifications) })
        });
        Ok(outcome.await?.into())
    }

    /// Switches a rule off.
    async fn disable_rule(&self, ctx: &Context<'_>, input: DisableRuleInput) -> Result<DisableRulePayload> {
        let DisableRuleInput { idempotency_key, rule_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(approvals::DisableRule { rule_id: ids.one("ruleId", Kind::Rule, &rule_id)? })
        });
        Ok(outcome.await?.into())
    }
}

fn conditions(severities: Vec<Severity>, classifications: Vec<Classification>) -> RuleConditions {
    RuleConditions {
        severities: severities.into_iter().map(Into::into).collect(),
        classifications: classifications.into_iter().map(Into::into).collect(),
    }
}

fn pattern(ids: &mut Ids, kind: WhitelistKind, value: String) -> Option<WhitelistPattern> {
    match kind {
        WhitelistKind::VendorPatchId => Some(WhitelistPattern::VendorPatchId(value)),
        WhitelistKind::Product => Some(WhitelistPattern::Product(value)),
        WhitelistKind::Classification => {
            if let Ok(classification) = Classification::parse(Some(Value::from(value.as_str()))) {
                return Some(WhitelistPattern::Classification(classification.into()));
            }
            let value: String = value.chars().take(80).collect();
            let message = format!("{value:?} is not a Classification");
            ids.refuse(UserError::new("graphql.input_invalid", message).at("value"));
            None
        }
    }
}
