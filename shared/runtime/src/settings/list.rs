//! Lists that may also be one text with commas, since environment variables know nothing else.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Reads `["a", "b"]` and `"a, b"` alike; for `#[serde(deserialize_with = "runtime::settings::list")]`.
pub fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        Items(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Items(items) => items,
        Given::Text(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect()
        }
    })
}

/// The same for secrets, which base64 and the like write without commas.
pub(super) fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(list(deserializer)?.into_iter().map(SecretString::from).collect())
}
