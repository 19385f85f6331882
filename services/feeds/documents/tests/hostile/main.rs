//! What was cut, changed, blown up or made to hurt is refused, or does no harm: whatever the format.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod bytes;
mod check;
mod encodings;
mod memory;
mod packings;
mod records;
mod seeds;
mod structures;

/// Whether the document's name ends so: `json`, `xml`.
fn is_written_as(seed: &seeds::Seed, extension: &str) -> bool {
    std::path::Path::new(&seed.name).extension().is_some_and(|known| known == extension)
}
