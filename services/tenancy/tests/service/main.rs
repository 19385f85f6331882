//! The running service against a real database: who is registered, who may invite whom, and the built-in issuer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

mod forgetting;
mod issuing;
mod registering;
mod system;
mod users;
