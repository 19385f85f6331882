//! Acknowledged is stored, once, and in order.

use super::Stored;
use crate::{
    load::{Acknowledgement, Ledger, SCAN},
    send::lock,
};
use anyhow::Result;
use journeys::chaos::Check;
use kernel::CommandId;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Events whose commands are derived from the driver's, all of them written before the load begins.
const APART: [&str; 4] =
    ["feeds.Patch", "devices.AgentEnrolled", "devices.EnrolmentTokenUsed", "devices.DeviceCameOnline"];

/// Every acknowledged command has its events, every event of a person has its acknowledgement.
pub(super) fn acknowledged(ledger: &Ledger, events: &[Stored]) -> Vec<Check> {
    let acknowledged = ledger.acknowledged();
    let mut by_command: HashMap<Uuid, Vec<&Stored>> = HashMap::new();
    for event in events {
        by_command.entry(event.command_id).or_default().push(event);
    }
    let mut stored =
        Check::new("every acknowledged command is stored, once and whole, where its answer says");
    for acknowledgement in acknowledged.values() {
        let found = by_command.get(&acknowledgement.command_id.0).map(Vec::as_slice).unwrap_or_default();
        stored.look(wrong(acknowledgement, found));
    }
    let mut answered = Check::new("every command was acknowledged in the end");
    for (id, name) in ledger.unanswered() {
        answered.violate(format!("{name} {id} was never answered"));
    }
    answered.looked_at = acknowledged.len() as u64 + answered.violations;
    let mut known =
        Check::new("nothing is stored in the name of a person or agent that was not acknowledged");
    let named = ["user", "agent"];
    for event in events {
        let counts = event.actor_kind.as_deref().is_some_and(|kind| named.contains(&kind));
        // Patches of an import and the enrolment of a device have command ids of their own.
        if !counts || APART.iter().any(|prefix| event.event_type.starts_with(prefix)) {
            continue;
        }
        let unknown = !acknowledged.contains_key(&CommandId(event.command_id));
        known.look(
            unknown.then(|| {
                format!("{} at {} of the command {}", event.event_type, event.pos, event.command_id)
            }),
        );
    }
    vec![stored, answered, known, lock(&ledger.refusals).clone(), lock(&ledger.answers).clone()]
}

fn wrong(acknowledgement: &Acknowledgement, found: &[&Stored]) -> Option<String> {
    let Acknowledgement { command_id, name, pos, position, events } = acknowledgement;
    let mut found = found.to_vec();
    found.sort_by_key(|event| event.pos);
    let mut types: Vec<&str> = found.iter().map(|event| event.event_type.as_str()).collect();
    types.sort_unstable();
    if types != *events {
        return Some(format!("{name} {command_id} was acknowledged; stored are {types:?}"));
    }
    let last = found.last()?;
    if pos.is_some_and(|pos| pos != last.pos) {
        return Some(format!("{name} {command_id} was said to be at {pos:?} and is at {}", last.pos));
    }
    if position.is_some() && *position != last.seq {
        return Some(format!("{name} {command_id} was said to have {position:?} and has {:?}", last.seq));
    }
    // A scan's receipt does not say where the scan stands.
    let untold = pos.is_none() && position.is_none() && name != SCAN;
    untold.then(|| format!("{name} {command_id} was said to have written nothing"))
}

/// No command, of a person or of a reaction, has written in two transactions.
pub(super) fn nothing_twice(events: &[Stored]) -> Check {
    let mut check = Check::new("nothing is stored twice under one command id, reactions included");
    let mut transactions: HashMap<(Uuid, Uuid), BTreeSet<i64>> = HashMap::new();
    for event in events {
        transactions.entry((event.command_id, event.stream_id)).or_default().insert(event.xid);
    }
    for ((command_id, stream_id), xids) in transactions {
        check.look(
            (xids.len() > 1)
                .then(|| format!("the command {command_id} wrote the stream {stream_id} in {xids:?}")),
        );
    }
    let mut ids = BTreeSet::new();
    for event in events {
        if !ids.insert(event.event_id) {
            check.violate(format!("the event id {} is there twice", event.event_id));
        }
    }
    check
}

/// Positions are dense, and so are the versions of each stream, in the log's order.
pub(super) async fn order(database: &mut PgConnection, events: &[Stored]) -> Result<Vec<Check>> {
    let mut dense = Check::new("positions are dense from 1 on, and every event has one");
    let mut expected = 1;
    for event in events {
        let violation = match event.seq {
            Some(seq) if seq == expected => None,
            Some(seq) => Some(format!("position {seq} comes where {expected} should")),
            None => Some(format!("{} at {} has no position", event.event_type, event.pos)),
        };
        expected = event.seq.unwrap_or(expected) + 1;
        dense.look(violation);
    }
    let (positions, given): (i64, i64) =
        sqlx::query_as("select (select count(*) from es.order_log), (select seq from es.sequencer)")
            .fetch_one(&mut *database)
            .await?;
    if positions != i64::try_from(events.len())? || given != positions {
        dense.violate(format!(
            "{} events, {positions} positions, the sequencer stands at {given}",
            events.len()
        ));
    }

    let mut versions = Check::new("versions of a stream are dense and in the log's order");
    let mut reached: HashMap<Uuid, i64> = HashMap::new();
    for event in events {
        let version = reached.entry(event.stream_id).or_insert(0);
        let skipped = event.version != *version + 1;
        versions.look(
            skipped.then(|| format!("stream {}: version {} after {version}", event.stream_id, event.version)),
        );
        *version = event.version;
    }
    let streams: Vec<(Uuid, i64)> =
        sqlx::query_as("select stream_id, version from es.stream").fetch_all(database).await?;
    for (stream_id, version) in streams {
        let last = reached.get(&stream_id).copied().unwrap_or(0);
        if last != version {
            versions.violate(format!("stream {stream_id} says {version}, its last event {last}"));
        }
    }
    Ok(vec![dense, versions])
}
