//! The side that takes commands.

use super::{Request, path};
use crate::ApiError;
use access::{Caller, InternalAuth, TokenError, jwt};
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use contracts::{Accepted, Command};
use kernel::Cause;
use runtime::{Clock, telemetry};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Who is calling, and what the events will say about why they happened.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// The caller; may do this somewhere, the use case checks where.
    pub caller: Caller,
    /// The cause of every event of this command.
    pub cause: Cause,
}

/// What must be so before a command is decided.
type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>> + Send + Sync>;

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
        Self { auth, clock, ready: Arc::new(|| Box::pin(async { Ok(()) })) }
    }

    /// The same routes, which wait for `ready` before every command.
    #[must_use]
    pub fn when<F, Fut>(self, ready: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ApiError>> + Send + 'static,
    {
        Self { ready: Arc::new(move || Box::pin(ready())), ..self }
    }

    /// The route of the command `C`, answered by `handler(state, context, command)`.
    pub fn route<S, C, F, Fut>(&self, state: &S, handler: F) -> Resource
    where
        S: Clone + 'static,
        C: Command,
        F: Fn(S, CommandContext, C) -> Fut + Clone + 'static,
        Fut: Future<Output = Result<Accepted<C::Answer>, ApiError>> + 'static,
    {
        let (commands, state) = (self.clone(), state.clone());
        web::resource(path(C::NAME)).route(web::post().to(move |request: HttpRequest, body: Bytes| {
            let (commands, state, handler) = (commands.clone(), state.clone(), handler.clone());
            async move {
                let caller = commands.caller::<C>(&request)?;
                let (context, command) = read::<C>(caller, &body)?;
                (commands.ready)().await?;
                let accepted = handler(state, context, command).await?;
                Ok::<_, ApiError>(HttpResponse::Ok().json(accepted))
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

fn read<C: Command>(caller: Caller, body: &[u8]) -> Result<(CommandContext, C), ApiError> {
    let request: Request<C> = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request("web.body_malformed", error.to_string()))?;
    let cause = Cause {
        command_id: request.command_id,
        correlation_id: request.correlation_id,
        causation_id: None,
        actor: caller.actor(),
        traceparent: telemetry::current_traceparent(),
    };
    Ok((CommandContext { caller, cause }, request.command))
}
