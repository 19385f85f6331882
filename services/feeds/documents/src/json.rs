//! JSON read as a stream: a document's large lists are handed over item by item, each as its own text.
//!
//! An item is `&RawValue`: syntactically right, and read into a type by [`item`], so that one item of a wrong shape can be
//! quarantined while the rest of the document is read.

mod bounded;
pub(crate) mod nested;
pub(crate) mod paths;

pub(crate) use bounded::{list, map};

use crate::DocumentError;
use crate::input::{Input, Progress};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::fmt;

/// How a field of the document's object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Not at all.
    Skip,
    /// At once, as one text; it must be small.
    Whole,
    /// Item by item: the elements of an array, or the entries of an object.
    Items,
}

/// A document that is one JSON object.
pub(crate) trait Fields {
    /// How the field is read.
    fn shape(&self, field: &str) -> Shape;
    /// A field that is read at once.
    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError>;
    /// An element (no key) or an entry (its key) of a field that is read item by item.
    fn item(&mut self, field: &str, key: Option<&str>, value: &RawValue) -> Result<(), DocumentError>;
}

/// Reads a document that is one object.
pub(crate) fn fields(input: Input<'_>, fields: &mut dyn Fields) -> Result<(), DocumentError> {
    let walk = Walk::of(&input);
    whole_document(input, &walk, FieldsSeed { fields, walk: &walk })
}

/// Reads a document that is one array, or one object of many entries of the same kind.
pub(crate) fn items(
    input: Input<'_>,
    mut each: impl FnMut(Option<&str>, &RawValue) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    let walk = Walk::of(&input);
    whole_document(input, &walk, ItemsSeed { each: &mut each, walk: &walk })
}

/// Reads a document that is small enough to be one value.
pub(crate) fn value<T: for<'de> Deserialize<'de>>(input: Input<'_>) -> Result<T, DocumentError> {
    let mut json = serde_json::Deserializer::from_reader(input);
    let value = T::deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Reads an item into a type; the error is a reason to quarantine it.
pub(crate) fn item<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| error.to_string())
}

/// What seeds share: where a record begins, and the parser's own refusal while serde passes on an error of its own.
struct Walk {
    progress: Progress,
    stop: RefCell<Option<DocumentError>>,
}

impl Walk {
    fn of(input: &Input<'_>) -> Self {
        Self { progress: input.progress.clone(), stop: RefCell::new(None) }
    }

    fn kept<T, E: serde::de::Error>(&self, outcome: Result<T, DocumentError>) -> Result<T, E> {
        outcome.map_err(|refusal| {
            let words = E::custom(&refusal);
            *self.stop.borrow_mut() = Some(refusal);
            words
        })
    }
}

fn whole_document<S: for<'de> DeserializeSeed<'de, Value = ()>>(
    input: Input<'_>,
    walk: &Walk,
    seed: S,
) -> Result<(), DocumentError> {
    let mut json = serde_json::Deserializer::from_reader(input);
    let read = seed.deserialize(&mut json).and_then(|()| json.end());
    match walk.stop.take() {
        Some(refusal) => Err(refusal),
        None => Ok(read?),
    }
}

struct FieldsSeed<'a> {
    fields: &'a mut dyn Fields,
    walk: &'a Walk,
}

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(field) = map.next_key::<String>()? {
            self.walk.progress.mark();
            match self.fields.shape(&field) {
                Shape::Skip => {
                    map.next_value_seed(Skipped(self.walk))?;
                }
                Shape::Whole => {
                    let value: Box<RawValue> = map.next_value()?;
                    self.walk.kept(self.fields.whole(&field, &value))?;
                }
                Shape::Items => {
                    let fields = &mut *self.fields;
                    let mut each = |key: Option<&str>, value: &RawValue| fields.item(&field, key, value);
                    map.next_value_seed(ItemsSeed { each: &mut each, walk: self.walk })?;
                }
            }
        }
        Ok(())
    }
}

type Each<'a> = &'a mut dyn FnMut(Option<&str>, &RawValue) -> Result<(), DocumentError>;

struct ItemsSeed<'a> {
    each: Each<'a>,
    walk: &'a Walk,
}

impl<'de> DeserializeSeed<'de> for ItemsSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.walk.progress.mark();
        while let Some(value) = seq.next_element::<Box<RawValue>>()? {
            self.walk.progress.mark();
            self.walk.kept((self.each)(None, &value))?;
        }
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        self.walk.progress.mark();
        while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
            self.walk.progress.mark();
            self.walk.kept((self.each)(Some(&key), &value))?;
        }
        Ok(())
    }
}

/// A value of any length that nobody keeps: its parts are no records, but they begin anew for the limit of records.
struct Skipped<'a>(&'a Walk);

impl<'de> DeserializeSeed<'de> for Skipped<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skipped<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Skipped(self.0))?.is_some() {
            self.0.progress.mark();
        }
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Skipped(self.0))?;
            self.0.progress.mark();
        }
        Ok(())
    }
}
