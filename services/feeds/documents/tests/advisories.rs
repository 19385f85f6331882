//! The same advisory is the same patches, whichever of its formats is read.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use contracts::FixTarget;
use feeds_documents::identity::{Vendor, os, patch_id};
use feeds_documents::{Options, read};
use kernel::{FeedId, PatchId};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Cursor;

/// An advisory of Red Hat, as each of its formats could tell it.
#[derive(Debug, Clone)]
struct Advisory {
    number: u16,
    /// The minor release of an extended stream, with the stream's names in a CPE and in a product's name.
    stream: Option<(&'static str, &'static str, &'static str)>,
    cves: BTreeSet<u16>,
    builds: BTreeSet<Build>,
}

/// One build of a package. Numbers are compared as numbers: that is what the versions made of them must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Build {
    package: &'static str,
    architecture: &'static str,
    epoch: u8,
    version: u8,
    release: u8,
}

impl Build {
    fn rank(&self) -> (u8, u8, u8) {
        (self.epoch, self.version, self.release)
    }

    fn evr(&self) -> String {
        format!("{}:1.{}-{}.el9_2", self.epoch, self.version, self.release)
    }

    /// As it is shown: an epoch of zero is none.
    fn shown(&self) -> String {
        self.evr().trim_start_matches("0:").to_owned()
    }
}

impl Advisory {
    fn id(&self) -> String {
        format!("RHSA-2031:{:04}", self.number)
    }

    fn release(&self) -> &'static str {
        self.stream.map_or("9", |(_, _, minor)| minor)
    }

    fn cpe(&self) -> String {
        match self.stream {
            Some((product, _, minor)) => format!("{product}:{minor}"),
            None => "enterprise_linux:9".to_owned(),
        }
    }

    fn cves(&self) -> impl Iterator<Item = String> {
        self.cves.iter().map(|number| format!("CVE-2031-{number:04}"))
    }

    /// `lantern 1.2-3.el9_2 [aarch64,x86_64]`, by a rule that is as simple as the sentence: for each processor the
    /// highest version, and one target for all processors that have the same.
    fn targets(&self, with_architectures: bool) -> BTreeSet<String> {
        let mut highest: BTreeMap<(&str, &str), &Build> = BTreeMap::new();
        for build in &self.builds {
            let is_for_all = build.architecture == "noarch" || !with_architectures;
            let architecture = if is_for_all { "" } else { build.architecture };
            let known = highest.entry((build.package, architecture)).or_insert(build);
            if build.rank() > known.rank() {
                *known = build;
            }
        }
        let mut together: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
        for ((package, architecture), build) in highest {
            together.entry((package, build.shown())).or_default().insert(architecture);
        }
        let shown = |((package, version), architectures): ((&str, String), BTreeSet<&str>)| {
            let all: Vec<&str> = architectures.iter().copied().collect();
            let all = if architectures.contains("") { String::new() } else { all.join(",") };
            format!("{package} {version} [{all}]")
        };
        together.into_iter().map(shown).collect()
    }
}

fn csaf(advisory: &Advisory) -> String {
    let platform = json!({"category": "product_name", "name": "Red Hat Enterprise Linux", "product": {
        "product_id": "BaseOS", "name": "Red Hat Enterprise Linux BaseOS",
        "product_identification_helper": {"cpe": format!("cpe:/o:redhat:{}::baseos", advisory.cpe())},
    }});
    let id = |build: &Build| format!("{}-{}.{}", build.package, build.evr(), build.architecture);
    let package = |build: &Build| {
        let Build { package, architecture, epoch, version, release } = build;
        let purl =
            format!("pkg:rpm/redhat/{package}@1.{version}-{release}.el9_2?arch={architecture}&epoch={epoch}");
        json!({"category": "product_version", "name": id(build), "product": {
            "product_id": id(build), "name": id(build), "product_identification_helper": {"purl": purl},
        }})
    };
    let relationship = |build: &Build| {
        json!({
            "category": "default_component_of",
            "full_product_name": {"product_id": format!("BaseOS:{}", id(build)), "name": "as a component"},
            "product_reference": id(build),
            "relates_to_product_reference": "BaseOS",
        })
    };
    let builds = || advisory.builds.iter();
    let branches: Vec<Value> = std::iter::once(platform).chain(builds().map(package)).collect();
    let fixed: Vec<String> = builds().map(|build| format!("BaseOS:{}", id(build))).collect();
    let vulnerabilities: Vec<Value> =
        advisory.cves().map(|cve| json!({"cve": cve, "product_status": {"fixed": fixed}})).collect();
    json!({
        "document": {
            "category": "csaf_security_advisory", "csaf_version": "2.0",
            "title": "Red Hat Security Advisory: lantern security update",
            "aggregate_severity": {"text": "Important"},
            "publisher": {"category": "vendor", "name": "Red Hat", "namespace": "https://www.redhat.com"},
            "tracking": {"id": advisory.id(), "status": "final", "version": "1",
                "initial_release_date": "2031-03-04T05:06:07Z", "current_release_date": "2031-03-04T05:06:07Z"},
        },
        "product_tree": {
            "branches": [{"category": "vendor", "name": "Red Hat", "branches": branches}],
            "relationships": builds().map(relationship).collect::<Vec<_>>(),
        },
        "vulnerabilities": vulnerabilities,
    })
    .to_string()
}

fn osv(advisory: &Advisory) -> String {
    let affected = |build: &Build| {
        json!({
            "package": {"ecosystem": format!("Red Hat:{}::baseos", advisory.cpe()), "name": build.package},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": build.evr()}]}],
        })
    };
    json!({
        "schema_version": "1.7.0", "id": advisory.id(),
        "published": "2031-03-04T05:06:07Z", "modified": "2031-03-05T05:06:07Z",
        "summary": "Red Hat Security Advisory: lantern security update",
        "upstream": advisory.cves().collect::<Vec<_>>(),
        "affected": advisory.builds.iter().map(affected).collect::<Vec<_>>(),
        "references": [{"type": "ARTICLE",
            "url": "https://access.redhat.com/security/updates/classification/#important"}],
    })
    .to_string()
}

fn oval(advisory: &Advisory) -> String {
    let (mut criterions, mut tests, mut objects, mut states) =
        (String::new(), String::new(), String::new(), String::new());
    for (at, build) in advisory.builds.iter().enumerate() {
        let (package, evr) = (build.package, build.evr());
        write!(
            criterions,
            "<criterion comment='{package} is earlier than {evr}' test_ref='oval:t:tst:{at}'/>"
        )
        .unwrap();
        write!(
            tests,
            "<rpminfo_test id='oval:t:tst:{at}'><object object_ref='oval:t:obj:{at}'/><state state_ref='oval:t:ste:{at}'/></rpminfo_test>"
        )
        .unwrap();
        write!(objects, "<rpminfo_object id='oval:t:obj:{at}'><name>{package}</name></rpminfo_object>")
            .unwrap();
        let architecture = match build.architecture {
            "noarch" => String::new(),
            other => format!("<arch operation='pattern match'>{other}</arch>"),
        };
        write!(
            states,
            "<rpminfo_state id='oval:t:ste:{at}'>{architecture}<evr operation='less than'>{evr}</evr></rpminfo_state>"
        )
        .unwrap();
    }
    let cves: String = advisory
        .cves()
        .map(|cve| format!("<reference source='CVE' ref_id='{cve}' ref_url='https://example.org/{cve}'/>"))
        .collect::<Vec<_>>()
        .concat();
    let id = advisory.id();
    let cpe = advisory.cpe();
    format!(
        "<oval_definitions><definitions><definition class='patch' id='oval:com.redhat.rhsa:def:20310001'><metadata>\
         <title>{id}: lantern security update (Important)</title>\
         <affected family='unix'><platform>Red Hat Enterprise Linux 9</platform></affected>\
         <reference source='RHSA' ref_id='{id}' ref_url='https://access.redhat.com/errata/{id}'/>{cves}\
         <advisory from='secalert@redhat.com'><severity>Important</severity><issued date='2031-03-04'/>\
         <affected_cpe_list><cpe>cpe:/o:redhat:{cpe}</cpe><cpe>cpe:/o:redhat:{cpe}::baseos</cpe></affected_cpe_list>\
         </advisory></metadata><criteria operator='AND'>\
         <criterion comment='Red Hat Enterprise Linux 9 is installed' test_ref='oval:t:tst:999'/>\
         <criteria operator='OR'>{criterions}</criteria></criteria></definition></definitions>\
         <tests>{tests}</tests><objects>{objects}</objects><states>{states}</states></oval_definitions>"
    )
}

fn updateinfo(advisory: &Advisory) -> String {
    let id = advisory.id();
    let repository = match advisory.stream {
        Some((_, word, minor)) => {
            format!("rhel-9-for-x86_64-baseos-{word}-rpms__{}", minor.replace('.', "_DOT_"))
        }
        None => "rhel-9-for-x86_64-baseos-rpms".to_owned(),
    };
    let cves: String =
        advisory.cves().map(|cve| format!("<reference type='cve' id='{cve}'/>")).collect::<Vec<_>>().concat();
    let package = |build: &Build| {
        let Build { package, architecture, epoch, version, release } = build;
        format!(
            "<package name='{package}' epoch='{epoch}' version='1.{version}' release='{release}.el9_2' arch='{architecture}'/>"
        )
    };
    let packages: String = advisory.builds.iter().map(package).collect();
    format!(
        "<updates><update from='release-engineering@redhat.com' status='final' type='security' version='1'><id>{id}</id>\
         <title>lantern security update</title><issued date='2031-03-04 05:06:07'/><severity>Important</severity>\
         <references>{cves}</references><pkglist><collection short='{repository}'><name>{repository}</name>{packages}\
         </collection></pkglist></update></updates>"
    )
}

/// What must not depend on the format.
#[derive(Debug, PartialEq)]
struct Patch {
    id: PatchId,
    vendor_patch_id: String,
    day: String,
    cves: Vec<String>,
    severity: contracts::Severity,
    targets: BTreeSet<String>,
}

fn patch(document: &str) -> Patch {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: false,
    };
    let contents = read(Cursor::new(document.as_bytes()), options).unwrap().contents;
    let [patch] = &contents.patches[..] else { panic!("{document}\n{contents:#?}") };
    let shown = |target: &FixTarget| {
        let FixTarget::BinaryPackage { package, fixed_version, architectures, .. } = target else {
            panic!("{target:?}")
        };
        format!("{package} {fixed_version} [{}]", architectures.join(","))
    };
    let targets: BTreeSet<String> = patch.targets.iter().map(shown).collect();
    assert_eq!(targets.len(), patch.targets.len(), "a target is there twice: {patch:#?}");
    Patch {
        id: patch.patch_id,
        vendor_patch_id: patch.vendor_patch_id.clone(),
        day: patch.release_date.to_string(),
        cves: patch.cves.clone(),
        severity: patch.severity,
        targets,
    }
}

fn build() -> impl Strategy<Value = Build> {
    let packages = prop::sample::select(vec!["lantern", "lantern-libs", "kettle"]);
    let architectures = prop::sample::select(vec!["x86_64", "aarch64", "i686", "noarch"]);
    (packages, architectures, 0..3_u8, 8..12_u8, 8..12_u8).prop_map(
        |(package, architecture, epoch, version, release)| Build {
            package,
            architecture,
            epoch,
            version,
            release,
        },
    )
}

fn advisory() -> impl Strategy<Value = Advisory> {
    let streams = vec![
        None,
        Some(("rhel_eus", "eus", "9.2")),
        Some(("rhel_e4s", "e4s", "9.0")),
        Some(("rhel_aus", "aus", "9.4")),
    ];
    let stream = prop::sample::select(streams);
    let cves = prop::collection::btree_set(1000..1999_u16, 1..4);
    let builds = prop::collection::btree_set(build(), 1..12);
    (0..9999_u16, stream, cves, builds).prop_map(|(number, stream, cves, builds)| Advisory {
        number,
        stream,
        cves,
        builds,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_format_of_an_advisory_means_the_same_patch(advisory in advisory()) {
        let id = advisory.id();
        let mut wanted = Patch {
            id: patch_id(Vendor::RedHat, &id, &os("rhel", advisory.release())),
            vendor_patch_id: id,
            day: "2031-03-04".to_owned(),
            cves: advisory.cves().collect(),
            severity: contracts::Severity::High,
            targets: advisory.targets(true),
        };
        for document in [csaf(&advisory), oval(&advisory), updateinfo(&advisory)] {
            prop_assert_eq!(&patch(&document), &wanted, "{}", document);
        }
        // OSV tells no processors.
        wanted.targets = advisory.targets(false);
        let document = osv(&advisory);
        prop_assert_eq!(patch(&document), wanted, "{}", document);
    }
}
