//! Microsoft's monthly CVRF v3 document, as XML or JSON.
//!
//! The document lists vulnerabilities, each with the fixes per product. A device installs a KB: so the document is
//! turned around, one patch per KB with all the vulnerabilities it closes.

mod figures;
mod json;
mod xml;

use super::microsoft::{self, Days, Restart, Statement, Updates};
use crate::contents::VulnerabilityFacts;
use crate::dates;
use crate::head::Head;
use crate::input::{Input, Progress};
use crate::reading::Reading;
use crate::text::{is_cve, is_plain};
use crate::{DocumentError, Format, cvss};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::feeds::Cvss;
use std::collections::{BTreeMap, HashMap};

/// The largest month is below 20 MiB.
const MONTH_BYTES_MAX: u64 = 64 << 20;
/// Vulnerabilities of a month: with those of Azure Linux there have been some 1,500.
const ADVISORIES_MAX: usize = 20_000;
/// Products of a month: Microsoft's whole list has some 3,000.
const PRODUCTS_MAX: usize = 20_000;

/// Whether a document begins like Microsoft's CVRF: Red Hat and SUSE published CVRF as well, of another shape.
pub(crate) fn is_xml(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == "cvrfdoc")
        && publisher(head.text()).is_none_or(|publisher| publisher.to_ascii_lowercase().contains("microsoft"))
}

fn publisher(text: &str) -> Option<&str> {
    let (_, from) = text.split_once("DocumentPublisher")?;
    Some(from.split_once("DocumentPublisher").map_or(from, |(publisher, _)| publisher))
}

/// The same, as JSON.
pub(crate) fn is_json(head: &Head) -> bool {
    ["DocumentTitle", "DocumentTracking", "ProductTree"].iter().any(|key| head.has(1, key))
}

/// What is read of a document, whichever way it is written.
struct Month<'a> {
    reading: &'a mut Reading,
    progress: Progress,
    tracking: Tracking,
    /// Product id to name.
    products: HashMap<String, String>,
    updates: Updates,
}

/// What the document says of itself.
#[derive(Debug, Default)]
struct Tracking {
    id: Option<String>,
    initial_release: Option<String>,
    current_release: Option<String>,
    revisions: usize,
}

/// A vulnerability with its fixes.
#[derive(Debug, Default)]
struct Advisory {
    /// `CVE-2024-20674` or `ADV200013`.
    id: String,
    /// Days of its revisions.
    revised: Vec<String>,
    /// Severity words as they are written, each for these products; none named means all.
    severities: Vec<(Vec<String>, String)>,
    /// Vectors with their base scores.
    scores: Vec<(String, String)>,
    /// Vendor fixes only.
    fixes: Vec<Fix>,
}

#[derive(Debug, Default)]
struct Fix {
    description: String,
    products: Vec<String>,
    /// The document's own spelling.
    supercedence: String,
    restart_required: String,
    fixed_build: String,
    sub_type: String,
}

pub(crate) fn read(format: Format, input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let mut month = Month {
        reading,
        progress: input.progress.clone(),
        tracking: Tracking::default(),
        products: HashMap::new(),
        updates: Updates::default(),
    };
    figures::begin(&mut month.reading.figures);
    if format == Format::MsrcCvrfJson {
        json::read(input, &mut month)?;
    } else {
        xml::read(input, &mut month)?;
    }
    month.finish()
}

impl Month<'_> {
    fn product(&mut self, id: &str, name: &str) -> Result<(), DocumentError> {
        let name = name.trim();
        if !is_plain(name) || !is_plain(id.trim()) {
            self.reading.contents.quarantine(format!("product {id:?}: {name:?} cannot be a name"));
        } else if self.products.len() >= PRODUCTS_MAX {
            return Err(DocumentError::TooManyRecords { limit: PRODUCTS_MAX });
        } else {
            self.products.entry(id.trim().to_owned()).or_insert_with(|| name.to_owned());
        }
        Ok(())
    }

    fn advisory(&mut self, advisory: &Advisory) -> Result<(), DocumentError> {
        self.record()?;
        figures::count(&mut self.reading.figures, advisory);
        let id = advisory.id.trim();
        for fix in &advisory.fixes {
            let products: Vec<&str> = fix.products.iter().map(|product| product.trim()).collect();
            let is_for = |product: &String| products.contains(&product.trim());
            let severities: Vec<&str> = advisory
                .severities
                .iter()
                .filter(|(products, _)| products.is_empty() || products.iter().any(is_for))
                .map(|(_, word)| word.as_str())
                .collect();
            self.updates.add(&Statement {
                fix: &fix.description,
                products: &products,
                build: fix.fixed_build.trim(),
                advisories: &[id],
                severities: &severities,
                supersedes: &fix.supercedence,
                restart: Restart::from_word(&fix.restart_required),
                sub_type: &fix.sub_type,
                released: advisory.revised.iter().filter_map(|date| day(date)).min(),
                ..Statement::default()
            })?;
        }
        let cvss = highest_scores(&advisory.scores);
        if is_cve(id) && !cvss.is_empty() {
            self.reading.contents.vulnerability(VulnerabilityFacts {
                cve: id.to_owned(),
                source: "microsoft".to_owned(),
                cvss,
                ..VulnerabilityFacts::default()
            })?;
        }
        Ok(())
    }

    /// One more vulnerability, readable or not.
    fn record(&mut self) -> Result<(), DocumentError> {
        if self.progress.read_so_far() > MONTH_BYTES_MAX {
            return Err(DocumentError::TooLarge { limit: MONTH_BYTES_MAX });
        }
        self.reading.contents.records += 1;
        if self.reading.contents.records > ADVISORIES_MAX {
            return Err(DocumentError::TooManyRecords { limit: ADVISORIES_MAX });
        }
        Ok(())
    }

    fn finish(self) -> Result<(), DocumentError> {
        let Self { reading, tracking, products, mut updates, .. } = self;
        figures::end(&mut reading.figures, &tracking);
        let instant = |text: &Option<String>| text.as_deref().and_then(dates::instant);
        let (initial, current) = (instant(&tracking.initial_release), instant(&tracking.current_release));
        let released: Option<DateTime<Utc>> = initial.or(current);
        if released.is_none() && reading.contents.records > 0 {
            return Err(DocumentError::malformed("no release date in DocumentTracking"));
        }
        reading.contents.document_date = current.or(initial);
        let id = tracking.id.as_deref().unwrap_or_default().trim();
        reading.contents.document_id = Some(id.to_owned()).filter(|id| is_plain(id));
        if microsoft::is_out_of_band(id) {
            updates.all_out_of_band();
        }
        updates.finish(
            reading,
            Days::OfPublication,
            released.map(|released| released.date_naive()),
            Some(&products),
        )
    }
}

/// The day that a date begins with; `0001-01-01` stands for none.
fn day(text: &str) -> Option<NaiveDate> {
    dates::instant(text).map(|date| date.date_naive())
}

/// The highest score of each version: a vulnerability may have one for each product.
fn highest_scores(scores: &[(String, String)]) -> Vec<Cvss> {
    let mut highest: BTreeMap<String, Cvss> = BTreeMap::new();
    for (vector, score) in scores {
        let Ok(found) = cvss::written(vector, score) else { continue };
        let known = highest.entry(found.version.clone()).or_insert_with(|| found.clone());
        // Of equal scores the first vector in the alphabet, so that the order of products does not matter.
        if (found.base_score, &known.vector) > (known.base_score, &found.vector) {
            *known = found;
        }
    }
    highest.into_values().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::{day, highest_scores};

    #[test]
    fn dates_come_with_and_without_zone() {
        assert_eq!(day("2024-01-09T08:00:00"), day("2024-01-09T08:00:00Z"));
        assert!(day("2024-01-09T08:00:00").is_some());
        assert_eq!(day("0001-01-01T00:00:00"), None);
        assert_eq!(day("soon"), None);
    }

    #[test]
    fn the_highest_score_of_each_version_counts() {
        let scores =
            [("CVSS:3.1/AV:N", "7.5"), ("CVSS:3.1/AV:L", "8.1"), ("CVSS:3.0/AV:N", "9.0"), ("", "9.9")];
        let scores = scores.map(|(vector, score)| (vector.to_owned(), score.to_owned()));
        let found: Vec<(String, u8)> =
            highest_scores(&scores).into_iter().map(|c| (c.vector, c.base_score)).collect();
        assert_eq!(found, [("CVSS:3.1/AV:L".to_owned(), 81), ("CVSS:3.0/AV:N".to_owned(), 90)]);
    }
}
