//! Events on RabbitMQ: the relay that publishes the log, and the one loop in which every consumer runs.
//!
//! ```text
//! log ──Relay──▶ <service>.events ──binding──▶ <consumer> ──▶ handle(tx, event) ──▶ ack
//!                                                  ▲  │ RetryAfter
//!                                                  │  ▼
//!                                     <consumer>.retry.<delay> ──(last step)──▶ <consumer>.parked
//! ```
//! A consumer's effect, its inbox row and its place in the log change in one transaction. At every start it reads from
//! the log what the broker may have lost, so a new or emptied broker costs time and nothing else.

mod broker;
mod consumer;
mod handling;
mod hearing;
mod relay;
mod topology;

pub use broker::{Broker, BrokerError};
pub use consumer::consume;
pub use handling::{Consumer, HandlerError, Outcome, settled};
pub use hearing::has_heard_all;
pub use relay::Relay;
