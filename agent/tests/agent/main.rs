//! The agent's program against the real apt in a private root and a server of a page.
#![expect(clippy::unwrap_used, reason = "in a test, what cannot be had ends it")]

mod device;
mod installing;
mod offline;
mod refusals;
mod scanning;
mod server;
