//! What the service does with events: raise alerts, and hand events over to webhooks.

mod fan_out;
mod raising;
mod search;

pub(crate) use fan_out::FanOut;
pub(crate) use raising::Raising;
