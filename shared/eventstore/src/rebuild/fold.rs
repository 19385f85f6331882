//! Folds a stretch of the log into a schema beside the live one: reads ahead, and keeps each transaction short.

use crate::{
    Database, FollowError, Log, Projection, StoreError,
    follower::{Place, take},
    log::{Page, REBUILD_PAGE_MAX},
};
use kernel::{Envelope, Position};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// Pages that wait to be taken in.
const PAGES_AHEAD: usize = 2;

/// Events that are read at once.
const READ: i64 = 1_000;

/// How long one transaction may take. While it is open the sequencer can give no position to what came after it: this
/// long at the most do all others wait for theirs.
const TRANSACTION: Duration = Duration::from_millis(25);

/// Events of one transaction: the first ones, before it is known how fast they are taken in, and limits.
const EVENTS_FIRST: usize = 100;
const EVENTS_MIN: usize = 10;
const EVENTS_MAX: usize = 5_000;

/// A projection on its way.
pub(super) struct Fold<'a> {
    pub(super) database: &'a Database,
    pub(super) projection: &'a dyn Projection,
    pub(super) place: Place<'a>,
    /// Told after every transaction.
    pub(super) told: &'a (dyn Fn(Position) + Send + Sync),
}

impl Fold<'_> {
    /// Takes in everything after `from`, up to `to`.
    pub(super) async fn run(&self, from: Position, to: Position) -> Result<(), FollowError> {
        if from >= to {
            return Ok(());
        }
        let mut pages = read_ahead(self.database, self.projection, from, to);
        let mut waiting = Page { events: Vec::new(), reached: from };
        let (mut after, mut size) = (from, EVENTS_FIRST);
        while after < to {
            while waiting.events.len() < size && waiting.reached < to {
                // What is there is taken in while more is read.
                let more = match pages.try_recv() {
                    Ok(more) => Some(more),
                    Err(_empty_or_ended) if !waiting.events.is_empty() => break,
                    Err(_empty_or_ended) => pages.recv().await,
                };
                let more = more.ok_or_else(|| StoreError::Corrupt {
                    what: format!("the log ends before position {to}"),
                })??;
                waiting.events.extend(more.events);
                waiting.reached = more.reached;
            }
            let page = split(&mut waiting, size);
            let begun = Instant::now();
            let taken = take(self.database, self.projection, self.place, after, &page).await?;
            after = taken.ok_or_else(|| StoreError::Corrupt {
                what: format!("somebody else moved the cursor {}", self.place.cursor),
            })?;
            size = next_size(size, page.events.len(), begun.elapsed());
            (self.told)(after);
        }
        Ok(())
    }
}

/// The first `size` events of what waits.
fn split(waiting: &mut Page, size: usize) -> Page {
    if waiting.events.len() <= size {
        return Page { events: std::mem::take(&mut waiting.events), reached: waiting.reached };
    }
    let events: Vec<Envelope> = waiting.events.drain(..size).collect();
    let reached = events.last().map_or(waiting.reached, |event| event.seq);
    Page { events, reached }
}

/// How many events would have taken as long as a transaction may, at most twice as many as before.
fn next_size(size: usize, taken: usize, took: Duration) -> usize {
    let would = TRANSACTION.as_micros() * taken as u128 / took.as_micros().max(1);
    usize::try_from(would).unwrap_or(EVENTS_MAX).min(size * 2).clamp(EVENTS_MIN, EVENTS_MAX)
}

type Pages = mpsc::Receiver<Result<Page, StoreError>>;

/// Reads in a task of its own: the other core has time for it.
fn read_ahead(database: &Database, projection: &dyn Projection, from: Position, to: Position) -> Pages {
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    let (log, types) = (Log::new(database.clone()), projection.event_types());
    let read = async move {
        let mut after = from;
        while after < to {
            let limit = READ.min(REBUILD_PAGE_MAX).min(to.0 - after.0);
            let page = log.page_of(after, limit, types).await.and_then(|page| up_to(page, after, to));
            after = page.as_ref().map_or(to, |page| page.reached);
            if sender.send(page).await.is_err() {
                return;
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "it ends with the receiver of what it reads")]
    tokio::spawn(read);
    pages
}

/// The part of a page up to `to`: a page of some types only may have looked farther.
fn up_to(mut page: Page, after: Position, to: Position) -> Result<Page, StoreError> {
    if page.reached <= after {
        return Err(StoreError::Corrupt { what: format!("the log ends after position {after}") });
    }
    page.events.retain(|event| event.seq <= to);
    page.reached = page.reached.min(to);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_MAX, EVENTS_MIN, next_size};
    use std::time::Duration;

    #[test]
    fn a_transaction_holds_as_many_events_as_its_time_allows() {
        assert_eq!(next_size(100, 100, Duration::from_millis(25)), 100);
        assert_eq!(next_size(100, 100, Duration::from_millis(20)), 125);
        assert_eq!(next_size(100, 100, Duration::from_secs(1)), EVENTS_MIN);
        assert_eq!(next_size(100, 100, Duration::ZERO), 200);
        assert_eq!(next_size(EVENTS_MAX, EVENTS_MAX, Duration::ZERO), EVENTS_MAX);
    }
}
