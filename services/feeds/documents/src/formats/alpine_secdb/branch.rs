//! Whose database it is, for which release, and since when there is one.

use crate::identity::{self, Vendor};
use chrono::NaiveDate;
use contracts::OsRelease;

/// A distribution's release.
pub(super) struct Branch {
    pub(super) vendor: Vendor,
    pub(super) os: OsRelease,
    /// The day on which it was released.
    pub(super) released: Option<NaiveDate>,
}

/// Alpine's branches and the days of their first release.
const ALPINE: &[(&str, (i32, u32, u32))] = &[
    ("2.1", (2010, 11, 1)),
    ("2.2", (2011, 5, 3)),
    ("2.3", (2011, 11, 1)),
    ("2.4", (2012, 5, 2)),
    ("2.5", (2012, 11, 7)),
    ("2.6", (2013, 5, 17)),
    ("2.7", (2013, 11, 8)),
    ("3.0", (2014, 6, 4)),
    ("3.1", (2014, 12, 10)),
    ("3.2", (2015, 5, 26)),
    ("3.3", (2015, 12, 18)),
    ("3.4", (2016, 5, 31)),
    ("3.5", (2016, 12, 22)),
    ("3.6", (2017, 5, 24)),
    ("3.7", (2017, 11, 30)),
    ("3.8", (2018, 6, 26)),
    ("3.9", (2019, 1, 29)),
    ("3.10", (2019, 6, 19)),
    ("3.11", (2019, 12, 19)),
    ("3.12", (2020, 5, 29)),
    ("3.13", (2021, 1, 14)),
    ("3.14", (2021, 6, 15)),
    ("3.15", (2021, 11, 24)),
    ("3.16", (2022, 5, 23)),
    ("3.17", (2022, 11, 22)),
    ("3.18", (2023, 5, 9)),
    ("3.19", (2023, 12, 7)),
    ("3.20", (2024, 5, 22)),
    ("3.21", (2024, 12, 5)),
    ("3.22", (2025, 5, 30)),
];

impl Branch {
    /// By what a database says of itself: `v3.16`, and the address of its packages.
    pub(super) fn of(version: Option<&str>, address: Option<&str>) -> Option<Self> {
        let address = address.unwrap_or_default();
        if address.contains("wolfi.dev") {
            // It rolls: there is one release, which has no version.
            let released = NaiveDate::from_ymd_opt(2022, 9, 22);
            return Some(Self { vendor: Vendor::Wolfi, os: identity::os("wolfi", ""), released });
        }
        if !address.contains("alpinelinux.org") {
            return None;
        }
        let branch = version?.strip_prefix('v').unwrap_or(version?);
        let is_branch =
            branch.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor));
        if branch != "edge" && !is_branch {
            return None;
        }
        let released = ALPINE.iter().find(|(known, _)| *known == branch);
        Some(Self {
            vendor: Vendor::Alpine,
            os: identity::os("alpine", branch),
            released: released
                .and_then(|(_, (year, month, day))| NaiveDate::from_ymd_opt(*year, *month, *day)),
        })
    }
}

fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
