//! The running service against a real database and broker: what rules approve, and what people may decide.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

mod automatic;
mod deciding;
mod deferring;
mod fixtures;
mod many;
mod rules;
mod saving;
mod scopes;
mod seconding;
mod simulating;
mod system;
