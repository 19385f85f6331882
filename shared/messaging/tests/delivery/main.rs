//! From the store through a real broker to a consumer, with losses on the way.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and end with their runtime"
)]

mod consuming;
mod house;
mod losses;
mod parking;
mod pruning;
mod relaying;
mod wire;
