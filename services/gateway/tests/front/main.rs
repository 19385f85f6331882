//! The GraphQL front around a small schema of its own, tested over the network only.

mod api;
mod clients;
mod event_streams;
mod hostile;
mod http;
mod sockets;
