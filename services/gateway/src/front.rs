//! The HTTP front of the GraphQL API: transports, limits and sessions around any schema.
//!
//! ```text
//! POST, GET ─┐                                   ┌─ answer (GraphQL over HTTP)
//! SSE ───────┼─ authenticate ─ scan ─ measure ───┼─ events (text/event-stream)
//! WebSocket ─┘  (Authenticator)  (Limits)        └─ messages (graphql-transport-ws)
//! ```

mod answer;
mod complexity;
mod graphiql;
mod http;
mod limits;
mod measure;
mod negotiate;
mod nulls;
mod operation;
mod refusal;
mod scan;
mod session;
mod socket;
mod sse;

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Data, ServiceConfig};
use async_graphql::Executor;
use async_graphql::parser::types::OperationType;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use self::operation::Operation;

pub use self::limits::Limits;
pub use self::refusal::Refusal;
pub use self::session::{Authenticator, Denied, Session};

/// A GraphQL API on `/graphql`, with sockets there and on `/graphql/ws`.
pub struct Front<E> {
    executor: E,
    shared: Arc<Shared>,
}

impl<E: Clone> Clone for Front<E> {
    fn clone(&self) -> Self {
        Self { executor: self.executor.clone(), shared: Arc::clone(&self.shared) }
    }
}

struct Shared {
    authenticator: Box<dyn Authenticator>,
    limits: Limits,
    development: bool,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
}

/// What a front is made from.
pub struct Settings {
    /// Checks who is asking.
    pub authenticator: Box<dyn Authenticator>,
    /// What one client may ask; the schema is built with [`Limits::guard`].
    pub limits: Limits,
    /// Whether browsers get the `GraphiQL` page.
    pub development: bool,
    /// Ends sockets and event streams when cancelled.
    pub stop: CancellationToken,
}

impl<E: Executor> Front<E> {
    /// Puts a front around a schema.
    pub fn new(executor: E, settings: Settings) -> Self {
        let Settings { authenticator, limits, development, stop } = settings;
        let streams = Arc::new(Semaphore::new(limits.streams));
        Self { executor, shared: Arc::new(Shared { authenticator, limits, development, stop, streams }) }
    }

    /// Adds the routes to an actix application; every worker must get a clone of the same front.
    pub fn configure(&self, config: &mut ServiceConfig) {
        config.service(
            web::resource("/graphql")
                .app_data(Data::new(self.clone()))
                .route(web::get().to(http::get::<E>))
                .route(web::post().to(http::post::<E>))
                .default_service(web::to(http::other_method)),
        );
        config.service(
            web::resource("/graphql/ws")
                .app_data(Data::new(self.clone()))
                .route(web::get().to(http::upgrade_only::<E>))
                .default_service(web::to(http::other_method)),
        );
    }

    fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    fn serves_page(&self) -> bool {
        self.shared.development
    }

    fn stop_token(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// Takes one of the places for sockets and event streams.
    fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.shared.stop.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        Arc::clone(&self.shared.streams)
            .try_acquire_owned()
            .map_err(|_full| Refusal::TooManyStreams { limit: self.shared.limits.streams })
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<Session, Refusal> {
        self.shared.authenticator.authenticate(headers).await.map_err(|denied| match denied {
            Denied::Unauthenticated { code, message } => Refusal::Unauthenticated { code, message },
            Denied::Unavailable { code, message } => Refusal::AuthenticationUnavailable { code, message },
        })
    }

    /// Carries out a query or mutation.
    async fn execute(&self, session: &Session, operation: Operation) -> Answer {
        let limit = self.shared.limits.execution;
        let request = session.prepare(operation.request);
        let answer = match tokio::time::timeout(limit, self.executor.execute(request)).await {
            Ok(response) => Answer::of_response(response),
            Err(_elapsed) => Answer::of_refusal(&Refusal::Timeout { milliseconds: limit.as_millis() }),
        };
        answer.with_cost(operation.cost)
    }

    /// Carries out any operation as a stream: of events for a subscription, of one answer otherwise.
    fn events(&self, session: &Session, operation: Operation) -> BoxStream<'static, Answer> {
        if operation.kind == Some(OperationType::Subscription) {
            let request = session.prepare(operation.request);
            let responses = self.executor.execute_stream(request, None);
            return responses.map(|response| Answer::of_response(response).into_event()).boxed();
        }
        let (front, session) = (self.clone(), session.clone());
        stream::once(async move { front.execute(&session, operation).await }).boxed()
    }
}
