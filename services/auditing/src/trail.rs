//! Turns every event of the log into one record.

use eventstore::{Projection, StoreError, Tx};
use kernel::{ActorKind, Envelope, canonical_json};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The name under which the trail follows the log.
pub(crate) const NAME: &str = "auditing.trail";

/// Characters of an id at the most. Some are texts that a caller chose, and an index entry must stay small.
pub(crate) const ID_MAX: usize = 200;

/// Between the subjects of a record on their way into the database: no id holds a control character.
const SEPARATOR: &str = "\u{1f}";

/// RFC 6962, 2.1: what comes before a leaf.
const LEAF_PREFIX: [u8; 1] = [0];

/// The audit trail.
#[derive(Debug, Clone, Copy)]
pub struct Trail;

#[async_trait::async_trait]
impl Projection for Trail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        "auditing"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["record"]
    }

    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError> {
        self.apply_page(tx, std::slice::from_ref(event)).await
    }

    async fn apply_page(&self, tx: &mut Tx, events: &[Envelope]) -> Result<(), StoreError> {
        let envelopes = events.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        // Arrays of arrays have one length in PostgreSQL: each list of subjects travels as one text.
        sqlx::query(
            "insert into record (seq, event_id, event_type, partner_id, customer_id, occurred_at, recorded_at,
                                 actor_kind, actor_id, correlation_id, subject_ids, envelope, leaf)
             select e.seq, e.event_id, e.event_type, e.partner_id, e.customer_id, e.occurred_at, e.recorded_at,
                    e.actor_kind, e.actor_id, e.correlation_id, string_to_array(e.subjects, $14),
                    e.envelope, e.leaf
               from unnest($1::bigint[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::timestamptz[],
                           $7::timestamptz[], $8::text[], $9::text[], $10::uuid[], $11::text[], $12::bytea[],
                           $13::bytea[])
                    as e (seq, event_id, event_type, partner_id, customer_id, occurred_at, recorded_at, actor_kind,
                          actor_id, correlation_id, subjects, envelope, leaf)",
        )
        .bind(column(events, |event| event.seq.0))
        .bind(column(events, |event| event.event_id.0))
        .bind(column(events, |event| event.event_type.as_str()))
        .bind(column(events, |event| event.tenant.partner_id.0))
        .bind(column(events, |event| event.tenant.customer_id.map(|id| id.0)))
        .bind(column(events, |event| event.occurred_at))
        .bind(column(events, |event| event.recorded_at))
        .bind(column(events, |event| actor_kind(event.actor.kind)))
        .bind(column(events, |event| event.actor.id.as_str()))
        .bind(column(events, |event| event.correlation_id.0))
        .bind(column(events, |event| subjects(&event.payload).join(SEPARATOR)))
        .bind(column(&envelopes, Vec::as_slice))
        .bind(column(&envelopes, |envelope| leaf(envelope)))
        .bind(SEPARATOR)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

fn column<'a, T, C>(rows: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

/// The bytes that the leaf covers.
fn canonical(event: &Envelope) -> Result<Vec<u8>, StoreError> {
    let value = serde_json::to_value(event).map_err(|error| StoreError::Corrupt {
        what: format!("event {} cannot be written as JSON: {error}", event.event_id),
    })?;
    Ok(canonical_json(&value))
}

fn leaf(envelope: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(LEAF_PREFIX).chain_update(envelope).finalize().to_vec()
}

fn actor_kind(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "user",
        ActorKind::Agent => "agent",
        ActorKind::Rule => "rule",
        ActorKind::System => "system",
    }
}

/// The ids that a fact names, in its own fields and in those of an object directly below (`by`, `patch`).
fn subjects(payload: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    let fields = payload.as_object().into_iter().flatten();
    for (name, value) in fields {
        take(name, value, &mut found);
        for (name, value) in value.as_object().into_iter().flatten() {
            take(name, value, &mut found);
        }
    }
    found.into_iter().collect()
}

fn take(field: &str, value: &Value, found: &mut BTreeSet<String>) {
    let named_id = field == "id" || field.ends_with("_id") || field.ends_with("_ids");
    let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for text in texts.iter().filter_map(Value::as_str) {
        if let Some(id) = as_id(text)
            && (named_id || is_uuid(&id))
        {
            found.insert(id);
        }
    }
}

/// The text in the form in which records name an id, unless it cannot be one.
pub(crate) fn as_id(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.chars().count() <= ID_MAX && !text.chars().any(char::is_control);
    fits.then(|| if is_uuid(text) { text.to_ascii_lowercase() } else { text.to_owned() })
}

fn is_uuid(text: &str) -> bool {
    // The hyphenated form only: 32 hex digits are as well half of a SHA-256.
    text.len() == uuid::fmt::Hyphenated::LENGTH && uuid::Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{ID_MAX, leaf, subjects};
    use serde_json::json;

    #[test]
    fn a_record_is_about_every_id_that_the_fact_names() {
        let rule = "0b9fbe42-98a1-4a3e-a4d2-50f5b4f2f5f8";
        let payload = json!({
            "patch_ids": ["5AF03C1E-0b1d-5b4e-9f53-8f3a9a7d2c11"],
            "vendor_patch_id": "KB5034123",
            "by": {"mode": "AUTO", "rule_id": rule, "severity": "CRITICAL"},
            "seen_by": rule,
            "packages": [{"name": "openssl"}],
            "rule_version": 2,
        });
        assert_eq!(subjects(&payload), [rule, "5af03c1e-0b1d-5b4e-9f53-8f3a9a7d2c11", "KB5034123"]);
    }

    #[test]
    fn what_no_index_can_hold_is_no_subject() {
        for text in [String::new(), "nul\0".to_owned(), "x".repeat(ID_MAX + 1)] {
            assert_eq!(subjects(&json!({"object_id": text})), Vec::<String>::new());
        }
    }

    #[test]
    fn a_leaf_is_hashed_as_rfc_6962_says() {
        // The leaf of the one byte 0x00 in Certificate Transparency's reference tests.
        let known = 0x96a2_96d2_24f2_85c6_7bee_93c3_0f8a_3091_u128;
        assert_eq!(leaf(&[0])[..16], known.to_be_bytes());
    }
}
