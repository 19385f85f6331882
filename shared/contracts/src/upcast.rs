//! Brings a stored fact of an older version into the shape of today; the stored bytes stay as they are.

use serde_json::Value;

/// From the version beside it to the next one.
pub(crate) type Step = (i16, fn(Value) -> Result<Value, String>);

/// Takes a payload of version `from`, one step after the other, to version `today`.
pub(crate) fn upcast(payload: &Value, from: i16, today: i16, steps: &[Step]) -> Result<Value, String> {
    let mut value = payload.clone();
    for version in from..today {
        let (_, step) = steps
            .iter()
            .find(|(known, _)| *known == version)
            .ok_or_else(|| format!("nothing leads from version {version} on"))?;
        value = step(value).map_err(|reason| format!("on the way to version {}: {reason}", version + 1))?;
    }
    Ok(value)
}

/// Whether there is exactly one step from each version before `today`, in order; asked by the compiler.
pub(crate) const fn is_complete(steps: &[Step], today: i16) -> bool {
    let mut version = 1;
    let mut rest = steps;
    while let [(from, _), later @ ..] = rest {
        if *from != version {
            return false;
        }
        version += 1;
        rest = later;
    }
    version == today
}

#[cfg(test)]
mod tests {
    #![expect(
        unreachable_pub,
        reason = "the macro declares for other crates, and this set is for these tests"
    )]

    use kernel::EventData;
    use serde_json::{Value, json};

    events! {
        /// A set with a history.
        Example in "tenancy" {
            /// It had a full name (1), then two names (2), and has got a language since (3).
            Named = 3 {
                /// Given name.
                given_name: String,
                /// Family name.
                family_name: String,
                /// Language, unknown for the early ones.
                language: Option<String>,
            } upcast { 1 => split_name, 2 => language_unknown },
            /// A number that was small at first; what was stored then is valid as it is.
            Counted = 2 {
                /// How many.
                count: u32,
            } upcast { 1 => Ok },
            /// It never changed.
            Unnamed = 1 {
                /// Why.
                reason: String,
            },
        }
    }

    fn split_name(mut payload: Value) -> Result<Value, String> {
        let name = payload["name"].as_str().ok_or("name is no text")?;
        let (given, family) = name.split_once(' ').ok_or_else(|| format!("{name:?} is one word"))?;
        payload = json!({ "given_name": given, "family_name": family });
        Ok(payload)
    }

    fn language_unknown(mut payload: Value) -> Result<Value, String> {
        payload.as_object_mut().ok_or("not an object")?.insert("language".to_owned(), Value::Null);
        Ok(payload)
    }

    fn named(language: Option<&str>) -> Example {
        let fact = Named {
            given_name: "Ada".to_owned(),
            family_name: "Lovelace".to_owned(),
            language: language.map(ToOwned::to_owned),
        };
        fact.into()
    }

    fn refusal(event_type: &str, version: i16, payload: &Value) -> String {
        Example::read(event_type, version, payload).unwrap_err().to_string()
    }

    #[test]
    fn facts_of_the_first_and_the_second_version_load_as_the_third() {
        let first = json!({ "name": "Ada Lovelace" });
        assert_eq!(Example::read(Named::TYPE, 1, &first).unwrap(), named(None));
        let second = json!({ "given_name": "Ada", "family_name": "Lovelace" });
        assert_eq!(Example::read(Named::TYPE, 2, &second).unwrap(), named(None));
        let third = json!({ "given_name": "Ada", "family_name": "Lovelace", "language": "en" });
        assert_eq!(Example::read(Named::TYPE, 3, &third).unwrap(), named(Some("en")));
    }

    #[test]
    fn a_version_that_only_lets_more_in_takes_older_facts_as_they_are() {
        let loaded = Example::read(Counted::TYPE, 1, &json!({ "count": 3 })).unwrap();
        assert_eq!(loaded, Counted { count: 3 }.into());
        assert_eq!(loaded.schema_version(), 2);
    }

    #[test]
    fn what_was_loaded_is_written_as_the_version_of_today() {
        let loaded = Example::read(Named::TYPE, 1, &json!({ "name": "Ada Lovelace" })).unwrap();
        assert_eq!((loaded.event_type(), loaded.schema_version()), (Named::TYPE, 3));
        assert_eq!(Example::TYPES, [(Named::TYPE, 3), (Counted::TYPE, 2), (Unnamed::TYPE, 1)]);
        assert!(Example::owns(Named::TYPE));
        assert_eq!(Example::read(Named::TYPE, 3, &loaded.payload()).unwrap(), loaded);
        let rewritten = (Example::SET.rewrite)(Named::TYPE, 1, &json!({ "name": "Ada Lovelace" })).unwrap();
        assert_eq!(rewritten, loaded.payload());
    }

    #[test]
    fn loading_leaves_the_stored_payload_as_it_was() {
        let stored = json!({ "name": "Ada Lovelace" });
        let before = stored.clone();
        Example::read(Named::TYPE, 1, &stored).unwrap();
        assert_eq!(stored, before);
    }

    #[test]
    fn versions_that_nobody_wrote_are_refused_by_name() {
        for version in [-1, 0, 4, i16::MAX] {
            let said = refusal(Named::TYPE, version, &json!({ "name": "Ada Lovelace" }));
            assert_eq!(
                said,
                format!(
                    "event tenancy.Named v{version} cannot be read: no such event or version in Example; versions 1 to 3 are known"
                )
            );
        }
        let said = refusal(Unnamed::TYPE, 2, &json!({ "reason": "none" }));
        assert!(said.contains("tenancy.Unnamed v2") && said.contains("versions 1 to 1"), "{said}");
        let said = refusal("tenancy.Other", 1, &json!({}));
        assert!(said.contains("event tenancy.Other v1 cannot be read: no such event"), "{said}");
    }

    #[test]
    fn a_step_that_cannot_read_is_refused_by_name() {
        let said = refusal(Named::TYPE, 1, &json!({ "name": "Ada" }));
        assert_eq!(
            said,
            "event tenancy.Named v1 cannot be read: on the way to version 2: \"Ada\" is one word"
        );
    }

    #[test]
    fn what_the_steps_make_is_read_as_strictly_as_todays() {
        let said = refusal(Named::TYPE, 2, &json!({ "given_name": "Ada" }));
        assert!(said.contains("tenancy.Named v2") && said.contains("missing field `family_name`"), "{said}");
    }

    #[test]
    fn steps_must_lead_from_every_older_version() {
        use super::is_complete;
        assert!(is_complete(&[], 1));
        assert!(is_complete(&[(1, split_name), (2, language_unknown)], 3));
        assert!(!is_complete(&[], 2));
        assert!(!is_complete(&[(2, language_unknown)], 3));
        assert!(!is_complete(&[(1, split_name), (1, split_name)], 3));
        assert!(!is_complete(&[(1, split_name), (2, language_unknown)], 2));
    }
}
