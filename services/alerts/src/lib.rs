//! Alerts and the webhooks that carry them.

pub mod webhook;
