//! Patches of which the packages are not known yet, and how they become patches when they are.

use super::checks::{Checks, Key};
use super::criteria::{self, Context};
use super::definition::Definition;
use crate::DocumentError;
use crate::contents::Contents;
use crate::identity::{self, Vendor, of_dist_tag, without_zero_epoch};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, PATCHES_MAX};
use crate::packages::Packages;
use crate::text::{clipped, cves_in};
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, OsRelease, RebootBehaviour, Severity};
use feeds_domain::severity;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An advisory, with references in place of its packages.
struct Draft {
    vendor: Vendor,
    id: String,
    title: String,
    url: Option<String>,
    issued: NaiveDate,
    severity: Severity,
    vendor_severity: String,
    reboot: RebootBehaviour,
    cves: BTreeSet<String>,
    /// Source packages, where the publisher names them.
    sources: BTreeSet<String>,
    /// Tests, and where each counts.
    tests: Vec<(Key, u32)>,
    /// A definition of the advisory itself was there; otherwise it is only known by vulnerabilities that it fixes.
    is_patch: bool,
}

/// Advisories of a document.
#[derive(Default)]
pub(super) struct Drafts {
    list: Vec<Draft>,
    by_id: HashMap<String, usize>,
    contexts: Vec<Context>,
    contexts_at: HashMap<Context, u32>,
}

/// Contexts of a document: a release, an architecture and a module stream each; real ones have some hundreds.
const CONTEXTS_MAX: usize = 20_000;
/// Memory of a draft and of a CVE in one.
const DRAFT_BYTES: usize = 500;
const CVE_BYTES: usize = 64;
/// Memory of a context with its texts.
const CONTEXT_BYTES: usize = 1_000;

impl Drafts {
    pub(super) fn take(
        &mut self,
        definition: &Definition<'_>,
        checks: &mut Checks,
        contents: &mut Contents,
    ) -> Result<(), DocumentError> {
        let Some((vendor, id)) = definition.advisory() else {
            if definition.is_patch() {
                contents
                    .quarantine(format!("{}: its advisory is of no publisher known here", definition.id()));
            }
            return Ok(());
        };
        let Some(issued) = definition.issued() else {
            contents.quarantine(format!("{id}: it has no date"));
            return Ok(());
        };
        let cves: BTreeSet<&str> = definition
            .referred_cves()
            .chain(definition.cve_elements().flat_map(|element| cves_in(&element.text)))
            .collect();
        if cves.len() > PATCH_CVES_MAX {
            contents.quarantine(format!("{id}: it has more than {PATCH_CVES_MAX} CVEs"));
            return Ok(());
        }
        let at = self.at(definition, vendor, id, issued, contents)?;
        let mut tests = Vec::new();
        criteria::walk(
            definition.tree,
            definition.releases(),
            &definition.minors(),
            &mut |test, context| {
                let context = self.context(context, contents)?;
                contents.hold(size_of::<(Key, u32)>())?;
                tests.push((checks.want(test, contents)?, context));
                Ok::<_, DocumentError>(())
            },
        )?;
        let Some(draft) = self.list.get_mut(at) else { return Ok(()) };
        // A definition of the advisory itself knows better than those of single vulnerabilities.
        if draft.is_patch && !definition.is_patch() {
            return Ok(());
        }
        draft.issued = draft.issued.min(issued);
        let words = [draft.vendor_severity.as_str(), definition.severity()];
        let (highest, word) = severity::highest(words);
        (draft.severity, draft.vendor_severity) = (highest, word.to_owned());
        if definition.says_reboot() {
            draft.reboot = RebootBehaviour::Always;
        }
        contents.hold(cves.len() * CVE_BYTES)?;
        draft.cves.extend(cves.into_iter().map(str::to_owned));
        if vendor == Vendor::Debian {
            draft.sources.extend(definition.products().map(clipped));
        }
        draft.tests.extend(tests);
        draft.tests.shrink_to_fit();
        Ok(())
    }

    /// The place of the advisory's draft, which is begun where there is none yet.
    fn at(
        &mut self,
        definition: &Definition<'_>,
        vendor: Vendor,
        id: &str,
        issued: NaiveDate,
        contents: &mut Contents,
    ) -> Result<usize, DocumentError> {
        let known = self.by_id.get(id).copied();
        let replaces = |at: usize| definition.is_patch() && self.list.get(at).is_some_and(|it| !it.is_patch);
        if let Some(at) = known.filter(|at| !replaces(*at)) {
            return Ok(at);
        }
        if self.list.len() >= PATCHES_MAX {
            return Err(DocumentError::TooManyRecords { limit: PATCHES_MAX });
        }
        contents.hold(DRAFT_BYTES)?;
        let title = definition.title().split_whitespace().collect::<Vec<_>>().join(" ");
        let draft = Draft {
            vendor,
            id: id.to_owned(),
            title: clipped(&title),
            url: definition.url(id).map_or_else(|| url(vendor, id), |url| Some(url.to_owned())),
            issued,
            severity: Severity::Unknown,
            vendor_severity: String::new(),
            reboot: RebootBehaviour::Unknown,
            cves: BTreeSet::new(),
            sources: BTreeSet::new(),
            tests: Vec::new(),
            is_patch: definition.is_patch(),
        };
        let at = known.unwrap_or(self.list.len());
        match self.list.get_mut(at) {
            Some(before) => *before = draft,
            None => self.list.push(draft),
        }
        self.by_id.insert(id.to_owned(), at);
        Ok(at)
    }

    fn context(&mut self, context: &Context, contents: &mut Contents) -> Result<u32, DocumentError> {
        if let Some(at) = self.contexts_at.get(context) {
            return Ok(*at);
        }
        contents.hold(CONTEXT_BYTES)?;
        let at = u32::try_from(self.contexts.len()).unwrap_or(u32::MAX);
        if self.contexts.len() >= CONTEXTS_MAX {
            return Err(DocumentError::TooManyRecords { limit: CONTEXTS_MAX });
        }
        self.contexts.push(context.clone());
        self.contexts_at.insert(context.clone(), at);
        Ok(at)
    }

    /// All advisories as patches, now that every test has been read.
    pub(super) fn finish(
        self,
        checks: &Checks,
        feed_id: FeedId,
        contents: &mut Contents,
    ) -> Result<(), DocumentError> {
        for draft in self.list {
            let releases = match draft.releases(&self.contexts, checks) {
                Ok(releases) => releases,
                Err(reason) => {
                    contents.quarantine(reason);
                    continue;
                }
            };
            if releases.is_empty() && draft.is_patch {
                contents.quarantine(format!("{}: it names no package of a release that is known", draft.id));
            }
            for (os, packages) in releases {
                contents.patch(draft.patch(&os, packages, feed_id))?;
            }
        }
        Ok(())
    }
}

impl Draft {
    /// Packages by the release that they are for.
    fn releases(
        &self,
        contexts: &[Context],
        checks: &Checks,
    ) -> Result<BTreeMap<OsRelease, Packages>, String> {
        let order = self.vendor.version_order();
        let mut releases: BTreeMap<OsRelease, Packages> = BTreeMap::new();
        for (test, context) in &self.tests {
            let Some(fixed) = checks.fixed(*test).filter(|fixed| !fixed.packages.is_empty()) else {
                continue;
            };
            let Some(context) = contexts.get(*context as usize) else { continue };
            let version = without_zero_epoch(fixed.version);
            // Debian's way to say that a release never had the fault.
            if version == "0" {
                continue;
            }
            let tagged = || of_dist_tag(self.vendor, version.rsplit('-').next()?);
            let of_tag: Option<OsRelease> = if context.releases.is_empty() { tagged() } else { None };
            let mut architectures = fixed.architectures;
            if architectures.is_empty() {
                architectures.extend(context.architectures.iter().map(String::as_str));
            }
            if architectures.is_empty() {
                architectures.push("");
            }
            for os in context.releases.iter().chain(&of_tag) {
                let packages = releases.entry(os.clone()).or_insert_with(|| Packages::new(order));
                for package in &fixed.packages {
                    if self.sources.contains(*package) {
                        packages.add_source(package, version);
                        continue;
                    }
                    for architecture in &architectures {
                        packages.add(package, context.module.as_deref(), architecture, version);
                    }
                }
                if packages.len() > PATCH_TARGETS_MAX {
                    return Err(format!("{}: it has more than {PATCH_TARGETS_MAX} packages", self.id));
                }
            }
        }
        Ok(releases)
    }

    fn patch(&self, os: &OsRelease, packages: Packages, feed_id: FeedId) -> PatchFacts {
        let id = &self.id;
        let name = if self.title.contains(id) {
            self.title.clone()
        } else {
            clipped(format!("{} for {} ({id})", self.title, identity::readable(os)).trim_start())
        };
        PatchFacts {
            name,
            os_versions: vec![identity::readable(os)],
            vendor_severity: self.vendor_severity.clone(),
            severity: self.severity,
            classification: identity::classification(id),
            cves: self.cves.iter().cloned().collect(),
            targets: packages.into_targets(os),
            reboot: self.reboot,
            url: self.url.clone(),
            advisories: vec![id.clone()],
            ..identity::blank(
                feed_id,
                identity::patch_id(self.vendor, id, os),
                id,
                DevicePlatform::Linux,
                self.issued,
            )
        }
    }
}

/// Debian refers to no page of an advisory; its tracker has one for each.
fn url(vendor: Vendor, id: &str) -> Option<String> {
    (vendor == Vendor::Debian).then(|| format!("https://security-tracker.debian.org/tracker/{id}"))
}
