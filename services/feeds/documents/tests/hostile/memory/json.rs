//! JSON that tries to fill the memory.

use super::{Case, long, many};
use std::fmt::Write as _;

const ALPINE: &str = "{\"urlprefix\":\"https://dl-cdn.alpinelinux.org/alpine\",\"distroversion\":\"v3.16\",\"packages\":\
                      [{\"pkg\":{\"name\":\"x\",\"secfixes\":{}}}";
const CSAF: &str = "{\"document\":{\"category\":\"csaf_security_advisory\",\"csaf_version\":\"2.0\",\
                    \"publisher\":{\"name\":\"Red Hat\",\"namespace\":\"https://www.redhat.com\"},\"tracking\":\
                    {\"id\":\"RHSA-2031:0001\",\"initial_release_date\":\"2031-03-04T05:06:07Z\"}}";
const OSV: &str = "{\"schema_version\":\"1.7.0\",\"id\":\"RHSA-2031:0001\",\"published\":\"2031-03-04T05:06:07Z\",\
                   \"modified\":\"2031-03-04T05:06:07Z\"";

/// What once took more than there is, and what would take most where a limit were missing.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "csaf of many fixed products",
        start: CSAF,
        record: |n| {
            let products = many(10_000, |number| format!("\"{number}:{n}\","));
            let head = if n == 0 { ",\"vulnerabilities\":[" } else { "," };
            format!(
                "{head}{{\"cve\":\"CVE-2031-{}\",\"product_status\":{{\"fixed\":[{products}\"x\"]}}}}",
                1000 + n
            )
        },
        end: "]}",
        mebibytes: 300,
    },
    Case {
        name: "csaf of many products",
        start: CSAF,
        record: |n| {
            let head = if n == 0 { ",\"product_tree\":{\"branches\":[" } else { "," };
            let name = long(n, 400);
            format!(
                "{head}{{\"category\":\"x\",\"name\":\"x\",\"product\":{{\"product_id\":\"{n}\",\"name\":\"{name}\"}}}}"
            )
        },
        end: "]}}",
        mebibytes: 300,
    },
    Case {
        name: "csaf of Microsoft's products",
        start: "{\"document\":{\"category\":\"csaf_security_advisory\",\"csaf_version\":\"2.0\",\"publisher\":\
                {\"name\":\"Microsoft\",\"namespace\":\"https://msrc.microsoft.com\"},\"tracking\":{\"id\":\"msrc_x\",\
                \"initial_release_date\":\"2031-03-04T05:06:07Z\"}}",
        record: |n| {
            if n == 0 {
                let product = |number: usize| {
                    format!(
                        "{{\"category\":\"product_name\",\"name\":\"P{number}\",\"product\":\
                         {{\"product_id\":\"{number}\",\"name\":\"P{number}\"}}}},"
                    )
                };
                return format!(
                    ",\"product_tree\":{{\"branches\":[{}{{\"category\":\"x\",\"name\":\"x\"}}]}},\"vulnerabilities\":[{{}}",
                    many(4_900, product)
                );
            }
            let products = many(4_900, |number| format!("\"{number}\","));
            let mut fixes = String::new();
            for kb in 0..10 {
                write!(
                    fixes,
                    "{{\"category\":\"vendor_fix\",\"details\":\"https://support.microsoft.com/help/{}\",\
                     \"product_ids\":[{products}\"0\"]}},",
                    5_000_000 + n * 10 + kb
                )
                .unwrap();
            }
            format!(",{{\"cve\":\"CVE-2031-{}\",\"remediations\":[{fixes}{{}}]}}", 1000 + n)
        },
        end: "]}",
        mebibytes: 300,
    },
    Case {
        name: "osv of many ecosystems",
        start: OSV,
        record: |n| {
            let head = if n == 0 { ",\"affected\":[" } else { "," };
            format!("{head}{{\"package\":{{\"ecosystem\":\"{}\",\"name\":\"x\"}}}}", long(n, 100_000))
        },
        end: "]}",
        mebibytes: 300,
    },
    Case {
        name: "osv of many packages",
        start: OSV,
        record: |n| {
            let head = if n == 0 { ",\"affected\":[" } else { "," };
            format!(
                "{head}{{\"package\":{{\"ecosystem\":\"Red Hat:enterprise_linux:9::x\",\"name\":\"{}\"}},\
                 \"ranges\":[{{\"type\":\"ECOSYSTEM\",\"events\":[{{\"fixed\":\"{}\"}}]}}]}}",
                long(n, 450),
                long(n, 450)
            )
        },
        end: "]}",
        mebibytes: 150,
    },
    Case {
        name: "kev of long texts",
        start: "{\"catalogVersion\":\"x\",\"count\":1,\"vulnerabilities\":[{\"cveID\":\"CVE-2031-1\"}",
        record: |n| {
            format!(
                ",{{\"cveID\":\"CVE-2031-{}\",\"vendorProject\":\"{}\",\"dateAdded\":\"2031-03-04\",\
                 \"knownRansomwareCampaignUse\":\"{}\"}}",
                1000 + n,
                long(n, 100_000),
                long(n, 100_000)
            )
        },
        end: "]}",
        mebibytes: 300,
    },
    Case {
        name: "nvd of many records",
        start: "{\"totalResults\":1,\"resultsPerPage\":1,\"vulnerabilities\":[{\"cve\":{\"id\":\"CVE-2031-999\"}}",
        record: |n| format!(",{{\"cve\":{{\"id\":\"CVE-2031-{}\",\"vulnStatus\":\"s{n}\"}}}}", 1000 + n),
        end: "]}",
        mebibytes: 300,
    },
    Case {
        name: "ubuntu-notices of one notice for many releases",
        start: "{\"notices\":[{\"id\":\"x\"}",
        record: |n| {
            let releases = many(600_000, |number| format!("\"r{number}\":[{{\"name\":\"\"}}],"));
            format!(
                ",{{\"id\":\"USN-{n}-1\",\"published\":\"2031-03-04\",\"release_packages\":{{{releases}\"x\":[]}}}}"
            )
        },
        end: "]}",
        mebibytes: 16,
    },
    Case {
        name: "ubuntu-usndb of one notice of many packages",
        start: "{\"1-1\":{\"title\":\"t\",\"releases\":{}}",
        record: |n| {
            let packages = many(1_000_000, |number| format!("\"{number}\":{{}},"));
            format!(
                ",\"{}-1\":{{\"timestamp\":1.8e9,\"releases\":{{\"jammy\":{{\"sources\":{{{packages}\"x\":{{}}}}}}}}}}",
                n + 2
            )
        },
        end: "}",
        mebibytes: 20,
    },
    Case {
        name: "debian-tracker of long names",
        start: "{\"a\":{\"CVE-2031-1\":{\"releases\":{}}}",
        record: |n| {
            format!(
                ",\"{}\":{{\"CVE-2031-{}\":{{\"releases\":{{\"bookworm\":{{\"status\":\"s{n}\",\
                 \"fixed_version\":\"1-{n}\",\"urgency\":\"high\"}}}}}}}}",
                long(n, 480),
                1000 + n
            )
        },
        end: "}",
        mebibytes: 200,
    },
    Case {
        name: "alpine-secdb of many CVEs",
        start: ALPINE,
        record: |n| {
            let cves = many(4_900, |number| format!("\"CVE-2031-{}\",", number + 10_000));
            format!(",{{\"pkg\":{{\"name\":\"p{n}\",\"secfixes\":{{\"1-r{n}\":[{cves}\"x\"]}}}}}}")
        },
        end: "]}",
        mebibytes: 150,
    },
    Case {
        name: "alpine-secdb of many versions",
        start: ALPINE,
        record: |n| {
            let versions = many(1_300_000, |number| format!("\"{number}\":[],"));
            format!(",{{\"pkg\":{{\"name\":\"p{n}\",\"secfixes\":{{{versions}\"x\":[]}}}}}}")
        },
        end: "]}",
        mebibytes: 16,
    },
    Case {
        name: "rolie-feed of many entries",
        start: "{\"feed\":{\"id\":\"x\",\"updated\":\"2031-03-04T05:06:07Z\",\"entry\":[{\"id\":\"a\"}",
        record: |n| format!(",{{\"id\":\"{n}\",\"content\":{{\"src\":\"https://example.org/{n}.json\"}}}}"),
        end: "]}}",
        mebibytes: 300,
    },
    Case {
        name: "msrc-updates-index of long ids",
        start: "{\"value\":[{\"ID\":\"a\",\"CvrfUrl\":\"https://example.org\"}",
        record: |n| format!(",{{\"ID\":\"{}\",\"CvrfUrl\":\"https://example.org/{n}\"}}", long(n, 200_000)),
        end: "]}",
        mebibytes: 300,
    },
    Case {
        name: "msrc-cvrf-json of one vulnerability with many parts",
        start: "{\"DocumentTitle\":{\"Value\":\"x\"},\"Vulnerability\":[{\"CVE\":\"CVE-2031-999\"}",
        record: |n| {
            let parts = |kind: usize| {
                let part = "{\"Type\":KIND,\"ProductID\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"]},";
                part.replace("KIND", &kind.to_string()).repeat(49_000)
            };
            format!(
                ",{{\"CVE\":\"CVE-2031-{}\",\"Remediations\":[{}{{\"Type\":0}}],\"Threats\":[{}{{\"Type\":0}}]}}",
                1000 + n,
                parts(2),
                parts(3)
            )
        },
        end: "]}",
        mebibytes: 10,
    },
    Case {
        name: "azurestack-updates of long texts",
        start: "{\"value\":[{\"name\":\"x\",\"id\":\"Microsoft.Update.Admin\",\"properties\":{}}",
        record: |n| {
            format!(
                ",{{\"name\":\"a/{n}\",\"properties\":{{\"version\":\"1.2008.{n}\",\"minVersionRequired\":\"{}\"}}}}",
                long(n, 100_000)
            )
        },
        end: "]}",
        mebibytes: 300,
    },
];
