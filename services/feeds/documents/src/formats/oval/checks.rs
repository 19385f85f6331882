//! Tests, objects, states and variables: only those that definitions refer to, joined by short keys for long ids.

use crate::DocumentError;
use crate::contents::Contents;
use crate::text::is_plain;
use crate::xml::Tree;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

/// An id such as `oval:com.redhat.rhsa:tst:20190966001` in eight bytes: a document has up to a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

impl Key {
    fn of(id: &str) -> Self {
        let digest = Sha256::digest(id.trim());
        Self(digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte)))
    }
}

/// A text that many records share, by its place in the list of them.
type TextAt = u32;

#[derive(Debug, Default)]
struct Test {
    object: Option<Key>,
    states: Box<[Key]>,
}

#[derive(Debug, Default)]
enum Object {
    /// Referred to, and not read yet; or nothing about packages.
    #[default]
    Other,
    Package(TextAt),
    /// The packages that a variable names.
    Packages(Key),
}

#[derive(Debug, Default)]
struct State {
    /// The first good version.
    version: Option<TextAt>,
    /// Processor architectures, as they are written.
    architectures: Option<TextAt>,
}

/// All that definitions refer to.
#[derive(Debug, Default)]
pub(super) struct Checks {
    tests: HashMap<Key, Test>,
    objects: HashMap<Key, Object>,
    states: HashMap<Key, State>,
    variables: HashMap<Key, Vec<TextAt>>,
    texts: Vec<Rc<str>>,
    texts_at: HashMap<Rc<str>, TextAt>,
}

/// Packages that must be at or above a version.
pub(super) struct Fixed<'a> {
    pub(super) packages: Vec<&'a str>,
    pub(super) version: &'a str,
    /// Processor architectures; none is any.
    pub(super) architectures: Vec<&'a str>,
}

/// Memory of one entry of a map, with the free places beside it.
const ENTRY_BYTES: usize = 80;
/// Memory of a shared text beside its characters.
const TEXT_BYTES: usize = 100;

impl Checks {
    /// A definition refers to a test.
    pub(super) fn want(&mut self, test: &str, contents: &mut Contents) -> Result<Key, DocumentError> {
        let key = Key::of(test);
        want(&mut self.tests, key, contents)?;
        Ok(key)
    }

    /// A record of one of the sections behind the definitions.
    pub(super) fn take(
        &mut self,
        section: &str,
        record: &Tree,
        contents: &mut Contents,
    ) -> Result<(), DocumentError> {
        let Some(key) = record.attribute("id").map(Key::of) else { return Ok(()) };
        match section {
            "tests" => self.take_test(key, record, contents),
            "objects" if self.objects.contains_key(&key) => {
                let object = self.object(record, contents)?;
                self.objects.insert(key, object);
                Ok(())
            }
            "states" if self.states.contains_key(&key) => {
                let state = State {
                    version: version(record).map(|text| self.text(text, contents)).transpose()?,
                    architectures: architectures(record).map(|text| self.text(text, contents)).transpose()?,
                };
                self.states.insert(key, state);
                Ok(())
            }
            "variables" if self.variables.contains_key(&key) => {
                let mut names = Vec::new();
                for name in record.all("value").filter_map(|value| package_of(value.text.trim())) {
                    contents.hold(size_of::<TextAt>())?;
                    names.push(self.text(&name, contents)?);
                }
                self.variables.insert(key, names);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a test says must be on a device, where it is about versions of packages.
    pub(super) fn fixed(&self, test: Key) -> Option<Fixed<'_>> {
        let test = self.tests.get(&test)?;
        let states = || test.states.iter().filter_map(|state| self.states.get(state));
        let version = states().find_map(|state| state.version)?;
        let packages = match self.objects.get(&test.object?)? {
            Object::Other => return None,
            Object::Package(name) => vec![self.shared(*name)?],
            Object::Packages(variable) => {
                self.variables.get(variable)?.iter().filter_map(|name| self.shared(*name)).collect()
            }
        };
        let written = states().find_map(|state| state.architectures).and_then(|text| self.shared(text));
        let architectures = written.map(|text| text.split('|').collect()).unwrap_or_default();
        Some(Fixed { packages, version: self.shared(version)?, architectures })
    }

    fn take_test(&mut self, key: Key, record: &Tree, contents: &mut Contents) -> Result<(), DocumentError> {
        let Some(test) = self.tests.get_mut(&key) else { return Ok(()) };
        let object = record.child("object").and_then(|object| object.attribute("object_ref")).map(Key::of);
        let states: Box<[Key]> =
            record.all("state").filter_map(|state| state.attribute("state_ref")).map(Key::of).collect();
        contents.hold(size_of_val(&*states))?;
        for state in &states {
            want(&mut self.states, *state, contents)?;
        }
        if let Some(object) = object {
            want(&mut self.objects, object, contents)?;
        }
        *test = Test { object, states };
        Ok(())
    }

    fn object(&mut self, record: &Tree, contents: &mut Contents) -> Result<Object, DocumentError> {
        let named = ["name", "pattern"].into_iter().find_map(|name| record.child(name));
        let Some(named) = named else { return Ok(Object::Other) };
        if let Some(variable) = named.attribute("var_ref").map(Key::of) {
            want(&mut self.variables, variable, contents)?;
            return Ok(Object::Packages(variable));
        }
        let name = named.text.trim();
        if named.name() == "name" && is_equal(named) && is_plain(name) {
            return Ok(Object::Package(self.text(name, contents)?));
        }
        Ok(Object::Other)
    }

    fn text(&mut self, text: &str, contents: &mut Contents) -> Result<TextAt, DocumentError> {
        if let Some(at) = self.texts_at.get(text) {
            return Ok(*at);
        }
        contents.hold(TEXT_BYTES + text.len())?;
        // Far more than there is memory for.
        let at = TextAt::try_from(self.texts.len()).unwrap_or(TextAt::MAX);
        let text: Rc<str> = text.into();
        self.texts.push(Rc::clone(&text));
        self.texts_at.insert(text, at);
        Ok(at)
    }

    fn shared(&self, at: TextAt) -> Option<&str> {
        self.texts.get(at as usize).map(|text| &**text)
    }
}

fn want<T: Default>(
    map: &mut HashMap<Key, T>,
    key: Key,
    contents: &mut Contents,
) -> Result<(), DocumentError> {
    if let Entry::Vacant(entry) = map.entry(key) {
        contents.hold(ENTRY_BYTES)?;
        entry.insert(T::default());
    }
    Ok(())
}

/// The version that a package must not be below: Ubuntu asks in the text of a list, all others in the package's own.
fn version(state: &Tree) -> Option<&str> {
    let asked = ["evr", "subexpression"].into_iter().find_map(|name| state.child(name))?;
    let is_below = asked.attribute("operation").is_some_and(|operation| operation.trim() == "less than");
    Some(asked.text.trim()).filter(|version| is_below && is_plain(version))
}

/// `aarch64|x86_64`, also in brackets.
fn architectures(state: &Tree) -> Option<&str> {
    let text = state.child("arch")?.text.trim().trim_start_matches(['^', '(']).trim_end_matches(['$', ')']);
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    (is_plain(text) && text.split('|').all(is_word)).then_some(text)
}

fn is_equal(element: &Tree) -> bool {
    element.attribute("operation").is_none_or(|operation| operation.trim() == "equals")
}

/// The package of Ubuntu's `^libstdc\+\+6(?::\w+|)\s+(.*)$`, or a name as it is. Patterns for more than one are none.
fn package_of(value: &str) -> Option<String> {
    let pattern = value.trim_start_matches('^');
    let name = pattern.split_once("(?").map_or(pattern, |(name, _)| name).replace('\\', "");
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte));
    (is_plain(&name) && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::package_of;

    #[test]
    fn a_pattern_names_one_package_or_none() {
        assert_eq!(package_of(r"^libssh-4(?::\w+|)\s+(.*)$").as_deref(), Some("libssh-4"));
        assert_eq!(package_of(r"^libstdc\+\+6(?::\w+|)\s+(.*)$").as_deref(), Some("libstdc++6"));
        assert_eq!(package_of("libssh-4").as_deref(), Some("libssh-4"));
        for pattern in ["", "^", r"^linux-image-.*-generic(?::\w+|)\s", r"5.15.0-\d+(-generic)", "a b"] {
            assert_eq!(package_of(pattern), None, "{pattern}");
        }
    }
}
