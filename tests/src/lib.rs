//! What journeys through the running system stand on.

pub mod debian_root;
