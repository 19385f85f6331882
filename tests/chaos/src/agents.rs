//! Devices whose agents report scans, in which patches come and go.

use crate::{
    load::{Ledger, Pace},
    plan::{self, PATCHES, Partner},
    send::{Attempt, Person, Sender, lost},
};
use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use contracts::{
    DevicePlatform, OsRelease, Service, VersionOrder,
    agent::{EnrolAnswer, EnrolRequest, InstalledPackage, Inventory, Receipt, ScanReport, inventory_bytes},
    devices::AgentMode,
};
use ed25519_dalek::SigningKey;
use journeys::chaos::Chance;
use kernel::{CommandId, derived_id};
use runtime::{Clock, Ids, SystemClock, SystemIds};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use std::{fmt::Write, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Packages of a hundred that change between two scans.
const CHANGE_PERCENT: u64 = 25;

/// Scans of a hundred that are reported twice at the same moment.
const TWIN_PERCENT: u64 = 5;

/// A minute: nothing is killed yet.
const COUNTS_MAX: u32 = 600;
const COUNT_PAUSE: Duration = Duration::from_millis(100);

/// The document from which the catalogue is made: one advisory per patch.
pub(crate) fn advisories() -> String {
    (0..PATCHES).rev().fold(String::new(), |mut text, patch| {
        let day = patch + 1;
        _ = write!(
            text,
            "[{day:02} Nov 2026] {} {} - security update\n\t{{CVE-2026-{}}}\n\t[bookworm] - {} 1.1 (high)\n",
            plan::advisory(patch),
            package(patch),
            91_000 + patch,
            package(patch)
        );
        text
    })
}

fn package(patch: u64) -> String {
    format!("chaos-{patch}")
}

/// One device and its agent.
pub(crate) struct Agent {
    key: SigningKey,
    device_id: String,
    seed: u64,
    number: u64,
    chance: Chance,
    scans: u64,
    /// Which patches are installed; none before the first scan.
    installed: Option<Vec<bool>>,
}

impl Agent {
    /// Enrols a device of the partner's shared customer.
    pub(crate) async fn enrol(
        seed: u64,
        number: u64,
        partner: &Partner,
        sender: &Sender,
        ledger: &Ledger,
    ) -> Result<Self> {
        let step = plan::enrolment(seed, number, partner);
        ledger.begin(&step);
        let outcome = sender.until_acknowledged(&Person::of(partner), &step).await;
        ledger.take(&step, &outcome)?;
        let issued = outcome.map_err(|code| anyhow::anyhow!("no enrolment token: {code}"))?;
        let token = issued.answer["token"].as_str().context("a token without its text")?.to_owned();
        // From the seed as well, so that the device ids are the same in every run of it.
        let key = SigningKey::from_bytes(&Sha256::digest(format!("chaos/{seed}/{number}")).into());
        let request = EnrolRequest {
            token,
            public_key: BASE64_STANDARD.encode(key.verifying_key().as_bytes()),
            name: format!("device-{number}"),
            platform: DevicePlatform::Linux,
            os: release(),
            os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            mode: AgentMode::Full,
            agent_version: "0.1.0".to_owned(),
        };
        let url = || format!("{}/agent/v1/enrol", sender.url(Service::Devices));
        let enrolled: EnrolAnswer = sender
            .until_taken(|| answered(sender.http.post(url()).json(&request)))
            .await
            .map_err(|code| anyhow::anyhow!("a device was not let in: {code}"))?;
        let chance = Chance::new(seed, 2_000_000 + number);
        let device_id = enrolled.device_id.to_string();
        Ok(Self { key, device_id, seed, number, chance, scans: 0, installed: None })
    }

    /// Reports scan after scan until the end.
    pub(crate) async fn run(
        mut self,
        sender: Arc<Sender>,
        ledger: Arc<Ledger>,
        pace: Arc<Pace>,
        end: CancellationToken,
    ) -> Result<()> {
        while !end.is_cancelled() {
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                () = pace.take(1) => {}
            }
            self.scan(&sender, &ledger).await?;
        }
        Ok(())
    }

    /// Changes some packages and reports what is installed now; the first time, that nothing is patched.
    pub(crate) async fn scan(&mut self, sender: &Sender, ledger: &Ledger) -> Result<()> {
        let mut events = vec!["devices.ScanCompleted"];
        let installed = match self.installed.take() {
            None => {
                events.extend((0..PATCHES).map(|_| MISSING));
                (0..PATCHES).map(|_| false).collect()
            }
            Some(mut installed) => {
                for patch in &mut installed {
                    if self.chance.percent(CHANGE_PERCENT) {
                        *patch = !*patch;
                        events.push(if *patch { INSTALLED } else { MISSING });
                    }
                }
                installed
            }
        };
        self.scans += 1;
        let name = format!("chaos/{}/{}/{}", self.seed, self.number, self.scans);
        let report_id = derived_id(contracts::NAMESPACE, &name);
        let inventory = inventory(&installed);
        let hash = Sha256::digest(inventory_bytes(&release(), &inventory));
        let report = ScanReport {
            report_id,
            job_id: None,
            scanned_at: SystemClock.now(),
            os: release(),
            inventory_hash: hash.iter().fold(String::new(), |mut text, byte| {
                _ = write!(text, "{byte:02x}");
                text
            }),
            inventory: Some(inventory),
            available: Vec::new(),
            source: "apt: the load".to_owned(),
            pending_reboot: false,
        };
        self.installed = Some(installed);

        // As the devices service derives it, so that what was stored can be found again.
        let command_id = CommandId::derived(report_id, "scan");
        ledger.begin_scan(command_id);
        let twin = self.chance.percent(TWIN_PERCENT);
        let taken = if twin {
            let (taken, again) = tokio::join!(self.report(sender, &report), self.report(sender, &report));
            ledger.count_again();
            taken.and(again)
        } else {
            self.report(sender, &report).await
        };
        ledger.take_scan(command_id, events, &taken)
    }

    /// Sends the report, signed anew each time, until it is taken.
    async fn report(&self, sender: &Sender, report: &ScanReport) -> Result<(), String> {
        let receipt: Receipt = sender.until_taken(|| self.attempt(sender, report)).await?;
        if receipt.inventory_wanted { Err("the inventory was sent and is wanted".to_owned()) } else { Ok(()) }
    }

    async fn attempt(&self, sender: &Sender, report: &ScanReport) -> Attempt<Receipt> {
        match self.signed(sender, "/agent/v1/scans", report) {
            Ok(request) => answered(request).await,
            Err(error) => Attempt::Refused(format!("{error:#}")),
        }
    }

    fn signed(&self, sender: &Sender, path: &str, body: &impl Serialize) -> Result<reqwest::RequestBuilder> {
        let body = serde_json::to_vec(body)?;
        let parts = signing::RequestParts { method: "POST", path, query: "", body: &body };
        let nonce = SystemIds.uuid().to_string();
        let headers = signing::sign(&self.key, parts, SystemClock.now().timestamp(), &nonce, &self.device_id);
        Ok(sender
            .http
            .post(format!("{}{path}", sender.url(Service::Devices)))
            .header(signing::HEADER_CONTENT_DIGEST, headers.content_digest)
            .header(signing::HEADER_SIGNATURE_INPUT, headers.signature_input)
            .header(signing::HEADER_SIGNATURE, headers.signature)
            .header("content-type", "application/json")
            .body(body))
    }
}

const MISSING: &str = "devices.PatchFoundMissing";
const INSTALLED: &str = "devices.PatchFoundInstalled";

fn release() -> OsRelease {
    OsRelease { id: "debian".to_owned(), version: "12".to_owned() }
}

fn inventory(installed: &[bool]) -> Inventory {
    let mut packages: Vec<InstalledPackage> = (0..)
        .zip(installed)
        .map(|(patch, installed)| {
            let version = if *installed { "1.1" } else { "1.0" };
            InstalledPackage {
                name: package(patch),
                version: version.to_owned(),
                architecture: "amd64".to_owned(),
                source: package(patch),
                source_version: version.to_owned(),
                module: None,
            }
        })
        .collect();
    packages.sort();
    Inventory::Packages { order: VersionOrder::Dpkg, packages }
}

/// One attempt whose answer is JSON.
async fn answered<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Attempt<T> {
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return lost(&error),
    };
    let status = answer.status();
    if status.is_success() {
        return match answer.json().await {
            Ok(taken) => Attempt::Taken(taken),
            Err(error) => lost(&error),
        };
    }
    let code = match answer.json::<serde_json::Value>().await {
        Ok(problem) => problem["code"].as_str().unwrap_or("no code").to_owned(),
        Err(error) => return lost(&error),
    };
    if status.is_client_error() && status.as_u16() != 429 {
        Attempt::Refused(code)
    } else {
        Attempt::Again(format!("agent {}: {code}", status.as_u16()))
    }
}

/// Waits until the devices service knows the whole catalogue: a scan before would find less missing, and the rest later.
pub(crate) async fn until_catalogue_is_known(database_url: &str) -> Result<()> {
    let handled = "select count(*) from es.event e
                     join es.inbox i on i.event_id = e.event_id and i.consumer = 'devices.reactor'
                    where e.event_type = 'feeds.PatchPublished'";
    until_counted(database_url, handled, i64::try_from(PATCHES)?).await.context("patches in the catalogue")
}

/// Waits until every patch waits for a decision at every shared customer: only then may people decide.
pub(crate) async fn until_opened(database_url: &str, wanted: i64) -> Result<()> {
    let opened = "select count(*) from es.event where event_type = 'approvals.ApprovalOpened'";
    until_counted(database_url, opened, wanted).await.context("approvals that wait for a decision")
}

async fn until_counted(database_url: &str, count: &'static str, wanted: i64) -> Result<()> {
    let mut database = PgConnection::connect(database_url).await.context("asking the database")?;
    for _ in 0..COUNTS_MAX {
        let counted: i64 = sqlx::query_scalar(count).fetch_one(&mut database).await?;
        if counted >= wanted {
            return Ok(());
        }
        tokio::time::sleep(COUNT_PAUSE).await;
    }
    bail!("there are not {wanted}")
}
