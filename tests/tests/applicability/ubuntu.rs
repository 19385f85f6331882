//! Ubuntu: as Debian, with releases and notices of its own.

use crate::{Case, Catalogue, document};
use contracts::VersionOrder;

#[test]
fn ubuntu_is_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "below",
            os: "ubuntu 22.04",
            packages: &["lantern 3.9.8-1 amd64"],
            missing: &["USN-9011-1"],
            installed: &[],
        },
        Case {
            about: "equal",
            os: "ubuntu 22.04",
            packages: &["lantern 3.9.8-1ubuntu0.22.04.1 amd64"],
            missing: &[],
            installed: &["USN-9011-1"],
        },
        Case {
            about: "above, by a number that is below as a text",
            os: "ubuntu 22.04",
            packages: &["lantern 3.9.8-1ubuntu0.22.04.10 amd64"],
            missing: &[],
            installed: &["USN-9011-1"],
        },
        Case {
            about: "a tilde is below the release",
            os: "ubuntu 22.04",
            packages: &["lantern 3.9.8~rc1-1ubuntu9 amd64"],
            missing: &["USN-9011-1"],
            installed: &[],
        },
        Case {
            about: "a higher epoch is above",
            os: "ubuntu 22.04",
            packages: &["lantern 1:1.0-1 amd64"],
            missing: &[],
            installed: &["USN-9011-1"],
        },
        Case {
            about: "the source counts",
            os: "ubuntu 22.04",
            packages: &["lantern-wicks 3.9.8-1 all source=lantern"],
            missing: &["USN-9011-1"],
            installed: &[],
        },
        Case {
            about: "not installed",
            os: "ubuntu 22.04",
            packages: &["bash 5.1-6ubuntu1 amd64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "a release that the notice is not about",
            os: "ubuntu 24.04",
            packages: &["lantern 0.1-1 amd64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "Debian has other advisories",
            os: "debian 12",
            packages: &["lantern 0.1-1 amd64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "the notice of a kernel, by its source",
            os: "ubuntu 24.04",
            packages: &["linux-image-6.8.0-98-generic 6.8.0-98.98 amd64 source=linux"],
            missing: &["USN-9012-2"],
            installed: &[],
        },
        Case {
            about: "the kernel is there, and so is the old one: as long as it can be started, it is not mended",
            os: "ubuntu 24.04",
            packages: &[
                "linux-image-6.8.0-98-generic 6.8.0-98.98 amd64 source=linux",
                "linux-image-6.8.0-99-generic 6.8.0-99.99 amd64 source=linux",
            ],
            missing: &["USN-9012-2"],
            installed: &[],
        },
        Case {
            about: "only the mended kernel is there",
            os: "ubuntu 24.04",
            packages: &["linux-image-6.8.0-99-generic 6.8.0-99.99 amd64 source=linux"],
            missing: &[],
            installed: &["USN-9012-2"],
        },
        Case {
            about: "another kernel of the same notice",
            os: "ubuntu 24.04",
            packages: &["linux-image-6.8.0-97-lantern 6.8.0-97.97 amd64 source=linux-lantern"],
            missing: &["USN-9012-2"],
            installed: &[],
        },
        Case {
            about: "a version that is none says nothing",
            os: "ubuntu 20.04",
            packages: &["linux-image-5.4.0-1-generic 5.4.0-1.1 amd64 source=linux"],
            missing: &[],
            installed: &[],
        },
    ];
    Catalogue::of(&[document("ubuntu-usndb.json")]).agrees_with("Ubuntu", VersionOrder::Dpkg, &cases);
}
