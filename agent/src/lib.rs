//! The device agent: scans, installs approved patches by the device's own package manager, and reports.
//!
//! It takes no command lines from the server: a job names approved patches and package versions, is signed by
//! the server's key for this one device, and is done only with packages that the device's own sources offer.

pub mod backend;
pub mod client;
pub mod clock;
pub mod config;
pub mod enrolment;
mod error;
mod files;
pub mod journal;
pub mod queue;
pub mod run;
pub mod state;

pub use error::AgentError;
