//! Signed, expiring addresses of files: the bytes of packages need not pass the gateway, and whoever has an address can do
//! with one file what it says, and nothing else.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{PackageId, Refused};
use runtime::Settings;
use secrecy::ExposeSecret;
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

/// Long enough for a large package over a slow line; whoever needs longer asks again and goes on.
const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Sending a file's bytes.
    Upload,
    /// Fetching them.
    Download,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

/// The query of an address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Link {
    /// Seconds since 1970.
    pub(super) expires: i64,
    /// The file's size in bytes.
    pub(super) size: u64,
    signature: String,
    /// Where a part begins.
    #[serde(default)]
    pub(super) offset: u64,
}

/// An address that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkRefusal {
    /// Its signature is not ours, or was made for something else.
    #[error("the address is not one that was given out")]
    Invalid,
    /// Too late.
    #[error("the address has expired: ask for another one, and go on where you are")]
    Expired,
}

impl Refused for LinkRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "feeds.package_link_invalid",
            Self::Expired => "feeds.package_link_expired",
        }
    }
}

/// Makes and reads addresses.
#[derive(Clone)]
pub(super) struct Links {
    key: Hmac<Sha256>,
    base: Url,
}

impl Links {
    /// A key of its own below the secret that the services share.
    pub(super) fn new(settings: &Settings, base: Url) -> anyhow::Result<Self> {
        let mut key = Hmac::<Sha256>::new_from_slice(settings.internal.secret.expose_secret().as_bytes())?;
        key.update(b"patchfleet package links v1");
        Ok(Self { key: Hmac::new_from_slice(&key.finalize().into_bytes())?, base })
    }

    /// When addresses end that are made now.
    pub(super) fn expiry(now: DateTime<Utc>) -> i64 {
        (now + LIFETIME).timestamp()
    }

    /// The address of a file.
    pub(super) fn address(
        &self,
        purpose: Purpose,
        package_id: PackageId,
        name: &str,
        size: u64,
        expires: i64,
    ) -> String {
        let mac = self.mac(purpose, package_id, name, size, expires).finalize().into_bytes();
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["packages", &package_id.to_string(), "files", name]);
        }
        url.query_pairs_mut()
            .append_pair("expires", &expires.to_string())
            .append_pair("size", &size.to_string())
            .append_pair("signature", &BASE64_URL_SAFE_NO_PAD.encode(mac));
        url.into()
    }

    /// Refuses what was not made here, or not for this.
    pub(super) fn check(
        &self,
        purpose: Purpose,
        package_id: PackageId,
        name: &str,
        link: &Link,
        now: DateTime<Utc>,
    ) -> Result<(), LinkRefusal> {
        let signature =
            BASE64_URL_SAFE_NO_PAD.decode(&link.signature).map_err(|_malformed| LinkRefusal::Invalid)?;
        self.mac(purpose, package_id, name, link.size, link.expires)
            .verify_slice(&signature)
            .map_err(|_differs| LinkRefusal::Invalid)?;
        if link.expires <= now.timestamp() { Err(LinkRefusal::Expired) } else { Ok(()) }
    }

    fn mac(
        &self,
        purpose: Purpose,
        package_id: PackageId,
        name: &str,
        size: u64,
        expires: i64,
    ) -> Hmac<Sha256> {
        // No name of a file has a line's end in it.
        let text = format!("{}\n{package_id}\n{name}\n{size}\n{expires}", purpose.word());
        self.key.clone().chain_update(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, LinkRefusal, Links, Purpose};
    use chrono::{DateTime, TimeDelta, Utc};
    use kernel::PackageId;
    use runtime::Settings;
    use uuid::Uuid;

    const ID: PackageId = PackageId(Uuid::from_u128(1));

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn links() -> Links {
        let settings = Settings::from_variables::<String, String>([]).unwrap();
        Links::new(&settings, "https://files.example/base/".parse().unwrap()).unwrap()
    }

    fn made() -> Link {
        let text = links().address(Purpose::Upload, ID, "Update 1.zip", 10, Links::expiry(noon()));
        let url: url::Url = text.parse().unwrap();
        assert_eq!(url.path(), format!("/base/packages/{ID}/files/Update%201.zip"));
        let value = |key: &str| {
            url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned()).unwrap()
        };
        let (expires, size) = (value("expires").parse().unwrap(), value("size").parse().unwrap());
        Link { expires, size, signature: value("signature"), offset: 0 }
    }

    #[test]
    fn an_address_is_good_for_what_it_was_made_for_until_it_expires() {
        let check = |purpose, id, name: &str, link: &Link, now| links().check(purpose, id, name, link, now);
        let (link, name) = (made(), "Update 1.zip");
        assert_eq!(check(Purpose::Upload, ID, name, &link, noon()), Ok(()));
        let late = noon() + TimeDelta::hours(24);
        assert_eq!(check(Purpose::Upload, ID, name, &link, late), Err(LinkRefusal::Expired));
        let other = PackageId(Uuid::from_u128(2));
        for refused in [
            check(Purpose::Download, ID, name, &link, noon()),
            check(Purpose::Upload, other, name, &link, noon()),
            check(Purpose::Upload, ID, "../Update 1.zip", &link, noon()),
            check(Purpose::Upload, ID, name, &Link { size: 11, ..link.clone() }, noon()),
            check(Purpose::Upload, ID, name, &Link { expires: link.expires + 1, ..link.clone() }, noon()),
            check(Purpose::Upload, ID, name, &Link { signature: String::new(), ..link.clone() }, noon()),
        ] {
            assert_eq!(refused, Err(LinkRefusal::Invalid));
        }
    }
}
