//! Alpine: what packages were built from, in the order of apk.

use crate::{Case, Catalogue, document};
use contracts::VersionOrder;

#[test]
fn alpine_is_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "below both fixes",
            os: "alpine 3.16.2",
            packages: &["lantern 3.1.2_p3-r0 x86_64"],
            missing: &["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0"],
            installed: &[],
        },
        Case {
            about: "equal to the first one",
            os: "alpine 3.16.2",
            packages: &["lantern 3.1.2_p3-r1 x86_64"],
            missing: &["lantern-3.9.8-r0"],
            installed: &["lantern-3.1.2_p3-r1"],
        },
        Case {
            about: "equal to the second one",
            os: "alpine 3.16.2",
            packages: &["lantern 3.9.8-r0 x86_64"],
            missing: &[],
            installed: &["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0"],
        },
        Case {
            about: "a version before its patch level",
            os: "alpine 3.16.2",
            packages: &["lantern 3.1.2-r5 x86_64"],
            missing: &["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0"],
            installed: &[],
        },
        Case {
            about: "a higher patch level",
            os: "alpine 3.16.2",
            packages: &["lantern 3.1.2_p10-r0 x86_64"],
            missing: &["lantern-3.9.8-r0"],
            installed: &["lantern-3.1.2_p3-r1"],
        },
        Case {
            about: "a candidate is below its release",
            os: "alpine 3.16.2",
            packages: &["lantern 3.9.8_rc1-r9 x86_64"],
            missing: &["lantern-3.9.8-r0"],
            installed: &["lantern-3.1.2_p3-r1"],
        },
        Case {
            about: "a letter is above the release",
            os: "alpine 3.16.2",
            packages: &["lantern 3.9.8a-r0 x86_64"],
            missing: &[],
            installed: &["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0"],
        },
        Case {
            about: "above, by a number that is below as a text",
            os: "alpine 3.16.2",
            packages: &["lantern 3.10.0-r0 x86_64"],
            missing: &[],
            installed: &["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0"],
        },
        Case {
            about: "a higher revision",
            os: "alpine 3.16.2",
            packages: &["lantern 3.9.8-r11 x86_64"],
            missing: &[],
            installed: &["lantern-3.1.2_p3-r1", "lantern-3.9.8-r0"],
        },
        Case {
            about: "what was built from it counts",
            os: "alpine 3.16.2",
            packages: &["liblantern 3.9.7-r3 x86_64 source=lantern"],
            missing: &["lantern-3.9.8-r0"],
            installed: &["lantern-3.1.2_p3-r1"],
        },
        Case {
            about: "a package of the same name of another origin",
            os: "alpine 3.16.2",
            packages: &["lantern 0.1-r0 x86_64 source=lantern-fork"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "another branch",
            os: "alpine 3.17.0",
            packages: &["lantern 0.1-r0 x86_64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "the branch that rolls is another one",
            os: "alpine 3.17.0_alpha20220809",
            packages: &["lantern 0.1-r0 x86_64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "another architecture is judged alike",
            os: "alpine 3.16.2",
            packages: &["tea-server 1.12-r9 aarch64"],
            missing: &["tea-server-1.13-r0"],
            installed: &[],
        },
        Case {
            about: "a fix without a CVE is one",
            os: "alpine 3.16.2",
            packages: &["tea-server 1.13-r0 x86_64"],
            missing: &[],
            installed: &["tea-server-1.13-r0"],
        },
        Case {
            about: "not installed",
            os: "alpine 3.16.2",
            packages: &["musl 1.2.3-r0 x86_64"],
            missing: &[],
            installed: &[],
        },
    ];
    Catalogue::of(&[document("alpine-secdb.json")]).agrees_with("Alpine", VersionOrder::Apk, &cases);
}
