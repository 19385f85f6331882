//! A Debian repository's `Packages`: a paragraph for each binary package that can be installed from it.
//!
//! It tells no advisories, so no patches come from it.

use crate::DocumentError;
use crate::deb822::{Paragraph, Paragraphs};
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::text::is_plain;

/// Whether a document begins with a binary package.
pub(crate) fn is(head: &Head) -> bool {
    if head.kind != Kind::Text {
        return false;
    }
    let first = Paragraph::first_of(head.text());
    let has = |name: &str| first.get(name).is_some();
    // A source package has `Files` instead of a `Filename`, what is installed (`status`) neither.
    has("Package")
        && has("Version")
        && has("Architecture")
        && ["Filename", "Size", "SHA256"].iter().any(|name| has(name))
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let Reading { contents, figures, .. } = reading;
    for sum in ["stanzas", "size_sum", "with_epoch", "with_tilde"] {
        figures.add(sum, 0);
    }
    figures.lists(&["packages", "name_version_arch"]);
    let mut paragraphs = Paragraphs::new(input);
    while let Some(paragraph) = paragraphs.next()? {
        if contents.records >= RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        contents.records += 1;
        let package = match Package::of(&paragraph) {
            Ok(package) => package,
            Err(reason) => {
                let name = paragraph.get("Package").unwrap_or_default();
                contents.quarantine(format!("paragraph {} ({name:?}): {reason}", contents.records));
                continue;
            }
        };
        figures.add("stanzas", 1);
        figures.add("size_sum", package.size_bytes);
        figures.add("with_epoch", u64::from(package.version.contains(':')));
        figures.add("with_tilde", u64::from(package.version.contains('~')));
        figures.list("packages", package.name);
        if figures.on() {
            let Package { name, version, architecture, .. } = package;
            figures.list("name_version_arch", format!("{name}={version}:{architecture}"));
        }
    }
    if paragraphs.unreadable_lines > 0 {
        contents.quarantine(format!("{} lines belong to no field", paragraphs.unreadable_lines));
    }
    Ok(())
}

/// A binary package as it is listed.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    architecture: &'a str,
    size_bytes: u64,
}

impl<'a> Package<'a> {
    fn of(paragraph: &'a Paragraph) -> Result<Self, &'static str> {
        let field = |name| paragraph.get(name).filter(|value| is_plain(value));
        Ok(Self {
            name: field("Package").ok_or("it has no name")?,
            version: field("Version").ok_or("it has no version")?,
            architecture: field("Architecture").ok_or("it has no architecture")?,
            size_bytes: match paragraph.get("Size") {
                Some(size) => {
                    size.parse().ok().filter(|size| *size <= SIZE_BYTES_MAX).ok_or("its size is no number")?
                }
                None => 0,
            },
        })
    }
}

/// Bytes of one package: more than any disk holds, and far from what a sum of all could not hold.
const SIZE_BYTES_MAX: u64 = 1 << 42;
