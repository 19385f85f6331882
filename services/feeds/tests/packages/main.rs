//! Update packages against a real database, a real broker, a real folder and real connections. The numbers are those of the
//! requirements.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, its support as well, and its publishers end with it"
)]

mod depot;
mod download;
mod oem;
mod publisher;
mod removal;
mod upload;
