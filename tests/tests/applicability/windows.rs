//! Windows: what the device's Update Agent offers and has, with what replaces what from the catalogue.

use crate::{Case, Catalogue, document};
use contracts::agent::Inventory;

/// `+KB…` is installed, `!KB…` is offered.
fn updates(case: &Case) -> Inventory {
    let marked = |mark: char| {
        case.packages.iter().filter_map(move |kb| kb.strip_prefix(mark)).map(str::to_owned).collect()
    };
    Inventory::WindowsUpdates {
        installed: marked('+'),
        applicable: marked('!'),
        build: "10.0.26100.4484".to_owned(),
    }
}

#[test]
fn windows_is_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "offered",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["!KB5090101"],
            missing: &["KB5090101"],
            installed: &[],
        },
        Case {
            about: "installed",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["+KB5090101"],
            missing: &[],
            installed: &["KB5090101"],
        },
        Case {
            about: "neither offered nor installed",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &[],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "the newer and the older one are offered",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["!KB5090101", "!KB5088801"],
            missing: &["KB5090101"],
            installed: &[],
        },
        Case {
            about: "the older one is offered although the newer one is there",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["+KB5090101", "!KB5088801"],
            missing: &[],
            installed: &["KB5090101"],
        },
        Case {
            about: "the older one alone is offered: the newer one does not apply here",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["!KB5088801"],
            missing: &["KB5088801"],
            installed: &[],
        },
        Case {
            about: "the older one is there, the newer one is offered",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["+KB5088801", "!KB5090101"],
            missing: &["KB5090101"],
            installed: &["KB5088801"],
        },
        Case {
            about: "both are there",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["+KB5088801", "+KB5090101"],
            missing: &[],
            installed: &["KB5088801", "KB5090101"],
        },
        Case {
            about: "what is offered again is not installed well",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["+KB5090101", "!KB5090101"],
            missing: &["KB5090101"],
            installed: &[],
        },
        Case {
            about: "an update that no feed knows",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["+KB1000001", "!KB1000002"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "a server has an update of its own",
            os: "windows Windows Server 2022",
            packages: &["+KB5088802", "!KB5090102"],
            missing: &["KB5090102"],
            installed: &["KB5088802"],
        },
        Case {
            about: "the older one of the server is replaced by the newer one of the server",
            os: "windows Windows Server 2022",
            packages: &["+KB5090101", "!KB5090102", "!KB5088802"],
            missing: &["KB5090102"],
            installed: &["KB5090101"],
        },
        Case {
            about: "the update agent knows better than a list of products",
            os: "windows Windows 11 Version 24H2 for x64-based Systems",
            packages: &["!KB5090102"],
            missing: &["KB5090102"],
            installed: &[],
        },
    ];
    let catalogue =
        Catalogue::of(&[document("msrc-cvrf-json-2026-sep.json"), document("msrc-cvrf-json.json")]);
    catalogue.agrees("Windows", &cases, updates);
}
