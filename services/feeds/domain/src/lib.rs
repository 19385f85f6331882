//! What vendors publish, as rules: deciding which facts are news.
//!
//! Nothing here reads a file, a clock or a network: facts come in, events go out. Vendors' documents become facts in
//! `feeds-documents`.

pub mod catalogue;
pub mod package;
pub mod severity;
