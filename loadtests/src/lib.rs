//! Measures the event backbone and the feeds against the plainest way to do the same work, in turns and in the same run, and
//! what applicability costs over fleets of several sizes.

#![expect(
    clippy::disallowed_methods,
    reason = "a measuring program makes its own ids, reads the machine's clock and ends with its runtime"
)]

pub mod applicability;
pub mod catalogue;
pub mod eventstore;
pub mod feeds;
pub mod messaging;
pub mod options;
pub mod plot;
pub mod report;

mod machine;
mod rounds;
mod server;
mod statistics;
mod workload;
