//! The beginning of a document, by which its format is told.

/// What the first part of a document shows of its kind. It may end in the middle of anything.
#[derive(Debug, Default, PartialEq)]
pub struct Head {
    /// How it is written.
    pub kind: Kind,
    text: String,
    /// Depth (1: of the document's own object or of the objects in its array) and name of each key, in the document's order.
    keys: Vec<(usize, String)>,
}

/// How a document is written.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub enum Kind {
    /// Lines of text.
    #[default]
    Text,
    /// A JSON object.
    JsonObject,
    /// A JSON array.
    JsonArray,
    /// XML or HTML.
    Xml,
    /// Nothing that a person could read.
    Binary,
}

/// Keys that are looked at: enough for every real head.
const KEYS_MAX: usize = 5_000;
/// Depth to which keys are looked at.
const KEYS_DEPTH_MAX: usize = 4;

impl Head {
    /// Looks at the first bytes of a document, already UTF-8.
    pub fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let kind = match text.chars().next() {
            Some('{') => Kind::JsonObject,
            // A line of Debian's list begins so as well.
            Some('[') if looks_like_array(text) => Kind::JsonArray,
            Some('<') => Kind::Xml,
            _ if text.contains('\0') => Kind::Binary,
            _ => Kind::Text,
        };
        let keys =
            if matches!(kind, Kind::JsonObject | Kind::JsonArray) { keys(text, kind) } else { Vec::new() };
        Self { kind, text: text.to_owned(), keys }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its first line that is not empty, without the blanks around it.
    pub fn first_line(&self) -> &str {
        self.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
    }

    /// Whether a JSON document has this key at this depth. The objects in a document's array have the depth 1.
    pub fn has(&self, depth: usize, key: &str) -> bool {
        self.keys.iter().any(|(at, known)| *at == depth && known == key)
    }

    /// The first keys of a JSON document at a depth.
    pub fn keys(&self, depth: usize) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(move |(at, _)| *at == depth).map(|(_, key)| key.as_str())
    }

    /// The local name of an XML document's root, and the whole of its opening tag.
    pub fn root(&self) -> Option<(&str, &str)> {
        if self.kind != Kind::Xml {
            return None;
        }
        let mut rest = self.text.as_str();
        loop {
            rest = rest.trim_start().strip_prefix('<')?;
            let (skipped, end) = match rest.get(..1)? {
                "?" => ("?", "?>"),
                "!" if rest.starts_with("!--") => ("!--", "-->"),
                // A declaration may hold others in brackets.
                "!" if rest.find('[') < rest.find('>') && rest.contains('[') => ("!", "]>"),
                "!" => ("!", ">"),
                _ => {
                    let tag = rest.split('>').next()?;
                    let name = tag.split(|c: char| c.is_whitespace() || c == '/').next()?;
                    return Some((name.rsplit(':').next()?, tag));
                }
            };
            rest = rest.get(skipped.len()..)?.split_once(end)?.1;
        }
    }

    /// What a document that nobody can read seems to be, in words for a person.
    pub fn looks_like(&self) -> String {
        match self.kind {
            Kind::Xml => match self.root() {
                Some((name, _)) if name.eq_ignore_ascii_case("html") => "a web page".to_owned(),
                Some((name, _)) => format!("XML with the root <{}>", crate::text::clipped(name)),
                None if self.text.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype")) => {
                    "a web page".to_owned()
                }
                None => "XML without a root".to_owned(),
            },
            Kind::JsonObject => {
                let keys: Vec<&str> = self.keys(1).take(5).collect();
                format!("JSON with the keys {}", crate::text::clipped(&keys.join(", ")))
            }
            Kind::JsonArray => "a JSON array".to_owned(),
            Kind::Binary => "no text".to_owned(),
            Kind::Text => String::new(),
        }
    }
}

fn looks_like_array(text: &str) -> bool {
    let inside = text.get(1..).unwrap_or_default().trim_start();
    inside.starts_with(['{', '[', '"', ']'])
}

/// The keys of objects in a text that may break off, by a scan that knows strings and brackets only.
fn keys(text: &str, kind: Kind) -> Vec<(usize, String)> {
    let bytes = text.as_bytes();
    let mut keys = Vec::new();
    // For each open bracket whether it is an object, as deep as it is looked at.
    let mut open: Vec<bool> = Vec::new();
    let outer = usize::from(kind == Kind::JsonArray);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => open.push(byte == b'{'),
            b'}' | b']' => {
                open.pop();
            }
            b'"' => {
                let start = at + 1;
                let Some(end) = end_of_string(bytes, start) else { return keys };
                at = end;
                let depth = open.len().saturating_sub(outer);
                let is_key = open.last() == Some(&true) && next_is_colon(bytes, end + 1);
                if is_key && (1..=KEYS_DEPTH_MAX).contains(&depth) && keys.len() < KEYS_MAX {
                    keys.push((depth, text.get(start..end).unwrap_or_default().to_owned()));
                }
            }
            _ => {}
        }
        at += 1;
    }
    keys
}

fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn next_is_colon(bytes: &[u8], mut at: usize) -> bool {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    bytes.get(at) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::{Head, Kind};

    #[test]
    fn keys_have_a_depth_and_strings_hold_no_keys() {
        let head = Head::new(br#"  {"a": {"b": "c\": {", "d": [{"e": 1}]}, "f""#);
        assert_eq!(head.kind, Kind::JsonObject);
        assert!(head.has(1, "a") && head.has(2, "b") && head.has(2, "d") && head.has(4, "e"));
        assert!(!head.has(1, "f") && !head.has(2, "c"));
        assert!(Head::new(br#"[{"a": 1}]"#).has(1, "a"));
    }

    #[test]
    fn the_root_is_behind_declarations_and_comments() {
        let head = Head::new(b"<?xml version='1.0'?><!-- <x> --><c:root xmlns:c='u'><a/>");
        assert_eq!(head.root(), Some(("root", "c:root xmlns:c='u'")));
        let head = Head::new(b"<!DOCTYPE x [<!ENTITY a 'b'>]><root/>");
        assert_eq!(head.root(), Some(("root", "root/")));
        assert_eq!(Head::new(b"<!DOCTYPE html><html>").looks_like(), "a web page");
    }

    #[test]
    fn a_line_of_a_list_is_no_array() {
        assert_eq!(Head::new(b"[29 Mar 2023] DSA-5380-1 xorg-server\n").kind, Kind::Text);
    }
}
