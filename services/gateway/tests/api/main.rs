//! The running gateway against a real database: what it answers, to whom, and from which position of the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

mod callers;
mod catalogue;
mod deciding;
mod decisions;
mod feeds;
mod groups;
mod history;
mod isolation;
mod measure;
mod mutations;
mod own_catalogue;
mod packages;
mod pages;
mod patches;
mod reading;
mod rebuilding;
mod rules;
mod schema;
mod sockets;
mod subscriptions;
mod system;
mod views;
mod world;
