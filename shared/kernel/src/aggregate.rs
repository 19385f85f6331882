//! Consistency units that decide without touching the world.

use crate::EventData;
use serde::{Serialize, de::DeserializeOwned};

/// A rule's "no": a stable code for machines and a message that is safe to show.
pub trait Refused: std::error::Error + Send + Sync + 'static {
    /// Dotted and owned, for example `approvals.own_request`.
    fn code(&self) -> &'static str;
    /// Whether the thing does not exist for the caller: answered as *not found*.
    fn is_not_found(&self) -> bool {
        false
    }
    /// Whether somebody else's decision came first: answered as a conflict.
    fn is_conflict(&self) -> bool {
        false
    }
}

/// A consistency unit.
///
/// `decide` is pure; `evolve` is total; repeating an accepted command adds nothing.
pub trait Aggregate: 'static {
    /// The kind of stream, for example `approvals.approval`.
    const STREAM: &'static str;
    /// What `decide` needs to know of the past, and no more.
    type State: Default + Send;
    /// How the state is kept between loads, where streams grow without bound; none: folded from the first event each time.
    const SNAPSHOT: Option<Snapshot<Self::State>> = None;
    /// A wish.
    type Command: Clone + Send;
    /// A fact.
    type Event: EventData;
    /// A reasoned "no".
    type Refusal: Refused;
    /// Answers a wish with facts, or with the reason why not.
    fn decide(state: &Self::State, command: Self::Command) -> Result<Vec<Self::Event>, Self::Refusal>;
    /// Takes a fact into the state. Cannot say no.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}

/// Facts that follow one another and about which nobody decides: they are recorded without a look at those before.
pub trait Journal: 'static {
    /// The kind of stream, for example `auditing.reading`.
    const STREAM: &'static str;
    /// A fact.
    type Event: EventData;
}

/// How a state is kept so that a long stream need not be folded from its first event. Snapshots are disposable: one that
/// cannot be read is as good as none.
#[derive(Debug)]
pub struct Snapshot<S> {
    /// The shape of the kept state. Whoever changes the state, or what `evolve` makes of an event, makes it another one.
    pub shape: i32,
    /// After how many events a new one is kept.
    pub every: i64,
    /// Writes the state; none where that is impossible.
    pub write: fn(&S) -> Option<Vec<u8>>,
    /// Reads what `write` has written; none where that is impossible.
    pub read: fn(&[u8]) -> Option<S>,
}

impl<S: Serialize + DeserializeOwned> Snapshot<S> {
    /// Keeps the state as JSON.
    pub const fn json(shape: i32, every: i64) -> Self {
        Self {
            shape,
            every,
            write: |state| serde_json::to_vec(state).ok(),
            read: |bytes| serde_json::from_slice(bytes).ok(),
        }
    }
}

/// The state after `events`.
pub fn fold<'a, A: Aggregate>(events: impl IntoIterator<Item = &'a A::Event>) -> A::State
where
    A::Event: 'a,
{
    events.into_iter().fold(A::State::default(), A::evolve)
}
