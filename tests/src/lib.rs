//! The story of one honest trip through the whole system, told over the network only.
//!
//! `cargo xtask demo` tells it to a person; the journey tests tell it in both process layouts and with outages.

#![expect(clippy::disallowed_methods, reason = "a teller of stories makes keys and helpers of its own")]

pub mod agents;
pub mod api;
pub mod chaos;
pub mod debian_root;
pub mod receiver;
pub mod story;
pub mod summary;
pub mod wait;
