//! One small request/answer pair per command, from the gateway to the owning service.

use crate::{Service, permissions::Permission};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A wish that one service takes at `POST /commands/<NAME>`.
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The last part of the path.
    const NAME: &'static str;
    /// Who owns the aggregate.
    const SERVICE: Service;
    /// What the caller must be allowed to do.
    const PERMISSION: Permission;
    /// What the caller learns beside what was written.
    type Answer: Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// Where in the store a command's last event stands. The gateway turns it into a log position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The event's place of arrival (`es.event.pos`), which the sequencer turns into a position.
    pub pos: i64,
}

/// The answer to an accepted command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted<A> {
    /// What the caller learns.
    pub answer: A,
    /// The last event this command wrote, now or when it was first sent; none when there was nothing to do.
    pub written: Option<Written>,
    /// Whether the same command had been accepted before.
    pub repeated: bool,
}
