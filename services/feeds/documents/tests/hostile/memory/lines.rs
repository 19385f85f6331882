//! Lines, rows and paragraphs that try to fill the memory.

use super::{Case, long};

const RELEASE: &str =
    "Suite: x\nCodename: y\nDate: Sat, 01 Mar 2031 00:00:00 UTC\nComponents: main\nArchitectures: a\n";

/// What once took more than there is, and what would take most where a limit were missing.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "kev of many rows",
        start: "cveID,vendorProject,product,vulnerabilityName,dateAdded,dueDate,knownRansomwareCampaignUse\n",
        record: |n| format!("CVE-2031-{},v{n},p,n,2031-03-04,,w{n}\n", 1000 + n),
        end: "",
        mebibytes: 300,
    },
    Case {
        name: "epss of many rows",
        start: "cve,epss,percentile\n",
        record: |n| format!("CVE-2031-{},0.5,0.5\n", 1000 + n),
        end: "",
        mebibytes: 300,
    },
    Case {
        name: "epss of wide rows",
        start: "cve,epss,percentile\n",
        record: |_| format!("{}\n", ",".repeat(15_000_000)),
        end: "",
        mebibytes: 60,
    },
    Case {
        name: "alpine-secdb as a list of nothing in YAML",
        start: "reponame: main\npackages:\n- pkg: {name: x, secfixes: {1: [",
        record: |_| "a,".repeat(1_000),
        end: "b]}}\n",
        mebibytes: 1,
    },
    Case {
        name: "debian-dsa-list of many advisories",
        start: "",
        record: |n| {
            format!("[4 Mar 2031] DSA-{n}-1 x\n\t[buster] - a 1\n\t[stretch] - a 1\n\t[jessie] - a 1\n")
        },
        end: "",
        mebibytes: 15,
    },
    Case {
        name: "debian-dsa-list of nothing but heads",
        start: "",
        record: |n| format!("[1 Jan 2020] DSA-{n}\n"),
        end: "",
        mebibytes: 15,
    },
    Case {
        name: "debian-packages of one paragraph of many fields",
        start: "Package: p\nVersion: 1\nArchitecture: all\nSize: 1\n",
        record: |_| "a:\n".repeat(1_000),
        end: "\n",
        mebibytes: 300,
    },
    Case {
        name: "debian-release of many fields",
        start: RELEASE,
        record: |_| "a:\n".repeat(1_000),
        end: "SHA256:\n",
        mebibytes: 7,
    },
    Case {
        name: "debian-release of many words",
        start: RELEASE,
        record: |n| if n == 0 { "Changelogs: x\nArchitectures:".to_owned() } else { " a".repeat(1_000) },
        end: "\nSHA256:\n",
        mebibytes: 7,
    },
    Case {
        name: "csaf-changes-csv of long paths",
        start: "",
        record: |n| format!("\"{}.json\",\"2031-03-04T05:06:07Z\"\n", long(n, 480)),
        end: "",
        mebibytes: 300,
    },
];
