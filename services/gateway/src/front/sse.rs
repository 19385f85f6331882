//! Event streams: the distinct connections mode of GraphQL over server-sent events.
//!
//! A stream that ends without `complete` was cut by us (stop, expired session), and the client comes back.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::negotiate::Format;

/// What ends or accompanies a stream besides its events.
pub(super) struct Surroundings {
    pub(super) heartbeat: Duration,
    pub(super) expires_in: Option<Duration>,
    pub(super) stop: CancellationToken,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Answers with the events of one operation.
pub(super) fn respond(events: BoxStream<'static, Answer>, surroundings: Surroundings) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, Format::EventStream.media_type()))
        .insert_header((CACHE_CONTROL, "no-cache"))
        // Proxies such as nginx collect answers otherwise, and events would arrive late.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(frames(events, surroundings))
}

struct Open {
    events: BoxStream<'static, Answer>,
    heartbeat: Interval,
    expires_at: Option<Instant>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

fn frames(
    events: BoxStream<'static, Answer>,
    surroundings: Surroundings,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    // The first beat comes at once and tells the client that the stream is open.
    let mut heartbeat = tokio::time::interval(surroundings.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let open = Open {
        events,
        heartbeat,
        expires_at: surroundings.expires_in.map(|duration| Instant::now() + duration),
        stop: surroundings.stop,
        _permit: surroundings.permit,
    };
    stream::unfold(Some(open), |open| async move {
        let mut open = open?;
        let expires_at = open.expires_at;
        tokio::select! {
            () = open.stop.cancelled() => None,
            () = until(expires_at) => None,
            event = open.events.next() => Some(match event {
                Some(answer) => (Ok(next(&answer)), Some(open)),
                None => (Ok(Bytes::from_static(b"event: complete\ndata: \n\n")), None),
            }),
            _ = open.heartbeat.tick() => Some((Ok(Bytes::from_static(b":\n\n")), Some(open))),
        }
    })
}

fn next(answer: &Answer) -> Bytes {
    Bytes::from(format!("event: next\ndata: {}\n\n", answer.to_json()))
}

/// Waits for an instant, or for ever without one.
pub(super) async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
