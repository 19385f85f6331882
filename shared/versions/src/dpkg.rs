//! Versions in Debian's order.

use crate::InvalidVersion;
use std::{cmp::Ordering, str::FromStr};

/// A version that dpkg would take, in dpkg's order.
#[derive(Debug, Clone)]
pub struct DebianVersion(debversion::Version);

impl FromStr for DebianVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion::of(text);
        let mut version = text.parse::<debversion::Version>().map_err(|_refused| invalid())?;
        // dpkg refuses these; the library takes them.
        let odd_epoch = match version.epoch {
            Some(epoch) => i32::try_from(epoch).is_err(),
            None => text.contains(':'),
        };
        if odd_epoch || text.ends_with('-') {
            return Err(invalid());
        }
        // To dpkg, a number that is not there is zero (`1.` = `1.0`), to the library it is less.
        let parts = [Some(&mut version.upstream_version), version.debian_revision.as_mut()];
        for part in parts.into_iter().flatten().filter(|part| !part.ends_with(|c: char| c.is_ascii_digit())) {
            part.push('0');
        }
        Ok(Self(version))
    }
}

impl Ord for DebianVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for DebianVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebianVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DebianVersion {}

#[cfg(test)]
mod tests {
    use super::DebianVersion;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn version(text: &str) -> DebianVersion {
        text.parse().unwrap()
    }

    #[test]
    fn the_order_is_that_of_dpkg() {
        for (lower, higher) in [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0+deb12u1"),
            ("1.0+deb12u5", "1.0+deb12u12"),
            ("9.9", "1:0.1"),
            ("1.0-1", "1.0-1+b1"),
            ("1.0-1", "1.0-1.1"),
            ("1.9", "1.10"),
            ("2.36-9+deb12u4", "2.36-9+deb12u10"),
            ("3.0.11-1~deb12u2", "3.0.11-1"),
            ("1.0a", "1.0+"),
        ] {
            assert!(version(lower) < version(higher), "{lower} is below {higher}");
        }
        assert_eq!(version("1.0"), version("1.0-0"));
        assert_eq!(version("0:1.0"), version("1.0"));
        assert_eq!(version("1.00"), version("1.0"));
        assert_eq!(version("1."), version("1.0"));
        assert_eq!(version("1.0-1+b"), version("1.0-1+b0"));
    }

    #[test]
    fn what_dpkg_refuses_is_no_version() {
        for text in
            ["", " 1", "1 0", "1.0_2", "a:1", "1:", "1.0-", "99999999999:1", "é", "1.0\n", "2147483648:1"]
        {
            assert!(text.parse::<DebianVersion>().is_err(), "{text:?}");
        }
    }

    /// dpkg's `verrevcmp`, line by line.
    fn dpkg_part(a: &[u8], b: &[u8]) -> Ordering {
        let order = |c: Option<&u8>| match c {
            None => 0,
            Some(c) if c.is_ascii_digit() => 0,
            Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
            Some(b'~') => -1,
            Some(c) => i32::from(*c) + 256,
        };
        let digit = |c: Option<&u8>| c.is_some_and(u8::is_ascii_digit);
        let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
        while a.peek().is_some() || b.peek().is_some() {
            while (a.peek().is_some() && !digit(a.peek().copied()))
                || (b.peek().is_some() && !digit(b.peek().copied()))
            {
                let (left, right) = (order(a.peek().copied()), order(b.peek().copied()));
                if left != right {
                    return left.cmp(&right);
                }
                a.next();
                b.next();
            }
            while a.next_if(|c| **c == b'0').is_some() {}
            while b.next_if(|c| **c == b'0').is_some() {}
            let mut first = Ordering::Equal;
            while digit(a.peek().copied()) && digit(b.peek().copied()) {
                first = first.then(a.next().cmp(&b.next()));
            }
            if digit(a.peek().copied()) {
                return Ordering::Greater;
            }
            if digit(b.peek().copied()) {
                return Ordering::Less;
            }
            if first != Ordering::Equal {
                return first;
            }
        }
        Ordering::Equal
    }

    fn dpkg(a: &str, b: &str) -> Ordering {
        let split = |text: &str| {
            let (epoch, rest) =
                text.split_once(':').map_or((0, text), |(e, rest)| (e.parse().unwrap(), rest));
            let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
            (epoch, upstream.to_owned(), revision.to_owned())
        };
        let (a, b): ((u32, _, _), (u32, _, _)) = (split(a), split(b));
        a.0.cmp(&b.0)
            .then_with(|| dpkg_part(a.1.as_bytes(), b.1.as_bytes()))
            .then_with(|| dpkg_part(a.2.as_bytes(), b.2.as_bytes()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_two_versions_are_ordered_as_dpkg_orders_them(
            a in "([01]:)?[01]([.+~a]{1,2}[01b]{0,2}){0,2}(-[01]([+~.a][01]{0,2})?)?",
            b in "([01]:)?[01]([.+~a]{1,2}[01b]{0,2}){0,2}(-[01]([+~.a][01]{0,2})?)?",
        ) {
            prop_assert_eq!(version(&a).cmp(&version(&b)), dpkg(&a, &b));
        }
    }
}
