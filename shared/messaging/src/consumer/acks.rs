//! Which messages can be acknowledged: all up to one, so that one answer is enough for many.

use std::collections::VecDeque;

/// Messages that are not acknowledged yet, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Acks {
    open: VecDeque<(u64, bool)>,
}

impl Acks {
    /// A message came.
    pub(super) fn opened(&mut self, tag: u64) {
        self.open.push_back((tag, false));
    }

    /// A message is dealt with.
    pub(super) fn settled(&mut self, tag: u64) {
        if let Ok(index) = self.open.binary_search_by_key(&tag, |(tag, _)| *tag)
            && let Some((_, done)) = self.open.get_mut(index)
        {
            *done = true;
        }
    }

    /// The message up to which all are dealt with, if there is one that was not answered with before.
    pub(super) fn ready(&mut self) -> Option<u64> {
        let mut last = None;
        while let Some((tag, true)) = self.open.front() {
            last = Some(*tag);
            self.open.pop_front();
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::Acks;

    #[test]
    fn no_message_is_acknowledged_before_those_before_it() {
        let mut acks = Acks::default();
        for tag in 1..=4 {
            acks.opened(tag);
        }
        acks.settled(2);
        assert_eq!(acks.ready(), None);
        acks.settled(1);
        assert_eq!(acks.ready(), Some(2));
        acks.settled(4);
        acks.settled(3);
        assert_eq!(acks.ready(), Some(4));
        assert_eq!(acks.ready(), None);
    }
}
