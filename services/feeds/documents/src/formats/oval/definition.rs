//! What a definition says of itself: its advisory, releases, severity, day and CVEs.

use crate::dates::{day, instant};
use crate::identity::{Vendor, cpe, is_minor_of, named};
use crate::text::{cves_in, is_plain, web_address};
use crate::xml::Tree;
use chrono::NaiveDate;
use contracts::OsRelease;
use std::collections::BTreeSet;

/// A definition as it is written.
pub(super) struct Definition<'a> {
    pub(super) tree: &'a Tree,
    pub(super) vendor: Option<Vendor>,
}

/// Publishers by the name space of their definitions' ids.
const PUBLISHERS: &[(&str, Vendor)] = &[
    ("com.redhat.", Vendor::RedHat),
    ("org.opensuse.", Vendor::Suse),
    ("com.suse.", Vendor::Suse),
    ("org.suse.", Vendor::Suse),
    ("com.oracle.", Vendor::Oracle),
    ("com.ubuntu.", Vendor::Ubuntu),
    ("org.debian", Vendor::Debian),
    ("org.almalinux.", Vendor::AlmaLinux),
    ("com.microsoft.azurelinux", Vendor::AzureLinux),
    ("com.microsoft.cbl-mariner", Vendor::AzureLinux),
];

/// Advisories of images and containers: no package is fixed by them.
const OF_IMAGES: &[&str] = &["SUSE-IU-", "SUSE-CU-"];

impl<'a> Definition<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        let namespace = namespace(tree);
        let vendor = PUBLISHERS.iter().find(|(prefix, _)| namespace.starts_with(prefix));
        Self { tree, vendor: vendor.map(|(_, vendor)| *vendor) }
    }

    pub(super) fn id(&self) -> &'a str {
        self.tree.attribute("id").unwrap_or_default().trim()
    }

    /// Who says so, in a word.
    pub(super) fn source(&self) -> &'a str {
        match self.vendor {
            Some(vendor) => vendor.word(),
            None => namespace(self.tree),
        }
    }

    pub(super) fn is_patch(&self) -> bool {
        self.tree.attribute("class") == Some("patch")
    }

    pub(super) fn is_vulnerability(&self) -> bool {
        self.tree.attribute("class") == Some("vulnerability")
    }

    /// The advisory that a definition stands for, with its publisher.
    ///
    /// A definition of a vulnerability stands for one only where no other is named: else it is not said which of them
    /// fixed what.
    pub(super) fn advisory(&self) -> Option<(Vendor, &'a str)> {
        let by_form =
            |id: &'a str| Vendor::of_advisory(id).filter(|_| is_plain(id)).map(|vendor| (vendor, id));
        if self.is_patch() {
            let title = self.title().split_whitespace().next().unwrap_or_default().trim_end_matches(':');
            return self.references().find_map(|(id, _)| by_form(id)).or_else(|| by_form(title));
        }
        // What Red Hat, Oracle and Ubuntu say of a vulnerability is what is not fixed, and Debian's tells no day.
        match self.vendor.filter(|_| self.is_vulnerability())? {
            Vendor::AzureLinux => {
                let metadata = self.metadata()?;
                let id = metadata.text_of("advisory_id");
                let is_fixed = metadata.text_of("patchable").eq_ignore_ascii_case("true");
                (is_fixed && is_plain(id)).then_some((Vendor::AzureLinux, id))
            }
            Vendor::Suse => {
                let is_of_packages = |id: &&str| !OF_IMAGES.iter().any(|prefix| id.starts_with(prefix));
                let ids: BTreeSet<&str> =
                    self.references().map(|(id, _)| id).filter(is_of_packages).collect();
                let is_open = self.platforms().all(|platform| platform.starts_with("openSUSE"));
                let (own, other) = if is_open { ("openSUSE-", "SUSE-") } else { ("SUSE-", "openSUSE-") };
                let of = |prefix| ids.iter().copied().filter(|id| id.starts_with(prefix)).collect::<Vec<_>>();
                let own = of(own);
                match if own.is_empty() { of(other) } else { own }[..] {
                    [id] => by_form(id),
                    _ => None,
                }
            }
            Vendor::Microsoft
            | Vendor::Debian
            | Vendor::Ubuntu
            | Vendor::RedHat
            | Vendor::CentOs
            | Vendor::AlmaLinux
            | Vendor::Rocky
            | Vendor::Oracle
            | Vendor::Amazon
            | Vendor::Fedora
            | Vendor::Alpine
            | Vendor::Wolfi
            | Vendor::Dell
            | Vendor::Lenovo
            | Vendor::AzureStack => None,
        }
    }

    pub(super) fn title(&self) -> &'a str {
        self.metadata().map_or("", |metadata| metadata.text_of("title"))
    }

    /// Where people read of an advisory.
    pub(super) fn url(&self, advisory: &str) -> Option<&'a str> {
        let (_, reference) = self.references().find(|(id, _)| *id == advisory)?;
        web_address(reference.attribute("ref_url")?)
    }

    /// Releases that it is for; those that are not known here are left out.
    pub(super) fn releases(&self) -> BTreeSet<OsRelease> {
        self.platforms().filter_map(named).collect()
    }

    /// Minor releases that it is for alone: Red Hat names them by CPE, and the major one by its name.
    pub(super) fn minors(&self) -> BTreeSet<OsRelease> {
        let lists = self.metadata().into_iter().flat_map(|metadata| metadata.all("advisory"));
        let lists = lists.flat_map(|advisory| advisory.all("affected_cpe_list"));
        let cpes = lists.flat_map(|list| list.all("cpe"));
        let named: BTreeSet<OsRelease> = cpes.filter_map(|cpe| cpe::release(&cpe.text)).collect();
        let is_alone = |release: &OsRelease| !named.iter().any(|other| is_minor_of(release, other));
        named.iter().filter(|release| is_alone(release)).cloned().collect()
    }

    /// Source packages that Debian says it is for.
    pub(super) fn products(&self) -> impl Iterator<Item = &'a str> {
        self.affected().flat_map(|affected| affected.all("product")).map(|product| product.text.trim())
    }

    /// The vendor's word: the first one that there is.
    pub(super) fn severity(&self) -> &'a str {
        let mut word = None;
        self.tree.walk(&mut |element| {
            if element.name() == "severity" && word.is_none() {
                word = Some(element.text.trim());
            }
        });
        word.unwrap_or_default()
    }

    /// Day of first publication.
    pub(super) fn issued(&self) -> Option<NaiveDate> {
        let metadata = self.metadata()?;
        let issued = metadata.child("advisory").and_then(|advisory| advisory.child("issued"));
        let debian = metadata.child("debian").map(|debian| debian.text_of("date"));
        let read = |text: &str| day(text, &["%Y-%m-%d"]).or_else(|| Some(instant(text)?.date_naive()));
        issued
            .and_then(|issued| issued.attribute("date"))
            .and_then(read)
            .or_else(|| debian.and_then(read))
            .or_else(|| read(metadata.text_of("advisory_date")))
    }

    /// Whether its text says that a restart is needed.
    pub(super) fn says_reboot(&self) -> bool {
        let description = self.metadata().map_or("", |metadata| metadata.text_of("description"));
        description.contains("need to reboot")
    }

    /// CVEs by reference.
    pub(super) fn referred_cves(&self) -> impl Iterator<Item = &'a str> {
        self.references().flat_map(|(id, _)| cves_in(id))
    }

    /// Elements that describe one CVE each.
    pub(super) fn cve_elements(&self) -> impl Iterator<Item = &'a Tree> {
        let advisories = self.metadata().into_iter().flat_map(|metadata| metadata.all("advisory"));
        advisories.flat_map(|advisory| advisory.all("cve"))
    }

    fn metadata(&self) -> Option<&'a Tree> {
        self.tree.child("metadata")
    }

    fn affected(&self) -> impl Iterator<Item = &'a Tree> {
        self.metadata().into_iter().flat_map(|metadata| metadata.all("affected"))
    }

    fn platforms(&self) -> impl Iterator<Item = &'a str> {
        self.affected().flat_map(|affected| affected.all("platform")).map(|platform| platform.text.trim())
    }

    fn references(&self) -> impl Iterator<Item = (&'a str, &'a Tree)> {
        let references = self.metadata().into_iter().flat_map(|metadata| metadata.all("reference"));
        references.filter_map(|reference| Some((reference.attribute("ref_id")?.trim(), reference)))
    }
}

/// `com.redhat.rhsa` of `oval:com.redhat.rhsa:def:20190966`
fn namespace(definition: &Tree) -> &str {
    definition
        .attribute("id")
        .and_then(|id| id.split(':').nth(1))
        .filter(|name| is_plain(name))
        .unwrap_or_default()
}
