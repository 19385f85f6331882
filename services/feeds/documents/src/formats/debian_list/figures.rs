//! What an advisory list holds, counted over lines in their usual form: one tab, single blanks.
//!
//! Some 300 lines of Debian's history are written otherwise. They are facts as well, but in no figure: figures are for
//! comparing with other programs, and those read the usual form.

use crate::figures::Figures;
use crate::text::cves_in;

/// Counts the lines of a list.
pub(super) fn count(text: &str, figures: &mut Figures) {
    for sum in ["advisories", "fixed_lines", "regression_updates", "unparsed_header_lines"] {
        figures.add(sum, 0);
    }
    figures.lists(&["distinct_ids", "cves", "fixed_packages"]);
    figures.tallies(&["non_version_markers", "per_release"]);
    let mut advisory = "";
    for line in text.split('\n') {
        if let Some((id, title)) = header(line) {
            advisory = id;
            figures.add("advisories", 1);
            figures.list("distinct_ids", id);
            figures.add("regression_updates", u64::from(title.contains("regression")));
        } else if line.starts_with("\t{") {
            for cve in cves_in(line) {
                figures.list("cves", cve);
            }
        } else if let Some((release, source, version)) = fix(line) {
            if version.starts_with('<') {
                figures.tally("non_version_markers", version);
            } else {
                figures.add("fixed_lines", 1);
                figures.tally("per_release", release);
                figures.list("fixed_packages", format!("{advisory}|{release}|{source}|{version}"));
            }
        } else if line.starts_with('[') {
            figures.add("unparsed_header_lines", 1);
        }
    }
}

/// `[29 Mar 2023] DSA-5380-1 xorg-server - security update`; what the day is does not matter.
fn header(line: &str) -> Option<(&str, &str)> {
    let (date, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let mut parts = date.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let is_date = parts.next().is_none()
        && digits(day) == day.len()
        && (1..=2).contains(&day.len())
        && month.chars().count() == 3
        && is_word(month)
        && digits(year) == 4
        && year.len() == 4;
    let numbers = rest.strip_prefix("DSA-").or_else(|| rest.strip_prefix("DLA-")).filter(|_| is_date)?;
    let first = digits(numbers);
    let second = numbers.get(first..)?.strip_prefix('-').map_or(0, digits);
    let length = "DSA-".len() + first + if second > 0 { 1 + second } else { 0 };
    let (id, title) = rest.split_at_checked(length).filter(|_| first > 0)?;
    title.starts_with(char::is_whitespace).then(|| (id, title.trim_start()))
}

/// `        [bullseye] - xorg-server 2:1.20.11-1+deb11u6`
fn fix(line: &str) -> Option<(&str, &str, &str)> {
    let (release, rest) = line.strip_prefix("\t[")?.split_once(']')?;
    let (source, rest) = rest.strip_prefix(" - ")?.split_once(' ')?;
    let version = rest.split(char::is_whitespace).next()?;
    let is_one = |word: &str| !word.is_empty() && !word.contains(char::is_whitespace);
    (is_word(release) && is_one(source) && is_one(version)).then_some((release, source, version))
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_alphanumeric() || character == '_')
}
