//! Microsoft's updates: one document names a vulnerability and the KBs that close it, one patch per KB.

use super::Closed;
use super::header::Header;
use super::products::Products;
use crate::DocumentError;
use crate::identity::{self, Vendor};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::reading::Reading;
use crate::text::{clipped, is_plain};
use chrono::Datelike;
use contracts::feeds::PatchFacts;
use contracts::{Cadence, DevicePlatform, FixTarget, RebootBehaviour};
use feeds_domain::severity;
use std::collections::{BTreeMap, BTreeSet};

/// What the document says of one KB.
#[derive(Default)]
struct Update<'a> {
    /// Product name to the build after the update; empty where none is known.
    products: BTreeMap<&'a str, &'a str>,
    cves: BTreeSet<&'a str>,
    restarts: Vec<RebootBehaviour>,
    kind: &'a str,
}

pub(super) fn patches(
    header: &Header,
    products: &Products,
    vulnerabilities: &[Closed],
    reading: &mut Reading,
) -> Result<(), DocumentError> {
    let Some(released) = header.first_released() else {
        return Err(DocumentError::malformed("no release date in `tracking`"));
    };
    let mut updates: BTreeMap<&str, Update<'_>> = BTreeMap::new();
    // Edge, Office click-to-run and Azure Linux: their fixes have words where others have a KB.
    let mut without_kb: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    for vulnerability in vulnerabilities {
        for fix in &vulnerability.fixes {
            let Some(kb) = fix.kb.as_deref() else {
                *without_kb.entry(&fix.details).or_default() += 1;
                continue;
            };
            let (build, kind) = build_and_kind(&fix.details);
            let update = updates.entry(kb).or_default();
            update.cves.extend(vulnerability.cve.as_deref());
            update.restarts.extend(fix.restart);
            if update.kind.is_empty() {
                update.kind = kind;
            }
            for number in &fix.products {
                let Some((name, is_component)) =
                    products.platform(*number).filter(|(name, _)| is_plain(name))
                else {
                    unknown.insert(format!(
                        "{kb}: product {:?} is not in the product tree",
                        products.id(*number)
                    ));
                    continue;
                };
                let known = update.products.entry(name).or_default();
                // A component's build is not the one of what it is installed on.
                if !is_component && numbers(build) > numbers(known) {
                    *known = build;
                }
            }
        }
    }
    for (details, times) in without_kb {
        reading.contents.quarantine(format!("{times} fixes {details:?} have no KB number"));
    }
    for reason in unknown {
        reading.contents.quarantine(reason);
    }
    let own = severity::word(header.severity_text().unwrap_or_default());
    for (kb, update) in updates {
        if update.products.is_empty() {
            reading.contents.quarantine(format!("{kb}: is for no known product"));
            continue;
        }
        if update.products.len() > PATCH_TARGETS_MAX || update.cves.len() > PATCH_CVES_MAX {
            reading
                .contents
                .quarantine(format!("{kb}: more than {PATCH_TARGETS_MAX} products or {PATCH_CVES_MAX} CVEs"));
            continue;
        }
        let released = released.date_naive();
        let kind = if update.kind.is_empty() { "Security Update" } else { update.kind };
        let cves: Vec<String> = update.cves.iter().map(|&cve| cve.to_owned()).collect();
        reading.contents.patch(PatchFacts {
            name: clipped(&format!(
                "{:04}-{:02} {kind} for {} ({kb})",
                released.year(),
                released.month(),
                subject(&update)
            )),
            os_versions: update.products.keys().map(|&name| name.to_owned()).collect(),
            severity: severity::from_word(own),
            vendor_severity: own.to_owned(),
            advisories: cves.clone(),
            cves,
            targets: targets(kb, &update),
            reboot: reboot(&update.restarts),
            url: kb.strip_prefix("KB").map(|number| format!("https://support.microsoft.com/help/{number}")),
            cadence: Cadence::Monthly,
            ..identity::blank(
                reading.feed_id,
                identity::patch_id_for_all(Vendor::Microsoft, kb),
                kb,
                DevicePlatform::Windows,
                released,
            )
        })?;
    }
    Ok(())
}

fn targets(kb: &str, update: &Update<'_>) -> Vec<FixTarget> {
    let target = |(&name, &build): (&&str, &&str)| FixTarget::Kb {
        os: identity::os("windows", name),
        kb: kb.to_owned(),
        fixed_build: (!build.is_empty()).then(|| build.to_owned()),
    };
    update.products.iter().map(target).collect()
}

/// What it is for, short enough for a title.
fn subject(update: &Update<'_>) -> String {
    /// Names that are told in full.
    const NAMED_MAX: usize = 3;
    let named: Vec<&str> = update.products.keys().copied().take(NAMED_MAX).collect();
    match update.products.len().saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `10.0.17763.7009` and `Security Update` of `10.0.17763.7009:Security Update:https://…`.
fn build_and_kind(details: &str) -> (&str, &str) {
    let mut parts = details.splitn(3, ':').map(str::trim);
    let build = parts.next().filter(|build| numbers(build).is_some()).unwrap_or_default();
    let kind = parts.next().filter(|kind| is_plain(kind) && !kind.contains('/')).unwrap_or_default();
    (build, kind)
}

/// `major.minor.build.revision`; other products have other versions, which are no builds.
fn numbers(text: &str) -> Option<[u32; 4]> {
    let mut parts = text.split('.');
    let mut next = || parts.next()?.parse::<u32>().ok();
    let numbers = [next()?, next()?, next()?, next()?];
    parts.next().is_none().then_some(numbers)
}

fn reboot(said: &[RebootBehaviour]) -> RebootBehaviour {
    let is = |wanted| said.contains(&wanted);
    match (is(RebootBehaviour::Always), is(RebootBehaviour::Never)) {
        (true, true) => RebootBehaviour::Maybe,
        (true, false) => RebootBehaviour::Always,
        (false, true) => RebootBehaviour::Never,
        (false, false) => RebootBehaviour::Unknown,
    }
}
