//! From a mutation to the service that owns the aggregate, and back to a payload.
//!
//! ```text
//! permission ▶ ids ▶ whose are they? ▶ idempotency key ▶ owning service ▶ position
//!     └──────────┴────────┴─────────────────┴── user errors ───┘
//! ```

pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod ownership;

use crate::asking::Asking;
use crate::errors::{coded, failed, with_code};
use crate::reading::WAIT_MAX;
use crate::schema::permissions::of_mutation;
use crate::schema::position::Position;
use access::{Caller, Reach};
use async_graphql::{Context, Error, Result, SimpleObject};
use contracts::permissions::Permission;
use contracts::{Accepted, Command};
use ids::Ids;
use kernel::{CommandId, CustomerId};
use ownership::Owned;
use std::sync::Arc;
use web::CommandFailure;

/// A refusal: the wish was understood and not granted.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub(crate) struct UserError {
    /// Stable and dotted: `approvals.own_request`, `access.forbidden`, `devices.device_not_found` …
    pub(crate) code: String,
    pub(crate) message: String,
    /// The input field it is about.
    pub(crate) field: Option<String>,
}

impl UserError {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), field: None }
    }

    pub(crate) fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }
}

/// What a mutation came to.
pub(crate) struct Outcome<A> {
    /// What the service answered; none where the wish was not granted.
    pub(crate) answer: Option<A>,
    pub(crate) position: Position,
    pub(crate) repeated: bool,
    pub(crate) user_errors: Vec<UserError>,
}

/// Why a wish goes no further: refused, which is data, or failed.
pub(crate) enum Stop {
    Refused(Vec<UserError>),
    Failed(Error),
}

impl From<UserError> for Stop {
    fn from(error: UserError) -> Self {
        Self::Refused(vec![error])
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Carries out the mutation whose field this is.
pub(crate) async fn carry_out<C: Command>(
    ctx: &Context<'_>,
    key: &str,
    build: impl FnOnce(&mut Ids) -> Option<C>,
) -> Result<Outcome<C::Answer>> {
    let asking = Asking::of(ctx);
    let mutation = ctx.field().name();
    match accept(asking, mutation, key, build).await {
        Ok(accepted) => {
            let position = match accepted.written {
                Some(written) => written_at(asking, written.pos).await?,
                None => asking.services.library.position(),
            };
            let Accepted { answer, repeated, .. } = accepted;
            Ok(Outcome { answer: Some(answer), position: position.into(), repeated, user_errors: Vec::new() })
        }
        Err(Stop::Refused(user_errors)) => {
            let position = asking.services.library.position().into();
            Ok(Outcome { answer: None, position, repeated: false, user_errors })
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

async fn accept<C: Command>(
    asking: &Arc<Asking>,
    mutation: &str,
    key: &str,
    build: impl FnOnce(&mut Ids) -> Option<C>,
) -> Result<Accepted<C::Answer>, Stop> {
    let caller = &asking.caller;
    // A field that is not in the table is nobody's.
    let permission =
        of_mutation(mutation).ok_or_else(|| coded("access.forbidden", "the field has no permission"))?;
    caller.require_anywhere(permission).map_err(denied)?;
    let key = idempotency::Key::new(mutation, key)?;
    let mut ids = Ids::default();
    let Some(command) = build(&mut ids) else { return Err(Stop::Refused(ids.into_errors())) };

    let owned = ownership::look_up(asking, ids.given()).await.map_err(failed)?;
    if let Some(foreign) = owned.iter().find(|owned| owned.is_foreign_to(caller)) {
        ownership::note(asking, foreign.given.id, mutation);
        return Err(none_such(caller, &owned).into());
    }
    let target = target(&owned);
    if let Some(customer_id) = target {
        caller.require(permission, Some(customer_id)).map_err(denied)?;
    }

    let command_id = CommandId::derived(caller.user_id.0, &key.to_string());
    idempotency::claim(asking, &key, command_id, &command).await?;
    let caller = narrowed(caller, permission, target);
    let sent = asking.services.commands.send(&caller, command, command_id, asking.correlation_id).await;
    sent.map_err(|failure| refusal(&asking.caller, &owned, failure))
}

fn denied(denied: access::Denied) -> Stop {
    UserError::new(denied.code(), denied.to_string()).into()
}

/// The customer that a wish is about, where its objects belong to exactly one.
fn target(owned: &[Owned]) -> Option<CustomerId> {
    let mut customers = owned.iter().filter_map(|owned| owned.tenant?.customer_id);
    let first = customers.next()?;
    customers.all(|customer| customer == first).then_some(first)
}

/// Somebody with roles at several customers acts at one of them: the other services' databases then see that one only.
fn narrowed(caller: &Arc<Caller>, permission: Permission, target: Option<CustomerId>) -> Caller {
    match (caller.reach(permission), target) {
        (Reach::Customers(_), Some(customer_id)) => {
            caller.narrowed_to(customer_id).unwrap_or_else(|| caller.as_ref().clone())
        }
        (Reach::Customers(_), None) | (Reach::Everywhere, _) => caller.as_ref().clone(),
    }
}

/// One answer for what does not exist and for what is another tenant's, so that it tells nothing of the difference.
fn none_such(caller: &Caller, owned: &[Owned]) -> UserError {
    let missing = owned.iter().find(|owned| owned.is_missing_for(caller));
    match missing.map(|owned| &owned.given) {
        Some(given) => {
            let message = format!("there is no such {}", given.id.kind.words());
            UserError::new(given.id.kind.not_found(), message).at(given.field.clone())
        }
        None => UserError::new("store.not_found", "there is no such object"),
    }
}

/// What a service's refusal is to the client: data below 500, an error from there on.
fn refusal(caller: &Caller, owned: &[Owned], failure: CommandFailure) -> Stop {
    match failure.status {
        404 if owned.iter().any(|owned| owned.is_missing_for(caller)) => none_such(caller, owned).into(),
        // 401 is between the services; 429 passes.
        400 | 402..=428 | 430..=499 => UserError::new(failure.code, failure.message).into(),
        _ => Stop::Failed(not_done(failure)),
    }
}

/// A command that a service did not carry out, as GraphQL tells it.
pub(crate) fn not_done(failure: CommandFailure) -> Error {
    tracing::warn!(
        error.code = failure.code,
        error.message = failure.message,
        "a service did not do its part"
    );
    let message = match failure.status {
        402..=499 => failure.message,
        _ if failure.retryable => "temporarily unavailable".to_owned(),
        _ => "internal error".to_owned(),
    };
    with_code(Error::new(message), &failure.code)
}

/// The log position of what was written.
async fn written_at(asking: &Asking, pos: i64) -> Result<kernel::Position> {
    let position = asking.services.log.position_of(pos, WAIT_MAX).await.map_err(failed)?;
    position.ok_or_else(|| {
        let message =
            "it is done, but its position is not known yet: send it again with the same idempotency key";
        coded("views.behind", message)
    })
}

#[cfg(test)]
mod tests;
