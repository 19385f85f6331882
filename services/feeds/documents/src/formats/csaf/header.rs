//! What a CSAF document says of itself: who publishes it, and which kind it is.

use crate::DocumentError;
use crate::dates;
use crate::identity::Vendor;
use crate::json;
use crate::text::{is_plain, web_address};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// References and notes: an advisory for a kernel refers to some thousands of bugs.
const PARTS_MAX: usize = 50_000;

/// The member `document`.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) category: String,
    pub(super) csaf_version: String,
    #[serde(default)]
    pub(super) title: Option<String>,
    pub(super) publisher: Publisher,
    pub(super) tracking: Tracking,
    #[serde(default)]
    pub(super) aggregate_severity: Option<AggregateSeverity>,
    #[serde(default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    references: Vec<Reference>,
    #[serde(default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    notes: Vec<Note>,
}

#[derive(Deserialize)]
pub(super) struct Publisher {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Tracking {
    pub(super) id: String,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) initial_release_date: Option<String>,
    #[serde(default)]
    pub(super) current_release_date: Option<String>,
    #[serde(default)]
    pub(super) revision_history: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
pub(super) struct AggregateSeverity {
    #[serde(default)]
    pub(super) text: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    url: Option<String>,
}

#[derive(Deserialize)]
struct Note {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

/// What a document's fixes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixes {
    /// Nothing that is installed on a device here, or what other documents describe in full.
    None,
    /// Packages of a Linux distribution.
    Packages(Vendor),
    /// Microsoft's updates by KB number.
    Kbs,
}

impl Header {
    /// Whether it is what it claims.
    pub(super) fn checked(self) -> Result<Self, DocumentError> {
        if !self.csaf_version.starts_with("2.") {
            return Err(DocumentError::malformed(format!("CSAF {:?} is not known", self.csaf_version)));
        }
        if !is_plain(&self.tracking.id) {
            return Err(DocumentError::malformed(format!("{:?} cannot be an id", self.tracking.id)));
        }
        Ok(self)
    }

    pub(super) fn fixes(&self) -> Fixes {
        // A VEX document describes one vulnerability: of each advisory that closes it, it shows a part. So do
        // informational documents, if they name advisories at all.
        const WITHOUT_PATCHES: &[&str] = &[
            "csaf_vex",
            "csaf_informational_advisory",
            "csaf_security_incident_response",
            "csaf_superseded",
            "csaf_withdrawn",
        ];
        let category = self.category.trim().to_ascii_lowercase();
        if WITHOUT_PATCHES.contains(&category.as_str()) || self.is_withdrawn() {
            return Fixes::None;
        }
        match Vendor::of_advisory(&self.tracking.id) {
            // Debian's and Ubuntu's patches are source packages, which CSAF does not name.
            None | Some(Vendor::Debian | Vendor::Ubuntu) if self.source() == "microsoft" => Fixes::Kbs,
            None | Some(Vendor::Debian | Vendor::Ubuntu) => Fixes::None,
            Some(vendor) => Fixes::Packages(vendor),
        }
    }

    /// CSAF 2.1 has a category of its own for it.
    pub(super) fn is_withdrawn(&self) -> bool {
        let is = |text: &str| text.trim().eq_ignore_ascii_case("withdrawn");
        self.category.trim().eq_ignore_ascii_case("csaf_withdrawn")
            || self.tracking.status.as_deref().is_some_and(is)
    }

    /// Why it was withdrawn, in the publisher's words.
    pub(super) fn withdrawal_reason(&self) -> Option<&str> {
        let is_reason = |note: &&Note| {
            note.title.as_deref().is_some_and(|title| title.to_ascii_lowercase().contains("withdraw"))
        };
        self.notes.iter().find(is_reason)?.text.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    /// The publisher's short name: `redhat` of `https://www.redhat.com`, or words of its full name.
    pub(super) fn source(&self) -> String {
        /// A short name is short.
        const CHARS_MAX: usize = 40;
        let namespace = self.publisher.namespace.as_deref().and_then(name_of_site);
        let name = namespace.unwrap_or_else(|| {
            let name = self.publisher.name.as_deref().unwrap_or_default().to_lowercase();
            let words: Vec<&str> =
                name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
            words.join("-")
        });
        if name.is_empty() { "csaf".to_owned() } else { name.chars().take(CHARS_MAX).collect() }
    }

    /// Where a person reads it.
    pub(super) fn url(&self) -> Option<&str> {
        let own = self
            .references
            .iter()
            .filter(|reference| reference.category.as_deref() == Some("self"))
            .filter_map(|reference| web_address(reference.url.as_deref()?));
        own.clone().find(|url| !is_machine_readable(url)).or_else(|| own.clone().next())
    }

    pub(super) fn severity_text(&self) -> Option<&str> {
        self.aggregate_severity.as_ref().and_then(|severity| severity.text.as_deref())
    }

    pub(super) fn first_released(&self) -> Option<DateTime<Utc>> {
        self.tracking
            .initial_release_date
            .as_deref()
            .and_then(dates::instant)
            .or_else(|| self.last_released())
    }

    pub(super) fn last_released(&self) -> Option<DateTime<Utc>> {
        self.tracking.current_release_date.as_deref().and_then(dates::instant)
    }
}

fn is_machine_readable(url: &str) -> bool {
    url.rsplit('.').next().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// `redhat` of `https://www.redhat.com/en`; `example` of `https://example.co.uk`.
fn name_of_site(url: &str) -> Option<String> {
    /// Parts of names under which countries sort their domains.
    const SECOND_LEVELS: &[&str] = &["ac", "co", "com", "edu", "gov", "go", "ne", "net", "or", "org"];
    let rest = url.trim().split_once("://")?.1;
    let host = rest.split(['/', ':', '?', '#']).next()?.trim_end_matches('.').to_ascii_lowercase();
    let mut labels = host.rsplit('.').skip(1);
    let second = labels.next()?;
    let name = if SECOND_LEVELS.contains(&second) { labels.next().unwrap_or(second) } else { second };
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::name_of_site;

    #[test]
    fn a_publishers_site_gives_its_short_name() {
        for (url, name) in [
            ("https://www.redhat.com", Some("redhat")),
            ("https://www.suse.com/", Some("suse")),
            ("https://msrc.microsoft.com", Some("microsoft")),
            ("https://www.cisa.gov/", Some("cisa")),
            ("https://psirt.example.co.uk:8443/x", Some("example")),
            ("https://localhost", None),
            ("https://exa mple.com", None),
            ("example", None),
        ] {
            assert_eq!(name_of_site(url).as_deref(), name, "{url}");
        }
    }
}
