//! Versions of packages in the orders of dpkg, rpm and apk.
//!
//! Two versions of one order are compared; of different orders nothing is said. A text that the order's own program would
//! not take is no version: nothing may be taken for fixed, or for missing, because of it.

mod apk;
mod dpkg;
mod rpm;

pub use apk::ApkVersion;
pub use dpkg::DebianVersion;
pub use rpm::RpmVersion;

use contracts::VersionOrder;
use std::cmp::Ordering;

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version")]
pub struct InvalidVersion {
    /// What was given, cut to a readable length.
    pub text: String,
}

/// Characters of a refused text that a message repeats.
const SHOWN_MAX: usize = 64;

impl InvalidVersion {
    fn of(text: &str) -> Self {
        Self { text: text.chars().take(SHOWN_MAX).collect() }
    }
}

/// A version in the order of its packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// Debian's.
    Dpkg(DebianVersion),
    /// RPM's.
    Rpm(RpmVersion),
    /// Alpine's.
    Apk(ApkVersion),
}

impl Version {
    /// Reads a version of this order.
    pub fn read(order: VersionOrder, text: &str) -> Result<Self, InvalidVersion> {
        match order {
            VersionOrder::Dpkg => text.parse().map(Self::Dpkg),
            VersionOrder::Rpm => text.parse().map(Self::Rpm),
            VersionOrder::Apk => text.parse().map(Self::Apk),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Dpkg(a), Self::Dpkg(b)) => Some(a.cmp(b)),
            (Self::Rpm(a), Self::Rpm(b)) => Some(a.cmp(b)),
            (Self::Apk(a), Self::Apk(b)) => Some(a.cmp(b)),
            (Self::Dpkg(_) | Self::Rpm(_) | Self::Apk(_), _) => None,
        }
    }
}

/// Whether a version comes after another one; never where one of them is none in this order.
pub fn is_later(order: VersionOrder, version: &str, than: &str) -> bool {
    match (Version::read(order, version), Version::read(order, than)) {
        (Ok(version), Ok(than)) => version > than,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, is_later};
    use contracts::VersionOrder;

    #[test]
    fn each_order_has_its_own_word_on_the_same_texts() {
        for (order, version, than, later) in [
            (VersionOrder::Dpkg, "1.0~rc1-1", "1.0-1", false),
            (VersionOrder::Rpm, "1.0~rc1-1", "1.0-1", false),
            (VersionOrder::Rpm, "1.0^git1-1", "1.0-1", true),
            (VersionOrder::Apk, "1.0_rc1-r0", "1.0-r0", false),
            (VersionOrder::Apk, "1.0_p1-r0", "1.0-r0", true),
            // A letter ends a version of apk and is a segment of rpm: a number is more than a letter there.
            (VersionOrder::Apk, "1.0b", "1.0.1", false),
            (VersionOrder::Rpm, "1.0b-1", "1.0.1-1", false),
            (VersionOrder::Dpkg, "1.0b-1", "1.0.1-1", false),
            // Not a version of apk at all.
            (VersionOrder::Apk, "1:2.0-r0", "1.0-r0", false),
            (VersionOrder::Rpm, "1:0.1-1", "9-1", true),
        ] {
            assert_eq!(is_later(order, version, than), later, "{order:?} {version} after {than}");
        }
    }

    #[test]
    fn versions_of_different_orders_are_not_compared() {
        let read = |order| Version::read(order, "1.0-r0").unwrap();
        let (rpm, apk, dpkg) = (read(VersionOrder::Rpm), read(VersionOrder::Apk), read(VersionOrder::Dpkg));
        assert_eq!(rpm.partial_cmp(&apk), None);
        assert_eq!(apk.partial_cmp(&dpkg), None);
    }
}
