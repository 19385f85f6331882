//! Who takes which events: read from where every consumer and every projection says so itself.

use super::source::{self, Source};
use anyhow::{Context, Result, bail, ensure};
use contracts::catalogue;
use std::path::Path;

/// A consumer of a service, or a projection that follows the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) service: String,
    /// The name of its queue, or of its cursor.
    pub(super) name: String,
    pub(super) way: Way,
    /// `approvals.PatchApproved`, or `approvals.*`; a projection takes everything and names nothing.
    pub(super) interests: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// By position, every event.
    Log,
    /// From its queue on the broker.
    Broker,
}

impl Reader {
    pub(super) fn takes(&self, event_type: &str) -> bool {
        self.way == Way::Log || self.interests.iter().any(|interest| covers(interest, event_type))
    }

    pub(super) fn takes_everything(&self) -> bool {
        types().all(|event_type| self.takes(event_type))
    }
}

/// All of them; fails where one cannot be read, asks for an event that does not exist, or an event has no consumer.
pub(super) fn readers(root: &Path) -> Result<Vec<Reader>> {
    let readers = declared(&source::files(root, &["services"])?)?;
    for reader in &readers {
        for interest in &reader.interests {
            ensure!(
                types().any(|event_type| covers(interest, event_type)),
                "{} asks for {interest}, and there is no such event",
                reader.name
            );
        }
    }
    for event_type in types() {
        ensure!(
            readers.iter().any(|reader| reader.way == Way::Broker && reader.takes(event_type)),
            "no consumer takes {event_type}"
        );
    }
    Ok(readers)
}

fn types() -> impl Iterator<Item = &'static str> {
    catalogue::SETS.iter().flat_map(|set| set.types).map(|(event_type, _)| *event_type)
}

/// As `messaging` binds queues: an event, or all of a service.
fn covers(interest: &str, event_type: &str) -> bool {
    match interest.strip_suffix('*') {
        Some(service) => event_type.starts_with(service),
        None => interest == event_type,
    }
}

fn declared(sources: &[Source]) -> Result<Vec<Reader>> {
    let mut readers = Vec::new();
    for source in sources {
        for (mark, way) in [("impl Projection for ", Way::Log), ("impl Consumer for ", Way::Broker)] {
            for block in source.text.split(mark).skip(1) {
                let block = block.split("\n}\n").next().unwrap_or_default();
                let reader = reader(source, block, way);
                readers.push(reader.with_context(|| format!("reading a consumer in {}", source.path))?);
            }
        }
    }
    readers.sort_by(|one, other| (one.way, &one.name).cmp(&(other.way, &other.name)));
    Ok(readers)
}

fn reader(source: &Source, block: &str, way: Way) -> Result<Reader> {
    let service = source.path.split('/').nth(1).unwrap_or_default().to_owned();
    let names = said(source, block, "name")?;
    let [name] = &names[..] else { bail!("its name is {names:?}") };
    let interests = match way {
        Way::Log => Vec::new(),
        Way::Broker => said(source, block, "interests")?,
    };
    Ok(Reader { service, name: name.clone(), way, interests })
}

/// The texts that a method answers, in its body or in a constant of the same file.
fn said(source: &Source, block: &str, method: &str) -> Result<Vec<String>> {
    let (_, rest) =
        block.split_once(&format!("fn {method}(")).with_context(|| format!("it has no {method}"))?;
    let body = rest.split("\n    }").next().unwrap_or_default();
    let (_, body) = body.split_once('{').with_context(|| format!("{method} has no body"))?;
    let mut texts = texts(body);
    if texts.is_empty() {
        let constant = format!("const {}: ", body.trim());
        let (_, rest) = source
            .text
            .split_once(&constant)
            .with_context(|| format!("{method} answers neither texts nor a constant of this file"))?;
        let (_, value) = rest.split_once('=').unwrap_or_default();
        texts = self::texts(value.split(';').next().unwrap_or_default());
    }
    ensure!(!texts.is_empty(), "{method} says nothing");
    Ok(texts)
}

fn texts(source: &str) -> Vec<String> {
    source::literals(source).into_iter().map(|literal| literal.value).collect()
}

#[cfg(test)]
mod tests {
    use super::{Reader, Source, Way, declared, readers};
    use crate::workspace;

    fn source(text: &str) -> Source {
        Source { path: "services/alerts/src/consumers.rs".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_consumer_is_read_with_its_texts_or_with_a_constant() {
        let both = [
            "impl Consumer for A {\n    fn name(&self) -> &'static str {\n        \"alerts.a\"\n    }\n\n    \
             fn interests(&self) -> &'static [&'static str] {\n        &[\"feeds.*\", \"x.Y\"]\n    }\n}\n",
            "const MINE: &[&str] = &[\"feeds.*\", \"x.Y\"];\nconst NAME: &str = \"alerts.a\";\n\
             impl Consumer for A {\n    fn name(&self) -> &'static str {\n        NAME\n    }\n\n    \
             fn interests(&self) -> &'static [&'static str] {\n        MINE\n    }\n}\n",
        ];
        for text in both {
            let expected = Reader {
                service: "alerts".to_owned(),
                name: "alerts.a".to_owned(),
                way: Way::Broker,
                interests: vec!["feeds.*".to_owned(), "x.Y".to_owned()],
            };
            assert_eq!(declared(&[source(text)]).unwrap(), [expected]);
        }
    }

    #[test]
    fn a_consumer_that_cannot_be_read_is_an_error_and_not_left_out() {
        let text =
            "impl Consumer for A {\n    fn name(&self) -> &'static str {\n        self.name\n    }\n}\n";
        let error = declared(&[source(text)]).unwrap_err();
        assert!(
            format!("{error:#}").contains("services/alerts/src/consumers.rs: name answers neither"),
            "{error:#}"
        );
    }

    #[test]
    fn every_interest_is_an_event_and_every_event_has_readers() {
        let readers = readers(&workspace::root().unwrap()).unwrap();
        let of = |event_type: &str| -> Vec<&str> {
            readers
                .iter()
                .filter(|reader| reader.takes(event_type))
                .map(|reader| reader.name.as_str())
                .collect()
        };
        assert_eq!(
            of("scheduling.DeviceJobFailed"),
            ["auditing.trail", "views", "alerts.fan_out", "alerts.raising", "scheduling.reactor"]
        );
    }
}
