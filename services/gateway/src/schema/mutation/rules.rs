//! Whitelists and auto-approval rules.

use super::payload;
use crate::commands::ids::Ids;
use crate::commands::{UserError, carry_out};
use crate::schema::global_id::{Kind, global};
use crate::schema::rule::{RuleSimulation, RuleWarning, read_cursor};
use crate::words::{Classification, Severity, WhitelistKind};
use async_graphql::{Context, ID, InputObject, InputType, Object, Result, Value};
use chrono::NaiveDate;
use contracts::approvals::{self, RuleConditions, RuleContents, RuleTiming, SavedRule, WhitelistPattern};

/// What approvals does with rules.
#[derive(Default)]
pub(crate) struct RulesMutations;

#[derive(InputObject)]
pub(crate) struct AddToWhitelistInput {
    idempotency_key: String,
    /// The partner's own whitelist, which holds at all of its customers, where there is none.
    customer_id: Option<ID>,
    kind: WhitelistKind,
    /// A vendor's patch id, a product text or a `Classification`, as `kind` says.
    value: String,
}

payload! { AddToWhitelistPayload of () {} }

#[derive(InputObject)]
pub(crate) struct RemoveFromWhitelistInput {
    idempotency_key: String,
    /// The partner's own whitelist where there is none.
    customer_id: Option<ID>,
    kind: WhitelistKind,
    /// As it was added.
    value: String,
}

payload! { RemoveFromWhitelistPayload of () {} }

/// All that a rule says. The whitelist must hold, and everything that is given here; `delayDays` or `releasedUntil` must
/// be given.
#[derive(InputObject)]
pub(crate) struct RuleContentsInput {
    /// Severities that match. An unknown one matches only where it is named.
    #[graphql(default)]
    severities: Vec<Severity>,
    /// Classifications that match, whatever the known severity.
    #[graphql(default)]
    classifications: Vec<Classification>,
    /// Texts of which the patch's name or one of its OS versions must contain one, ignoring case.
    #[graphql(default)]
    products: Vec<String>,
    /// Texts of which the name of the patch's feed or of its publisher must contain one, ignoring case.
    #[graphql(default)]
    vendors: Vec<String>,
    /// Texts of which one of the patch's OS versions must contain one, ignoring case.
    #[graphql(default)]
    os_releases: Vec<String>,
    /// The least rating, 1 to 5, that the customer or its partner must have given.
    minimum_rating: Option<u8>,
    /// Whether the patch must close a vulnerability that is known to be exploited.
    #[graphql(default)]
    kev_only: bool,
    /// Days since the release, 0 to 360, before which the rule does not look at a patch.
    minimum_age_days: Option<u16>,
    /// The customer's groups for whose devices it approves; for the whole customer where there are none.
    #[graphql(default)]
    group_ids: Vec<ID>,
    /// It approves so many days after the release, 0 to 360, at midnight in UTC.
    delay_days: Option<u16>,
    /// It approves at once what was released until that day.
    released_until: Option<NaiveDate>,
}

#[derive(InputObject)]
pub(crate) struct CreateRuleInput {
    idempotency_key: String,
    /// The rule works for all of the partner's customers where there is none.
    customer_id: Option<ID>,
    name: String,
    #[graphql(flatten)]
    contents: RuleContentsInput,
    /// Whether it may approve a large share of what is pending: without, it is refused with `approvals.rule_too_broad`.
    #[graphql(default)]
    confirm: bool,
}

payload! {
    CreateRulePayload of SavedRule {
        rule_id: ID = |saved| Some(global(Kind::Rule, saved.rule_id.0)),
        /// How it gets on with the other rules and the whitelist.
        warnings: Vec<RuleWarning> = |saved| Some(saved.warnings.iter().map(Into::into).collect()),
    }
}

#[derive(InputObject)]
pub(crate) struct ChangeRuleInput {
    idempotency_key: String,
    rule_id: ID,
    #[graphql(flatten)]
    contents: RuleContentsInput,
    /// Whether it may approve a large share of what is pending.
    #[graphql(default)]
    confirm: bool,
}

payload! {
    ChangeRulePayload of SavedRule {
        /// How it gets on with the other rules and the whitelist.
        warnings: Vec<RuleWarning> = |saved| Some(saved.warnings.iter().map(Into::into).collect()),
    }
}

#[derive(InputObject)]
pub(crate) struct DisableRuleInput {
    idempotency_key: String,
    rule_id: ID,
}

payload! { DisableRulePayload of () {} }

#[derive(InputObject)]
pub(crate) struct EnableRuleInput {
    idempotency_key: String,
    rule_id: ID,
    /// Whether it may approve a large share of what is pending.
    #[graphql(default)]
    confirm: bool,
}

payload! {
    EnableRulePayload of SavedRule {
        /// How it gets on with the other rules and the whitelist.
        warnings: Vec<RuleWarning> = |saved| Some(saved.warnings.iter().map(Into::into).collect()),
    }
}

#[derive(InputObject)]
pub(crate) struct SimulateRuleInput {
    idempotency_key: String,
    /// For all of the partner's customers where there is none.
    customer_id: Option<ID>,
    #[graphql(flatten)]
    contents: RuleContentsInput,
    /// How many months to look back, 1 to 24.
    months: u8,
    /// The `endCursor` of the page before.
    after: Option<String>,
}

payload! {
    SimulateRulePayload of approvals::RuleSimulation {
        simulation: RuleSimulation = |simulation| Some(simulation.into()),
    }
}

#[Object]
impl RulesMutations {
    /// Lets patches through to the rules.
    async fn add_to_whitelist(
        &self,
        ctx: &Context<'_>,
        input: AddToWhitelistInput,
    ) -> Result<AddToWhitelistPayload> {
        let AddToWhitelistInput { idempotency_key, customer_id, kind, value } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
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
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            let pattern = pattern(ids, kind, value)?;
            Some(approvals::RemoveFromWhitelist { customer_id: customer_id?, pattern })
        });
        Ok(outcome.await?.into())
    }

    /// Creates an auto-approval rule, enabled.
    async fn create_rule(&self, ctx: &Context<'_>, input: CreateRuleInput) -> Result<CreateRulePayload> {
        let CreateRuleInput { idempotency_key, customer_id, name, contents, confirm } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            let contents = contents.read(ids);
            Some(approvals::CreateRule { customer_id: customer_id?, name, contents: contents?, confirm })
        });
        Ok(outcome.await?.into())
    }

    /// Makes a new version of a rule.
    async fn change_rule(&self, ctx: &Context<'_>, input: ChangeRuleInput) -> Result<ChangeRulePayload> {
        let ChangeRuleInput { idempotency_key, rule_id, contents, confirm } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let rule_id = ids.one("ruleId", Kind::Rule, &rule_id);
            let contents = contents.read(ids);
            Some(approvals::ChangeRule { rule_id: rule_id?, contents: contents?, confirm })
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

    /// Switches a rule on again.
    async fn enable_rule(&self, ctx: &Context<'_>, input: EnableRuleInput) -> Result<EnableRulePayload> {
        let EnableRuleInput { idempotency_key, rule_id, confirm } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(approvals::EnableRule { rule_id: ids.one("ruleId", Kind::Rule, &rule_id)?, confirm })
        });
        Ok(outcome.await?.into())
    }

    /// Says what a rule would have approved in the last months. Only the request is recorded.
    async fn simulate_rule(
        &self,
        ctx: &Context<'_>,
        input: SimulateRuleInput,
    ) -> Result<SimulateRulePayload> {
        let SimulateRuleInput { idempotency_key, customer_id, contents, months, after } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            let contents = contents.read(ids);
            let after = match after.as_deref().map(read_cursor) {
                Some(None) => {
                    let message = "this is not the end of a simulation's page";
                    ids.refuse(UserError::new("graphql.cursor_invalid", message).at("after"));
                    return None;
                }
                Some(Some(key)) => Some(key),
                None => None,
            };
            let (customer_id, contents) = (customer_id?, contents?);
            Some(approvals::SimulateRule { customer_id, contents, months, after })
        });
        Ok(outcome.await?.into())
    }
}

impl RuleContentsInput {
    fn read(self, ids: &mut Ids) -> Option<RuleContents> {
        let groups = ids.all("groupIds", Kind::DeviceGroup, &self.group_ids);
        let timing = match (self.delay_days, self.released_until) {
            (Some(days), None) => Some(RuleTiming::Delay { days }),
            (None, Some(released_until)) => Some(RuleTiming::CutOff { released_until }),
            (Some(_), Some(_)) | (None, None) => {
                let message = "a rule needs either delayDays or releasedUntil";
                ids.refuse(UserError::new("approvals.rule_timing_invalid", message).at("delayDays"));
                None
            }
        };
        let conditions = RuleConditions {
            severities: self.severities.into_iter().map(Into::into).collect(),
            classifications: self.classifications.into_iter().map(Into::into).collect(),
            products: self.products,
            vendors: self.vendors,
            os_releases: self.os_releases,
            minimum_rating: self.minimum_rating,
            kev_only: self.kev_only,
            minimum_age_days: self.minimum_age_days,
        };
        Some(RuleContents { groups: groups?, conditions, timing: timing? })
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
