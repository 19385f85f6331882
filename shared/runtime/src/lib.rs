//! What every program of Patchfleet needs to run: settings, a life cycle, telemetry, a clock, ids and HTTP clients.

pub mod clock;
pub mod http;
pub mod lifecycle;
pub mod settings;
pub mod telemetry;

pub use clock::{Clock, Ids, SystemClock, SystemIds};
pub use lifecycle::Lifecycle;
pub use settings::Settings;
