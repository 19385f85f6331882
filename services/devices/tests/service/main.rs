//! The service as agents, people and other services meet it: real database, real broker, real HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agents;
mod groups;
mod house;
mod jobs;
mod scans;
mod tokens;
