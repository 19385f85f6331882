//! Debian: source packages in the order of dpkg, and later advisories that replace earlier ones.

use crate::{Case, Catalogue, document};
use contracts::VersionOrder;

#[test]
fn debian_is_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "below two advisories of which the later one replaces the earlier",
            os: "debian 12",
            packages: &["lantern 2:3.9.8-1+deb12u2 amd64"],
            missing: &["DSA-9004-1"],
            installed: &[],
        },
        Case {
            about: "equal to the earlier one",
            os: "debian 12",
            packages: &["lantern 2:3.9.8-1+deb12u3 amd64"],
            missing: &["DSA-9004-1"],
            installed: &["DSA-9002-1"],
        },
        Case {
            about: "equal to the later one",
            os: "debian 12",
            packages: &["lantern 2:3.9.8-1+deb12u4 amd64"],
            missing: &[],
            installed: &["DSA-9002-1", "DSA-9004-1"],
        },
        Case {
            about: "above, by a number that is below as a text",
            os: "debian 12",
            packages: &["lantern 2:3.9.8-1+deb12u10 amd64"],
            missing: &[],
            installed: &["DSA-9002-1", "DSA-9004-1"],
        },
        Case {
            about: "a lower epoch is below whatever follows it",
            os: "debian 12",
            packages: &["lantern 9.0-1 amd64"],
            missing: &["DSA-9004-1"],
            installed: &[],
        },
        Case {
            about: "a higher epoch is above whatever follows it",
            os: "debian 12",
            packages: &["lantern 3:0.1-1 amd64"],
            missing: &[],
            installed: &["DSA-9002-1", "DSA-9004-1"],
        },
        Case {
            about: "a tilde: the first candidate has the first fix and not the second",
            os: "debian 12",
            packages: &["copper-kettle 0.9.3~rc1-1+deb12u1 amd64"],
            missing: &["DSA-9003-1"],
            installed: &["DSA-9001-1"],
        },
        Case {
            about: "a tilde: the release itself is above its candidates",
            os: "debian 12",
            packages: &["copper-kettle 0.9.3-1 amd64"],
            missing: &[],
            installed: &["DSA-9001-1", "DSA-9003-1"],
        },
        Case {
            about: "nothing that any advisory names is installed",
            os: "debian 12",
            packages: &["bash 5.2.15-2 amd64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "another release has other versions, and the second follow-up there",
            os: "debian 13",
            packages: &["lantern 2:4.1.0-2+deb13u1 amd64"],
            missing: &["DSA-9004-2"],
            installed: &["DSA-9002-1"],
        },
        Case {
            about: "what is fixed in one release is old in the next one",
            os: "debian 13",
            packages: &["lantern 2:3.9.8-1+deb12u4 amd64"],
            missing: &["DSA-9004-2"],
            installed: &[],
        },
        Case {
            about: "a release that an advisory calls not affected",
            os: "debian 13",
            packages: &["copper-kettle 0.1-1 amd64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "a release that no advisory knows",
            os: "debian 14",
            packages: &["lantern 2:0.1-1 amd64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "a derivative is not Debian",
            os: "raspbian 12",
            packages: &["lantern 2:0.1-1 armhf"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "the source counts, not the binary package",
            os: "debian 12",
            packages: &["liblantern1 1.0 amd64 source=lantern=2:3.9.8-1+deb12u3"],
            missing: &["DSA-9004-1"],
            installed: &["DSA-9002-1"],
        },
        Case {
            about: "a package of the same name from another source",
            os: "debian 12",
            packages: &["lantern 2:0.1-1 amd64 source=lantern-next"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "one of two binary packages is below",
            os: "debian 12",
            packages: &[
                "lantern 2:3.9.8-1+deb12u4 amd64",
                "lantern-wicks 2:3.9.8-1+deb12u3 all source=lantern",
            ],
            missing: &["DSA-9004-1"],
            installed: &["DSA-9002-1"],
        },
        Case {
            about: "one of two sources of an advisory is there",
            os: "debian 12",
            packages: &["tea-server 1.14-6 amd64"],
            missing: &["DSA-9003-1"],
            installed: &[],
        },
        Case {
            about: "a rebuild has the fix of its source",
            os: "debian 12",
            packages: &["tea-server 1.14-7+deb12u1+b2 amd64 source=tea-server=1.14-7+deb12u1"],
            missing: &[],
            installed: &["DSA-9003-1"],
        },
        Case {
            about: "another architecture is judged alike",
            os: "debian 12",
            packages: &["tea-server 1.14-6 i386"],
            missing: &["DSA-9003-1"],
            installed: &[],
        },
        Case {
            about: "a backport is above the fix that it has",
            os: "debian 12",
            packages: &["tea-server 1.15-1~bpo12+1 amd64"],
            missing: &[],
            installed: &["DSA-9003-1"],
        },
    ];
    Catalogue::of(&[document("debian-dsa-list.txt")]).agrees_with("Debian", VersionOrder::Dpkg, &cases);
}
