//! CVRF as XML, matched by local names: some captures prefix every element, others use a default namespace.

use super::{Advisory, Fix, Month, date_of};
use crate::DocumentError;
use crate::limits::{NESTING_MAX, RECORDS_MAX};
use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::{BytesStart, Event};

/// Texts longer than this are prose, which is not read: descriptions have their own elements.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Reads a whole document; one that does not end properly is an error, because half a month would look like a small one.
pub(super) fn read(text: &str) -> Result<Month, DocumentError> {
    let mut reader = Reader::from_str(text);
    let mut reading = Reading::default();
    loop {
        let event = reader.read_event().map_err(|e| fault(&e, reader.error_position()))?;
        match event {
            Event::Start(element) => reading.open(&element)?,
            Event::Empty(element) => {
                reading.open(&element)?;
                reading.close()?;
            }
            Event::End(_) => reading.close()?,
            Event::Text(text) => reading.text(&text.xml10_content())?,
            Event::CData(text) => reading.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    Ok(None) => predefined(&reference),
                    Err(error) => return Err(malformed(error.to_string())),
                };
                let character =
                    resolved.ok_or_else(|| malformed(format!("unknown entity {:?}", &*reference)))?;
                reading.text(character.encode_utf8(&mut [0; 4]))?;
            }
            // Entities of one's own have no place in a feed.
            Event::DocType(_) => return Err(malformed("it has a document type declaration".to_owned())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    reading.end()
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

fn malformed(reason: String) -> DocumentError {
    DocumentError::Malformed { reason }
}

fn fault(error: &Error, position: u64) -> DocumentError {
    let reason = format!("{error} at byte {position}");
    // Every syntax error of the reader says that the input ended inside of some markup.
    if matches!(error, Error::Syntax(_) | Error::IllFormed(IllFormedError::MissingEndTag(_))) {
        DocumentError::Truncated { reason }
    } else {
        malformed(reason)
    }
}

/// What the open elements mean. A part of the document that is not read is `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Tracking,
    InitialRelease,
    CurrentRelease,
    Products,
    Product,
    Vulnerability,
    Cve,
    Threats,
    /// A threat of the kind *Severity*.
    Severity,
    SeverityWord,
    SeverityProduct,
    Remediations,
    /// A remediation of the kind *Vendor Fix*.
    Fix,
    FixDescription,
    FixProduct,
    FixSupercedence,
    FixRestart,
    FixBuild,
    FixSubType,
    Other,
}

#[derive(Default)]
struct Reading {
    month: Month,
    places: Vec<Place>,
    /// Text of the innermost element that is read.
    text: String,
    product_id: String,
    severity: (Vec<String>, String),
    finished: bool,
}

impl Reading {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), DocumentError> {
        if self.finished {
            return Err(malformed("it has a second root element".to_owned()));
        }
        if self.places.len() >= NESTING_MAX {
            return Err(DocumentError::TooDeep { limit: NESTING_MAX });
        }
        let name = element.local_name();
        let place = match (self.places.last(), name.as_ref()) {
            (None, "cvrfdoc") => Place::Root,
            (None, other) => return Err(malformed(format!("its root is {other:?} and not \"cvrfdoc\""))),
            (Some(Place::Root), "DocumentTracking") => Place::Tracking,
            (Some(Place::Tracking), "InitialReleaseDate") => Place::InitialRelease,
            (Some(Place::Tracking), "CurrentReleaseDate") => Place::CurrentRelease,
            (Some(Place::Root), "ProductTree") | (Some(Place::Products), "Branch") => Place::Products,
            (Some(Place::Products), "FullProductName") => Place::Product,
            (Some(Place::Root), "Vulnerability") => Place::Vulnerability,
            (Some(Place::Vulnerability), "CVE") => Place::Cve,
            (Some(Place::Vulnerability), "Threats") => Place::Threats,
            (Some(Place::Threats), "Threat") if attribute(element, "Type")? == "Severity" => Place::Severity,
            (Some(Place::Severity), "Description") => Place::SeverityWord,
            (Some(Place::Severity), "ProductID") => Place::SeverityProduct,
            (Some(Place::Vulnerability), "Remediations") => Place::Remediations,
            (Some(Place::Remediations), "Remediation") if attribute(element, "Type")? == "Vendor Fix" => {
                Place::Fix
            }
            (Some(Place::Fix), "Description") => Place::FixDescription,
            (Some(Place::Fix), "ProductID") => Place::FixProduct,
            (Some(Place::Fix), "Supercedence") => Place::FixSupercedence,
            (Some(Place::Fix), "RestartRequired") => Place::FixRestart,
            (Some(Place::Fix), "FixedBuild") => Place::FixBuild,
            (Some(Place::Fix), "SubType") => Place::FixSubType,
            (Some(_), _) => Place::Other,
        };
        match place {
            Place::Product => self.product_id = attribute(element, "ProductID")?,
            Place::Vulnerability => {
                if self.month.advisories.len() >= RECORDS_MAX {
                    return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
                }
                self.month.advisories.push(Advisory::default());
            }
            Place::Severity => self.severity = Default::default(),
            Place::Fix => self.advisory(|advisory| advisory.fixes.push(Fix::default())),
            Place::Root
            | Place::Tracking
            | Place::InitialRelease
            | Place::CurrentRelease
            | Place::Products
            | Place::Cve
            | Place::Threats
            | Place::SeverityWord
            | Place::SeverityProduct
            | Place::Remediations
            | Place::FixDescription
            | Place::FixProduct
            | Place::FixSupercedence
            | Place::FixRestart
            | Place::FixBuild
            | Place::FixSubType
            | Place::Other => {}
        }
        self.text.clear();
        self.places.push(place);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), DocumentError> {
        match self.places.last() {
            Some(Place::Other) => {}
            Some(_) if self.text.len() + text.len() > TEXT_BYTES_MAX => {
                return Err(malformed(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
            }
            Some(_) => self.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(malformed("it has text outside of its root element".to_owned())),
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), DocumentError> {
        let place =
            self.places.pop().ok_or_else(|| malformed("an element ends that never began".to_owned()))?;
        self.finished = self.places.is_empty();
        let text = std::mem::take(&mut self.text).trim().to_owned();
        match place {
            Place::InitialRelease => self.month.initial_release = date_of(&text),
            Place::CurrentRelease => self.month.current_release = date_of(&text),
            Place::Product => {
                let id = std::mem::take(&mut self.product_id);
                self.month.products.entry(id).or_insert(text);
            }
            Place::Cve => self.advisory(|advisory| advisory.id = text),
            Place::SeverityWord => self.severity.1 = text,
            Place::SeverityProduct => self.severity.0.push(text),
            Place::Severity => {
                let severity = std::mem::take(&mut self.severity);
                self.advisory(|advisory| advisory.severities.push(severity));
            }
            Place::FixDescription => self.fix(|fix| fix.description = text),
            Place::FixProduct => self.fix(|fix| fix.products.push(text)),
            Place::FixSupercedence => self.fix(|fix| fix.supercedence = text),
            Place::FixRestart => self.fix(|fix| fix.restart_required = text),
            Place::FixBuild => self.fix(|fix| fix.fixed_build = text),
            Place::FixSubType => self.fix(|fix| fix.sub_type = text),
            Place::Root
            | Place::Tracking
            | Place::Products
            | Place::Vulnerability
            | Place::Threats
            | Place::Remediations
            | Place::Fix
            | Place::Other => {}
        }
        Ok(())
    }

    fn end(self) -> Result<Month, DocumentError> {
        // The reader reports the end of the input as good even inside of elements.
        if !self.places.is_empty() {
            return Err(DocumentError::Truncated {
                reason: format!("{} elements are still open", self.places.len()),
            });
        }
        if !self.finished {
            return Err(malformed("it has no root element".to_owned()));
        }
        Ok(self.month)
    }

    fn advisory(&mut self, change: impl FnOnce(&mut Advisory)) {
        if let Some(advisory) = self.month.advisories.last_mut() {
            change(advisory);
        }
    }

    fn fix(&mut self, change: impl FnOnce(&mut Fix)) {
        self.advisory(|advisory| {
            if let Some(fix) = advisory.fixes.last_mut() {
                change(fix);
            }
        });
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<String, DocumentError> {
    let found = element.try_get_attribute(name).map_err(|e| malformed(e.to_string()))?;
    found.map_or(Ok(String::new()), |attribute| {
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|e| malformed(e.to_string()))?;
        Ok(value.trim().to_owned())
    })
}
