//! What was cut, changed, blown up or made to hurt is refused, or does no harm: whatever the format.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod bytes;
mod encodings;
mod packings;
mod records;
mod seeds;
mod structures;
