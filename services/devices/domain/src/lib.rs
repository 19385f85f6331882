//! The rules of devices: who may enrol, what a report must be like, which patch is missing where, and what of it is news.
//!
//! ```text
//! ScanReport ──report::check──▶ inventory ──applicability::assess(catalogue)──▶ findings ──Device::decide──▶ deltas
//! ```

pub mod applicability;
mod device;
pub mod release;
pub mod report;
mod token;

pub use device::{
    Command as DeviceCommand, DELTAS_MAX, Device, Refusal as DeviceRefusal, Scan, Seen, State as DeviceState,
};
pub use token::{
    Command as TokenCommand, EnrolmentToken, Refusal as TokenRefusal, State as TokenState,
    VALIDITY_SECONDS_MAX, VALIDITY_SECONDS_MIN,
};
