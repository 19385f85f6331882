//! Text about a person, which can be forgotten although the event that holds it never changes.
//!
//! ```text
//! Clear --append--> Sealed --open--> Clear | Forgotten
//! ```
//! Nothing here seals or opens: that needs keys and randomness, and is the store's business.

use crate::SubjectId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// The one key of the JSON object that a personal text is written as, wherever it stands in a payload.
pub const PERSONAL_KEY: &str = "$personal";

/// A personal text and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Personal {
    /// Readable. Only in memory: the store seals it before the bytes of an event are made.
    Clear {
        /// The person whom it is about.
        subject_id: SubjectId,
        /// What it says.
        text: String,
    },
    /// As it is stored, hashed and published.
    Sealed {
        /// The person whom it is about.
        subject_id: SubjectId,
        /// The ciphertext, in base64.
        sealed: String,
    },
    /// The person's key is destroyed.
    Forgotten {
        /// Who was forgotten.
        subject_id: SubjectId,
    },
}

impl Personal {
    /// A readable text about `subject_id`.
    pub fn clear(subject_id: SubjectId, text: impl Into<String>) -> Self {
        Self::Clear { subject_id, text: text.into() }
    }

    /// The person whom it is about.
    pub fn subject_id(&self) -> SubjectId {
        match self {
            Self::Clear { subject_id, .. }
            | Self::Sealed { subject_id, .. }
            | Self::Forgotten { subject_id } => *subject_id,
        }
    }

    /// What it says, where that can be read.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Clear { text, .. } => Some(text),
            Self::Sealed { .. } | Self::Forgotten { .. } => None,
        }
    }

    /// Reads the form in which a payload holds it; none where the value is something else.
    pub fn of_json(value: &Value) -> Option<Result<Self, MalformedPersonal>> {
        let object = value.as_object()?;
        let inner = object.get(PERSONAL_KEY)?;
        if object.len() != 1 {
            return Some(Err(MalformedPersonal("other keys stand beside it".to_owned())));
        }
        // Never the error's own text: it may quote what was to be kept secret.
        let form = Form::deserialize(inner);
        Some(
            form.map(Self::from)
                .map_err(|_quotes| MalformedPersonal("it is none of the known forms".to_owned())),
        )
    }

    /// The form in which a payload holds it.
    pub fn to_json(&self) -> Value {
        let subject_id = self.subject_id();
        let inner = match self {
            Self::Clear { text, .. } => serde_json::json!({ "subject_id": subject_id, "text": text }),
            Self::Sealed { sealed, .. } => serde_json::json!({ "subject_id": subject_id, "sealed": sealed }),
            Self::Forgotten { .. } => serde_json::json!({ "subject_id": subject_id, "forgotten": true }),
        };
        serde_json::json!({ PERSONAL_KEY: inner })
    }
}

/// An object with the key of a personal text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an object with {PERSONAL_KEY} is not a personal text: {0}")]
pub struct MalformedPersonal(String);

impl std::fmt::Debug for Personal {
    // Without the text: what is printed ends in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = match self {
            Self::Clear { .. } => "Clear",
            Self::Sealed { .. } => "Sealed",
            Self::Forgotten { .. } => "Forgotten",
        };
        f.debug_struct(stage).field("subject_id", &self.subject_id()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Clear(ClearForm),
    Sealed(SealedForm),
    Forgotten(ForgottenForm),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearForm {
    subject_id: SubjectId,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedForm {
    subject_id: SubjectId,
    sealed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgottenForm {
    subject_id: SubjectId,
    #[serde(rename = "forgotten")]
    _forgotten: True,
}

/// `true`, and nothing else.
struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? { Ok(Self) } else { Err(de::Error::custom("not true")) }
    }
}

impl From<Form> for Personal {
    fn from(form: Form) -> Self {
        match form {
            Form::Clear(ClearForm { subject_id, text }) => Self::Clear { subject_id, text },
            Form::Sealed(SealedForm { subject_id, sealed }) => Self::Sealed { subject_id, sealed },
            Form::Forgotten(ForgottenForm { subject_id, .. }) => Self::Forgotten { subject_id },
        }
    }
}

impl Serialize for Personal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Personal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read =
            Self::of_json(&value).ok_or_else(|| de::Error::custom(format_args!("no {PERSONAL_KEY} here")))?;
        read.map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Personal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Personal".into()
    }

    /// Of the sealed form only: no other one is ever stored or published.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let subject_id = generator.subschema_for::<SubjectId>();
        schemars::json_schema!({
            "type": "object",
            "description": "Text about a person, sealed under a key of the person's own that can be destroyed.",
            "properties": {
                PERSONAL_KEY: {
                    "type": "object",
                    "properties": {
                        "subject_id": subject_id,
                        "sealed": { "type": "string", "contentEncoding": "base64" },
                    },
                    "required": ["subject_id", "sealed"],
                    "additionalProperties": false,
                },
            },
            "required": [PERSONAL_KEY],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{PERSONAL_KEY, Personal};
    use crate::SubjectId;
    use serde_json::{Value, json};
    use uuid::Uuid;

    const ALICE: SubjectId = SubjectId(Uuid::from_u128(1));

    #[test]
    fn every_stage_is_written_and_read_again() {
        for personal in [
            Personal::clear(ALICE, "Alice \u{0} Müller"),
            Personal::Sealed { subject_id: ALICE, sealed: "AAEC".into() },
            Personal::Forgotten { subject_id: ALICE },
        ] {
            let written = serde_json::to_value(&personal).unwrap();
            assert_eq!(written.as_object().unwrap().keys().collect::<Vec<_>>(), [PERSONAL_KEY]);
            assert_eq!(serde_json::from_value::<Personal>(written).unwrap(), personal);
        }
    }

    #[test]
    fn what_is_no_personal_text_is_refused_without_being_quoted() {
        let id = ALICE.to_string();
        for value in [
            json!("secret"),
            json!({ "text": "secret" }),
            json!({ PERSONAL_KEY: "secret" }),
            json!({ PERSONAL_KEY: { "subject_id": id, "text": "secret", "sealed": "AA" } }),
            json!({ PERSONAL_KEY: { "subject_id": id, "forgotten": false } }),
            json!({ PERSONAL_KEY: { "subject_id": "secret", "text": "x" } }),
            json!({ PERSONAL_KEY: { "subject_id": id, "text": "x" }, "secret": 1 }),
        ] {
            let refused = serde_json::from_value::<Personal>(value.clone()).unwrap_err().to_string();
            assert!(refused.contains(PERSONAL_KEY) && !refused.contains("secret"), "{value}: {refused}");
        }
        assert!(Personal::of_json(&Value::Null).is_none());
        assert!(Personal::of_json(&json!({ "name": 1 })).is_none());
    }

    #[test]
    fn a_printed_text_is_not_readable() {
        let printed = format!("{:?}", Personal::clear(ALICE, "Alice"));
        assert!(printed.starts_with("Clear") && !printed.contains("Alice"), "{printed}");
    }
}
