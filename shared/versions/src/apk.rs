//! Versions in Alpine's order: `1.2.3b_rc1_git20240101~0ab1-r4`.
//!
//! No crate reads them, and apk's own program is under a licence that its text may not be taken from: this follows what
//! `apk-package(5)` and `apk version --test` say.

use crate::InvalidVersion;
use std::str::FromStr;

/// A version that apk would take, in apk's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApkVersion(Vec<Token>);

/// A piece of a version. At the first place where two versions differ, these decide: whoever goes on is later, and the
/// more so the further to the front what it goes on with belongs; only what comes before a release is earlier than its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    /// `_alpha`, `_beta`, `_pre`, `_rc`
    Before(usize),
    End,
    /// `-r4`
    Revision(Number),
    /// `~0ab1`
    Commit(String),
    /// `1` of `_rc1`
    Count(Number),
    /// `_cvs`, `_svn`, `_git`, `_hg`, `_p`
    After(usize),
    Letter(u8),
    Part(Part),
    First(Number),
}

/// Digits as a number, without a limit: how many, and which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Number(usize, String);

/// A number behind a dot; with a zero in front it is a decimal fraction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Fraction(String),
    Whole(Number),
}

const BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
const AFTER: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

impl FromStr for ApkVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        tokens(text).map(Self).ok_or_else(|| InvalidVersion::of(text))
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let (first, mut rest) = digits(text)?;
    let mut all = vec![Token::First(Number::of(first))];
    while let Some(part) = rest.strip_prefix('.') {
        let (part, after) = digits(part)?;
        all.push(Token::Part(Part::of(part)));
        rest = after;
    }
    if let Some(letter) = rest.bytes().next().filter(u8::is_ascii_lowercase) {
        all.push(Token::Letter(letter));
        rest = rest.get(1..)?;
    }
    while let Some(suffix) = rest.strip_prefix('_') {
        let (word, after) = taken(suffix, u8::is_ascii_lowercase);
        let place = |words: &[&str]| words.iter().position(|known| *known == word);
        all.push(place(&BEFORE).map(Token::Before).or_else(|| place(&AFTER).map(Token::After))?);
        rest = after;
        if let Some((count, after)) = digits(rest) {
            all.push(Token::Count(Number::of(count)));
            rest = after;
        }
    }
    if let Some(commit) = rest.strip_prefix('~') {
        let (commit, after) = taken(commit, |b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
        all.push(Token::Commit(Some(commit).filter(|commit| !commit.is_empty())?.to_owned()));
        rest = after;
    }
    if let Some(revision) = rest.strip_prefix("-r") {
        let (revision, after) = digits(revision)?;
        all.push(Token::Revision(Number::of(revision)));
        rest = after;
    }
    all.push(Token::End);
    rest.is_empty().then_some(all)
}

/// The digits in front, at least one.
fn digits(text: &str) -> Option<(&str, &str)> {
    Some(taken(text, u8::is_ascii_digit)).filter(|(digits, _)| !digits.is_empty())
}

fn taken(text: &str, is: impl Fn(&u8) -> bool) -> (&str, &str) {
    let length = text.bytes().take_while(|byte| is(byte)).count();
    text.split_at_checked(length).unwrap_or((text, ""))
}

impl Number {
    fn of(digits: &str) -> Self {
        let digits = digits.trim_start_matches('0');
        Self(digits.len(), digits.to_owned())
    }
}

impl Part {
    fn of(digits: &str) -> Self {
        if digits.starts_with('0') {
            Self::Fraction(digits.to_owned())
        } else {
            Self::Whole(Number::of(digits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AFTER, ApkVersion, BEFORE};
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn version(text: &str) -> ApkVersion {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_order_is_that_of_apk() {
        for (lower, higher) in [
            ("1.1.1k-r0", "1.1.1l-r0"),
            ("1.2_alpha1", "1.2_beta1"),
            ("1.2_beta2", "1.2_pre1"),
            ("1.2_pre1", "1.2_rc1"),
            ("1.2_rc1", "1.2"),
            ("1.2", "1.2-r0"),
            ("1.2-r9", "1.2-r10"),
            ("1.2-r3", "1.2_git20240101-r0"),
            ("1.2_git20240101", "1.2_p1"),
            ("1.2_p1", "1.2_p3"),
            ("1.2_p1-r0", "1.2a-r0"),
            ("1.2a", "1.2.1"),
            ("1.9", "1.10"),
            ("1.05", "1.1"),
            ("1.05", "1.5"),
            ("1.0", "1.00"),
            ("2.9.9", "3"),
            ("3.12.2-r0", "3.12.11-r0"),
            ("1.2_rc1", "1.2_rc1_git2"),
            ("1.2_rc1_alpha", "1.2_rc1"),
            ("1.2-r0", "1.2~0a-r0"),
            ("1.2~0a-r0", "1.2~0b-r0"),
            ("9999999999999999999998", "9999999999999999999999"),
        ] {
            assert!(version(lower) < version(higher), "{lower} is below {higher}");
        }
        assert_eq!(version("01.2-r01"), version("1.2-r1"));
        assert_eq!(version("1_p01"), version("1_p1"));
    }

    #[test]
    fn what_apk_refuses_is_no_version() {
        for text in [
            "", "a", "1.", ".1", "1..2", "1.2ab", "1.2A", "1_", "1_foo", "1-r", "1-1", "1-r1-r2", "1-r1_p1",
            "1~", "1~xyz", "1:2", "1.2 ", "1.2\n", "1a1", "é",
        ] {
            assert!(text.parse::<ApkVersion>().is_err(), "{text:?}");
        }
    }

    /// The same order, told by comparing piece by piece from the front instead of by a key.
    fn piece_by_piece(mut a: &str, mut b: &str) -> Ordering {
        let mut at_start = true;
        loop {
            let (one, other) = (kind(a, at_start), kind(b, at_start));
            if one != other {
                // What comes before a release is less than anything else; then, the later kind is less.
                let before = |text: &str| {
                    BEFORE.iter().any(|word| text.strip_prefix('_').is_some_and(|t| t.starts_with(word)))
                };
                return match (before(a) && one == 3, before(b) && other == 3) {
                    (true, _) => Ordering::Less,
                    (_, true) => Ordering::Greater,
                    (false, false) => other.cmp(&one),
                };
            }
            if one == 9 {
                return Ordering::Equal;
            }
            let (left, after_a) = cut(a, one);
            let (right, after_b) = cut(b, one);
            let number = |text: &str| text.parse::<u128>().unwrap();
            let suffix = |word: &str| {
                let early = BEFORE.iter().position(|known| *known == word);
                early.unwrap_or_else(|| 10 + AFTER.iter().position(|known| *known == word).unwrap())
            };
            let order = match one {
                1 if left.starts_with('0') || right.starts_with('0') => left.cmp(right),
                0 | 1 | 4 | 6 => number(left).cmp(&number(right)),
                3 => suffix(left).cmp(&suffix(right)),
                _ => left.cmp(right),
            };
            if order != Ordering::Equal {
                return order;
            }
            (a, b, at_start) = (after_a, after_b, false);
        }
    }

    /// 0 the first number, 1 one behind a dot, 2 a letter, 3 a suffix, 4 its number, 5 a commit, 6 a revision, 9 the end.
    fn kind(text: &str, at_start: bool) -> u8 {
        match text.bytes().next() {
            None => 9,
            Some(b'0'..=b'9') if at_start => 0,
            Some(b'.') => 1,
            Some(b'a'..=b'z') => 2,
            Some(b'_') => 3,
            Some(b'0'..=b'9') => 4,
            Some(b'~') => 5,
            Some(b'-') => 6,
            Some(other) => panic!("{other}"),
        }
    }

    fn cut(text: &str, kind: u8) -> (&str, &str) {
        let skipped = match kind {
            0 | 2 | 4 => 0,
            6 => 2,
            _ => 1,
        };
        let text = &text[skipped..];
        let length = match kind {
            2 => 1,
            3 => text.bytes().take_while(u8::is_ascii_lowercase).count(),
            5 => text.bytes().take_while(u8::is_ascii_hexdigit).count(),
            _ => text.bytes().take_while(u8::is_ascii_digit).count(),
        };
        text.split_at(length)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_two_versions_are_ordered_alike_by_key_and_by_pieces(
            a in "[01]{1,2}(\\.[012]{1,2}){0,2}[ab]?(_(alpha|rc|git|p)[01]?){0,2}(~[0a]{1,2})?(-r[01]{1,2})?",
            b in "[01]{1,2}(\\.[012]{1,2}){0,2}[ab]?(_(alpha|rc|git|p)[01]?){0,2}(~[0a]{1,2})?(-r[01]{1,2})?",
        ) {
            prop_assert_eq!(version(&a).cmp(&version(&b)), piece_by_piece(&a, &b), "{} {}", a, b);
        }
    }
}
