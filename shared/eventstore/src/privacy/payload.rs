//! Finds the personal texts in a payload, wherever they stand.

use super::PrivacyError;
use kernel::{MalformedPersonal, Personal, SubjectId};
use serde_json::Value;
use std::collections::BTreeSet;

/// Whose sealed texts are in there.
pub(super) fn subjects_of_sealed(payload: &Value) -> Result<BTreeSet<SubjectId>, MalformedPersonal> {
    subjects(payload, |personal| matches!(personal, Personal::Sealed { .. }))
}

/// Whose texts are in there in the clear.
pub(super) fn subjects_of_clear(payload: &Value) -> Result<BTreeSet<SubjectId>, MalformedPersonal> {
    subjects(payload, |personal| matches!(personal, Personal::Clear { .. }))
}

fn subjects(
    payload: &Value,
    wanted: fn(&Personal) -> bool,
) -> Result<BTreeSet<SubjectId>, MalformedPersonal> {
    let mut found = BTreeSet::new();
    look(payload, &mut |personal| {
        if wanted(&personal) {
            found.insert(personal.subject_id());
        }
    })?;
    Ok(found)
}

fn look(value: &Value, found: &mut impl FnMut(Personal)) -> Result<(), MalformedPersonal> {
    if let Some(personal) = Personal::of_json(value) {
        found(personal?);
        return Ok(());
    }
    match value {
        Value::Object(fields) => fields.values().try_for_each(|value| look(value, found)),
        Value::Array(items) => items.iter().try_for_each(|value| look(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Puts another stage in the place of every personal text.
pub(super) fn change(
    value: &mut Value,
    to: &mut impl FnMut(Personal) -> Result<Personal, PrivacyError>,
) -> Result<(), PrivacyError> {
    if let Some(personal) = Personal::of_json(value) {
        *value = to(personal?)?.to_json();
        return Ok(());
    }
    match value {
        Value::Object(fields) => fields.values_mut().try_for_each(|value| change(value, to)),
        Value::Array(items) => items.iter_mut().try_for_each(|value| change(value, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{change, subjects_of_clear, subjects_of_sealed};
    use kernel::{PERSONAL_KEY, Personal, SubjectId};
    use serde_json::json;
    use uuid::Uuid;

    const ALICE: SubjectId = SubjectId(Uuid::from_u128(1));
    const BOB: SubjectId = SubjectId(Uuid::from_u128(2));

    #[test]
    fn personal_texts_are_found_at_any_depth() {
        let sealed = Personal::Sealed { subject_id: BOB, sealed: "AA".into() };
        let mut payload = json!({
            "name": Personal::clear(ALICE, "Alice"),
            "list": [1, { "deeper": [sealed] }],
            "other": null,
        });
        assert_eq!(subjects_of_clear(&payload).unwrap().into_iter().collect::<Vec<_>>(), [ALICE]);
        assert_eq!(subjects_of_sealed(&payload).unwrap().into_iter().collect::<Vec<_>>(), [BOB]);
        change(&mut payload, &mut |found| Ok(Personal::Forgotten { subject_id: found.subject_id() }))
            .unwrap();
        assert_eq!(payload["name"][PERSONAL_KEY]["forgotten"], true);
        assert_eq!(payload["list"][1]["deeper"][0][PERSONAL_KEY]["forgotten"], true);
        assert_eq!(payload["other"], json!(null));
        assert!(subjects_of_sealed(&json!([{ PERSONAL_KEY: 1 }])).is_err());
    }
}
