//! Objects of objects, read entry by entry where already the inner ones are too large to be held.

use super::{Skipped, Walk, whole_document};
use crate::DocumentError;
use crate::input::Input;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A part of a document whose entries are objects of entries.
pub(crate) enum Part<'a> {
    /// An outer entry begins.
    Outer(&'a str),
    /// An inner entry of the outer one that began last.
    Inner(&'a str, &'a RawValue),
    /// The outer entry that began last is no object.
    NoObject,
}

/// Reads a document that is one object of objects, where already the inner ones are too large to be held.
pub(crate) fn read(
    input: Input<'_>,
    mut each: impl FnMut(Part<'_>) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    let walk = Walk::of(&input);
    whole_document(input, &walk, OuterSeed { each: &mut each, walk: &walk })
}

type Each<'a> = &'a mut dyn FnMut(Part<'_>) -> Result<(), DocumentError>;

struct OuterSeed<'a> {
    each: Each<'a>,
    walk: &'a Walk,
}

impl<'de> DeserializeSeed<'de> for OuterSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OuterSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.walk.progress.mark();
            self.walk.kept((self.each)(Part::Outer(&key)))?;
            map.next_value_seed(InnerSeed { each: self.each, walk: self.walk })?;
        }
        Ok(())
    }
}

struct InnerSeed<'a> {
    each: Each<'a>,
    walk: &'a Walk,
}

impl InnerSeed<'_> {
    fn no_object<E: serde::de::Error>(self) -> Result<(), E> {
        self.walk.kept((self.each)(Part::NoObject))
    }
}

impl<'de> DeserializeSeed<'de> for InnerSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InnerSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
            self.walk.progress.mark();
            self.walk.kept((self.each)(Part::Inner(&key, &value)))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Skipped(self.walk).visit_seq(seq)?;
        self.no_object()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.no_object()
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.no_object()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.no_object()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.no_object()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.no_object()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.no_object()
    }
}
