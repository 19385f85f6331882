//! An update package: from its announcement to the removal of its files.
//!
//! ```text
//! REGISTERED ─▶ DOWNLOADING ─▶ DOWNLOADED ─┐
//!     │             ▼ ▲                    ├─▶ VALIDATING ─▶ READY ─▶ REMOVED
//!     │        DOWNLOAD_FAILED             │        └─▶ INVALID
//!     └──────▶ UPLOADING ─▶ UPLOADED ──────┘
//! ```
//! A manufacturer's package goes the same way and waits for its certificate besides: REFUSED ends it anywhere.

mod aggregate;
mod checks;
mod preparation;
mod refusal;
mod retention;
mod site;
mod stages;
mod version;

pub use aggregate::{Certification, Package, PackageCommand, PackageState, Stage, Verdict};
pub use checks::{FILE_NAME_CHARS_MAX, FILES_MAX, PACKAGE_BYTES_MAX, supersedes};
pub use preparation::preparation;
pub use refusal::PackageRefusal;
pub use retention::{RETENTION_DAYS_MAX, Spare, removal_is_due};
pub use site::{Readiness, Site, SiteCommand, SiteRefusal, SiteState};
pub use version::compare;
