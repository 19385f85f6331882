//! What Ubuntu's notices say, in whatever format: one patch for each release that a notice is for.

use crate::DocumentError;
use crate::identity::{self, Vendor};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::packages::Packages;
use crate::reading::Reading;
use crate::text::{clipped, is_cve, is_plain};
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, FixTarget, OsRelease, RebootBehaviour, VersionOrder};
use debversion::Version;
use kernel::FeedId;
use std::collections::BTreeSet;

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
    /// Source packages and their first good versions; without one, where it is not told.
    pub(crate) sources: Vec<(&'a str, &'a str)>,
    /// The same of binary packages, for notices that name no source packages.
    pub(crate) binaries: Vec<(&'a str, &'a str)>,
    /// Only devices with a subscription are offered the fix.
    pub(crate) needs_subscription: bool,
}

impl Notice<'_> {
    /// Adds the patch for a release, or the reason why there is none.
    pub(crate) fn add(
        &self,
        codename: &str,
        os: &OsRelease,
        fixes: &Fixes<'_>,
        reading: &mut Reading,
    ) -> Result<(), DocumentError> {
        match self.patch(reading.feed_id, codename, os, fixes) {
            Ok(patch) => reading.contents.patch(patch),
            Err(reason) => {
                reading.contents.quarantine(format!("{} for {codename}: {reason}", self.id));
                Ok(())
            }
        }
    }

    fn patch(
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
        // The oldest notices name packages without versions: nobody can tell whether those are installed.
        let told = |(_, version): &&(&str, &str)| !version.is_empty();
        let mut packages = Packages::new(VersionOrder::Dpkg);
        for (source, version) in self.sources.iter().filter(told) {
            check(source, version)?;
            packages.add_source(source, version);
        }
        if packages.len() == 0 {
            for (package, version) in self.binaries.iter().filter(told) {
                check(package, version)?;
                packages.add(package, None, "", version);
            }
        }
        if packages.len() == 0 {
            return Err("no package with a version".to_owned());
        }
        Ok(packages.into_targets(os))
    }
}

fn check(package: &str, version: &str) -> Result<(), String> {
    if is_plain(package) && is_plain(version) && version.parse::<Version>().is_ok() {
        return Ok(());
    }
    Err(format!("{package:?} {version:?} is not a package and its version"))
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
