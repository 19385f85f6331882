//! The use cases: authorise, look up, decide and append, answer.

mod blocking;
mod deciding;
mod many;
mod policies;

use crate::facts;
use access::Denied;
use actix_web::web::ServiceConfig;
use approvals_domain::{rule, rule::Rule, whitelist, whitelist::Whitelist};
use contracts::approvals as wish;
use contracts::{Accepted, permissions::Permission};
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kernel::{Aggregate, CustomerId, RuleId, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the service's commands.
pub(crate) fn routes(foundation: &Foundation, routes: &mut ServiceConfig) {
    let commands = foundation.commands();
    routes
        .service(commands.route(foundation, add_to_whitelist))
        .service(commands.route(foundation, remove_from_whitelist))
        .service(commands.route(foundation, create_rule))
        .service(commands.route(foundation, change_rule))
        .service(commands.route(foundation, disable_rule))
        .service(commands.route(foundation, deciding::approve_patch))
        .service(commands.route(foundation, deciding::give_second_approval))
        .service(commands.route(foundation, deciding::reject_patch))
        .service(commands.route(foundation, deciding::defer_patch))
        .service(commands.route(foundation, deciding::revoke_approval))
        .service(commands.route(foundation, many::decide_patches))
        .service(commands.route(foundation, blocking::block_patch))
        .service(commands.route(foundation, blocking::unblock_patch))
        .service(commands.route(foundation, policies::set_approval_policy));
}

/// One command's transaction.
struct UseCase<'a> {
    foundation: &'a Foundation,
    context: &'a CommandContext,
    tenant: Tenant,
    tx: Tx,
}

impl<'a> UseCase<'a> {
    /// Authorises at the customer and begins; a customer of another tenant does not exist.
    async fn at_customer(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        permission: Permission,
        customer_id: CustomerId,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let tenant = facts::tenant_of_customer(&mut tx, customer_id)
            .await
            .map_err(store_failed)?
            .ok_or_else(|| ApiError::not_found("approvals.customer_unknown", "there is no such customer"))?;
        Self::of(foundation, context, permission, tenant, tx)
    }

    /// Authorises at the rule's customer and begins; a rule of another tenant does not exist.
    async fn at_rule(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        rule_id: RuleId,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let tenant = facts::tenant_of_rule(&mut tx, rule_id)
            .await
            .map_err(store_failed)?
            .ok_or_else(|| ApiError::refused(&rule::Refusal::Unknown))?;
        Self::of(foundation, context, Permission::ManageRules, tenant, tx)
    }

    /// Goes on in the transaction of the look-up: a second one would take a second connection.
    fn of(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        permission: Permission,
        tenant: Tenant,
        tx: Tx,
    ) -> Result<Self, ApiError> {
        context
            .caller
            .require(permission, tenant.customer_id)
            .map_err(|denied: Denied| ApiError::from(denied))?;
        Ok(Self { foundation, context, tenant, tx })
    }

    async fn execute<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
        command: A::Command,
    ) -> Result<Committed, ApiError> {
        let target = Target {
            scope: &self.context.caller.scope,
            tenant: self.tenant,
            stream_id,
            cause: &self.context.cause,
            occurred_at: None,
        };
        self.foundation.store.execute_in::<A>(&mut self.tx, target, command).await.map_err(failed)
    }

    async fn done<T>(self, answer: T, committed: Committed) -> Result<Accepted<T>, ApiError> {
        self.tx.commit().await.map_err(|error| store_failed(error.into()))?;
        Ok(accepted(answer, committed))
    }
}

async fn begin(foundation: &Foundation, context: &CommandContext) -> Result<Tx, ApiError> {
    foundation.database.begin(&context.caller.scope).await.map_err(store_failed)
}

async fn add_to_whitelist(
    foundation: Foundation,
    context: CommandContext,
    command: wish::AddToWhitelist,
) -> Result<Accepted<()>, ApiError> {
    let wish::AddToWhitelist { customer_id, pattern } = command;
    let mut case = UseCase::at_customer(&foundation, &context, Permission::ManageRules, customer_id).await?;
    let add = whitelist::Command::Add { customer_id, pattern: pattern.clone() };
    let committed = case.execute::<Whitelist>(whitelist_stream(customer_id), add).await?;
    keep_whitelist_entry(&mut case, customer_id, &pattern).await?;
    case.done((), committed).await
}

async fn remove_from_whitelist(
    foundation: Foundation,
    context: CommandContext,
    command: wish::RemoveFromWhitelist,
) -> Result<Accepted<()>, ApiError> {
    let wish::RemoveFromWhitelist { customer_id, pattern } = command;
    let mut case = UseCase::at_customer(&foundation, &context, Permission::ManageRules, customer_id).await?;
    let remove = whitelist::Command::Remove { customer_id, pattern: pattern.clone() };
    let committed = case.execute::<Whitelist>(whitelist_stream(customer_id), remove).await?;
    keep_whitelist_entry(&mut case, customer_id, &pattern).await?;
    case.done((), committed).await
}

/// Notes the entry as the stream tells it: a repeated command must not undo what was done since.
async fn keep_whitelist_entry(
    case: &mut UseCase<'_>,
    customer_id: CustomerId,
    pattern: &wish::WhitelistPattern,
) -> Result<(), ApiError> {
    let stream_id = whitelist_stream(customer_id);
    let entries =
        case.foundation.store.load_in::<Whitelist>(&mut case.tx, &case.context.caller.scope, stream_id).await;
    let listed = entries.map_err(store_failed)?.contains(pattern);
    facts::keep_whitelist_entry(&mut case.tx, case.tenant, pattern, listed).await.map_err(store_failed)
}

fn whitelist_stream(customer_id: CustomerId) -> StreamId {
    StreamId::derived(customer_id.0, "whitelist")
}

async fn create_rule(
    foundation: Foundation,
    context: CommandContext,
    command: wish::CreateRule,
) -> Result<Accepted<RuleId>, ApiError> {
    let wish::CreateRule { customer_id, name, conditions } = command;
    let mut case = UseCase::at_customer(&foundation, &context, Permission::ManageRules, customer_id).await?;
    let rule_id = RuleId::derived(context.cause.command_id.0, "rule");
    let create = rule::Command::Create { rule_id, customer_id, name, conditions };
    let committed = case.execute::<Rule>(StreamId(rule_id.0), create).await?;
    keep_rule(&mut case, rule_id).await?;
    case.done(rule_id, committed).await
}

async fn change_rule(
    foundation: Foundation,
    context: CommandContext,
    command: wish::ChangeRule,
) -> Result<Accepted<()>, ApiError> {
    let wish::ChangeRule { rule_id, conditions } = command;
    let mut case = UseCase::at_rule(&foundation, &context, rule_id).await?;
    let change = rule::Command::Change { rule_id, conditions };
    let committed = case.execute::<Rule>(StreamId(rule_id.0), change).await?;
    keep_rule(&mut case, rule_id).await?;
    case.done((), committed).await
}

async fn disable_rule(
    foundation: Foundation,
    context: CommandContext,
    command: wish::DisableRule,
) -> Result<Accepted<()>, ApiError> {
    let rule_id = command.rule_id;
    let mut case = UseCase::at_rule(&foundation, &context, rule_id).await?;
    let committed = case.execute::<Rule>(StreamId(rule_id.0), rule::Command::Disable { rule_id }).await?;
    keep_rule(&mut case, rule_id).await?;
    case.done((), committed).await
}

/// Notes the rule as its stream tells it: a repeated command must not bring an older version back.
async fn keep_rule(case: &mut UseCase<'_>, rule_id: RuleId) -> Result<(), ApiError> {
    let state = case
        .foundation
        .store
        .load_in::<Rule>(&mut case.tx, &case.context.caller.scope, StreamId(rule_id.0))
        .await;
    match state.map_err(store_failed)? {
        rule::State::Known { version, conditions, enabled } => {
            facts::keep_rule(&mut case.tx, case.tenant, rule_id, version, &conditions, enabled)
                .await
                .map_err(store_failed)
        }
        rule::State::Unknown => Ok(()),
    }
}
