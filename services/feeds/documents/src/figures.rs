//! Counts of what a document holds, for people who look into one. Nothing is counted unless somebody asks.

use crate::text::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Memory of all figures together: those of Debian's tracker, the longest known, take some 30 MiB.
const FIGURES_BYTES_MAX: usize = 48 << 20;
/// A value with its place in a list and in the heap, apart from its own length.
const VALUE_BYTES: usize = 56;

/// Counts of what a document holds, by name.
///
/// A *list* is the set of distinct values, shown as their number, the first, the last, and the SHA-256 (lowercase hex)
/// of all of them, sorted by bytes and joined by line feeds. A *tally* counts how often each word occurs. A *column* is
/// what records say, in their order. One that is more than memory should hold is shown as nothing, and others stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    on: bool,
    plain: BTreeMap<&'static str, Value>,
    sums: BTreeMap<&'static str, u64>,
    lists: BTreeMap<&'static str, List>,
    tallies: BTreeMap<&'static str, BTreeMap<Box<str>, u64>>,
    columns: BTreeMap<&'static str, Vec<Value>>,
    /// What lists, tallies and columns take of memory, about.
    bytes: usize,
    /// Those that would take too much.
    endless: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct List {
    shown: Shown,
    values: BTreeSet<Box<str>>,
}

/// What of a set is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shown {
    /// What tells it apart from other sets.
    #[default]
    Digest,
    /// How many values there are.
    Number,
    /// The values.
    Values,
}

impl Figures {
    pub(crate) fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Whether anybody asks: a figure that is costly to make need not be made otherwise.
    pub(crate) fn on(&self) -> bool {
        self.on
    }

    /// A figure that is what it is.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if self.on {
            self.plain.insert(name, value.into());
        }
    }

    /// Adds to a sum; adding 0 makes sure that it is shown.
    pub(crate) fn add(&mut self, name: &'static str, amount: u64) {
        if self.on {
            let sum = self.sums.entry(name).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    /// Makes sure that lists are shown, also where they stay empty.
    pub(crate) fn lists(&mut self, names: &[&'static str]) {
        self.sets(Shown::Digest, names);
    }

    /// The same for sets of which something else is shown.
    pub(crate) fn sets(&mut self, shown: Shown, names: &[&'static str]) {
        if self.on {
            for name in names {
                self.lists.entry(name).or_default().shown = shown;
            }
        }
    }

    /// Makes sure that tallies are shown, also where they stay empty.
    pub(crate) fn tallies(&mut self, names: &[&'static str]) {
        if self.on {
            for name in names {
                self.tallies.entry(name).or_default();
            }
        }
    }

    /// Makes sure that columns are shown, also where they stay empty.
    pub(crate) fn columns(&mut self, names: &[&'static str]) {
        if self.on {
            for name in names {
                self.columns.entry(name).or_default();
            }
        }
    }

    /// A member of a set.
    pub(crate) fn list(&mut self, name: &'static str, value: impl Into<String>) {
        if !self.counts(name) {
            return;
        }
        let value = value.into().into_boxed_str();
        let bytes = value.len() + VALUE_BYTES;
        if self.lists.entry(name).or_default().values.insert(value) {
            self.weigh(name, bytes);
        }
    }

    /// One more of a word.
    pub(crate) fn tally(&mut self, name: &'static str, word: &str) {
        if !self.counts(name) {
            return;
        }
        let tally = self.tallies.entry(name).or_default();
        if let Some(count) = tally.get_mut(word) {
            *count += 1;
        } else {
            tally.insert(word.into(), 1);
            self.weigh(name, word.len() + VALUE_BYTES);
        }
    }

    /// The next value of a column.
    pub(crate) fn column(&mut self, name: &'static str, value: impl Into<Value>) {
        if !self.counts(name) {
            return;
        }
        let value = value.into();
        let bytes = value.as_str().map_or(0, str::len) + 2 * VALUE_BYTES;
        self.columns.entry(name).or_default().push(value);
        self.weigh(name, bytes);
    }

    fn counts(&self, name: &'static str) -> bool {
        self.on && !self.endless.contains(name)
    }

    fn weigh(&mut self, name: &'static str, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > FIGURES_BYTES_MAX {
            self.lists.remove(name);
            self.tallies.remove(name);
            self.columns.remove(name);
            self.endless.insert(name);
            let lists =
                self.lists.values().flat_map(|list| &list.values).map(|value| value.len() + VALUE_BYTES);
            let words = self.tallies.values().flat_map(BTreeMap::keys).map(|word| word.len() + VALUE_BYTES);
            let columns = self.columns.values().flatten();
            let columns = columns.map(|value| value.as_str().map_or(0, str::len) + 2 * VALUE_BYTES);
            self.bytes = lists.chain(words).chain(columns).sum();
        }
    }

    /// All figures as one JSON object.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut all = Map::new();
        let plain = self.plain.iter().map(|(name, value)| (*name, value.clone()));
        let sums = self.sums.iter().map(|(name, sum)| (*name, json!(sum)));
        let lists = self.lists.iter().map(|(name, list)| (*name, list.to_json()));
        let tallies = self.tallies.iter().map(|(name, tally)| (*name, json!(tally)));
        let columns = self.columns.iter().map(|(name, column)| (*name, Value::from(column.clone())));
        for (name, value) in plain.chain(sums).chain(lists).chain(tallies).chain(columns) {
            all.insert(name.to_owned(), value);
        }
        for name in &self.endless {
            all.insert((*name).to_owned(), Value::Null);
        }
        all
    }
}

impl List {
    fn to_json(&self) -> Value {
        let values = &self.values;
        match self.shown {
            Shown::Number => json!(values.len()),
            Shown::Values => json!(values),
            Shown::Digest => {
                let mut hash = Sha256::new();
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        hash.update(b"\n");
                    }
                    hash.update(value.as_bytes());
                }
                let sha256 = hex(&hash.finalize());
                json!({"count": values.len(), "sha256": sha256, "first": values.first(), "last": values.last()})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Shown};
    use serde_json::{Value, json};

    #[test]
    fn a_figure_that_is_too_long_to_hold_is_shown_as_nothing_and_others_stay() {
        let mut figures = Figures::new(true);
        figures.list("short", "one");
        for number in 0..100 {
            figures.list("long", format!("{number}{}", "0".repeat(1_000_000)));
            figures.tally("words", &format!("{number}{}", "0".repeat(1_000_000)));
            figures.column("rows", "0".repeat(1_000_000));
        }
        figures.list("short", "two");
        let all = figures.to_json();
        assert_eq!((&all["long"], &all["short"]["count"]), (&Value::Null, &json!(2)));
        assert_eq!((&all["words"], &all["rows"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_set_may_be_shown_as_its_number_or_its_values() {
        let mut figures = Figures::new(true);
        figures.sets(Shown::Number, &["number", "nothing"]);
        figures.sets(Shown::Values, &["values"]);
        for word in ["b", "a", "b"] {
            figures.list("number", word);
            figures.list("values", word);
        }
        let all = figures.to_json();
        assert_eq!(
            (&all["number"], &all["nothing"], &all["values"]),
            (&json!(2), &json!(0), &json!(["a", "b"]))
        );
    }
}
