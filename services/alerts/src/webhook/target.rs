//! Which addresses a webhook may lead to: public ones, and those the operator allows.

use kernel::Refused;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use url::{Host, Url};

/// Longer addresses are nobody's.
pub const URL_BYTES_MAX: usize = 2_048;

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefusal {
    /// It cannot be the address of a receiver.
    #[error("the webhook's URL is not usable: {reason}")]
    UrlInvalid {
        /// What is wrong with it.
        reason: String,
    },
    /// It leads, or may lead, into a network that is not public. Does not say which address was found.
    #[error(
        "a webhook may not lead to {host}: only public addresses over https, and those the operator allows"
    )]
    AddressRefused {
        /// The host as the URL names it.
        host: String,
    },
}

impl Refused for TargetRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::UrlInvalid { .. } => "alerts.webhook_url_invalid",
            Self::AddressRefused { .. } => "alerts.webhook_address_refused",
        }
    }
}

/// An entry of the operator's list that is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address or an address range such as 127.0.0.0/8")]
pub struct InvalidRange {
    /// The entry.
    pub text: String,
}

/// How the receiver is spoken to, which decides where it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// https: any public address.
    Encrypted,
    /// http: allowed addresses only.
    Plain,
}

/// The operator's list of addresses outside the public network that receivers may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedAddresses(Arc<[Range]>);

impl AllowedAddresses {
    /// Reads entries such as `127.0.0.0/8`, `::1` or `10.2.0.0/16`.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, InvalidRange> {
        entries.iter().map(|entry| Range::parse(entry.as_ref())).collect::<Result<Arc<[_]>, _>>().map(Self)
    }

    /// Whether a receiver may have this address.
    pub fn admit(&self, channel: Channel, address: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes is that IPv4 address.
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(address))
            || (channel == Channel::Encrypted && is_public(address))
    }
}

/// A receiver's address as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL in its one normal form.
    pub url: Url,
    /// How it is spoken to.
    pub channel: Channel,
}

impl Target {
    /// Reads a URL; refuses literal addresses that may not be reached, in whatever form they are written.
    pub fn parse(text: &str, allowed: &AllowedAddresses) -> Result<Self, TargetRefusal> {
        let invalid = |reason: &str| TargetRefusal::UrlInvalid { reason: reason.to_owned() };
        if text.len() > URL_BYTES_MAX {
            return Err(invalid("it is longer than 2048 bytes"));
        }
        let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
        let channel = match url.scheme() {
            "https" => Channel::Encrypted,
            "http" => Channel::Plain,
            _ => return Err(invalid("it is neither https nor http")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it holds a user name or password"));
        }
        let target = Self { url, channel };
        match target.url.host() {
            None => return Err(invalid("it names no host")),
            Some(Host::Domain(_)) => {}
            Some(Host::Ipv4(address)) => target.require(allowed, [address.into()])?,
            Some(Host::Ipv6(address)) => target.require(allowed, [address.into()])?,
        }
        Ok(target)
    }

    /// The name to look up, if the host is not a literal address.
    pub fn domain(&self) -> Option<&str> {
        self.url.domain()
    }

    /// Refuses the target unless one of the addresses of its host may be reached.
    pub fn require(
        &self,
        allowed: &AllowedAddresses,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), TargetRefusal> {
        if addresses.into_iter().any(|address| allowed.admit(self.channel, address)) {
            Ok(())
        } else {
            Err(TargetRefusal::AddressRefused { host: self.url.host_str().unwrap_or_default().to_owned() })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    network: IpAddr,
    prefix: u32,
}

impl Range {
    fn parse(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange { text: text.to_owned() };
        let (network, prefix) = match text.split_once('/') {
            Some((network, prefix)) => (network, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = network.trim().parse().map_err(|_error| invalid())?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_error| invalid())?,
            None => longest,
        };
        if prefix > longest { Err(invalid()) } else { Ok(Self { network, prefix }) }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => in_v4(address, network, self.prefix),
            (IpAddr::V6(network), IpAddr::V6(address)) => in_v6(address, network, self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn in_v4(address: Ipv4Addr, network: Ipv4Addr, prefix: u32) -> bool {
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    (address.to_bits() ^ network.to_bits()) & mask == 0
}

fn in_v6(address: Ipv6Addr, network: Ipv6Addr, prefix: u32) -> bool {
    let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
    (address.to_bits() ^ network.to_bits()) & mask == 0
}

/// Ranges of the IANA special-purpose registry that are not, or not simply, the public network.
const NOT_PUBLIC_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),            // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT; a cloud's metadata at 100.100.100.200
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // a cloud's host agent behind a public number
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local; clouds' metadata at 169.254.169.254
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// Of IPv6 only global unicast is public, and these parts of it are not. NAT64, unique local, link-local, multicast
/// and the rest lie outside of it.
const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const NOT_PUBLIC_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: any IPv4 address inside
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !NOT_PUBLIC_V4.iter().any(|(network, prefix)| in_v4(address, *network, *prefix))
        }
        IpAddr::V6(address) => {
            in_v6(address, GLOBAL_UNICAST_V6.0, GLOBAL_UNICAST_V6.1)
                && !NOT_PUBLIC_V6.iter().any(|(network, prefix)| in_v6(address, *network, *prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AllowedAddresses, Channel, Target, TargetRefusal};
    use kernel::Refused;

    fn nobody() -> AllowedAddresses {
        AllowedAddresses::default()
    }

    fn loopback() -> AllowedAddresses {
        AllowedAddresses::parse(&["127.0.0.0/8", "::1"]).unwrap()
    }

    #[test]
    fn public_addresses_are_taken_over_https() {
        for url in [
            "https://receiver.example/hook",
            "https://93.184.215.14/hook",
            "https://[2606:4700:4700::1111]:8443/hook?key=1",
        ] {
            assert!(Target::parse(url, &nobody()).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_public_address_is_refused_over_http_unless_the_operator_allows_it() {
        let url = "http://93.184.215.14/hook";
        let refused = Target::parse(url, &nobody()).unwrap_err();
        assert_eq!(refused.code(), "alerts.webhook_address_refused");
        let allowed = AllowedAddresses::parse(&["93.184.215.14"]).unwrap();
        assert_eq!(Target::parse(url, &allowed).unwrap().channel, Channel::Plain);
    }

    #[test]
    fn loopback_is_taken_where_the_operator_allows_it_in_whatever_form_it_is_written() {
        for url in
            ["http://127.0.0.1:8080/", "http://[::1]/", "https://2130706433/", "http://[::ffff:127.0.0.1]/"]
        {
            assert!(Target::parse(url, &loopback()).is_ok(), "{url}");
            assert!(Target::parse(url, &nobody()).is_err(), "{url}");
        }
        assert!(Target::parse("http://10.0.0.1/", &loopback()).is_err());
    }

    #[test]
    fn what_is_not_the_url_of_a_receiver_is_refused_as_invalid() {
        let long = format!("https://receiver.example/{}", "x".repeat(2_048));
        for url in [
            "",
            "receiver.example",
            "/hook",
            "ftp://receiver.example/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "javascript:alert(1)",
            "https://",
            "https:///",
            "https://user@receiver.example/",
            "https://:secret@receiver.example/",
            "https://receiver.example:99999/",
            "https://exa mple/",
            "https://[::1",
            "https://1.2.3.4.5/",
            "https://256.256.256.256/",
            &long,
        ] {
            let refused = Target::parse(url, &nobody()).unwrap_err();
            assert_eq!(refused.code(), "alerts.webhook_url_invalid", "{url}: {refused}");
        }
    }

    #[test]
    fn a_refusal_names_the_host_and_not_what_it_resolved_to() {
        let target = Target::parse("https://intranet.example/hook", &nobody()).unwrap();
        let refused = target.require(&nobody(), ["10.1.2.3".parse().unwrap()]).unwrap_err();
        assert_eq!(refused, TargetRefusal::AddressRefused { host: "intranet.example".to_owned() });
    }

    #[test]
    fn a_host_without_any_address_is_refused() {
        let target = Target::parse("https://receiver.example/hook", &nobody()).unwrap();
        assert!(target.require(&nobody(), []).is_err());
    }

    #[test]
    fn an_entry_of_the_operators_list_that_is_no_range_is_refused_by_name() {
        for entry in ["localhost", "127.0.0.1/33", "::1/129", "10.0.0.0/", "10.0.0.0/-1", ""] {
            assert_eq!(AllowedAddresses::parse(&[entry]).unwrap_err().text, entry);
        }
    }

    #[test]
    fn a_range_holds_its_edges_and_not_their_neighbours() {
        let allowed = AllowedAddresses::parse(&["10.2.0.0/15", "fd00:1::/32"]).unwrap();
        for (address, inside) in [
            ("10.2.0.0", true),
            ("10.3.255.255", true),
            ("10.1.255.255", false),
            ("10.4.0.0", false),
            ("fd00:1:ffff::1", true),
            ("fd00:2::", false),
        ] {
            assert_eq!(allowed.admit(Channel::Plain, address.parse().unwrap()), inside, "{address}");
        }
    }
}
