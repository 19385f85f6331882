//! Vendors' documents become facts, or are refused as a whole with a reason.
//!
//! ```text
//! bytes ─▶ decompressed ─▶ UTF-8 ─▶ head: which format? ─▶ its parser ─▶ Contents (facts) and Figures (counts)
//! ```
//! A parser reads a stream: no document is in memory as a whole. What one record may take is limited by its bytes
//! ([`limits`]), so memory stays small whatever comes in.

pub mod contents;
mod cvss;
pub mod dates;
mod deb822;
mod error;
pub mod figures;
mod format;
mod formats;
pub mod head;
pub mod identity;
mod input;
mod json;
pub mod limits;
pub mod openpgp;
mod packages;
mod reading;
mod rows;
pub mod text;
pub mod update_package;
mod xml;
pub mod zipped;

pub use error::DocumentError;
pub use format::Format;
pub use reading::{Document, Options, detect, read};
