//! Baselines and where they hold.

use super::payload;
use crate::asking::Asking;
use crate::commands::ids::Ids;
use crate::commands::{UserError, carry_out};
use crate::schema::global_id::{Kind, global};
use crate::words::{Classification, Severity};
use async_graphql::{Context, ID, InputObject, Object, Result};
use contracts::approvals::{self, ApprovalScope, BaselineContent, BaselineRule};
use kernel::{BaselineId, CustomerId, PartnerId};

/// What approvals does about baselines.
#[derive(Default)]
pub(crate) struct BaselinesMutations;

/// Which patches are asked for. Everything that is given must hold; an empty list asks nothing.
#[derive(InputObject)]
pub(crate) struct BaselineRuleInput {
    #[graphql(default)]
    severities: Vec<Severity>,
    #[graphql(default)]
    classifications: Vec<Classification>,
    /// Name or operating system version contains one of these texts, ignoring case.
    #[graphql(default)]
    products: Vec<String>,
    /// Whether one of its vulnerabilities must be known to be exploited.
    #[graphql(default)]
    kev_only: bool,
    /// Days after its release from which it is asked for, 0 to 360, counted in UTC.
    #[graphql(default)]
    minimum_age_days: i32,
}

/// Where a baseline holds. Nothing means the whole partner; a group or a device is named with its customer.
#[derive(InputObject)]
#[expect(clippy::struct_field_names, reason = "the API's names for ids")]
pub(crate) struct BaselineScopeInput {
    customer_id: Option<ID>,
    group_id: Option<ID>,
    device_id: Option<ID>,
}

#[derive(InputObject)]
pub(crate) struct CreateBaselineInput {
    idempotency_key: String,
    /// Whose it is; a partner's template for all of its customers where there is none.
    customer_id: Option<ID>,
    /// 1 to 200 characters.
    name: String,
    /// One of them is enough for a patch to be asked for.
    #[graphql(default)]
    rules: Vec<BaselineRuleInput>,
    /// Patches that are asked for whatever the rules say.
    #[graphql(default)]
    included_patch_ids: Vec<ID>,
    /// Patches that are not asked for whatever the rules say.
    #[graphql(default)]
    excluded_patch_ids: Vec<ID>,
}

payload! {
    CreateBaselinePayload of BaselineId {
        baseline_id: ID = |id| Some(global(Kind::Baseline, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct ChangeBaselineInput {
    idempotency_key: String,
    baseline_id: ID,
    /// From now on; one of them is enough.
    #[graphql(default)]
    rules: Vec<BaselineRuleInput>,
    /// From now on.
    #[graphql(default)]
    included_patch_ids: Vec<ID>,
    /// From now on.
    #[graphql(default)]
    excluded_patch_ids: Vec<ID>,
}

payload! { ChangeBaselinePayload of () {} }

#[derive(InputObject)]
pub(crate) struct RetireBaselineInput {
    idempotency_key: String,
    baseline_id: ID,
}

payload! { RetireBaselinePayload of () {} }

#[derive(InputObject)]
pub(crate) struct AssignBaselineInput {
    idempotency_key: String,
    baseline_id: ID,
    scope: BaselineScopeInput,
}

payload! { AssignBaselinePayload of () {} }

#[derive(InputObject)]
pub(crate) struct UnassignBaselineInput {
    idempotency_key: String,
    baseline_id: ID,
    scope: BaselineScopeInput,
}

payload! { UnassignBaselinePayload of () {} }

#[Object]
impl BaselinesMutations {
    /// Creates a baseline: a customer's own, or a partner's template.
    async fn create_baseline(
        &self,
        ctx: &Context<'_>,
        input: CreateBaselineInput,
    ) -> Result<CreateBaselinePayload> {
        let CreateBaselineInput {
            idempotency_key,
            customer_id,
            name,
            rules,
            included_patch_ids,
            excluded_patch_ids,
        } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref());
            let content = content(ids, rules, &included_patch_ids, &excluded_patch_ids);
            Some(approvals::CreateBaseline { customer_id: customer_id?, name, content: content? })
        });
        Ok(outcome.await?.into())
    }

    /// Makes a new version of a baseline.
    async fn change_baseline(
        &self,
        ctx: &Context<'_>,
        input: ChangeBaselineInput,
    ) -> Result<ChangeBaselinePayload> {
        let ChangeBaselineInput {
            idempotency_key,
            baseline_id,
            rules,
            included_patch_ids,
            excluded_patch_ids,
        } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let baseline_id = ids.one("baselineId", Kind::Baseline, &baseline_id);
            let content = content(ids, rules, &included_patch_ids, &excluded_patch_ids);
            Some(approvals::ChangeBaseline { baseline_id: baseline_id?, content: content? })
        });
        Ok(outcome.await?.into())
    }

    /// Ends a baseline, wherever it holds.
    async fn retire_baseline(
        &self,
        ctx: &Context<'_>,
        input: RetireBaselineInput,
    ) -> Result<RetireBaselinePayload> {
        let RetireBaselineInput { idempotency_key, baseline_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let baseline_id = ids.one("baselineId", Kind::Baseline, &baseline_id)?;
            Some(approvals::RetireBaseline { baseline_id })
        });
        Ok(outcome.await?.into())
    }

    /// Measures the devices in a scope against a baseline.
    async fn assign_baseline(
        &self,
        ctx: &Context<'_>,
        input: AssignBaselineInput,
    ) -> Result<AssignBaselinePayload> {
        let AssignBaselineInput { idempotency_key, baseline_id, scope: wanted } = input;
        let partner_id = Asking::of(ctx).caller.scope.partner_id();
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let baseline_id = ids.one("baselineId", Kind::Baseline, &baseline_id);
            let scope = scope(ids, &wanted, partner_id)?;
            Some(approvals::AssignBaseline { baseline_id: baseline_id?, scope })
        });
        Ok(outcome.await?.into())
    }

    /// Measures them no more, as far as this scope is why.
    async fn unassign_baseline(
        &self,
        ctx: &Context<'_>,
        input: UnassignBaselineInput,
    ) -> Result<UnassignBaselinePayload> {
        let UnassignBaselineInput { idempotency_key, baseline_id, scope: wanted } = input;
        let partner_id = Asking::of(ctx).caller.scope.partner_id();
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let baseline_id = ids.one("baselineId", Kind::Baseline, &baseline_id);
            let scope = scope(ids, &wanted, partner_id)?;
            Some(approvals::UnassignBaseline { baseline_id: baseline_id?, scope })
        });
        Ok(outcome.await?.into())
    }
}

fn content(
    ids: &mut Ids,
    rules: Vec<BaselineRuleInput>,
    included: &[ID],
    excluded: &[ID],
) -> Option<BaselineContent> {
    let included = ids.all("includedPatchIds", Kind::Patch, included);
    let excluded = ids.all("excludedPatchIds", Kind::Patch, excluded);
    let rules: Option<Vec<_>> = rules.into_iter().enumerate().map(|(n, one)| rule(ids, n, one)).collect();
    Some(BaselineContent { rules: rules?, included: included?, excluded: excluded? })
}

fn rule(ids: &mut Ids, n: usize, rule: BaselineRuleInput) -> Option<BaselineRule> {
    let BaselineRuleInput { severities, classifications, products, kev_only, minimum_age_days } = rule;
    let Ok(minimum_age_days) = u16::try_from(minimum_age_days) else {
        let message = format!("a minimum age may be 0 to 360 days, and is {minimum_age_days}");
        let error = UserError::new("approvals.baseline_age_invalid", message);
        ids.refuse(error.at(format!("rules.{n}.minimumAgeDays")));
        return None;
    };
    Some(BaselineRule {
        severities: severities.into_iter().map(Into::into).collect(),
        classifications: classifications.into_iter().map(Into::into).collect(),
        products,
        kev_only,
        minimum_age_days,
    })
}

/// The scope that is meant; a group or device without its customer is refused, and both of them are.
fn scope(ids: &mut Ids, wanted: &BaselineScopeInput, partner_id: Option<PartnerId>) -> Option<ApprovalScope> {
    let customer_id: Option<CustomerId> =
        ids.some("scope.customerId", Kind::Customer, wanted.customer_id.as_ref())?;
    match (customer_id, &wanted.group_id, &wanted.device_id) {
        (None, None, None) => {
            partner_id.map(|partner_id| ApprovalScope::Partner { partner_id }).or_else(|| {
                let message = "there is no partner whose devices could be meant";
                ids.refuse(UserError::new("graphql.input_invalid", message).at("scope"));
                None
            })
        }
        (Some(customer_id), None, None) => Some(customer_id.into()),
        (Some(customer_id), Some(group_id), None) => {
            let group_id = ids.one("scope.groupId", Kind::DeviceGroup, group_id)?;
            Some(ApprovalScope::Group { customer_id, group_id })
        }
        (Some(customer_id), None, Some(device_id)) => {
            let device_id = ids.one("scope.deviceId", Kind::Device, device_id)?;
            Some(ApprovalScope::Device { customer_id, device_id })
        }
        (None, _, _) | (Some(_), Some(_), Some(_)) => {
            let message = "a scope is a group or a device, each with its customer";
            ids.refuse(UserError::new("graphql.input_invalid", message).at("scope"));
            None
        }
    }
}
