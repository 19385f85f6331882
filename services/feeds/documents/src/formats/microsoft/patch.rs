//! A KB as the catalogue has it.

use super::naming::{is_later_build, platform_of, title_of};
use super::texts::{TextId, Texts};
use super::{Days, Restart, Update};
use crate::identity::{self, Vendor};
use chrono::{Datelike, NaiveDate, Weekday};
use contracts::feeds::PatchFacts;
use contracts::{
    Cadence, Classification, DevicePlatform, FixTarget, OutOfBandReason, RebootBehaviour, Severity,
};
use feeds_domain::severity;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet};

/// All that is said of a KB, for these products with their builds.
pub(super) fn facts(
    kb: &str,
    update: &Update,
    products: &BTreeMap<&str, &str>,
    texts: &Texts,
    (released, days): (NaiveDate, Days),
    feed_id: FeedId,
) -> PatchFacts {
    // One target per operating system: a component (`.NET … on Windows Server 2016`) is a target of its platform, and
    // its build is not the platform's.
    let mut builds: BTreeMap<&str, &str> = BTreeMap::new();
    for (&product, &build) in products {
        let platform = platform_of(product);
        let known = builds.entry(platform).or_default();
        if platform == product && is_later_build(build, known) {
            *known = build;
        }
    }
    let sorted = |ids: &BTreeSet<TextId>| {
        let mut sorted: Vec<String> = ids.iter().map(|&id| texts.text(id).to_owned()).collect();
        sorted.sort_unstable();
        sorted
    };
    let (severity, vendor_severity) = severity::highest(update.severities.iter().map(|&id| texts.text(id)));
    let mut supersedes = sorted(&update.supersedes);
    // Some rows say that an update replaces itself.
    supersedes.retain(|older| older != kb);
    let (cadence, out_of_band) = cadence(released, days, update, severity);
    PatchFacts {
        name: title_of(
            kb,
            released,
            &sorted(&update.titles),
            sorted(&update.sub_types).first().map_or("", String::as_str),
            products.keys().copied(),
        ),
        os_versions: builds.keys().map(|&os| os.to_owned()).collect(),
        vendor_severity: vendor_severity.to_owned(),
        severity,
        classification: update.classification.unwrap_or(Classification::Security),
        cves: sorted(&update.cves),
        targets: builds
            .iter()
            .map(|(&os, &build)| FixTarget::Kb {
                os: identity::os("windows", os),
                kb: kb.to_owned(),
                fixed_build: (!build.is_empty()).then(|| build.to_owned()),
            })
            .collect(),
        supersedes,
        reboot: reboot(&update.restarts),
        url: kb.strip_prefix("KB").map(|number| format!("https://support.microsoft.com/help/{number}")),
        advisories: sorted(&update.advisories),
        size_bytes: update.size_bytes,
        cadence,
        out_of_band,
        ..identity::blank(
            feed_id,
            identity::patch_id_for_all(Vendor::Microsoft, kb),
            kb,
            DevicePlatform::Windows,
            released,
        )
    }
}

/// Of two kinds of update, the one for which an update is installed sooner.
pub(super) fn weightier(a: Option<Classification>, b: Option<Classification>) -> Option<Classification> {
    a.into_iter().chain(b).max_by_key(|kind| match kind {
        Classification::Security => 10,
        Classification::Critical => 9,
        Classification::ServicePack => 8,
        Classification::Definition => 7,
        Classification::Firmware => 6,
        Classification::Driver => 5,
        Classification::System => 4,
        Classification::Configuration => 3,
        Classification::Feature => 2,
        Classification::Content => 1,
        Classification::Other => 0,
    })
}

/// Microsoft publishes on the second Tuesday of a month, and whenever something cannot wait.
fn cadence(
    released: NaiveDate,
    days: Days,
    update: &Update,
    severity: Severity,
) -> (Cadence, Option<OutOfBandReason>) {
    if is_second_tuesday(released) && !update.out_of_band {
        return (Cadence::Monthly, None);
    }
    if days == Days::OfAnyChange && !update.out_of_band {
        return (Cadence::Unscheduled, None);
    }
    let closes = !update.cves.is_empty() || severity > Severity::None;
    let reason = if closes { OutOfBandReason::SecurityFix } else { OutOfBandReason::NotSaid };
    (Cadence::OutOfBand, Some(reason))
}

fn is_second_tuesday(day: NaiveDate) -> bool {
    day.weekday() == Weekday::Tue && (8..=14).contains(&day.day())
}

fn reboot(words: &BTreeSet<Restart>) -> RebootBehaviour {
    match (words.first(), words.last()) {
        (None, _) | (_, None) => RebootBehaviour::Unknown,
        (Some(Restart::Yes), Some(_)) => RebootBehaviour::Always,
        (Some(_), Some(Restart::No)) => RebootBehaviour::Never,
        // Products that disagree.
        (Some(_), Some(_)) => RebootBehaviour::Maybe,
    }
}
