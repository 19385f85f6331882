//! The rules of devices: who may enrol, what a report must be like, which patch is missing where, what of it
//! is news, and which devices belong together.
//!
//! ```text
//! ScanReport ──report::check──▶ inventory ──applicability::assess(catalogue)──▶ findings ──Device::decide──▶ deltas
//! ```

pub mod applicability;
mod device;
pub mod group;
pub mod report;
mod text;
mod token;
mod version;

pub use device::{
    Command as DeviceCommand, DELTAS_MAX, Device, REGION_CHARS_MAX, Refusal as DeviceRefusal, Scan, Seen,
    State as DeviceState,
};
pub use group::{Command as GroupCommand, Group, Refusal as GroupRefusal, State as GroupState, Surroundings};
pub use token::{
    Command as TokenCommand, EnrolmentToken, Refusal as TokenRefusal, State as TokenState,
    VALIDITY_SECONDS_MAX, VALIDITY_SECONDS_MIN,
};
pub use version::{DebianVersion, InvalidVersion};
