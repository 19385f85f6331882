//! What relay and webhooks really write, read from their source.

use crate::docs::source::{self, Source};
use anyhow::{Context, Result, ensure};
use std::{collections::BTreeSet, path::Path};

#[derive(Debug)]
pub(super) struct Written {
    pub(super) message_headers: BTreeSet<String>,
    pub(super) webhook_headers: BTreeSet<String>,
    pub(super) webhook_attributes: BTreeSet<String>,
    /// Whether exchanges are `<service>.events`, and routing keys `<aggregate>.<event>.<partner>`.
    pub(super) names_are_known: bool,
}

impl Written {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let relay = source::files(root, &["shared/messaging/src"])?;
        let alerts = source::files(root, &["services/alerts/src"])?;
        let says = |text: &str| relay.iter().any(|file| file.text.contains(text));
        let (file, properties) = function(&relay, "fn properties(")?;
        let (_, body) = function(&alerts, "fn body(event: &Envelope)")?;
        let sent = alerts.iter().flat_map(|file| after(&file.text, ".header(\""));
        let attributes = after(body, "\n        \"");
        Ok(Self {
            message_headers: headers(file, properties)?,
            webhook_headers: sent.map(up_to_quote).collect(),
            webhook_attributes: attributes.map(up_to_quote).collect(),
            names_are_known: says("format!(\"{}.events\"") && says("format!(\"{aggregate}.{}.{}\""),
        })
    }
}

/// A function of a file, by how it begins.
fn function<'a>(files: &'a [Source], begins: &str) -> Result<(&'a Source, &'a str)> {
    let found = files.iter().find_map(|file| Some((file, file.text.split_once(begins)?.1)));
    let (file, rest) = found.with_context(|| format!("nowhere is a `{begins}`"))?;
    Ok((file, rest.split("\n}\n").next().unwrap_or_default()))
}

/// The names under which headers are inserted: texts, or constants of the same file.
fn headers(file: &Source, function: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for rest in after(function, "headers.insert(") {
        let argument = rest.split(".into()").next().unwrap_or_default();
        let text = match argument.strip_prefix('"') {
            Some(text) => text,
            None => after(&file.text, &format!("const {argument}: &str = \""))
                .next()
                .with_context(|| format!("{} has no constant {argument}", file.path))?,
        };
        names.insert(up_to_quote(text));
    }
    ensure!(!names.is_empty(), "{} inserts no headers", file.path);
    Ok(names)
}

fn after<'a>(text: &'a str, mark: &str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1)
}

fn up_to_quote(text: &str) -> String {
    text.split('"').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Source, headers};

    #[test]
    fn a_header_is_a_text_or_a_constant() {
        let text = "const SECOND: &str = \"b\";\nfn properties() {\n    headers.insert(\"a\".into(), 1);\n    \
                    headers.insert(SECOND.into(), 2);\n}\n";
        let file = Source { path: "relay.rs".to_owned(), text: text.to_owned() };
        assert_eq!(headers(&file, text).unwrap().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        let unknown = headers(&file, "headers.insert(THIRD.into(), 3);").unwrap_err().to_string();
        assert_eq!(unknown, "relay.rs has no constant THIRD");
        assert!(headers(&file, "").is_err());
    }
}
