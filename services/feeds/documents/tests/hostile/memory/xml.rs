//! XML that tries to fill the memory.

use super::{Case, long, many};
use std::fmt::Write as _;

fn update(number: usize, inside: &str, packages: &str) -> String {
    format!(
        "<update type='security' version='1'><id>RHSA-2031:{number}</id><issued date='2031-03-04 05:06:07'/>{inside}\
         <pkglist><collection><name>rhel-9</name>{packages}</collection></pkglist></update>"
    )
}

fn definition(number: usize, platforms: &str, test: &str) -> String {
    format!(
        "<definition class='patch' id='oval:com.ubuntu.jammy:def:{number}'><metadata><title>USN-{number}-1: x</title>\
         <affected>{platforms}</affected><reference source='USN' ref_id='USN-{number}-1'/>\
         <advisory><issued date='2031-03-04'/></advisory></metadata><criteria><criterion test_ref='{test}'/></criteria>\
         </definition>"
    )
}

/// What once took more than there is, and what would take most where a limit were missing.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "updateinfo of advisories that are taken back",
        start: "<updates>",
        record: |n| {
            format!("<update status='retracted'><id>RHSA-2031:{n}</id><issued date='2031-03-04'/></update>")
        },
        end: "</updates>",
        mebibytes: 60,
    },
    Case {
        name: "updateinfo of many CVEs",
        start: "<updates>",
        record: |n| {
            let cve = |number: usize| format!("<reference type='cve' id='CVE-2031-{}'/>", number + 1000);
            let package = format!("<package name='p{n}' version='1' release='1.el9' arch='x86_64'/>");
            update(n, &format!("<references>{}</references>", many(4_900, cve)), &package)
        },
        end: "</updates>",
        mebibytes: 300,
    },
    Case {
        name: "updateinfo of one advisory for many releases",
        start: "<updates>",
        record: |n| {
            let cve = |number: usize| format!("<reference type='cve' id='CVE-2031-{}'/>", number + 1000);
            let package = |number: usize| {
                format!("<package name='p' version='1' release='1.el{number}' arch='x86_64'/>")
            };
            update(n, &format!("<references>{}</references>", many(4_900, cve)), &many(9_999, package))
                .replace("rhel-9", "x")
        },
        end: "</updates>",
        mebibytes: 4,
    },
    Case {
        name: "updateinfo of as much as may be, and one record as large as may be",
        start: "<updates>",
        record: |n| {
            let cve = |number: usize| format!("<reference type='cve' id='CVE-2031-{}'/>", number + 1000);
            let last = 600;
            let package = |number: usize| {
                format!(
                    "<package name='p{n}-{number}' version='1' release='1.el9' arch='x86_64' a='' b='' c=''/>"
                )
            };
            let packages = many(if n < last { 400 } else { 40_000 }, package);
            update(n, &format!("<references>{}</references>", many(1_500, cve)), &packages)
        },
        end: "</updates>",
        mebibytes: 70,
    },
    Case {
        name: "updateinfo of one record without end",
        start: "<updates><update>",
        record: |_| "<a/>".repeat(100),
        end: "</update></updates>",
        mebibytes: 300,
    },
    Case {
        name: "updateinfo of one text without end",
        start: "<updates><update><id>",
        record: |n| long(n, 10_000),
        end: "</id></update></updates>",
        mebibytes: 300,
    },
    Case {
        name: "oval of many tests",
        start: "<oval_definitions><definitions>",
        record: |n| {
            let more = many(1_000, |number| format!("<criterion test_ref='oval:x:tst:{n}{number:04}'/>"));
            let all = definition(n, "<platform>Ubuntu 22.04</platform>", "t");
            all.replace("<criteria>", &format!("<criteria>{more}"))
        },
        end: "</definitions></oval_definitions>",
        mebibytes: 200,
    },
    Case {
        name: "oval of many platforms",
        start: "<oval_definitions><definitions>",
        record: |n| {
            let mut platforms = String::new();
            for minor in 0..400 {
                write!(platforms, "<platform>openSUSE {}.{minor}</platform>", 1 + n % 900).unwrap();
            }
            definition(n, &platforms, "t")
        },
        end: "</definitions></oval_definitions>",
        mebibytes: 60,
    },
    Case {
        name: "wsus-clixml of many updates",
        start: "<Objs>",
        record: |n| {
            format!(
                "<Obj><MS><S N=\"UpdateId\">{n}</S><S N=\"KBNumber\">{}</S><S N=\"Category\">P{n}</S>\
                 <S N=\"Title\">{}</S><S N=\"CreationDate\">2031-03-04</S></MS></Obj>",
                5_000_000 + n,
                long(n, 400)
            )
        },
        end: "</Objs>",
        mebibytes: 60,
    },
    Case {
        name: "dell-driverpack of many models",
        start: "<DriverPackManifest version=\"1\" dateTime=\"2031-03-04T05:06:07Z\">",
        record: |n| {
            let models = many(2_000, |number| {
                format!("<Model name=\"{}\" systemID=\"{number}\"/>", long(number, 300))
            });
            format!(
                "<DriverPackage releaseID=\"R{n}\" dateTime=\"2031-03-04T05:06:07Z\" dellVersion=\"A01\">\
                 <SupportedOperatingSystems><OperatingSystem osCode=\"o{n}\"/></SupportedOperatingSystems>\
                 <SupportedSystems><Brand>{models}</Brand></SupportedSystems></DriverPackage>"
            )
        },
        end: "</DriverPackManifest>",
        mebibytes: 100,
    },
    Case {
        name: "lenovo-catalog of many files",
        start: "<ModelList>",
        record: |n| {
            let file = long(n, 400);
            format!(
                "<Model name=\"m{n}\"><BIOS version=\"1\" date=\"2031-03-04\">https://e.org/{file}.exe</BIOS></Model>"
            )
        },
        end: "</ModelList>",
        mebibytes: 100,
    },
    Case {
        name: "repomd of long kinds",
        start: "<repomd>",
        record: |n| format!("<data type=\"{}\"/>", long(n, 200_000)),
        end: "</repomd>",
        mebibytes: 300,
    },
];
