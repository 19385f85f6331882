//! An RPM repository's advisories (`updateinfo.xml`), in the dialects of Fedora, Red Hat and its rebuilds, Amazon, SUSE
//! and the volunteers of `CentOS`.
//!
//! ```text
//! <update type="security" version="2" status="final"> <id>RLSA-2022:7513</id> …
//!     <collection> <package name="xz" epoch="0" version="5.2.5" release="8.el9_0" arch="x86_64"/> …
//! ```
//! An id alone names nothing: publishers repeat it with another version, for a reissue or for other packages.

mod advisory;
mod release;

use crate::DocumentError;
use crate::contents::{Contents, Withdrawal};
use crate::figures::Figures;
use crate::head::Head;
use crate::input::Input;
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, RECORDS_MAX};
use crate::packages::Packages;
use crate::reading::Reading;
use crate::text::cves_in;
use crate::xml::{Node, Tree, Xml};
use advisory::Advisory;
use contracts::VersionOrder;
use contracts::feeds::PatchFacts;
use kernel::PatchId;
use rpm_version::rpm_evr_compare;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Whether a document begins like one. A repository without advisories has an empty list.
pub(crate) fn is(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == "updates")
}

/// Publishers take advisories back under these words.
const WITHDRAWN: &[&str] = &["retracted", "withdrawn", "obsolete", "revoked"];

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.add("advisories", 0);
    reading.figures.lists(&["distinct_ids", "cves_from_references", "cves_anywhere", "fixed_packages_nevra"]);
    reading.figures.tallies(&["types", "severity"]);
    let mut xml = Xml::new(input);
    let mut known = Known::default();
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(element) if xml.depth() == 2 && element.name == "update" => {
                let update = xml.tree(element)?;
                reading.contents.records += 1;
                if reading.contents.records > RECORDS_MAX {
                    return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
                }
                if reading.figures.on() {
                    count(&update, &mut reading.figures);
                }
                take(&update, reading, &mut known)?;
            }
            Node::Open(_) if xml.depth() > 1 => xml.skip()?,
            Node::Open(_) | Node::Close | Node::Text(_) => {}
        }
    }
    Ok(())
}

/// Where each patch is, and the version of the advisory that it is of.
type Known = HashMap<PatchId, (usize, String)>;

fn take(update: &Tree, reading: &mut Reading, known: &mut Known) -> Result<(), DocumentError> {
    let advisory = match Advisory::read(update) {
        Ok(advisory) => advisory,
        Err(reason) => {
            reading.contents.quarantine(reason);
            return Ok(());
        }
    };
    let newest = advisory.updated.max(Some(advisory.issued));
    let contents = &mut reading.contents;
    contents.document_date = contents.document_date.max(newest);
    let status = update.attribute("status").unwrap_or_default().trim().to_ascii_lowercase();
    if WITHDRAWN.contains(&status.as_str()) {
        return contents.withdraw(Withdrawal {
            vendor: advisory.vendor,
            vendor_patch_id: advisory.id,
            reason: format!("its publisher marks it as {status}"),
        });
    }
    match advisory.patches(reading.feed_id) {
        Ok(patches) => {
            for patch in patches {
                add(patch, &advisory.version, contents, known)?;
            }
        }
        Err(reason) => contents.quarantine(reason),
    }
    Ok(())
}

/// Adds a patch, or brings it together with what is known of it: the later version of an advisory replaces the one
/// before it, and two of the same version are parts of one.
fn add(
    patch: PatchFacts,
    version: &str,
    contents: &mut Contents,
    known: &mut Known,
) -> Result<(), DocumentError> {
    let Some((at, known_version)) = known.get_mut(&patch.patch_id) else {
        known.insert(patch.patch_id, (contents.patches.len(), version.to_owned()));
        return contents.patch(patch);
    };
    let Some(before) = contents.patches.get_mut(*at) else { return Ok(()) };
    let patch = match rpm_evr_compare(version, known_version) {
        Ordering::Less => return Ok(()),
        Ordering::Equal => match joined(before, patch) {
            Ok(patch) => patch,
            Err(reason) => {
                contents.quarantine(reason);
                return Ok(());
            }
        },
        Ordering::Greater => patch,
    };
    version.clone_into(known_version);
    contents.replace(*at, patch)
}

fn joined(before: &PatchFacts, patch: PatchFacts) -> Result<PatchFacts, String> {
    let Some(os) = patch.targets.first().map(|target| target.os().clone()) else { return Ok(patch) };
    let mut packages = Packages::new(VersionOrder::Rpm);
    packages.add_targets(&before.targets);
    packages.add_targets(&patch.targets);
    let mut cves = [before.cves.as_slice(), &patch.cves].concat();
    cves.sort();
    cves.dedup();
    if packages.len() > PATCH_TARGETS_MAX || cves.len() > PATCH_CVES_MAX {
        return Err(format!(
            "{}: its parts have more than {PATCH_TARGETS_MAX} packages or {PATCH_CVES_MAX} CVEs",
            patch.vendor_patch_id
        ));
    }
    Ok(PatchFacts { targets: packages.into_targets(&os), cves, ..patch })
}

/// Figures of one advisory: what is anywhere in it, as it is written.
fn count(update: &Tree, figures: &mut Figures) {
    let own = |name: &str| update.child(name).map_or("", |child| child.text.trim());
    figures.add("advisories", 1);
    if !own("id").is_empty() {
        figures.list("distinct_ids", own("id"));
    }
    figures.tally("types", update.attribute("type").unwrap_or("None"));
    figures.tally("severity", own("severity"));
    for name in ["package_elements", "reboot_suggested_elements", "module_elements"] {
        figures.add(name, 0);
    }
    update.walk(&mut |element| match element.name() {
        "reference" => {
            let attribute = |name| element.attribute(name).unwrap_or_default();
            if attribute("type").to_lowercase() == "cve" {
                for cve in cves_in(attribute("id")).chain(cves_in(attribute("title"))) {
                    figures.list("cves_from_references", cve);
                }
            }
            for (_, value) in element.element.attributes() {
                cves_in(value).for_each(|cve| figures.list("cves_anywhere", cve));
            }
        }
        "title" | "description" | "summary" => {
            cves_in(&element.text).for_each(|cve| figures.list("cves_anywhere", cve));
        }
        "package" => {
            let attribute = |name| element.attribute(name).unwrap_or("None");
            let epoch = element.attribute("epoch").filter(|epoch| !epoch.is_empty()).unwrap_or("0");
            let (name, version, release) = (attribute("name"), attribute("version"), attribute("release"));
            let nevra = format!("{name}-{epoch}:{version}-{release}.{}", attribute("arch"));
            figures.add("package_elements", 1);
            figures.list("fixed_packages_nevra", nevra);
        }
        "reboot_suggested" => figures.add("reboot_suggested_elements", 1),
        "module" => figures.add("module_elements", 1),
        _ => {}
    });
}
