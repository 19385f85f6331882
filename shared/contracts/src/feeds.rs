//! What vendors publish.

use crate::{Cadence, Classification, DevicePlatform, FixTarget, OutOfBandReason, RebootBehaviour, Severity};
use chrono::{DateTime, NaiveDate, Utc};
use kernel::{CustomerId, FeedId, PatchId};
use serde::{Deserialize, Serialize};

/// Who stands behind a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FeedKind {
    /// The operating system's vendor.
    OsVendor,
    /// A software package provider.
    PackageProvider,
    /// A partner who manages published packages.
    Partner,
}

/// How a feed's documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FeedFormat {
    /// The Debian security tracker's `DSA/list` (line text).
    DebianDsaList,
    /// The Debian security tracker's JSON (source package, CVE, release): adds urgencies to known patches.
    DebianTracker,
    /// Microsoft's monthly CVRF v3 documents (XML or JSON), or the index of them.
    MsrcCvrf,
    /// Microsoft's table of deployments (JSON pages): one row per fix and product.
    MsrcDeployment,
    /// An export of a WSUS server (PowerShell CLIXML).
    WsusExport,
    /// The definitions of Windows Exploit Suggester NG: Microsoft's fixes as CSV in a zip file.
    Wesng,
    /// A `Release` or `InRelease` file with the `Packages` lists that it names.
    DebianRepository,
    /// Common Security Advisory Framework 2.0: provider metadata, ROLIE feeds, change lists and advisories.
    Csaf,
    /// Open Vulnerability and Assessment Language definitions of a Linux distribution.
    Oval,
    /// Ubuntu's database of security notices.
    UbuntuUsnDatabase,
    /// Ubuntu's security notices by page.
    UbuntuNotices,
    /// Open Source Vulnerability records.
    Osv,
    /// A `repomd.xml` with the `updateinfo.xml` that it names.
    RpmRepository,
    /// The security database of Alpine and its relatives.
    AlpineSecdb,
    /// CISA's list of known exploited vulnerabilities (JSON or CSV).
    Kev,
    /// FIRST's exploit prediction scores.
    Epss,
    /// The National Vulnerability Database, API 2.0.
    Nvd,
    /// CVE records, version 5.
    Cve,
    /// Dell's catalogue of driver packs.
    DellCatalog,
    /// Lenovo's catalogue of BIOS and driver packs.
    LenovoCatalog,
    /// Azure Stack's list of updates.
    AzureStackUpdates,
}

/// All that is known of one patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchFacts {
    /// The patch: derived from vendor and vendor id, so that every import finds the same one.
    pub patch_id: PatchId,
    /// The feed that published it.
    pub feed_id: FeedId,
    /// The vendor's own id: `KB5034123`, `DSA-5380-1`.
    pub vendor_patch_id: String,
    /// Title.
    pub name: String,
    /// What it runs on.
    pub platform: DevicePlatform,
    /// Operating system versions it is for, readable.
    pub os_versions: Vec<String>,
    /// The vendor's severity word, empty if none.
    pub vendor_severity: String,
    /// On our one scale.
    pub severity: Severity,
    /// Kind of update.
    pub classification: Classification,
    /// Day of first publication.
    pub release_date: NaiveDate,
    /// `CVE-2024-20674` …, sorted.
    pub cves: Vec<String>,
    /// What must be on a device for the patch to count as installed.
    pub targets: Vec<FixTarget>,
    /// Vendor ids of patches that this one replaces.
    pub supersedes: Vec<String>,
    /// Restart needed?
    pub reboot: RebootBehaviour,
    /// Where a person reads more.
    pub url: Option<String>,
    /// The publisher's notices that describe it: `DSA-5380-1`, `RHSA-2024:4420`, Microsoft's `CVE-2024-20674`; sorted.
    pub advisories: Vec<String>,
    /// The version after it, where the publisher gives one.
    pub version: Option<String>,
    /// What has to be downloaded, in bytes, where the publisher says so.
    pub size_bytes: Option<u64>,
    /// How regularly its kind is published.
    pub cadence: Cadence,
    /// Why it came outside of the cycle, if it did.
    pub out_of_band: Option<OutOfBandReason>,
    /// Vendor ids of patches that must be there first.
    pub prerequisites: Vec<String>,
    /// Whether the publisher gives the day of publication; otherwise `release_date` is the day on which it was first seen.
    pub is_dated: bool,
}

/// An entry of CISA's list of known exploited vulnerabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KevEntry {
    /// Day on which it was listed.
    pub date_added: NaiveDate,
    /// Day until which CISA wants it mended; one input among others.
    pub due_date: Option<NaiveDate>,
    /// Whether ransomware is known to use it; none where that is unknown.
    pub ransomware: Option<bool>,
    /// Vendor or project.
    pub vendor: String,
    /// Product.
    pub product: String,
    /// Short name of the vulnerability.
    pub name: String,
}

/// FIRST's prediction that a vulnerability will be exploited within 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Epss {
    /// Probability in parts of 100,000.
    pub score: u32,
    /// Share of all vulnerabilities with this score or less, in parts of 100,000, where the publisher gives it.
    pub percentile: Option<u32>,
    /// Day of the prediction, where the document says it.
    pub date: Option<NaiveDate>,
}

/// A score of the Common Vulnerability Scoring System.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cvss {
    /// Version of the system: `2.0`, `3.0`, `3.1`, `4.0`.
    pub version: String,
    /// Vector as the publisher wrote it; empty where it gave a score only.
    pub vector: String,
    /// Base score in tenths: 98 is 9.8.
    pub base_score: u8,
}

/// Inputs of a decision by Stakeholder-Specific Vulnerability Categorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SsvcInputs {
    /// `none`, `poc` or `active`.
    pub exploitation: Option<String>,
    /// Whether an attacker can automate the first steps.
    pub automatable: Option<bool>,
    /// `partial` or `total`.
    pub technical_impact: Option<String>,
}

/// A patch of the first version in today's shape: what was not asked then is not known.
fn with_details(mut fact: serde_json::Value) -> Result<serde_json::Value, String> {
    let patch =
        fact.get_mut("patch").and_then(serde_json::Value::as_object_mut).ok_or("it holds no patch")?;
    let is_windows = patch.get("platform").is_some_and(|platform| platform == "WINDOWS");
    let own: Vec<_> =
        if is_windows { Vec::new() } else { patch.get("vendor_patch_id").cloned().into_iter().collect() };
    patch.insert("advisories".to_owned(), own.into());
    patch.insert("version".to_owned(), serde_json::Value::Null);
    patch.insert("size_bytes".to_owned(), serde_json::Value::Null);
    patch.insert("cadence".to_owned(), if is_windows { "MONTHLY" } else { "UNSCHEDULED" }.into());
    patch.insert("out_of_band".to_owned(), serde_json::Value::Null);
    patch.insert("prerequisites".to_owned(), serde_json::Value::Array(Vec::new()));
    patch.insert("is_dated".to_owned(), true.into());
    Ok(fact)
}

/// Who publishes a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Publisher {
    /// Name of the organisation.
    pub name: String,
    /// Web address at which it can be reached.
    pub contact_url: Option<String>,
}

/// When a feed is read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeedSchedule {
    /// Minutes from one reading to the next; each is put off by some more, so that not all feeds are read at once.
    pub every_minutes: u32,
}

/// An older fact of a feed in today's shape: nothing was read by itself then.
fn without_schedule(mut fact: serde_json::Value) -> Result<serde_json::Value, String> {
    let feed = fact.as_object_mut().ok_or("not an object")?;
    feed.insert("schedule".to_owned(), serde_json::Value::Null);
    feed.insert("publisher".to_owned(), serde_json::Value::Null);
    Ok(fact)
}

/// An older record of a synchronisation in today's shape: it was always one document, and patches were all it could hold.
fn with_one_document(mut fact: serde_json::Value) -> Result<serde_json::Value, String> {
    let sync = fact.as_object_mut().ok_or("not an object")?;
    sync.insert("documents".to_owned(), 1.into());
    sync.insert("withdrawn".to_owned(), 0.into());
    sync.insert("vulnerabilities".to_owned(), 0.into());
    sync.insert("refused".to_owned(), serde_json::Value::Array(Vec::new()));
    Ok(fact)
}

/// What is known of who made a repository's list of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RepositorySignature {
    /// The feed has no keyring: whoever answers at its source was believed.
    NotVerified,
    /// A key of the feed's keyring signed it.
    Verified {
        /// The signer's primary key, lowercase hex.
        fingerprint: String,
        /// When it was signed, in the signer's words.
        signed_at: Option<DateTime<Utc>>,
    },
}

/// An older fact of a feed in today's shape: there were no keyrings then.
fn without_keyring(mut fact: serde_json::Value) -> Result<serde_json::Value, String> {
    fact.as_object_mut().ok_or("not an object")?.insert("keyring".to_owned(), serde_json::Value::Null);
    Ok(fact)
}

/// An older record of a synchronisation in today's shape: nobody had looked at a signature, and nobody said so.
fn without_signature(mut fact: serde_json::Value) -> Result<serde_json::Value, String> {
    fact.as_object_mut().ok_or("not an object")?.insert("signature".to_owned(), serde_json::Value::Null);
    Ok(fact)
}

events! {
    /// Facts of a feed.
    FeedEvent in "feeds" {
        /// A feed was registered. A partner's feed is an event of the partner; its patches are for the partner's customers only.
        FeedRegistered = 3 {
            /// The feed.
            feed_id: FeedId,
            /// Display name.
            name: String,
            /// Who stands behind it.
            kind: FeedKind,
            /// How it is written.
            format: FeedFormat,
            /// Where its documents come from: a path or an http(s) URL.
            source: String,
            /// When it is read by itself; none where somebody has to ask.
            schedule: Option<FeedSchedule>,
            /// Who publishes it, with a way to reach them, where that is known.
            publisher: Option<Publisher>,
            /// Whose signatures count: `OpenPGP` certificates, each armoured; none where no signature is verified.
            keyring: Option<String>,
        } upcast { 1 => without_schedule, 2 => without_keyring },
        /// A feed's settings were changed.
        FeedChanged = 2 {
            /// The feed.
            feed_id: FeedId,
            /// Display name.
            name: String,
            /// Where its documents come from.
            source: String,
            /// When it is read by itself.
            schedule: Option<FeedSchedule>,
            /// Who publishes it.
            publisher: Option<Publisher>,
            /// Whose signatures count: `OpenPGP` certificates, each armoured; none where no signature is verified.
            keyring: Option<String>,
            /// Names of the changed fields.
            changed: Vec<String>,
        } upcast { 1 => without_keyring },
        /// A feed is not read any more until it is enabled again.
        FeedDisabled = 1 {
            /// The feed.
            feed_id: FeedId,
            /// Why.
            reason: String,
        },
        /// A feed is read again.
        FeedEnabled = 1 {
            /// The feed.
            feed_id: FeedId,
        },
        /// Documents were taken in.
        FeedSyncCompleted = 3 {
            /// The feed.
            feed_id: FeedId,
            /// SHA-256 of the document, lowercase hex; of the first one, where it names others.
            document_sha256: String,
            /// The publisher's own date of the document, where it has one.
            document_date: Option<DateTime<Utc>>,
            /// Documents that were read: those that had not changed are not among them.
            documents: u32,
            /// New patches.
            published: u32,
            /// Changed patches.
            revised: u32,
            /// Patches as they were.
            unchanged: u32,
            /// Patches that their publisher took back.
            withdrawn: u32,
            /// Vulnerabilities of which something became known or changed.
            vulnerabilities: u32,
            /// Records left out, each with its reason (the first 100).
            quarantined: Vec<String>,
            /// Documents left out although the rest was taken in, each with its reason (the first 100).
            refused: Vec<String>,
            /// Who signed what was read; none where nothing was read that is signed in a way known here.
            signature: Option<RepositorySignature>,
        } upcast { 1 => with_one_document, 2 => without_signature },
        /// A document was refused, or none could be had although it was tried several times; what is known stays as it was.
        FeedSyncFailed = 1 {
            /// The feed.
            feed_id: FeedId,
            /// Stable code.
            code: String,
            /// What is wrong.
            reason: String,
        },
    }
}

events! {
    /// Facts of a patch.
    PatchEvent in "feeds" {
        /// A patch became known.
        PatchPublished = 2 {
            /// All of it.
            patch: PatchFacts,
        } upcast { 1 => with_details },
        /// The vendor changed it.
        PatchRevised = 2 {
            /// All of it, as it is now.
            patch: PatchFacts,
            /// Names of the changed fields.
            changed: Vec<String>,
        } upcast { 1 => with_details },
        /// A newer patch replaces it.
        PatchSuperseded = 1 {
            /// The old one.
            patch_id: PatchId,
            /// The newer one.
            superseded_by: PatchId,
            /// The newer one's vendor id.
            superseded_by_vendor_id: String,
        },
        /// It was published outside of the regular cycle, which no document says but somebody knows.
        PatchMarkedOutOfBand = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Why it could not wait.
            reason: OutOfBandReason,
        },
        /// The publisher took it back.
        PatchWithdrawn = 1 {
            /// The patch.
            patch_id: PatchId,
            /// Why.
            reason: String,
        },
    }
}

events! {
    /// Facts of a vulnerability, whichever of its sources they come from.
    VulnerabilityEvent in "feeds" {
        /// It is known to be exploited.
        VulnerabilityAddedToKev = 1 {
            /// `CVE-2024-20674`
            cve: String,
            /// The list's entry.
            entry: KevEntry,
        },
        /// Its entry in the list of known exploited vulnerabilities was changed.
        KevEntryChanged = 1 {
            /// The vulnerability.
            cve: String,
            /// The entry as it is now.
            entry: KevEntry,
        },
        /// It is not in the list of known exploited vulnerabilities any more.
        VulnerabilityRemovedFromKev = 1 {
            /// The vulnerability.
            cve: String,
        },
        /// How likely it is to be exploited changed by a percent point or more, or became known.
        EpssChanged = 1 {
            /// The vulnerability.
            cve: String,
            /// The prediction.
            epss: Epss,
        },
        /// A source scores it anew.
        CvssChanged = 1 {
            /// The vulnerability.
            cve: String,
            /// Who scores it: `nvd`, or the short name of an authority.
            source: String,
            /// All scores of this source, the highest version first.
            scores: Vec<Cvss>,
        },
        /// A source judges anew what a decision about it depends on.
        SsvcInputsChanged = 1 {
            /// The vulnerability.
            cve: String,
            /// Who judges.
            source: String,
            /// The inputs.
            inputs: SsvcInputs,
        },
        /// The id means no vulnerability any more.
        VulnerabilityRejected = 1 {
            /// The id.
            cve: String,
            /// Who says so.
            source: String,
            /// Why.
            reason: String,
        },
        /// The id means a vulnerability after all.
        VulnerabilityReinstated = 1 {
            /// The vulnerability.
            cve: String,
            /// Who says so.
            source: String,
        },
    }
}

events! {
    /// A tenant's own mark on a patch.
    RatingEvent in "feeds" {
        /// A tenant marked how much a patch matters to it.
        PatchRated = 1 {
            /// The patch.
            patch_id: PatchId,
            /// 1 (least) to 5 (most).
            rating: u8,
            /// Why, in the tenant's words.
            comment: Option<String>,
        },
        /// A tenant took its mark back.
        PatchRatingCleared = 1 {
            /// The patch.
            patch_id: PatchId,
        },
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// The feed.
    pub feed_id: FeedId,
    /// SHA-256 of the document; of the first one, where it names others.
    pub document_sha256: String,
    /// Documents that were read.
    pub documents: u32,
    /// New patches.
    pub published: u32,
    /// Changed patches.
    pub revised: u32,
    /// Patches as they were.
    pub unchanged: u32,
    /// Patches that their publisher took back.
    pub withdrawn: u32,
    /// Vulnerabilities of which something became known or changed.
    pub vulnerabilities: u32,
    /// Records left out, with reasons.
    pub quarantined: Vec<String>,
    /// Documents left out, with reasons.
    pub refused: Vec<String>,
    /// Who signed what was read; none where nothing was read that is signed in a way known here.
    #[serde(default)]
    pub signature: Option<RepositorySignature>,
}

/// What a look at a feed's source found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectivityReport {
    /// Whether a document of the feed's format is there.
    pub reachable: bool,
    /// Name of the format that was found.
    pub found_format: Option<String>,
    /// Bytes that were read to find out.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Whether the source can say that nothing has changed (`ETag` or `Last-Modified`).
    pub conditional: bool,
    /// Stable code of what is wrong.
    pub code: Option<String>,
    /// What is wrong.
    pub reason: Option<String>,
}

commands! {
    Feeds {
        /// Registers a feed: the platform's for everybody, a partner's for its customers.
        RegisterFeed -> FeedId, needs ManageFeeds {
            /// Display name.
            name: String,
            /// Who stands behind it.
            kind: FeedKind,
            /// How it is written.
            format: FeedFormat,
            /// A path below the configured import folder, or an http(s) URL.
            source: String,
            /// When it is read by itself.
            schedule: Option<FeedSchedule>,
            /// Who publishes it.
            publisher: Option<Publisher>,
            /// Whose signatures count, for a repository of Debian's kind: `OpenPGP` certificates, armoured or as Base64.
            keyring: Option<String>,
        }
        /// Changes a feed's settings; its format stays.
        ChangeFeed -> FeedId, needs ManageFeeds {
            /// The feed.
            feed_id: FeedId,
            /// Display name.
            name: String,
            /// A path below the configured import folder, or an http(s) URL.
            source: String,
            /// When it is read by itself.
            schedule: Option<FeedSchedule>,
            /// Who publishes it.
            publisher: Option<Publisher>,
            /// Whose signatures count, for a repository of Debian's kind: `OpenPGP` certificates, armoured or as Base64.
            keyring: Option<String>,
        }
        /// Reads a feed no more.
        DisableFeed -> FeedId, needs ManageFeeds {
            /// The feed.
            feed_id: FeedId,
            /// Why.
            reason: String,
        }
        /// Reads a feed again.
        EnableFeed -> FeedId, needs ManageFeeds {
            /// The feed.
            feed_id: FeedId,
        }
        /// Looks whether a source can be reached and holds what the feed publishes; takes nothing in.
        TestFeed -> ConnectivityReport, needs ManageFeeds {
            /// The feed.
            feed_id: FeedId,
        }
        /// Reads the feed's source now and takes in what is new.
        SyncFeed -> ImportReport, needs ManageFeeds {
            /// The feed.
            feed_id: FeedId,
        }
        /// Marks a patch as published outside of the regular cycle.
        MarkPatchOutOfBand -> PatchId, needs ManageFeeds {
            /// The patch.
            patch_id: PatchId,
            /// Why it could not wait.
            reason: OutOfBandReason,
        }
        /// Marks how much a patch matters to the tenant.
        RatePatch -> PatchId, needs RatePatches {
            /// The patch.
            patch_id: PatchId,
            /// The customer whose mark it is; the partner's own where there is none.
            customer_id: Option<CustomerId>,
            /// 1 (least) to 5 (most).
            rating: u8,
            /// Why.
            comment: Option<String>,
        }
        /// Takes the tenant's mark back.
        ClearPatchRating -> PatchId, needs RatePatches {
            /// The patch.
            patch_id: PatchId,
            /// The customer whose mark it is; the partner's own where there is none.
            customer_id: Option<CustomerId>,
        }
    }
}
