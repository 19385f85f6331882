//! Events on RabbitMQ: the relay that publishes the log, and the one loop in which every consumer runs.
//!
//! ```text
//! log ──Relay──▶ <service>.events ──binding──▶ <consumer> ──▶ inbox + handle, one transaction ──▶ ack
//!                                                 ▲  │ RetryAfter                │ Park, or the last attempt failed
//!                                                 │  ▼                           ▼
//!                                     <consumer>.delay.<n>s                  es.parked
//! ```
//! A consumer's effect and its inbox row are one transaction. What a broker lost is found by the position of the event
//! before, which every message carries, and by looking at the log: a new or emptied broker costs time and nothing else.

mod broker;
mod consumer;
mod handling;
mod hearing;
mod inbox;
pub mod parked;
mod postponed;
mod relay;
mod topology;

pub use broker::{Broker, BrokerError};
pub use consumer::consume;
pub use handling::{Concurrency, Consumer, HandlerError, Outcome, settled};
pub use hearing::has_heard_all;
pub use inbox::prune_inbox;
pub use relay::Relay;
