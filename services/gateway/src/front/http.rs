//! `GET` and `POST` of the GraphQL address, as GraphQL over HTTP wants them.

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use async_graphql::Executor;
use async_graphql::parser::types::OperationType;
use bytes::Bytes;
use futures_util::StreamExt;

use super::answer::{Answer, refuse};
use super::limits::{Limits, TRANSFER_TIMEOUT};
use super::negotiate::{self, Format};
use super::operation::{Operation, Parameters};
use super::refusal::Refusal;
use super::session::Session;
use super::{Front, graphiql, socket, sse};

pub(super) async fn get<E: Executor>(
    front: Data<Front<E>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    if socket::is_upgrade(&request) {
        return socket::open(&front, &request, payload);
    }
    if front.serves_page() && request.query_string().is_empty() && negotiate::wants_page(request.headers()) {
        return graphiql::page();
    }
    respond(&front, &request, payload).await
}

pub(super) async fn post<E: Executor>(
    front: Data<Front<E>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    respond(&front, &request, payload).await
}

pub(super) async fn upgrade_only<E: Executor>(
    front: Data<Front<E>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    if socket::is_upgrade(&request) {
        socket::open(&front, &request, payload)
    } else {
        refuse(&Refusal::UpgradeRequired, None)
    }
}

pub(super) async fn other_method(request: HttpRequest) -> HttpResponse {
    refuse(&Refusal::MethodNotAllowed { method: request.method().to_string() }, None)
}

async fn respond<E: Executor>(front: &Front<E>, request: &HttpRequest, payload: Payload) -> HttpResponse {
    let format = match negotiate::format(request.headers()) {
        Ok(format) => format,
        Err(refusal) => return refuse(&refusal, None),
    };
    match carry_out(front, request, payload, format).await {
        Ok(response) => response,
        Err(refusal) => refuse(&refusal, Some(format)),
    }
}

async fn carry_out<E: Executor>(
    front: &Front<E>,
    request: &HttpRequest,
    payload: Payload,
    format: Format,
) -> Result<HttpResponse, Refusal> {
    let session = front.authenticate(request.headers()).await?;
    let by_get = request.method() == Method::GET;
    let parameters = if by_get {
        Parameters::from_query_string(request.query_string())?
    } else {
        negotiate::require_json_body(request.headers())?;
        Parameters::from_body(&body(payload, front.limits()).await?)?
    };

    let operation = match Operation::read(parameters, front.limits()) {
        // An event stream reports refused documents as an event: a browser hides the body of a failed one.
        Err(refusal) if format == Format::EventStream && refusal.is_about_the_document() => {
            let answer = Answer::of_refusal(&refusal);
            return stream(front, &session, futures_util::stream::iter([answer]).boxed());
        }
        operation => operation?,
    };
    if by_get && operation.kind == Some(OperationType::Mutation) {
        return Err(Refusal::MutationByGet);
    }
    match (format, operation.kind) {
        (Format::EventStream, _) => stream(front, &session, front.events(&session, operation)),
        (Format::GraphqlResponse | Format::Json, Some(OperationType::Subscription)) => {
            Err(Refusal::SubscriptionTransport)
        }
        (Format::GraphqlResponse | Format::Json, _) => {
            Ok(front.execute(&session, operation).await.into_http(format))
        }
    }
}

fn stream<E: Executor>(
    front: &Front<E>,
    session: &Session,
    events: futures_util::stream::BoxStream<'static, Answer>,
) -> Result<HttpResponse, Refusal> {
    let surroundings = sse::Surroundings {
        heartbeat: front.limits().heartbeat,
        expires_in: session.remaining(),
        permit: front.permit()?,
        stop: front.stop_token(),
    };
    Ok(sse::respond(events, surroundings))
}

async fn body(payload: Payload, limits: &Limits) -> Result<Bytes, Refusal> {
    let limit = limits.body_bytes;
    let Ok(read) = tokio::time::timeout(TRANSFER_TIMEOUT, payload.to_bytes_limited(limit)).await else {
        return Err(Refusal::BodyTooSlow { seconds: TRANSFER_TIMEOUT.as_secs() });
    };
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(Refusal::MalformedRequest { reason: error.to_string() }),
        Err(_too_large) => Err(Refusal::BodyTooLarge { limit }),
    }
}
