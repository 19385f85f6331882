//! The running service: documents in, events and tables out, against a real database and real sources.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, its support as well, and its web servers end with it"
)]

mod bundles;
mod connectivity;
mod demo;
mod documents;
mod fetching;
mod interrupted;
mod many;
mod pages;
mod ratings;
mod schedule;
mod signed;
mod sources;
mod system;
mod vanishing;
mod vendor;

/// The demonstration's own documents.
const LIST: &str = include_str!("../../../../tests/documents/dsa-list.txt");
const SEPTEMBER: &str = include_str!("../../../../tests/documents/cvrf-2026-Sep.xml");
const OCTOBER: &str = include_str!("../../../../tests/documents/cvrf-2026-Oct.xml");
const BROKEN: &str = include_str!("../../../../tests/documents/broken-cvrf.xml");
