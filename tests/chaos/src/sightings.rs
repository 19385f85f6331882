//! What the probe has seen: every event that was published, how often, and in which order.

use journeys::chaos::Check;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use uuid::Uuid;

/// What the probe knows of one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) seq: i64,
    pub(crate) stream_id: Uuid,
    pub(crate) version: i64,
    /// The position of the event of this type before it, as the relay says.
    pub(crate) previous: Option<i64>,
    hash: [u8; 32],
}

/// All that was published.
#[derive(Clone)]
pub(crate) struct Sightings {
    pub(crate) events: HashMap<Uuid, Sighting>,
    /// The highest version of each stream so far.
    reached: HashMap<Uuid, i64>,
    pub(crate) duplicates: u64,
    pub(crate) same_bytes: Check,
    pub(crate) in_order: Check,
}

impl Default for Sightings {
    fn default() -> Self {
        Self {
            events: HashMap::new(),
            reached: HashMap::new(),
            duplicates: 0,
            same_bytes: Check::new("an event that is published again has the same id and the same bytes"),
            in_order: Check::new("no event of a stream is published after a later one that was there first"),
        }
    }
}

#[derive(Deserialize)]
struct Published {
    seq: i64,
    event_id: Uuid,
    stream_id: Uuid,
    version: i64,
}

/// One message as it arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) id: Option<&'a str>,
    /// The position of the event of this type before it, as the relay says.
    pub(crate) previous: Option<i64>,
    /// Whether the broker has handed it out before.
    pub(crate) redelivered: bool,
}

impl Sightings {
    /// Takes a message in.
    pub(crate) fn see(&mut self, message: &Message<'_>) {
        let published: Published = match serde_json::from_slice(message.body) {
            Ok(published) => published,
            Err(error) => return self.same_bytes.violate(format!("a message is not an event: {error}")),
        };
        let hash: [u8; 32] = Sha256::digest(message.body).into();
        let id = published.event_id;
        if message.id != Some(id.to_string().as_str()) {
            self.same_bytes.violate(format!("event {id} was published with the message id {:?}", message.id));
        }
        if let Some(known) = self.events.get_mut(&id) {
            self.duplicates += 1;
            let differs = known.hash != hash;
            self.same_bytes
                .look(differs.then(|| format!("event {id} (position {}) came with other bytes", known.seq)));
            return;
        }
        let Published { seq, stream_id, version, .. } = published;
        let reached = self.reached.entry(stream_id).or_insert(0);
        // A broker that was killed gives back late what it had handed out and got no answer for: that is not the
        // publisher's doing, and says so.
        let late = version < *reached && !message.redelivered;
        self.in_order.look(late.then(|| {
            format!("stream {stream_id}: version {version} (position {seq}) came after version {reached}")
        }));
        *reached = version.max(*reached);
        self.events.insert(id, Sighting { seq, stream_id, version, previous: message.previous, hash });
    }
}
