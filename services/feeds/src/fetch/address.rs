//! Keeps web sources out of the own network, where the operator wants that.

use super::FetchError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// A server on the other side of the world answers a handshake in less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A host that has no public address.
#[derive(Debug, thiserror::Error)]
#[error("{host} is not a public address")]
pub(super) struct PrivateAddress {
    pub(super) host: String,
}

/// A client that connects to public addresses only: what was checked is what is connected to.
pub(super) fn public_only_client(deadline: Duration) -> reqwest::Result<reqwest::Client> {
    runtime::http::install_tls_provider();
    reqwest::Client::builder()
        .dns_resolver(Arc::new(PublicOnly))
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would resolve the names itself.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(deadline)
        .user_agent(concat!("patchfleet/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Checks an address that stands in the URL itself: it never meets the resolver.
pub(super) fn require_public(url: &Url) -> Result<(), FetchError> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if is_public(address) { Ok(()) } else { Err(FetchError::PrivateAddress { host: address.to_string() }) }
}

struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(PrivateAddress { host: name.as_str().to_owned() }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_broadcast()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        // A cloud's host agent behind a public number.
        || address == Ipv4Addr::new(168, 63, 129, 16);
    !special
}

/// Global unicast, without the parts that hold other addresses (Teredo, 6to4) or stand in documents only.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a) && a != 0x2002 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && a != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::{is_public, require_public};
    use crate::fetch::{Patience, Validators};
    use kernel::Refused;

    #[test]
    fn addresses_of_the_own_network_are_not_public_in_whatever_form_they_are_written() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://10.1.2.3/",
            "http://169.254.169.254/latest",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fd00::1]/",
            "http://[2002:7f00:1::]/",
        ] {
            let refused = require_public(&url.parse().unwrap()).unwrap_err();
            assert_eq!(refused.code(), "feeds.source_address_refused", "{url}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for url in ["https://93.184.215.14/", "https://[2606:4700:4700::1111]/", "https://vendor.example/"] {
            assert!(require_public(&url.parse().unwrap()).is_ok(), "{url}");
        }
        assert!(is_public("172.32.0.1".parse().unwrap()));
        assert!(!is_public("172.31.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_the_own_network_is_refused_by_the_client() {
        let client = super::public_only_client(std::time::Duration::from_secs(5)).unwrap();
        let url = "http://localhost:9/".parse().unwrap();
        let limit = std::time::Duration::from_secs(5);
        let patience = Patience { deadline: limit, stall: limit, attempts: 3, first_pause: limit };
        let refused = super::super::page::read(&client, url, &Validators::default(), 1, patience).await;
        assert_eq!(refused.unwrap_err().code(), "feeds.source_address_refused");
    }
}
