//! Versions in RPM's order: epoch, version and release, each by segments.

use crate::InvalidVersion;
use std::{cmp::Ordering, str::FromStr};

/// An epoch, version and release that rpm would take (`1:2.0~rc1-3.el9`), in rpm's order. The release may be missing, as in
/// some advisories; then it counts as the lowest.
#[derive(Debug, Clone)]
pub struct RpmVersion(String);

impl FromStr for RpmVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (version, release) = rest.split_once('-').map_or((rest, None), |(v, r)| (v, Some(r)));
        // rpm refuses other characters when it builds a package, and takes an epoch for a number of 32 bits.
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~^".contains(&b))
        };
        let digits = epoch.bytes().all(|b| b.is_ascii_digit()) && epoch.parse::<u32>().is_ok();
        if digits && is_part(version) && release.is_none_or(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidVersion::of(text))
        }
    }
}

impl Ord for RpmVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        rpm_version::rpm_evr_compare(&self.0, &other.0)
    }
}

impl PartialOrd for RpmVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RpmVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for RpmVersion {}

#[cfg(test)]
mod tests {
    use super::RpmVersion;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn version(text: &str) -> RpmVersion {
        text.parse().unwrap()
    }

    #[test]
    fn the_order_is_that_of_rpm() {
        for (lower, higher) in [
            ("1.0~rc1-1", "1.0-1"),
            ("1.0-1", "1.0^20240101git-1"),
            ("1.0^20240101git-1", "1.0.1-1"),
            ("9.9-9", "1:0.1-1"),
            ("5.2-8.el9_0.9", "5.2-8.el9_0.10"),
            ("1.0a-1", "1.0.1-1"),
            ("1.0-1.el9", "1.0-1.el9_2"),
            ("1.0-1.el9", "1.0-2.el9"),
            ("1.9-1", "1.10-1"),
            ("2.0-1", "2.0.1-1"),
            ("1.0-1.a", "1.0-1.b"),
            ("3.0.7-24.el9", "3.0.7-25.el9_3"),
        ] {
            assert!(version(lower) < version(higher), "{lower} is below {higher}");
        }
        for (one, other) in
            [("0:1.0-1", "1.0-1"), ("1.05-1", "1.5-1"), ("1_0-1", "1.0-1"), ("1.0.-1", "1.0-1")]
        {
            assert_eq!(version(one), version(other), "{one} is {other}");
        }
    }

    #[test]
    fn what_rpm_refuses_is_no_version() {
        for text in
            ["", "-1", "1.0-", "a:1-1", ":1-1", "4294967296:1-1", "1 0-1", "1.0-1-1", "é-1", "1.0-1\n"]
        {
            assert!(text.parse::<RpmVersion>().is_err(), "{text:?}");
        }
    }

    /// A piece of a version as rpm-version(7) describes it, in the order of its own: a tilde is below the end, a caret above
    /// the end and below all else, letters are below numbers.
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Segment {
        Tilde,
        End,
        Caret,
        Letters(String),
        Number(usize, String),
    }

    fn segments(mut text: &str) -> Vec<Segment> {
        let mut all = Vec::new();
        while let Some(first) = text.chars().next() {
            let length = |is: fn(&u8) -> bool| text.bytes().take_while(is).count();
            let taken = if first.is_ascii_digit() {
                let taken = length(u8::is_ascii_digit);
                let number = text[..taken].trim_start_matches('0');
                all.push(Segment::Number(number.len(), number.to_owned()));
                taken
            } else if first.is_ascii_alphabetic() {
                let taken = length(u8::is_ascii_alphabetic);
                all.push(Segment::Letters(text[..taken].to_owned()));
                taken
            } else {
                match first {
                    '~' => all.push(Segment::Tilde),
                    '^' => all.push(Segment::Caret),
                    _ => {}
                }
                1
            };
            text = &text[taken..];
        }
        all.push(Segment::End);
        all
    }

    fn by_segments(text: &str) -> (u32, Vec<Segment>, Vec<Segment>) {
        let (epoch, rest) = text.split_once(':').map_or((0, text), |(e, rest)| (e.parse().unwrap(), rest));
        let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
        (epoch, segments(version), segments(release))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_two_versions_are_ordered_as_rpm_describes_it(
            a in "([01]:)?[01]([._+~^a]{1,2}[01b]{0,2}){0,3}(-[01]([~^._a][01b]{0,2})?)?",
            b in "([01]:)?[01]([._+~^a]{1,2}[01b]{0,2}){0,3}(-[01]([~^._a][01b]{0,2})?)?",
        ) {
            let expected = by_segments(&a).cmp(&by_segments(&b));
            prop_assert_eq!(version(&a).cmp(&version(&b)), expected, "{} {}", a, b);
            prop_assert_eq!(version(&b).cmp(&version(&a)), expected.reverse());
            prop_assert_eq!(version(&a).cmp(&version(&a)), Ordering::Equal);
        }
    }
}
