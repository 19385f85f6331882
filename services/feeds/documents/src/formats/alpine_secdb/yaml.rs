//! The older form of the database: YAML, of which only what the database needs is read. Anchors and tags are refused.
#![expect(clippy::wildcard_enum_match_arm, reason = "whatever event is not expected is refused")]

use super::{Database, Package, Version};
use crate::DocumentError;
use crate::input::Input;
use crate::limits::NESTING_MAX;
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use std::collections::BTreeMap;

/// Alpine's largest is below 100 KiB; what is read of it takes some forty times as much memory.
const YAML_BYTES_MAX: u64 = 2 << 20;

/// Whether a text begins like the database.
pub(super) fn is(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("packages:") && (has("reponame:") || has("apkurl:"))
}

pub(super) fn read(input: Input<'_>, database: &mut Database<'_>) -> Result<(), DocumentError> {
    let text = input.read_whole(YAML_BYTES_MAX)?;
    // Cut in the middle of a line, it would give a wrong id or version, which is worse than none.
    if !text.ends_with('\n') {
        return Err(DocumentError::truncated("the last line has no end"));
    }
    let mut events = Events { parser: Parser::new_from_str(&text) };
    events.begin()?;
    while let Some(key) = events.key()? {
        if key.text != "packages" {
            if let Value::Scalar(scalar) = events.value()? {
                database.name(&key.text, Some(scalar.text));
            }
            continue;
        }
        match events.next()? {
            Event::SequenceStart(0, None) => {}
            // Nothing behind the colon: a list of nothing.
            Event::Scalar(text, ..) if text.is_empty() => continue,
            other => return Err(unexpected(&other)),
        }
        loop {
            let event = events.next()?;
            if event == Event::SequenceEnd {
                break;
            }
            let package = events.value_of(event, 2)?;
            database.package(package_of(package))?;
        }
    }
    events.end()
}

struct Scalar {
    text: String,
    /// Without quotes: it may stand for something else than text.
    is_plain: bool,
}

enum Value {
    Scalar(Scalar),
    List(Vec<Value>),
    Map(Vec<(Scalar, Value)>),
}

/// What a parser of YAML reports, as a reader of this one kind of document wants it.
struct Events<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<Event<'a>, DocumentError> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(DocumentError::malformed(error.to_string())),
            None => Err(DocumentError::truncated("it has no end")),
        }
    }

    /// The beginning of the one document and of the mapping that it is.
    fn begin(&mut self) -> Result<(), DocumentError> {
        match (self.next()?, self.next()?, self.next()?) {
            (Event::StreamStart, Event::DocumentStart(_), Event::MappingStart(0, None)) => Ok(()),
            (_, _, other) => Err(unexpected(&other)),
        }
    }

    fn end(&mut self) -> Result<(), DocumentError> {
        match (self.next()?, self.next()?) {
            (Event::DocumentEnd, Event::StreamEnd) => Ok(()),
            (_, other) => Err(unexpected(&other)),
        }
    }

    /// The next key of the innermost mapping, or none at its end.
    fn key(&mut self) -> Result<Option<Scalar>, DocumentError> {
        match self.next()? {
            Event::Scalar(text, style, 0, None) => {
                Ok(Some(Scalar { text: text.into_owned(), is_plain: style == ScalarStyle::Plain }))
            }
            Event::MappingEnd => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    fn value(&mut self) -> Result<Value, DocumentError> {
        let event = self.next()?;
        self.value_of(event, 1)
    }

    /// The whole value that begins with an event, inside of `depth` others.
    fn value_of(&mut self, event: Event<'a>, depth: usize) -> Result<Value, DocumentError> {
        if depth > NESTING_MAX {
            return Err(DocumentError::TooDeep { limit: NESTING_MAX });
        }
        match event {
            Event::Scalar(text, style, 0, None) => {
                Ok(Value::Scalar(Scalar { text: text.into_owned(), is_plain: style == ScalarStyle::Plain }))
            }
            Event::SequenceStart(0, None) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Value::List(list)),
                        event => list.push(self.value_of(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(0, None) => {
                let mut map = Vec::new();
                while let Some(key) = self.key()? {
                    let event = self.next()?;
                    map.push((key, self.value_of(event, depth + 1)?));
                }
                Ok(Value::Map(map))
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(event: &Event<'_>) -> DocumentError {
    let what = match event {
        Event::Alias(_) => "an alias",
        Event::Scalar(_, _, 0, None) => "a word where something else belongs",
        Event::SequenceStart(0, None) => "a list where something else belongs",
        Event::MappingStart(0, None) => "a mapping where something else belongs",
        Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => "an anchor or a tag",
        Event::StreamEnd | Event::DocumentEnd => return DocumentError::truncated("it has no end"),
        Event::DocumentStart(_) => "a second document",
        Event::Nothing | Event::StreamStart | Event::SequenceEnd | Event::MappingEnd => {
            "an end without beginning"
        }
    };
    DocumentError::malformed(format!("it has {what}"))
}

/// `pkg: {name: apache2, secfixes: {2.4.35-r0: [CVE-2018-11763]}}`
fn package_of(item: Value) -> Result<Package, String> {
    let package = field(item, "pkg")?.ok_or("it has no pkg")?;
    let (mut name, mut secfixes) = (None, Vec::new());
    let Value::Map(fields) = package else { return Err("its pkg is no mapping".to_owned()) };
    for (key, value) in fields {
        match (key.text.as_str(), value) {
            ("name", Value::Scalar(scalar)) => name = Some(scalar.text),
            ("secfixes", Value::Map(versions)) => secfixes = versions,
            ("secfixes", Value::Scalar(nothing)) if is_nothing(&nothing) => {}
            ("name" | "secfixes", _) => return Err(format!("its {} is something else", key.text)),
            _ => {}
        }
    }
    let mut versions = BTreeMap::new();
    for (version, ids) in secfixes {
        let (ids, unreadable) =
            ids_of(ids).ok_or_else(|| format!("{}: its ids are no list", version.text))?;
        // Of several equal ones the last one counts, as for every reader of YAML.
        versions.insert(
            version.text.clone(),
            Version { shown: shown(&version), text: version.text, ids, unreadable },
        );
    }
    Ok(Package { name: name.ok_or("it has no name")?, versions: versions.into_values().collect() })
}

fn field(value: Value, name: &str) -> Result<Option<Value>, String> {
    match value {
        Value::Map(fields) => Ok(fields.into_iter().rev().find(|(key, _)| key.text == name).map(|(_, v)| v)),
        Value::Scalar(_) | Value::List(_) => Err("it is no mapping".to_owned()),
    }
}

/// The ids of a list, and how many are something else than words.
fn ids_of(ids: Value) -> Option<(Vec<String>, usize)> {
    match ids {
        Value::Scalar(nothing) => is_nothing(&nothing).then(Default::default),
        Value::List(ids) => {
            let all = ids.len();
            let words = ids.into_iter().filter_map(|id| match id {
                Value::Scalar(scalar) => Some(scalar.text),
                Value::List(_) | Value::Map(_) => None,
            });
            let words: Vec<String> = words.collect();
            let odd = all - words.len();
            Some((words, odd))
        }
        Value::Map(_) => None,
    }
}

fn is_nothing(scalar: &Scalar) -> bool {
    scalar.is_plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
}

/// A version as other programs see it: without quotes, `1.10` is a number to them, which is `1.1`. Figures only.
fn shown(version: &Scalar) -> String {
    let text = version.text.as_str();
    let is_number = text.split_once('.').is_some_and(|(whole, fraction)| {
        !whole.is_empty()
            && [whole, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    });
    match text.parse::<f64>() {
        Ok(number) if version.is_plain && is_number => format!("{number:?}"),
        Ok(_) | Err(_) => text.to_owned(),
    }
}
