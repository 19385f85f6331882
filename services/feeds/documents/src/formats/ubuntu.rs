//! What Ubuntu's notices say, in whatever format: one patch for each release that a notice is for.

use crate::identity::{self, Vendor};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::text::{clipped, is_cve, is_plain};
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, FixTarget, OsRelease, RebootBehaviour, VersionOrder};
use debversion::Version;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet};

/// A notice, apart from what it fixes where.
pub(crate) struct Notice<'a> {
    /// `USN-4011-1`
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    pub(crate) published: NaiveDate,
    /// What to do: the only place where a restart is told.
    pub(crate) instructions: &'a str,
    pub(crate) cves: Vec<String>,
}

/// What a notice fixes in one release.
#[derive(Default)]
pub(crate) struct Fixes<'a> {
    /// Source package to first good version.
    pub(crate) sources: BTreeMap<&'a str, &'a str>,
    /// Binary package to first good version, for notices that name no source packages.
    pub(crate) binaries: BTreeMap<&'a str, &'a str>,
    /// Only devices with a subscription are offered the fix.
    pub(crate) needs_subscription: bool,
}

impl Notice<'_> {
    /// The patch for a release, or why there is none.
    pub(crate) fn patch(
        &self,
        feed_id: FeedId,
        codename: &str,
        os: &OsRelease,
        fixes: &Fixes<'_>,
    ) -> Result<PatchFacts, String> {
        let id = self.id;
        let readable = identity::readable(os);
        let targets = fixes.targets(os)?;
        if targets.len() > PATCH_TARGETS_MAX || self.cves.len() > PATCH_CVES_MAX {
            return Err(format!("more than {PATCH_TARGETS_MAX} packages or {PATCH_CVES_MAX} CVEs"));
        }
        let subscription = if fixes.needs_subscription { " with Ubuntu Pro" } else { "" };
        Ok(PatchFacts {
            name: clipped(&format!("{} for {readable} ({id})", self.title.trim())),
            os_versions: vec![format!("{readable} ({codename}){subscription}")],
            cves: self.cves.clone(),
            targets,
            reboot: reboot(self.instructions),
            url: Some(format!("https://ubuntu.com/security/notices/{id}")),
            advisories: vec![id.to_owned()],
            ..identity::blank(
                feed_id,
                identity::patch_id(Vendor::Ubuntu, id, os),
                id,
                DevicePlatform::Linux,
                self.published,
            )
        })
    }
}

impl Fixes<'_> {
    /// Source packages, and binary ones only where there is none: a source package says the same of all that is built
    /// from it.
    fn targets(&self, os: &OsRelease) -> Result<Vec<FixTarget>, String> {
        let is_version = |version: &str| is_plain(version) && version.parse::<Version>().is_ok();
        let mut targets = Vec::new();
        // The oldest notices name packages without versions: nobody can tell whether those are installed.
        let told = |(_, version): &(&&str, &&str)| !version.is_empty();
        for (&source, &version) in self.sources.iter().filter(told) {
            if !is_plain(source) || !is_version(version) {
                return Err(format!("{source:?} {version:?} is not a package and its version"));
            }
            targets.push(FixTarget::SourcePackage {
                os: os.clone(),
                source: source.to_owned(),
                fixed_version: version.to_owned(),
            });
        }
        if !targets.is_empty() {
            return Ok(targets);
        }
        for (&package, &version) in self.binaries.iter().filter(told) {
            if !is_plain(package) || !is_version(version) {
                return Err(format!("{package:?} {version:?} is not a package and its version"));
            }
            targets.push(FixTarget::BinaryPackage {
                os: os.clone(),
                package: package.to_owned(),
                fixed_version: version.to_owned(),
                order: VersionOrder::Dpkg,
                architectures: Vec::new(),
                module: None,
            });
        }
        if targets.is_empty() { Err("no package with a version".to_owned()) } else { Ok(targets) }
    }
}

/// CVE ids among a notice's references, sorted; the others are bug numbers.
pub(crate) fn cves<'a>(references: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let cves: BTreeSet<&str> = references.into_iter().filter(|reference| is_cve(reference)).collect();
    cves.into_iter().map(str::to_owned).collect()
}

/// Whether a fix comes from a part of the archive that only subscribers reach: `esm-infra`, `esm-apps`.
pub(crate) fn is_for_subscribers(pocket: &str) -> bool {
    pocket.starts_with("esm")
}

/// What the instructions say of restarting: "After a standard system update you need to reboot your computer".
///
/// Any other sentence (a program or session to restart, or "a standard system update will make all the necessary
/// changes") says nothing of the computer.
pub(crate) fn reboot(instructions: &str) -> RebootBehaviour {
    let words: Vec<&str> = instructions.split_whitespace().collect();
    let text = words.join(" ").to_ascii_lowercase();
    if text.contains("may need to reboot") {
        RebootBehaviour::Maybe
    } else if text.contains("you need to reboot") || text.contains("you will need to reboot") {
        RebootBehaviour::Always
    } else {
        RebootBehaviour::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::reboot;
    use contracts::RebootBehaviour;

    #[test]
    fn only_the_sentence_about_the_computer_says_that_it_restarts() {
        for (text, expected) in [
            (
                "After a standard system update you need to reboot your computer to make\nall the necessary changes.",
                RebootBehaviour::Always,
            ),
            ("After a standard system update you need to\nreboot.", RebootBehaviour::Always),
            ("You may need to reboot your computer.", RebootBehaviour::Maybe),
            ("After a standard system update you need to restart your session.", RebootBehaviour::Unknown),
            ("After a standard system update you need to restart Lantern.", RebootBehaviour::Unknown),
            ("You do not need to reboot your computer.", RebootBehaviour::Unknown),
            (
                "In general, a standard system update will make all the necessary changes.",
                RebootBehaviour::Unknown,
            ),
            ("", RebootBehaviour::Unknown),
        ] {
            assert_eq!(reboot(text), expected, "{text:?}");
        }
    }
}
