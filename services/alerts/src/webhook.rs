//! Signed HTTP POSTs of events to registered receivers.

pub mod keys;
pub mod sender;
pub mod sign;
pub mod target;
