//! The rules of alerts and webhooks: what raises an alert, who receives an event, and when a delivery is tried again.

pub mod alert;
pub mod delivery;
pub mod raising;
pub mod subscription;
pub mod webhook;
