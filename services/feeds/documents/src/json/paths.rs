//! JSON of any depth, read along the paths that a parser wants: what it leaves out is never kept, however long it is.

use super::{Skipped, Walk, whole_document};
use crate::DocumentError;
use crate::input::Input;
use crate::limits::NESTING_MAX;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// How the value at a path is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Not at all.
    Skip,
    /// At once, as one text; it must be small.
    Whole,
    /// Field by field: each is asked for by its own path, `path.field`.
    Object,
    /// Element by element: each is asked for as `path[]`.
    List,
}

/// A parser that is led through a document. Paths look like `feed.entry[].id`; `null` is as if it were not there.
pub(crate) trait Paths {
    /// How the value at a path is read.
    fn take(&self, path: &str) -> Take;
    /// A value that is read at once.
    fn whole(&mut self, path: &str, value: &RawValue) -> Result<(), DocumentError>;
    /// An object or a list begins.
    fn begin(&mut self, path: &str) -> Result<(), DocumentError>;
    /// It ends.
    fn end(&mut self, path: &str) -> Result<(), DocumentError>;
    /// Where an object or a list should be, there is something else; it was skipped.
    fn mistyped(&mut self, path: &str, expected: &'static str) -> Result<(), DocumentError>;
}

/// Reads a document that is one object.
pub(crate) fn read(input: Input<'_>, paths: &mut dyn Paths) -> Result<(), DocumentError> {
    let walk = Walk::of(&input);
    let mut path = String::new();
    let seed = Value { paths, walk: &walk, path: &mut path, take: Take::Object, depth: 0 };
    whole_document(input, &walk, seed)
}

/// The value at a path.
struct Value<'a> {
    paths: &'a mut dyn Paths,
    walk: &'a Walk,
    path: &'a mut String,
    take: Take,
    depth: usize,
}

impl Value<'_> {
    fn mistyped<E: serde::de::Error>(self) -> Result<(), E> {
        let expected = if self.take == Take::List { "a list" } else { "an object" };
        if self.path.is_empty() {
            return Err(E::custom("the document is not an object"));
        }
        self.walk.kept(self.paths.mistyped(self.path, expected))
    }

    /// The value one level below, at the path as it is now.
    fn inner(&mut self) -> Value<'_> {
        let take = self.paths.take(self.path);
        Value { paths: self.paths, walk: self.walk, path: self.path, take, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.walk.progress.mark();
        match self.take {
            Take::Skip => Skipped(self.walk).deserialize(deserializer),
            Take::Whole => {
                let value: Box<RawValue> = serde::Deserialize::deserialize(deserializer)?;
                if value.get() == "null" {
                    return Ok(());
                }
                self.walk.kept(self.paths.whole(self.path, &value))
            }
            Take::Object | Take::List if self.depth > NESTING_MAX => {
                self.walk.kept(Err(DocumentError::TooDeep { limit: NESTING_MAX }))
            }
            Take::Object | Take::List => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom("the document is not an object")) } else { Ok(()) }
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.mistyped()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.mistyped()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.mistyped()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.mistyped()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.mistyped()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.take != Take::List {
            while seq.next_element_seed(Skipped(self.walk))?.is_some() {}
            return self.mistyped();
        }
        self.walk.kept(self.paths.begin(self.path))?;
        let length = self.path.len();
        self.path.push_str("[]");
        while seq.next_element_seed(self.inner())?.is_some() {}
        self.path.truncate(length);
        self.walk.kept(self.paths.end(self.path))
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
        if self.take != Take::Object {
            while map.next_key::<serde::de::IgnoredAny>()?.is_some() {
                map.next_value_seed(Skipped(self.walk))?;
            }
            return self.mistyped();
        }
        if !self.path.is_empty() {
            self.walk.kept(self.paths.begin(self.path))?;
        }
        let length = self.path.len();
        while let Some(key) = map.next_key::<String>()? {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            map.next_value_seed(self.inner())?;
            self.path.truncate(length);
        }
        if self.path.is_empty() { Ok(()) } else { self.walk.kept(self.paths.end(self.path)) }
    }
}
