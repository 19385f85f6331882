//! Counts of what a document holds, for people who look into one. Nothing is counted unless somebody asks.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Memory of all lists: those of Debian's tracker, the longest known, take some 30 MiB.
const LISTS_BYTES_MAX: usize = 80 << 20;
/// A value with its place in a list and in the heap, apart from its own length.
const VALUE_BYTES: usize = 56;

/// Counts of what a document holds, by name.
///
/// A *list* is the set of distinct values, shown as their number, the first, the last, and the SHA-256 (lowercase hex)
/// of all of them, sorted by bytes and joined by line feeds; or as nothing where it has more than memory should hold. A *tally* counts how often each word occurs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    on: bool,
    plain: BTreeMap<&'static str, Value>,
    sums: BTreeMap<&'static str, u64>,
    lists: BTreeMap<&'static str, BTreeSet<String>>,
    /// What the lists take of memory, about.
    lists_bytes: usize,
    /// Lists that would take too much.
    endless: BTreeSet<&'static str>,
    tallies: BTreeMap<&'static str, BTreeMap<String, u64>>,
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
            *self.sums.entry(name).or_default() += amount;
        }
    }

    /// Makes sure that lists are shown, also where they stay empty.
    pub(crate) fn lists(&mut self, names: &[&'static str]) {
        if self.on {
            for name in names {
                self.lists.entry(name).or_default();
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

    /// A member of a list.
    pub(crate) fn list(&mut self, name: &'static str, value: impl Into<String>) {
        if !self.on || self.endless.contains(name) {
            return;
        }
        let value = value.into();
        let bytes = value.len() + VALUE_BYTES;
        if !self.lists.entry(name).or_default().insert(value) {
            return;
        }
        self.lists_bytes += bytes;
        if self.lists_bytes > LISTS_BYTES_MAX {
            let dropped = self.lists.insert(name, BTreeSet::new()).unwrap_or_default();
            self.lists_bytes -= dropped.iter().map(|value| value.len() + VALUE_BYTES).sum::<usize>();
            self.endless.insert(name);
        }
    }

    /// One more of a word.
    pub(crate) fn tally(&mut self, name: &'static str, word: &str) {
        if self.on {
            let tally = self.tallies.entry(name).or_default();
            if let Some(count) = tally.get_mut(word) {
                *count += 1;
            } else {
                tally.insert(word.to_owned(), 1);
            }
        }
    }

    /// All figures as one JSON object.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut all = Map::new();
        let plain = self.plain.iter().map(|(name, value)| (*name, value.clone()));
        let sums = self.sums.iter().map(|(name, sum)| (*name, json!(sum)));
        let lists = self.lists.iter().map(|(name, list)| (*name, list_json(list)));
        let tallies = self.tallies.iter().map(|(name, tally)| (*name, json!(tally)));
        for (name, value) in plain.chain(sums).chain(lists).chain(tallies) {
            all.insert(name.to_owned(), value);
        }
        for name in &self.endless {
            all.insert((*name).to_owned(), Value::Null);
        }
        all
    }
}

fn list_json(list: &BTreeSet<String>) -> Value {
    let mut hash = Sha256::new();
    for (at, value) in list.iter().enumerate() {
        if at > 0 {
            hash.update(b"\n");
        }
        hash.update(value.as_bytes());
    }
    let sha256 = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    json!({"count": list.len(), "sha256": sha256, "first": list.first(), "last": list.last()})
}

#[cfg(test)]
mod tests {
    use super::Figures;
    use serde_json::{Value, json};

    #[test]
    fn a_list_that_is_too_long_to_hold_is_shown_as_nothing_and_others_stay() {
        let mut figures = Figures::new(true);
        figures.list("short", "one");
        for number in 0..100 {
            figures.list("long", format!("{number}{}", "0".repeat(1_000_000)));
        }
        figures.list("short", "two");
        let all = figures.to_json();
        assert_eq!((&all["long"], &all["short"]["count"]), (&Value::Null, &json!(2)));
    }
}
