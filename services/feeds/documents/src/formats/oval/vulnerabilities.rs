//! What definitions say of vulnerabilities, brought together by CVE and by who says it.

use super::definition::Definition;
use crate::contents::{Contents, VulnerabilityFacts};
use crate::text::cves_in;
use crate::xml::Tree;
use crate::{DocumentError, cvss};
use contracts::feeds::Cvss;
use std::collections::{BTreeMap, BTreeSet};

/// CVE and source to scores.
#[derive(Debug, Default)]
pub(super) struct Vulnerabilities(BTreeMap<(String, String), BTreeSet<Cvss>>);

/// Scores of one vulnerability by one source: one for each version of the system.
const SCORES_MAX: usize = 8;
/// Memory of one vulnerability and of one score, with all that holds them.
const VULNERABILITY_BYTES: usize = 300;
const SCORE_BYTES: usize = 200;

impl Vulnerabilities {
    pub(super) fn take(
        &mut self,
        definition: &Definition<'_>,
        contents: &mut Contents,
    ) -> Result<(), DocumentError> {
        // That an advisory fixes a CVE is said by its patch.
        if definition.is_vulnerability() {
            for cve in definition.referred_cves() {
                self.scores(cve, definition.source(), contents)?;
            }
        }
        for element in definition.cve_elements() {
            let Some(cve) = cves_in(&element.text).next() else { continue };
            let scores = scores(element);
            if scores.is_empty() && !definition.is_vulnerability() {
                continue;
            }
            // SUSE adds the National Vulnerability Database's scores to its own: `CVE-2022-0330 at NVD`.
            let source =
                if element.text.trim_end().ends_with(" at NVD") { "nvd" } else { definition.source() };
            let known = self.scores(cve, source, contents)?;
            for score in scores {
                if known.len() < SCORES_MAX && known.insert(score) {
                    contents.hold(SCORE_BYTES)?;
                }
            }
        }
        Ok(())
    }

    fn scores(
        &mut self,
        cve: &str,
        source: &str,
        contents: &mut Contents,
    ) -> Result<&mut BTreeSet<Cvss>, DocumentError> {
        let key = (cve.to_owned(), source.to_owned());
        if !self.0.contains_key(&key) {
            contents.hold(VULNERABILITY_BYTES)?;
        }
        Ok(self.0.entry(key).or_default())
    }

    pub(super) fn finish(self, contents: &mut Contents) {
        contents.vulnerabilities = self
            .0
            .into_iter()
            .map(|((cve, source), scores)| {
                let mut cvss: Vec<Cvss> = scores.into_iter().collect();
                cvss.sort_by(|a, b| b.version.cmp(&a.version).then_with(|| a.cmp(b)));
                VulnerabilityFacts { cve, source, cvss, ..VulnerabilityFacts::default() }
            })
            .collect();
    }
}

/// `cvss3="6.1/CVSS:3.0/AV:N/…"`, or Ubuntu's `cvss_score="5.9" cvss_vector="CVSS:3.1/AV:N/…"`.
fn scores(cve: &Tree) -> Vec<Cvss> {
    let together =
        ["cvss4", "cvss3", "cvss2"].into_iter().filter_map(|name| cve.attribute(name)?.split_once('/'));
    let apart = cve.attribute("cvss_score").zip(cve.attribute("cvss_vector"));
    together.chain(apart).filter_map(|(score, vector)| cvss::written(vector, score).ok()).collect()
}
