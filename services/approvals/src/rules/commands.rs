//! The use cases of whitelists and rules: authorise, look up, decide and append, answer.

use super::{customer_key, estate, kept, simulation};
use crate::config::ApprovalsSettings;
use crate::facts;
use actix_web::web::ServiceConfig;
use approvals_domain::{
    rule,
    rule::{Reach, Rule, Surroundings},
    simulation as draft,
    simulation::{Period, Simulation},
    whitelist,
    whitelist::Whitelist,
};
use contracts::approvals as wish;
use contracts::approvals::{RuleContents, SavedRule};
use contracts::{Accepted, permissions::Permission};
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kernel::{Aggregate, CustomerId, RuleId, Scope, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// What the use cases stand on.
#[derive(Clone)]
pub(crate) struct RuleServices {
    pub(crate) foundation: Foundation,
    pub(crate) settings: ApprovalsSettings,
}

/// The routes of the commands on whitelists and rules.
pub(crate) fn routes(commands: &web::Commands, services: &RuleServices, routes: &mut ServiceConfig) {
    routes
        .service(commands.route(services, add_to_whitelist))
        .service(commands.route(services, remove_from_whitelist))
        .service(commands.route(services, create_rule))
        .service(commands.route(services, change_rule))
        .service(commands.route(services, disable_rule))
        .service(commands.route(services, enable_rule))
        .service(commands.route(services, simulate_rule));
}

/// One command's transaction, for a partner or one of its customers.
struct UseCase<'a> {
    services: &'a RuleServices,
    context: &'a CommandContext,
    owner: Tenant,
    tx: Tx,
}

impl<'a> UseCase<'a> {
    /// Authorises and begins, at the customer or, where there is none, at the caller's partner. A customer of another
    /// tenant does not exist.
    async fn of(
        services: &'a RuleServices,
        context: &'a CommandContext,
        customer_id: Option<CustomerId>,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(services, context).await?;
        let unknown = || ApiError::not_found("approvals.customer_unknown", "there is no such customer");
        let owner = match (customer_id, context.caller.scope) {
            (Some(customer_id), _) => facts::tenant_of_customer(&mut tx, customer_id)
                .await
                .map_err(store_failed)?
                .ok_or_else(unknown)?,
            (None, Scope::Partner { partner_id } | Scope::Customer { partner_id, .. }) => {
                Tenant::partner(partner_id)
            }
            (None, Scope::Platform) => return Err(unknown()),
        };
        Self::authorised(services, context, owner, tx)
    }

    /// Authorises at the rule's owner and begins; a rule of another tenant does not exist, and for a customer's people
    /// neither does one of the partner's.
    async fn at_rule(
        services: &'a RuleServices,
        context: &'a CommandContext,
        rule_id: RuleId,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(services, context).await?;
        let owner = kept::tenant_of_rule(&mut tx, rule_id)
            .await
            .map_err(store_failed)?
            .filter(|owner| context.caller.scope.covers(*owner))
            .ok_or_else(|| ApiError::refused(&rule::Refusal::Unknown))?;
        Self::authorised(services, context, owner, tx)
    }

    fn authorised(
        services: &'a RuleServices,
        context: &'a CommandContext,
        owner: Tenant,
        tx: Tx,
    ) -> Result<Self, ApiError> {
        context.caller.require(Permission::ManageRules, owner.customer_id)?;
        Ok(Self { services, context, owner, tx })
    }

    async fn execute<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
        command: A::Command,
    ) -> Result<Committed, ApiError> {
        let target = Target {
            scope: &self.context.caller.scope,
            tenant: self.owner,
            stream_id,
            cause: &self.context.cause,
            occurred_at: None,
        };
        let store = &self.services.foundation.store;
        store.execute_in::<A>(&mut self.tx, target, command).await.map_err(failed)
    }

    async fn load<A: Aggregate>(&mut self, stream_id: StreamId) -> Result<A::State, ApiError> {
        let store = &self.services.foundation.store;
        store.load_in::<A>(&mut self.tx, &self.context.caller.scope, stream_id).await.map_err(store_failed)
    }

    async fn surroundings(
        &mut self,
        contents: &RuleContents,
        confirmed: bool,
    ) -> Result<Surroundings, ApiError> {
        let unknown_group =
            estate::unknown_group(&mut self.tx, self.owner, &contents.groups).await.map_err(store_failed)?;
        // What nobody can have at any time is not worth the look at the estate.
        rule::check(self.owner.into(), contents, None).map_err(|no| ApiError::refused(&no))?;
        let rules = kept::count_rules(&mut self.tx, self.owner).await.map_err(store_failed)?;
        Ok(Surroundings { rules, unknown_group, reach: self.reach(contents, confirmed).await? })
    }

    async fn reach(&mut self, contents: &RuleContents, confirmed: bool) -> Result<Reach, ApiError> {
        let (installs, pending) =
            estate::reach(&mut self.tx, self.owner, contents).await.map_err(store_failed)?;
        let settings = &self.services.settings;
        Ok(Reach {
            installs,
            pending,
            confirm_above_percent: settings.broad_rule_percent,
            confirm_from_installs: settings.broad_rule_installs,
            confirmed,
        })
    }

    /// Notes the rule as its stream tells it: a repeated command must not bring an older version back.
    async fn keep_rule(&mut self, rule_id: RuleId) -> Result<(), ApiError> {
        match self.load::<Rule>(StreamId(rule_id.0)).await? {
            rule::State::Known { version, contents, enabled, .. } => {
                kept::keep_rule(&mut self.tx, self.owner, rule_id, version, &contents, enabled)
                    .await
                    .map_err(store_failed)
            }
            rule::State::Unknown => Ok(()),
        }
    }

    async fn saved(mut self, rule_id: RuleId, committed: Committed) -> Result<Accepted<SavedRule>, ApiError> {
        self.keep_rule(rule_id).await?;
        let warnings = estate::warnings(&mut self.tx, self.owner, rule_id).await.map_err(store_failed)?;
        self.done(SavedRule { rule_id, warnings }, committed).await
    }

    async fn done<T>(self, answer: T, committed: Committed) -> Result<Accepted<T>, ApiError> {
        self.tx.commit().await.map_err(|error| store_failed(error.into()))?;
        Ok(accepted(answer, committed))
    }
}

async fn begin(services: &RuleServices, context: &CommandContext) -> Result<Tx, ApiError> {
    services.foundation.database.begin(&context.caller.scope).await.map_err(store_failed)
}

async fn add_to_whitelist(
    services: RuleServices,
    context: CommandContext,
    command: wish::AddToWhitelist,
) -> Result<Accepted<()>, ApiError> {
    let wish::AddToWhitelist { customer_id, pattern } = command;
    let case = UseCase::of(&services, &context, customer_id).await?;
    let add = whitelist::Command::Add { owner: case.owner.into(), pattern: pattern.clone() };
    on_whitelist(case, add, &pattern).await
}

async fn remove_from_whitelist(
    services: RuleServices,
    context: CommandContext,
    command: wish::RemoveFromWhitelist,
) -> Result<Accepted<()>, ApiError> {
    let wish::RemoveFromWhitelist { customer_id, pattern } = command;
    let case = UseCase::of(&services, &context, customer_id).await?;
    let remove = whitelist::Command::Remove { owner: case.owner.into(), pattern: pattern.clone() };
    on_whitelist(case, remove, &pattern).await
}

/// Notes the entry as the stream tells it: a repeated command must not undo what was done since.
async fn on_whitelist(
    mut case: UseCase<'_>,
    command: whitelist::Command,
    pattern: &wish::WhitelistPattern,
) -> Result<Accepted<()>, ApiError> {
    let owner = case.owner;
    let of = owner.customer_id.map_or(owner.partner_id.0, |_| customer_key(owner));
    let stream_id = StreamId::derived(of, "whitelist");
    let committed = case.execute::<Whitelist>(stream_id, command).await?;
    let listed = case.load::<Whitelist>(stream_id).await?.contains(pattern);
    kept::keep_whitelist_entry(&mut case.tx, owner, pattern, listed).await.map_err(store_failed)?;
    case.done((), committed).await
}

async fn create_rule(
    services: RuleServices,
    context: CommandContext,
    command: wish::CreateRule,
) -> Result<Accepted<SavedRule>, ApiError> {
    let wish::CreateRule { customer_id, name, contents, confirm } = command;
    let mut case = UseCase::of(&services, &context, customer_id).await?;
    let rule_id = RuleId::derived(context.cause.command_id.0, "rule");
    let surroundings = case.surroundings(&contents, confirm).await?;
    let owner = case.owner.into();
    let create = rule::Command::Create { rule_id, owner, name, contents, surroundings };
    let committed = case.execute::<Rule>(StreamId(rule_id.0), create).await?;
    case.saved(rule_id, committed).await
}

async fn change_rule(
    services: RuleServices,
    context: CommandContext,
    command: wish::ChangeRule,
) -> Result<Accepted<SavedRule>, ApiError> {
    let wish::ChangeRule { rule_id, contents, confirm } = command;
    let mut case = UseCase::at_rule(&services, &context, rule_id).await?;
    let surroundings = case.surroundings(&contents, confirm).await?;
    let change = rule::Command::Change { rule_id, contents, surroundings };
    let committed = case.execute::<Rule>(StreamId(rule_id.0), change).await?;
    case.saved(rule_id, committed).await
}

async fn disable_rule(
    services: RuleServices,
    context: CommandContext,
    command: wish::DisableRule,
) -> Result<Accepted<()>, ApiError> {
    let rule_id = command.rule_id;
    let mut case = UseCase::at_rule(&services, &context, rule_id).await?;
    let committed = case.execute::<Rule>(StreamId(rule_id.0), rule::Command::Disable { rule_id }).await?;
    case.keep_rule(rule_id).await?;
    case.done((), committed).await
}

async fn enable_rule(
    services: RuleServices,
    context: CommandContext,
    command: wish::EnableRule,
) -> Result<Accepted<SavedRule>, ApiError> {
    let wish::EnableRule { rule_id, confirm } = command;
    let mut case = UseCase::at_rule(&services, &context, rule_id).await?;
    let rule::State::Known { contents, .. } = case.load::<Rule>(StreamId(rule_id.0)).await? else {
        return Err(ApiError::refused(&rule::Refusal::Unknown));
    };
    let reach = case.reach(&contents, confirm).await?;
    let enable = rule::Command::Enable { rule_id, reach };
    let committed = case.execute::<Rule>(StreamId(rule_id.0), enable).await?;
    case.saved(rule_id, committed).await
}

async fn simulate_rule(
    services: RuleServices,
    context: CommandContext,
    command: wish::SimulateRule,
) -> Result<Accepted<wish::RuleSimulation>, ApiError> {
    let wish::SimulateRule { customer_id, contents, months, after } = command;
    let mut case = UseCase::of(&services, &context, customer_id).await?;
    let unknown_group =
        estate::unknown_group(&mut case.tx, case.owner, &contents.groups).await.map_err(store_failed)?;
    let owner = case.owner.into();
    let request = draft::Command::Request { owner, contents: contents.clone(), months, unknown_group };
    let stream_id = StreamId::derived(context.cause.command_id.0, "rule simulation");
    let committed = case.execute::<Simulation>(stream_id, request).await?;
    let period = Period::last(months, services.foundation.clock.now());
    let answer = simulation::simulate(&mut case.tx, case.owner, &contents, period, after).await;
    let answer = answer.map_err(|failed| match failed {
        simulation::Failed::Refused(refusal) => ApiError::refused(&refusal),
        simulation::Failed::Store(error) => store_failed(error),
    })?;
    case.done(answer, committed).await
}
