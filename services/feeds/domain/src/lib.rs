//! What vendors publish, as rules: reading their documents into facts, and deciding which facts are news.
//!
//! Nothing here reads a file, a clock or a network: bytes come in, facts go out.

pub mod catalogue;
mod debian;
pub mod document;
mod msrc;
pub mod severity;
mod tracker;
