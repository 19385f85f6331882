//! XML read as a stream: elements by their local names, and records as small trees.
//!
//! Publishers prefix elements or use a default namespace as they like, so only local names count. No entity is ever
//! expanded but the five of XML itself, and a document type declaration is refused: neither has a place in a feed.

use crate::DocumentError;
use crate::input::{Input, Progress};
use crate::limits::{NESTING_MAX, RECORD_ATTRIBUTES_MAX, RECORD_NODES_MAX};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// A reader of XML.
pub(crate) struct Xml<'a> {
    reader: Reader<Input<'a>>,
    progress: Progress,
    buffer: Vec<u8>,
    depth: usize,
    /// An empty element was opened and is not closed yet.
    closing: bool,
    /// The root was there.
    begun: bool,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Node {
    /// An element begins.
    Open(Element),
    /// The innermost open element ends.
    Close,
    /// Text inside of the innermost open element; one text may come in several pieces.
    Text(String),
}

/// An element with its attributes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Element {
    /// Local name.
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// An attribute, by its local name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All attributes: local names and values.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// An element with all that is in it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tree {
    /// Name and attributes.
    pub(crate) element: Element,
    /// All text directly inside, in one piece, as it is written.
    pub(crate) text: String,
    /// Elements directly inside.
    pub(crate) children: Vec<Tree>,
}

impl Tree {
    /// Local name.
    pub(crate) fn name(&self) -> &str {
        &self.element.name
    }

    /// An attribute, by its local name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.element.attribute(name)
    }

    /// The first child of the name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name() == name)
    }

    /// All children of the name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name() == name)
    }

    /// The trimmed text of the first child of the name; empty where there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.trim())
    }

    /// This element and everything below, in the document's order.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        // Not deeper than NESTING_MAX: the reader saw to that.
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }
}

impl<'a> Xml<'a> {
    pub(crate) fn new(input: Input<'a>) -> Self {
        let progress = input.progress.clone();
        let mut reader = Reader::from_reader(input);
        reader.config_mut().check_end_names = true;
        Self { reader, progress, buffer: Vec::new(), depth: 0, closing: false, begun: false }
    }

    /// How many elements are open.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// What comes next; none at the end of a document that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Node>, DocumentError> {
        self.progress.mark();
        self.read()
    }

    /// All of the element that was just opened.
    pub(crate) fn tree(&mut self, element: Element) -> Result<Tree, DocumentError> {
        self.progress.mark();
        let mut open = vec![Tree { element, ..Tree::default() }];
        let mut nodes = 0;
        let mut attributes = 0;
        loop {
            let node = self.read()?.ok_or_else(|| DocumentError::truncated("an element has no end"))?;
            nodes += 1;
            if nodes > RECORD_NODES_MAX {
                return Err(DocumentError::TooManyRecords { limit: RECORD_NODES_MAX });
            }
            match node {
                Node::Open(element) => {
                    attributes += element.attributes.len();
                    if attributes > RECORD_ATTRIBUTES_MAX {
                        return Err(DocumentError::TooManyRecords { limit: RECORD_ATTRIBUTES_MAX });
                    }
                    open.push(Tree { element, ..Tree::default() });
                }
                Node::Text(text) => {
                    if let Some(innermost) = open.last_mut() {
                        innermost.text.push_str(&text);
                    }
                }
                Node::Close => {
                    let Some(closed) = open.pop() else { continue };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => return Ok(closed),
                    }
                }
            }
        }
    }

    /// Passes over the element that was just opened.
    pub(crate) fn skip(&mut self) -> Result<(), DocumentError> {
        let outside = self.depth - 1;
        while self.depth > outside {
            if self.next()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Node>, DocumentError> {
        if self.closing {
            self.closing = false;
            self.depth -= 1;
            return Ok(Some(Node::Close));
        }
        loop {
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer)?;
            let node = match event {
                Event::Start(start) => {
                    let element = element(&start)?;
                    self.open()?;
                    Node::Open(element)
                }
                Event::Empty(start) => {
                    let element = element(&start)?;
                    self.open()?;
                    self.closing = true;
                    Node::Open(element)
                }
                Event::End(_) => {
                    self.depth -= 1;
                    Node::Close
                }
                Event::Text(text) if self.depth > 0 => Node::Text(legal(text.xml10_content().into_owned())?),
                Event::Text(text) if text.trim().is_empty() => continue,
                Event::Text(_) => return Err(DocumentError::malformed("it has text outside of its root")),
                Event::CData(text) => Node::Text(legal(text.xml10_content().into_owned())?),
                Event::GeneralRef(reference) => {
                    let resolved = match reference.resolve_char_ref() {
                        Ok(Some(character)) => Some(character),
                        Ok(None) => predefined(&reference),
                        Err(error) => return Err(DocumentError::malformed(error.to_string())),
                    };
                    let character = resolved.ok_or_else(|| {
                        DocumentError::malformed(format!("unknown entity {:?}", &*reference))
                    })?;
                    Node::Text(character.to_string())
                }
                Event::DocType(_) => {
                    return Err(DocumentError::malformed("it has a document type declaration"));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
                // The reader ends cleanly in the middle of a document.
                Event::Eof if self.depth > 0 => {
                    return Err(DocumentError::truncated(format!("{} elements have no end", self.depth)));
                }
                Event::Eof if !self.begun => return Err(DocumentError::malformed("it has no root element")),
                Event::Eof => return Ok(None),
            };
            return Ok(Some(node));
        }
    }

    fn open(&mut self) -> Result<(), DocumentError> {
        if self.depth == 0 && self.begun {
            return Err(DocumentError::malformed("it has more than one root element"));
        }
        self.begun = true;
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(DocumentError::TooDeep { limit: NESTING_MAX });
        }
        Ok(())
    }
}

/// Attributes of one element: real ones have some ten.
const ATTRIBUTES_MAX: usize = 100;

fn element(start: &BytesStart<'_>) -> Result<Element, DocumentError> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| DocumentError::malformed(error.to_string()))?;
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| DocumentError::malformed(error.to_string()))?;
        if attributes.len() >= ATTRIBUTES_MAX {
            return Err(DocumentError::malformed(format!(
                "an element has more than {ATTRIBUTES_MAX} attributes"
            )));
        }
        // The reader takes anything between quotation marks, and so it takes markup that lost one of them.
        if attribute.value.contains('<') {
            return Err(DocumentError::malformed(format!("a value holds markup: {value:?}")));
        }
        check_name(attribute.key.as_ref())?;
        attributes.push((attribute.key.local_name().as_ref().to_owned(), legal(value.into_owned())?));
    }
    check_name(start.name().as_ref())?;
    Ok(Element { name: start.local_name().as_ref().to_owned(), attributes })
}

/// The reader takes anything up to a blank for a name.
fn check_name(name: &str) -> Result<(), DocumentError> {
    let may_begin = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let may_follow = |c: char| may_begin(c) || c.is_ascii_digit() || c == '-' || c == '.';
    let is_name = |part: &str| part.starts_with(may_begin) && part.chars().all(may_follow);
    if name.split(':').all(is_name) {
        Ok(())
    } else {
        Err(DocumentError::malformed(format!("{name:?} is not a name")))
    }
}

/// A text as it is, if it has no characters that XML does not have.
fn legal(text: String) -> Result<String, DocumentError> {
    match text.bytes().find(|&byte| byte < b' ' && !b"\t\n\r".contains(&byte)) {
        None => Ok(text),
        Some(byte) => Err(DocumentError::malformed(format!("it holds the character U+{byte:04X}"))),
    }
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}
