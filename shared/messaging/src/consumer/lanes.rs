//! The lanes of a consumer: events of one key in their order, lanes side by side.

use crate::{Concurrency, Consumer};
use kernel::Envelope;
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

/// An event to be taken in.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) event: Envelope,
    /// The message it came with; none when it was read from the log.
    pub(super) tag: Option<u64>,
    /// How often it was tried before.
    pub(super) attempt: i32,
}

/// Events that wait for their turn.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    concurrency: Concurrency,
    batch: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Item>,
    busy: bool,
}

impl Lanes {
    pub(super) fn of(consumer: &dyn Consumer) -> Self {
        let concurrency = consumer.concurrency();
        let count = match concurrency {
            Concurrency::InOrder => 1,
            Concurrency::PerKey { lanes, .. } => lanes.max(1),
        };
        let all = std::iter::repeat_with(Lane::default).take(count).collect();
        Self { all, concurrency, batch: consumer.batch().max(1) }
    }

    /// Puts an event into the lane of its key.
    pub(super) fn push(&mut self, item: Item) {
        let lane = match self.concurrency {
            Concurrency::InOrder => 0,
            Concurrency::PerKey { key, .. } => {
                let mut hasher = DefaultHasher::new();
                key(&item.event).hash(&mut hasher);
                usize::try_from(hasher.finish() % self.all.len() as u64).unwrap_or(0)
            }
        };
        if let Some(lane) = self.all.get_mut(lane) {
            lane.waiting.push_back(item);
        }
    }

    /// The next batch of a lane that is not at work, which is at work then.
    pub(super) fn next(&mut self) -> Option<(usize, Vec<Item>)> {
        let batch = self.batch;
        let idle = |(_, lane): &(usize, &mut Lane)| !lane.busy && !lane.waiting.is_empty();
        let (number, lane) = self.all.iter_mut().enumerate().find(idle)?;
        lane.busy = true;
        let count = lane.waiting.len().min(batch);
        Some((number, lane.waiting.drain(..count).collect()))
    }

    /// A lane's batch is done.
    pub(super) fn done(&mut self, number: usize) {
        if let Some(lane) = self.all.get_mut(number) {
            lane.busy = false;
        }
    }

    /// Whether nothing waits and no lane is at work.
    pub(super) fn are_idle(&self) -> bool {
        self.all.iter().all(|lane| !lane.busy && lane.waiting.is_empty())
    }

    /// Whether a lane is at work.
    pub(super) fn are_at_work(&self) -> bool {
        self.all.iter().any(|lane| lane.busy)
    }

    /// Forgets what waits: the process is to end.
    pub(super) fn clear(&mut self) {
        for lane in &mut self.all {
            lane.waiting.clear();
        }
    }
}
