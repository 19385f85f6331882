//! The agent of the fleet's first device.

use super::fleet::{PACKAGES, bookworm, package, version};
use anyhow::{Context, Result, bail};
use contracts::VersionOrder;
use contracts::agent::{InstalledPackage, Inventory, ScanReport};
use devices_domain::report::inventory_hash;
use ed25519_dalek::SigningKey;
use kernel::DeviceId;
use runtime::{Clock, SystemClock};
use signing::RequestParts;
use std::time::Duration;
use uuid::Uuid;

const PATH: &str = "/agent/v1/scans";
/// The whole fleet has one key: nobody is to be kept out here.
const KEY: [u8; 32] = [7; 32];

pub(super) fn public_key() -> String {
    signing::public_key_text(&SigningKey::from_bytes(&KEY).verifying_key())
}

pub(super) fn installed(name: &str, version: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        source: name.to_owned(),
        source_version: version.to_owned(),
        module: None,
    }
}

pub(super) struct Agent {
    base: String,
    http: reqwest::Client,
    key: SigningKey,
    device_id: DeviceId,
}

impl Agent {
    pub(super) fn new(base: &str) -> Result<Self> {
        // As `fleet` names its devices: md5('device0').
        let device_id = "787f8e88-78e3-2ce2-57de-d1c3460f31b3";
        let http = runtime::http::internal_client(Duration::from_mins(1)).context("making a client")?;
        Ok(Self {
            base: base.to_owned(),
            http,
            key: SigningKey::from_bytes(&KEY),
            device_id: device_id.parse().context("reading the device's id")?,
        })
    }

    /// A scan of which one package differs from all before.
    pub(super) fn changed_scan(number: u64) -> Result<Vec<u8>> {
        let mut packages: Vec<InstalledPackage> =
            (0..PACKAGES).map(|at| installed(&package(at), &version(0, at))).collect();
        let changed = usize::try_from(number % PACKAGES)?;
        let changed = packages.get_mut(changed).context("no such package")?;
        *changed = installed(&changed.name, &format!("2.{}-1", 100 + number));
        let inventory = Inventory::Packages { order: VersionOrder::Dpkg, packages };
        let report = ScanReport {
            report_id: Uuid::new_v4(),
            job_id: None,
            scanned_at: SystemClock.now(),
            inventory_hash: inventory_hash(&bookworm(), &inventory),
            os: bookworm(),
            inventory: Some(inventory),
            available: Vec::new(),
            source: "apt: http://deb.example.org/debian".to_owned(),
            pending_reboot: false,
        };
        Ok(serde_json::to_vec(&report)?)
    }

    /// Sends a report and waits for its answer.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<()> {
        let parts = RequestParts { method: "POST", path: PATH, query: "", body: &body };
        let (nonce, keyid) = (Uuid::new_v4().simple().to_string(), self.device_id.to_string());
        let created = SystemClock.now().timestamp();
        let headers = signing::sign(&self.key, parts, created, &nonce, &keyid);
        let answer = self
            .http
            .post(format!("{}{PATH}", self.base))
            .header(signing::HEADER_CONTENT_DIGEST, headers.content_digest)
            .header(signing::HEADER_SIGNATURE_INPUT, headers.signature_input)
            .header(signing::HEADER_SIGNATURE, headers.signature)
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("{status}: {}", answer.text().await.unwrap_or_default());
        }
        Ok(())
    }
}
