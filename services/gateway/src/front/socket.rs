//! Sockets: the `graphql-transport-ws` protocol, one task per socket.
//!
//! opened --`connection_init`--> acknowledged --`subscribe`--> running operations
//!    '--no init in time: 4408       '--session expired: 4403      '--each ends with `complete` or `error`

mod message;

use std::collections::HashMap;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError};
use async_graphql::Executor;
use futures_util::stream::{self, AbortHandle, BoxStream, SelectAll, StreamExt};
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use self::message::{FromClient, ToClient};
use super::Front;
use super::answer::{Answer, refuse};
use super::limits::TRANSFER_TIMEOUT;
use super::operation::{Operation, Parameters};
use super::refusal::Refusal;
use super::session::Session;
use super::sse::until;

const PROTOCOL: &str = "graphql-transport-ws";

/// Beats without a sign of life before a socket counts as dead; one may be lost on the way.
const SILENT_BEATS_MAX: u32 = 2;

pub(super) fn is_upgrade(request: &HttpRequest) -> bool {
    request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Completes the handshake and leaves the socket to a task of its own.
pub(super) fn open<E: Executor>(front: &Front<E>, request: &HttpRequest, payload: Payload) -> HttpResponse {
    let permit = match front.permit() {
        Ok(permit) => permit,
        Err(refusal) => return refuse(&refusal, None),
    };
    match actix_ws::handle_with_protocols(request, payload, &[PROTOCOL]) {
        Ok((response, connection, messages)) => {
            let speaks_protocol = response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL);
            let limit = front.limits().message_bytes;
            let messages =
                messages.max_frame_size(limit).aggregate_continuations().max_continuation_size(limit);
            let socket = Socket::new(front.clone(), connection, request.headers().clone(), permit);
            actix_web::rt::spawn(socket.run(messages, speaks_protocol));
            response
        }
        Err(error) => refuse(&Refusal::InvalidHandshake { reason: error.to_string() }, None),
    }
}

/// Why a socket ends.
#[derive(Debug)]
enum End {
    Going,
    TooLarge,
    NotUtf8,
    BrokenFrame,
    BadMessage(String),
    NotAcknowledged,
    Forbidden(String),
    Unavailable(String),
    WrongProtocol,
    InitialisationTimeout,
    SubscriberExists(String),
    SecondInitialisation,
    /// The client closed; its reason goes back to it.
    ByClient(Option<CloseReason>),
    /// Nobody is there to be told.
    Dead,
}

impl End {
    fn frame(self) -> Option<CloseReason> {
        let (code, description) = match self {
            Self::Going => (CloseCode::Away, "the server is stopping".to_owned()),
            Self::TooLarge => (CloseCode::Size, "the message is too large".to_owned()),
            Self::NotUtf8 => (CloseCode::Invalid, "the message is not UTF-8".to_owned()),
            Self::BrokenFrame => (CloseCode::Protocol, "the frame is invalid".to_owned()),
            Self::BadMessage(reason) => (CloseCode::Other(4400), reason),
            Self::NotAcknowledged => (CloseCode::Other(4401), "Unauthorized".to_owned()),
            Self::Forbidden(reason) => (CloseCode::Other(4403), reason),
            Self::Unavailable(reason) => (CloseCode::Again, reason),
            Self::WrongProtocol => (CloseCode::Other(4406), "Subprotocol not acceptable".to_owned()),
            Self::InitialisationTimeout => {
                (CloseCode::Other(4408), "Connection initialisation timeout".to_owned())
            }
            Self::SubscriberExists(id) => {
                (CloseCode::Other(4409), format!("Subscriber for {id} already exists"))
            }
            Self::SecondInitialisation => {
                (CloseCode::Other(4429), "Too many initialisation requests".to_owned())
            }
            Self::ByClient(reason) => return reason,
            Self::Dead => return None,
        };
        Some(CloseReason { code, description: Some(description) })
    }
}

/// An event of one operation; `None` says that it has no more.
type Output = (String, Option<Answer>);

struct Socket<E> {
    front: Front<E>,
    connection: actix_ws::Session,
    headers: HeaderMap,
    session: Option<Session>,
    /// Until when the socket must be initialised, then until when its session is valid.
    deadline: Option<Instant>,
    heartbeat: Interval,
    silent_beats: u32,
    outputs: SelectAll<BoxStream<'static, Output>>,
    running: HashMap<String, AbortHandle>,
    _permit: OwnedSemaphorePermit,
}

impl<E: Executor> Socket<E> {
    fn new(
        front: Front<E>,
        connection: actix_ws::Session,
        headers: HeaderMap,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let limits = front.limits();
        let deadline = Some(Instant::now() + limits.initialisation);
        let mut heartbeat = tokio::time::interval_at(Instant::now() + limits.heartbeat, limits.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            front,
            connection,
            headers,
            session: None,
            deadline,
            heartbeat,
            silent_beats: 0,
            outputs: SelectAll::new(),
            running: HashMap::new(),
            _permit: permit,
        }
    }

    async fn run(mut self, mut messages: AggregatedMessageStream, speaks_protocol: bool) {
        let end = if speaks_protocol { self.serve(&mut messages).await } else { End::WrongProtocol };
        tracing::debug!(reason = ?end, "a GraphQL socket ends");
        if matches!(end, End::Dead) {
            return;
        }
        // The client may be gone as well: then there is nobody to tell.
        let _gone = tokio::time::timeout(TRANSFER_TIMEOUT, self.connection.close(end.frame())).await;
    }

    async fn serve(&mut self, messages: &mut AggregatedMessageStream) -> End {
        loop {
            if let Err(end) = self.step(messages).await {
                return end;
            }
        }
    }

    async fn step(&mut self, messages: &mut AggregatedMessageStream) -> Result<(), End> {
        let stop = self.front.stop_token();
        tokio::select! {
            () = stop.cancelled() => Err(End::Going),
            () = until(self.deadline) => Err(match self.session {
                Some(_) => End::Forbidden("Forbidden: the session has expired".to_owned()),
                None => End::InitialisationTimeout,
            }),
            message = messages.next() => {
                self.silent_beats = 0;
                self.receive(message).await
            }
            Some((id, answer)) = self.outputs.next(), if !self.outputs.is_empty() => {
                self.pass_on(id, answer).await
            }
            _ = self.heartbeat.tick() => self.beat().await,
        }
    }

    async fn receive(
        &mut self,
        message: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => match serde_json::from_str(&text) {
                Ok(message) => self.handle(message).await,
                Err(error) => Err(End::BadMessage(format!("Invalid message: {error}"))),
            },
            Some(Ok(AggregatedMessage::Binary(_))) => Err(End::BadMessage(
                "Invalid message: binary messages are not part of the protocol".to_owned(),
            )),
            Some(Ok(AggregatedMessage::Ping(payload))) => {
                self.connection.pong(&payload).await.map_err(|_closed| End::Dead)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Close(reason))) => Err(End::ByClient(reason)),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(End::Dead),
        }
    }

    async fn handle(&mut self, message: FromClient) -> Result<(), End> {
        match message {
            FromClient::ConnectionInit { payload } => self.initialise(payload.unwrap_or_default()).await,
            FromClient::Ping { payload } => self.send(&ToClient::Pong { payload }).await,
            FromClient::Pong {} => Ok(()),
            FromClient::Subscribe { id, payload } => self.subscribe(id, payload).await,
            FromClient::Complete { id } => {
                if let Some(operation) = self.running.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
        }
    }

    async fn initialise(&mut self, payload: Map<String, Value>) -> Result<(), End> {
        if self.session.is_some() {
            return Err(End::SecondInitialisation);
        }
        let authorization = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some((_, value)) = authorization {
            let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
            let value =
                value.ok_or_else(|| End::Forbidden("Forbidden: unreadable authorization".to_owned()))?;
            self.headers.insert(AUTHORIZATION, value);
        }
        let session = tokio::select! {
            authenticated = self.front.authenticate(&self.headers) => authenticated.map_err(|refusal| not_admitted(&refusal))?,
            () = until(self.deadline) => return Err(End::InitialisationTimeout),
        };
        self.deadline = session.remaining().map(|duration| Instant::now() + duration);
        self.session = Some(session);
        self.send(&ToClient::ConnectionAck).await
    }

    async fn subscribe(&mut self, id: String, parameters: Parameters) -> Result<(), End> {
        let Some(session) = &self.session else {
            return Err(End::NotAcknowledged);
        };
        if id.is_empty() {
            return Err(End::BadMessage("Invalid message: the id is empty".to_owned()));
        }
        if self.running.contains_key(&id) {
            return Err(End::SubscriberExists(id));
        }
        let limit = self.front.limits().operations_per_socket;
        if self.running.len() >= limit {
            let refusal = Refusal::TooManyRunningOperations { limit };
            return self.refuse(&id, &refusal).await;
        }
        let operation = match Operation::read(parameters, self.front.limits()) {
            Ok(operation) => operation,
            Err(refusal) if refusal.is_about_the_document() => return self.refuse(&id, &refusal).await,
            Err(refusal) => return Err(End::BadMessage(format!("Invalid message: {refusal}"))),
        };

        let name = id.clone();
        let events = self.front.events(session, operation).map(Some).chain(stream::iter([None]));
        let (events, handle) = stream::abortable(events.map(move |answer| (name.clone(), answer)));
        self.outputs.push(events.boxed());
        self.running.insert(id, handle);
        Ok(())
    }

    async fn refuse(&mut self, id: &str, refusal: &Refusal) -> Result<(), End> {
        let answer = Answer::of_refusal(refusal);
        self.send(&ToClient::Error { id, payload: &answer.errors }).await
    }

    async fn pass_on(&mut self, id: String, answer: Option<Answer>) -> Result<(), End> {
        match answer {
            Some(answer) if answer.is_executed() => {
                self.send(&ToClient::Next { id: &id, payload: &answer }).await
            }
            Some(answer) => {
                self.send(&ToClient::Error { id: &id, payload: &answer.errors }).await?;
                if let Some(operation) = self.running.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
            None => {
                self.running.remove(&id);
                self.send(&ToClient::Complete { id: &id }).await
            }
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.silent_beats >= SILENT_BEATS_MAX {
            return Err(End::Dead);
        }
        self.silent_beats += 1;
        self.connection.ping(b"").await.map_err(|_closed| End::Dead)
    }

    /// Sends a message to a client that takes it: one that does not read would otherwise hold its operations,
    /// and the stop of the server, for ever.
    async fn send(&mut self, message: &ToClient<'_>) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(error = %error, "a GraphQL message could not be written as JSON");
            End::Dead
        })?;
        let stop = self.front.stop_token();
        tokio::select! {
            biased;
            sent = self.connection.text(text) => sent.map_err(|_closed| End::Dead),
            () = stop.cancelled() => Err(End::Dead),
            () = tokio::time::sleep(TRANSFER_TIMEOUT) => Err(End::Dead),
        }
    }
}

fn not_admitted(refusal: &Refusal) -> End {
    if let Refusal::AuthenticationUnavailable { message, .. } = refusal {
        return End::Unavailable(message.clone());
    }
    End::Forbidden(format!("Forbidden: {refusal}"))
}

fn broken(error: &ProtocolError) -> End {
    match error {
        ProtocolError::Overflow => End::TooLarge,
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => End::NotUtf8,
        // A message in too many pieces has no variant of its own.
        ProtocolError::Io(error) if error.to_string().contains("continuation size") => End::TooLarge,
        ProtocolError::Io(_) => End::Dead,
        ProtocolError::UnmaskedFrame
        | ProtocolError::MaskedFrame
        | ProtocolError::InvalidOpcode(_)
        | ProtocolError::InvalidLength(_)
        | ProtocolError::BadOpCode
        | ProtocolError::ContinuationNotStarted
        | ProtocolError::ContinuationStarted
        | ProtocolError::ContinuationFragment(_) => End::BrokenFrame,
    }
}
