//! The GraphQL front around a small schema of its own, tested over the network only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::unused_async, reason = "resolvers are async functions")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the enums are the client's")]
#![expect(clippy::disallowed_methods, reason = "server and clients end with the test that started them")]

mod api;
mod clients;
mod event_streams;
mod hostile;
mod http;
mod sockets;
