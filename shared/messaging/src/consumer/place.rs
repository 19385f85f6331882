//! How far a consumer has got without a hole, and which positions beyond that are dealt with or in work.

use std::collections::{BTreeSet, HashMap};

/// A consumer's place in the log.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Everything up to here is dealt with.
    floor: i64,
    /// The furthest that came, in the order in which the relay sends.
    received: i64,
    /// Dealt with, beyond the floor.
    settled: BTreeSet<i64>,
    /// In work, beyond the floor.
    open: BTreeSet<i64>,
    /// The furthest of each event type.
    types: HashMap<String, i64>,
}

impl Place {
    /// Everything up to `floor` is dealt with.
    pub(super) fn at(floor: i64) -> Self {
        Self { floor, received: floor, ..Self::default() }
    }

    /// Everything up to here is dealt with.
    pub(super) fn floor(&self) -> i64 {
        self.floor
    }

    /// The furthest that came.
    pub(super) fn received(&self) -> i64 {
        self.received
    }

    /// How far everything that came is dealt with: what is missing up to here will not come by itself.
    pub(super) fn ready(&self) -> i64 {
        self.open.first().map_or(self.received, |first| first - 1)
    }

    /// Whether there is something to find out about.
    pub(super) fn has_news(&self) -> bool {
        self.ready() > self.floor
    }

    /// How many positions are kept one by one.
    pub(super) fn scattered(&self) -> usize {
        self.settled.len()
    }

    /// Whether the event before `seq` of the same type, which is at `previous`, never came.
    pub(super) fn misses(&self, event_type: &str, previous: i64) -> bool {
        previous > self.types.get(event_type).copied().unwrap_or_default().max(self.floor)
    }

    /// An event came and is in work now.
    pub(super) fn opened(&mut self, seq: i64, event_type: &str) {
        if !self.is_settled(seq) {
            self.open.insert(seq);
        }
        self.received = self.received.max(seq);
        match self.types.get_mut(event_type) {
            Some(furthest) => *furthest = seq.max(*furthest),
            None => _ = self.types.insert(event_type.to_owned(), seq),
        }
    }

    /// An event is dealt with.
    pub(super) fn settled(&mut self, seq: i64) {
        self.open.remove(&seq);
        if seq > self.floor {
            self.settled.insert(seq);
        }
    }

    /// Whether an event is dealt with.
    pub(super) fn is_settled(&self, seq: i64) -> bool {
        seq <= self.floor || self.settled.contains(&seq)
    }

    /// Takes in that the log holds no other wanted events up to `to` than `wanted` (in their order); answers with the
    /// first that is not dealt with, and goes up to it.
    pub(super) fn compare(&mut self, wanted: &[i64], to: i64) -> Option<i64> {
        let missing = wanted.iter().copied().find(|seq| !self.is_settled(*seq));
        self.raise(missing.map_or(to, |seq| seq - 1));
        missing
    }

    /// Everything up to `floor` is dealt with.
    pub(super) fn raise(&mut self, floor: i64) {
        if floor > self.floor {
            self.floor = floor;
            self.received = self.received.max(floor);
            self.settled = self.settled.split_off(&(floor + 1));
            self.open = self.open.split_off(&(floor + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn the_place_never_passes_an_event_in_work() {
        let mut place = Place::at(10);
        for seq in [11, 12, 15] {
            place.opened(seq, "a");
        }
        place.settled(12);
        place.settled(15);
        assert_eq!(place.ready(), 10);
        place.settled(11);
        assert_eq!(place.ready(), 15);
        assert_eq!(place.compare(&[11, 12, 15], 15), None);
        assert_eq!(place.floor(), 15);
    }

    #[test]
    fn a_wanted_event_that_never_came_holds_the_place() {
        let mut place = Place::at(10);
        place.opened(13, "a");
        place.settled(13);
        assert_eq!(place.compare(&[12, 13], 13), Some(12));
        assert_eq!(place.floor(), 11);
    }

    #[test]
    fn what_the_log_shows_beyond_what_came_is_not_passed_either() {
        let mut place = Place::at(10);
        assert_eq!(place.compare(&[12], 20), Some(12));
        assert_eq!(place.floor(), 11);
        assert_eq!(place.compare(&[], 11), None);
    }

    #[test]
    fn a_hole_shows_by_the_position_before() {
        let mut place = Place::at(10);
        assert!(!place.misses("a", 9), "dealt with before");
        assert!(place.misses("a", 12));
        place.opened(12, "a");
        assert!(!place.misses("a", 12));
        assert!(place.misses("b", 12), "another type");
        place.raise(20);
        assert!(!place.misses("b", 19));
    }

    #[test]
    fn an_old_event_that_comes_again_changes_nothing() {
        let mut place = Place::at(10);
        place.opened(5, "a");
        assert_eq!(place.ready(), 10);
        place.settled(5);
        assert!(!place.has_news());
        assert_eq!(place.scattered(), 0);
    }
}
