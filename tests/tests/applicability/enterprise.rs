//! Enterprise Linux: binary packages with epoch, architecture and module stream in the order of rpm.

use crate::{Case, Catalogue, document, own_document};
use contracts::VersionOrder;

#[test]
fn enterprise_linux_is_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "below",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-3.el9_6 x86_64"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "equal",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-4.el9_6 x86_64"],
            missing: &[],
            installed: &["RLSA-2026:9001"],
        },
        Case {
            about: "above by one more number",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-4.el9_6.1 x86_64"],
            missing: &[],
            installed: &["RLSA-2026:9001"],
        },
        Case {
            about: "above, by a number that is below as a text",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-10.el9_6 x86_64"],
            missing: &[],
            installed: &["RLSA-2026:9001"],
        },
        Case {
            about: "no epoch is below whatever follows it",
            os: "rocky 9.6",
            packages: &["lantern 9.9-1.el9 x86_64"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "a higher epoch is above whatever follows it",
            os: "rocky 9.6",
            packages: &["lantern 3:0.1-1.el9 x86_64"],
            missing: &[],
            installed: &["RLSA-2026:9001"],
        },
        Case {
            about: "a tilde is below the release",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8~rc1-9.el9_6 x86_64"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "a caret is above the release",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8^git1-1.el9_6 x86_64"],
            missing: &[],
            installed: &["RLSA-2026:9001"],
        },
        Case {
            about: "another architecture of the advisory",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-3.el9_6 aarch64"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "an architecture that the advisory is not for",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-3.el9_6 i686"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "two architectures, one of them below",
            os: "rocky 9.6",
            packages: &["lantern 2:3.9.8-4.el9_6 x86_64", "lantern 2:3.9.8-3.el9_6 aarch64"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "a package for all architectures",
            os: "rocky 9.6",
            packages: &["lantern-doc 3.9.8-3.el9_6 noarch"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "the name of the binary package counts, not the source",
            os: "rocky 9.6",
            packages: &["liblantern 0.1-1.el9 x86_64 source=lantern"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "any minor release follows the major one",
            os: "rocky 9.3",
            packages: &["lantern 2:3.9.8-3.el9 x86_64"],
            missing: &["RLSA-2026:9001"],
            installed: &[],
        },
        Case {
            about: "another major release",
            os: "rocky 8.10",
            packages: &["lantern 2:0.1-1.el8 x86_64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "another rebuild has advisories of its own",
            os: "almalinux 9.6",
            packages: &["lantern 2:0.1-1.el9 x86_64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "not installed",
            os: "rocky 9.6",
            packages: &["bash 5.1.8-9.el9 x86_64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "the module stream of the advisory, below",
            os: "rocky 9.6",
            packages: &["teapot 2.0-9.module+el9.6.0+99+aaaaaa x86_64 module=teapot:2"],
            missing: &["RLEA-2026:9002"],
            installed: &[],
        },
        Case {
            about: "the module stream of the advisory, equal",
            os: "rocky 9.6",
            packages: &["teapot 2.1-1.module+el9.6.0+123+abcdef x86_64 module=teapot:2"],
            missing: &[],
            installed: &["RLEA-2026:9002"],
        },
        Case {
            about: "a newer stream has versions of its own",
            os: "rocky 9.6",
            packages: &["teapot 3.1-1.module+el9.6.0+111+abcdef x86_64 module=teapot:3"],
            missing: &["RLSA-2026:9011"],
            installed: &[],
        },
        Case {
            about: "an older stream has no fix in either advisory",
            os: "rocky 9.6",
            packages: &["teapot 1.9-1.module+el9.5.0+50+bbbbbb x86_64 module=teapot:1"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "a build of no module is another package",
            os: "rocky 9.6",
            packages: &["teapot 1.0-1.el9 x86_64"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "an agent that does not say the stream: the build is modular, and its version is of stream 2",
            os: "rocky 9.6",
            packages: &["teapot 2.0-9.module+el9.6.0+99+aaaaaa x86_64"],
            missing: &["RLEA-2026:9002"],
            installed: &[],
        },
        Case {
            about: "two kernels of which one is mended",
            os: "rocky 9.6",
            packages: &[
                "kernel-core 5.14.0-427.13.1.el9_4 x86_64 source=kernel",
                "kernel-core 5.14.0-503.15.1.el9_5 x86_64 source=kernel",
            ],
            missing: &[],
            installed: &["RLSA-2026:9010"],
        },
        Case {
            about: "two kernels, none mended",
            os: "rocky 9.6",
            packages: &[
                "kernel-core 5.14.0-427.13.1.el9_4 x86_64 source=kernel",
                "kernel-core 5.14.0-503.11.1.el9_5 x86_64 source=kernel",
            ],
            missing: &["RLSA-2026:9010"],
            installed: &[],
        },
    ];
    Catalogue::of(&[document("updateinfo.xml"), own_document("updateinfo-kernel.xml")]).agrees_with(
        "Enterprise Linux",
        VersionOrder::Rpm,
        &cases,
    );
}
