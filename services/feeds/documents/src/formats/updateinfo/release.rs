//! Which releases an advisory of a repository is for.

use crate::identity::{self, Vendor, named, of_dist_tag};
use contracts::OsRelease;

/// Who publishes, by the address that an update comes from; tried where its id does not tell.
const SENDERS: &[(&str, Vendor)] = &[
    ("redhat.com", Vendor::RedHat),
    ("almalinux.org", Vendor::AlmaLinux),
    ("rockylinux.org", Vendor::Rocky),
    ("oracle.com", Vendor::Oracle),
    ("amazon.com", Vendor::Amazon),
    ("fedoraproject.org", Vendor::Fedora),
    ("suse.de", Vendor::Suse),
    ("suse.com", Vendor::Suse),
    ("opensuse.org", Vendor::Suse),
    ("centos.org", Vendor::CentOs),
];

/// Who publishes for a distribution.
const DISTRIBUTIONS: &[(&str, Vendor)] = &[
    ("rhel", Vendor::RedHat),
    ("almalinux", Vendor::AlmaLinux),
    ("rocky", Vendor::Rocky),
    ("ol", Vendor::Oracle),
    ("amzn", Vendor::Amazon),
    ("fedora", Vendor::Fedora),
    ("opensuse", Vendor::Suse),
    ("opensuse-leap", Vendor::Suse),
    ("opensuse-tumbleweed", Vendor::Suse),
    ("leap-micro", Vendor::Suse),
    ("sles", Vendor::Suse),
    ("sles_sap", Vendor::Suse),
    ("sled", Vendor::Suse),
    ("centos", Vendor::CentOs),
    ("azurelinux", Vendor::AzureLinux),
    ("mariner", Vendor::AzureLinux),
];

/// Distributions that take Fedora's extra packages (EPEL): they are built on Enterprise Linux for all of its rebuilds.
const EPEL: &[&str] = &["almalinux", "centos", "ol", "rhel", "rocky"];

/// Who publishes an update: by its id, its sender, or the release that it names.
pub(super) fn vendor(id: &str, from: &str, stated: Option<&OsRelease>) -> Option<Vendor> {
    let sender = || {
        let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
        let is_of = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|sub| sub.ends_with('.'));
        SENDERS.iter().find(|(of, _)| is_of(of)).map(|(_, vendor)| *vendor)
    };
    let distribution = || {
        let os = stated?;
        DISTRIBUTIONS.iter().find(|(id, _)| *id == os.id).map(|(_, vendor)| *vendor)
    };
    Vendor::of_advisory(id).or_else(sender).or_else(distribution)
}

/// The releases that a package is for.
pub(super) fn of_package(
    vendor: Vendor,
    id: &str,
    stated: Option<&OsRelease>,
    rpm_release: &str,
) -> Vec<OsRelease> {
    if id.starts_with("FEDORA-EPEL-") {
        // Whichever rebuild is asked, the tag is the same.
        let built_for = of_dist_tag(Vendor::RedHat, rpm_release);
        let every = |os: OsRelease| EPEL.iter().map(|id| identity::os(id, &os.version)).collect();
        return built_for.map(every).unwrap_or_default();
    }
    let tag = || of_dist_tag(vendor, rpm_release);
    // CentOS' volunteers put the packages of all releases into each advisory, and state one of them.
    let of_tag_first = vendor == Vendor::CentOs;
    let stated = || stated.cloned();
    let found = if of_tag_first { tag().or_else(stated) } else { stated().or_else(tag) };
    found.into_iter().collect()
}

/// The release that an update names: in its own words, or by the name of the repository that its packages are in.
pub(super) fn stated<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<OsRelease> {
    names.into_iter().find_map(named)
}
