//! The side that takes commands.

use super::{Request, path};
use crate::{ApiError, Body};
use access::{Caller, InternalAuth, TokenError, jwt};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use contracts::{Accepted, Command};
use kernel::Cause;
use runtime::{Clock, telemetry};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a use case says when others wrote the same stream meanwhile and its transaction is void.
const BUSY: &str = "store.busy";

/// Before each further attempt at a command that met other writers: one of them wins every round, and the sum stays far
/// below the client's patience.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(320),
];

/// Who is calling, and what the events will say about why they happened.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// The caller; may do this somewhere, the use case checks where.
    pub caller: Caller,
    /// The cause of every event of this command.
    pub cause: Cause,
}

/// What must be so before a command is decided.
type Ready = Arc<dyn Fn(&Caller) -> Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>> + Send + Sync>;

/// Makes the routes of a service's commands.
#[derive(Clone)]
pub struct Commands {
    auth: InternalAuth,
    clock: Arc<dyn Clock>,
    ready: Ready,
}

impl Commands {
    /// Routes that trust the other services' secret.
    pub fn new(auth: InternalAuth, clock: Arc<dyn Clock>) -> Self {
        Self { auth, clock, ready: Arc::new(|_| Box::pin(async { Ok(()) })) }
    }

    /// The same routes, which wait for `ready` before every command.
    #[must_use]
    pub fn when<F, Fut>(self, ready: F) -> Self
    where
        F: Fn(&Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ApiError>> + Send + 'static,
    {
        Self { ready: Arc::new(move |caller| Box::pin(ready(caller))), ..self }
    }

    /// The route of the command `C`, answered by `handler(state, context, command)`, which is asked again while the
    /// store is busy.
    pub fn route<S, C, F, Fut>(&self, state: &S, handler: F) -> Resource
    where
        S: Clone + 'static,
        C: Command,
        F: Fn(S, CommandContext, C) -> Fut + Clone + 'static,
        Fut: Future<Output = Result<Accepted<C::Answer>, ApiError>> + 'static,
    {
        let (commands, state) = (self.clone(), state.clone());
        web::resource(path(C::NAME)).route(web::post().to(move |request: HttpRequest, Body(body): Body| {
            let (commands, state, handler) = (commands.clone(), state.clone(), handler.clone());
            async move {
                let caller = commands.caller::<C>(&request)?;
                let (context, command) = read::<C>(&caller, &body)?;
                (commands.ready)(&context.caller).await?;
                let mut outcome = handler(state.clone(), context, command).await;
                for pause in PAUSES {
                    if !outcome.as_ref().is_err_and(|error| error.code == BUSY) {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                    let (context, command) = read::<C>(&caller, &body)?;
                    outcome = handler(state.clone(), context, command).await;
                }
                Ok::<_, ApiError>(HttpResponse::Ok().json(outcome?))
            }
        }))
    }

    fn caller<C: Command>(&self, request: &HttpRequest) -> Result<Caller, ApiError> {
        let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let assertion = jwt::bearer(header).ok_or(TokenError::Missing)?;
        let caller = self.auth.verify(assertion, C::SERVICE, self.clock.now())?;
        caller.require_anywhere(C::PERMISSION)?;
        Ok(caller)
    }
}

fn read<C: Command>(caller: &Caller, body: &[u8]) -> Result<(CommandContext, C), ApiError> {
    let malformed = |error: serde_json::Error| ApiError::bad_request("web.body_malformed", error.to_string());
    let request: Request<C> = serde_json::from_slice(body).map_err(malformed)?;
    // Read twice: a `Value` alone would let a key that is there twice pass.
    if let Some(place) = unstorable(&serde_json::from_slice(body).map_err(malformed)?) {
        let message = format!("{place} holds the character U+0000, which cannot be stored");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "web.text_invalid", message));
    }
    let cause = Cause {
        command_id: request.command_id,
        correlation_id: request.correlation_id,
        causation_id: None,
        actor: caller.actor(),
        traceparent: telemetry::current_traceparent(),
    };
    Ok((CommandContext { caller: caller.clone(), cause }, request.command))
}

/// Where in `value` the first text stands that PostgreSQL keeps neither as text nor as `jsonb`.
fn unstorable(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| unstorable(item).map(|below| format!("[{at}]{}", joined(&below)))),
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            let below = if key.contains('\0') { Some(String::new()) } else { unstorable(item) };
            below.map(|below| format!("{}{}", key.escape_debug(), joined(&below)))
        }),
    }
}

/// What follows a field's name: `.comment`, `[2]`, or nothing.
fn joined(below: &str) -> String {
    if below.is_empty() || below.starts_with('[') { below.to_owned() } else { format!(".{below}") }
}

#[cfg(test)]
mod tests {
    use super::unstorable;
    use serde_json::json;

    #[test]
    fn the_place_of_a_text_is_told_as_one_would_write_it() {
        for (value, place) in [
            (json!({"command": {"comment": "a\0"}}), "command.comment"),
            (json!({"command": {"tags": ["a", ["b", "\0"]]}}), "command.tags[1][1]"),
            (json!({"command": {"patterns": [{"product": "\0"}]}}), "command.patterns[0].product"),
            (json!({"command": {"labels": {"a\0": "b"}}}), "command.labels.a\\0"),
        ] {
            assert_eq!(unstorable(&value).as_deref(), Some(place));
        }
        assert_eq!(unstorable(&json!({"a": [1, null, true, "\\u0000", "\u{1}"], "": {}})), None);
    }
}
