//! Releases of Red Hat's products: the major one, but for products that follow one minor release alone.

use super::os;
use contracts::OsRelease;

/// Products that stay with a minor release, or that have a release of their own: a fix for `rhel_eus:9.0` is none for
/// 9.2. All others follow the newest minor release, so that only the major one counts.
const FOR_ONE_RELEASE: &[&str] = &[
    "rhel_eus",
    "rhel_aus",
    "rhel_tus",
    "rhel_e4s",
    "rhel_els",
    "rhel_eus_long_life",
    "rhel_mission_critical",
    "rhel_extras",
];

/// The same products in the names of repositories and platforms: `rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2`.
const FOR_ONE_RELEASE_WORDS: &[&str] = &["eus", "aus", "tus", "e4s", "els"];

/// The release that the fields of a CPE stand for, or on which the product is installed: `enterprise_linux:9`,
/// `rhel_eus:9.2`, `openshift:4.12::el8`.
pub(super) fn of_cpe(product: &str, version: &str, edition: &str) -> Option<OsRelease> {
    if product == "enterprise_linux" || product.starts_with("enterprise_linux_") {
        return version_in(version).map(|version| os("rhel", major(version)));
    }
    if FOR_ONE_RELEASE.contains(&product) {
        return version_in(version).map(|version| os("rhel", version));
    }
    let on = edition.strip_prefix("el")?;
    let digits = on.get(..on.bytes().take_while(u8::is_ascii_digit).count())?;
    version_in(digits).map(|version| os("rhel", version))
}

/// The release of a name in lower case and without its beginning: ` 9 for x86 64 baseos eus rpms 9 dot 2`,
/// ` server aus (v. 7.4)`.
pub(super) fn of_words(rest: &str) -> Option<OsRelease> {
    let words: Vec<&str> =
        rest.split(' ').map(|word| word.trim_matches(|c: char| "(),;.v".contains(c))).collect();
    let version = words.iter().find_map(|word| version_in(word))?;
    if !words.iter().any(|word| FOR_ONE_RELEASE_WORDS.contains(word)) {
        return Some(os("rhel", major(version)));
    }
    let dotted = words.windows(3).find_map(|three| match three {
        [major, "dot", minor] => Some(format!("{}.{}", version_in(major)?, version_in(minor)?)),
        _ => None,
    });
    let whole = words.iter().filter_map(|word| version_in(word)).find(|version| version.contains('.'));
    Some(os("rhel", &dotted.unwrap_or_else(|| whole.unwrap_or(version).to_owned())))
}

/// Whether a release is a minor one of another.
pub fn is_minor_of(minor: &OsRelease, release: &OsRelease) -> bool {
    let rest = minor.version.strip_prefix(release.version.as_str());
    minor.id == "rhel" && release.id == "rhel" && rest.is_some_and(|rest| rest.starts_with('.'))
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

/// A number, or two with a dot.
fn version_in(text: &str) -> Option<&str> {
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    (is_number(major) && is_number(minor)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{of_cpe, of_words};

    #[test]
    fn only_products_for_one_release_have_a_minor_one() {
        for ((product, version, edition), wanted) in [
            (("enterprise_linux", "9", "appstream"), Some("rhel:9")),
            (("enterprise_linux", "10.1", ""), Some("rhel:10")),
            (("enterprise_linux_eus", "9", ""), Some("rhel:9")),
            (("rhel_eus", "9.2", "baseos"), Some("rhel:9.2")),
            (("rhel_els", "7", ""), Some("rhel:7")),
            (("openshift", "4.12", "el8"), Some("rhel:8")),
            (("openshift", "4.12", ""), None),
            (("enterprise_linux", "9.4.1", ""), None),
        ] {
            assert_eq!(of_cpe(product, version, edition).map(|os| os.key()).as_deref(), wanted, "{product}");
        }
        for (words, wanted) in [
            (" 9 for x86 64 baseos rpms 9 dot 2", Some("rhel:9")),
            (" 9 for x86 64 baseos eus rpms 9 dot 2", Some("rhel:9.2")),
            (" 8 for x86 64 appstream aus rpms", Some("rhel:8")),
            (" appstream e4s (v.9.0)", Some("rhel:9.0")),
            (" server aus (v. 7.4)", Some("rhel:7.4")),
            (" server (v. 7)", Some("rhel:7")),
            (" 8.6", Some("rhel:8")),
            (" eus", None),
        ] {
            assert_eq!(of_words(words).map(|os| os.key()).as_deref(), wanted, "{words}");
        }
    }
}
