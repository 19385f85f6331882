//! Where services meet: one shape per fact, stored and published alike; the commands each service takes; the permissions.

#[macro_use]
mod macros;

pub mod agent;
pub mod alerts;
pub mod approvals;
pub mod auditing;
pub mod catalogue;
pub mod devices;
pub mod feeds;
pub mod packages;
pub mod permissions;
pub mod scheduling;
#[cfg(feature = "schema")]
pub mod schema;
pub mod tenancy;

mod command;
mod service;
mod upcast;
mod words;

pub use command::{Accepted, Command, Written};
pub use service::Service;
pub use words::{
    Cadence, Classification, DevicePlatform, FixTarget, OsRelease, OutOfBandReason, RebootBehaviour,
    Severity, VersionOrder,
};

/// Namespace of ids that are derived from vendors' names (RFC 9562 version 5).
pub const NAMESPACE: uuid::Uuid = uuid::uuid!("6f0a3c1e-0b1d-5b4e-9f53-8f3a9a7d2c11");
