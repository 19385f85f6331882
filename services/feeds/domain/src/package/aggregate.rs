//! Which facts about a package are news.

use super::checks;
use super::refusal::PackageRefusal;
use super::retention::Spare;
use super::stages::Known;
use chrono::{DateTime, Utc};
use contracts::packages::{
    AnnouncedFile, Connectivity, OemPackageSubmitted, PackageContents, PackageEvent, PackageFacts,
    PackageFile, PackageRegistered, PackageType,
};
use kernel::{Aggregate, PackageId, UserId};

/// An update package.
#[derive(Debug)]
pub struct Package;

/// What is known of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PackageState {
    /// Nothing.
    #[default]
    Unknown,
    /// It is registered.
    Known {
        /// All that is said of it.
        package: Box<PackageFacts>,
        /// Whether customers may see it.
        certification: Certification,
        /// Where it is.
        stage: Stage,
    },
}

/// Whether customers may see a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certification {
    /// It is no manufacturer's package.
    NotNeeded,
    /// Somebody else than the submitter has to look at it.
    Awaiting {
        /// Who handed it in.
        submitted_by: UserId,
    },
    /// It may be offered.
    Certified,
}

/// Where a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It is known, and its files are elsewhere.
    Registered,
    /// Its files are coming.
    Downloading,
    /// They did not come.
    DownloadFailed,
    /// They are there.
    Downloaded,
    /// Somebody is sending its files.
    Uploading {
        /// Those that will come.
        files: Vec<AnnouncedFile>,
    },
    /// They are there, and their list was confirmed.
    Uploaded,
    /// They are being read.
    Validating,
    /// It can be installed.
    Ready {
        /// SHA-256 of the list of its files.
        manifest_sha256: String,
        /// Whether a newer one is ready as well.
        is_superseded: bool,
    },
    /// Its files are not what they should be.
    Invalid,
    /// It was not certified.
    Refused,
    /// Its files are gone.
    Removed,
}

impl Stage {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Registered => "REGISTERED",
            Self::Downloading => "DOWNLOADING",
            Self::DownloadFailed => "DOWNLOAD_FAILED",
            Self::Downloaded => "DOWNLOADED",
            Self::Uploading { .. } => "UPLOADING",
            Self::Uploaded => "UPLOADED",
            Self::Validating => "VALIDATING",
            Self::Ready { .. } => "READY",
            Self::Invalid => "INVALID",
            Self::Refused => "REFUSED",
            Self::Removed => "REMOVED",
        }
    }
}

/// What reading a package's files came to: its contents, or a code and a reason.
pub type Verdict = Result<PackageContents, (String, String)>;

/// A wish about a package.
#[derive(Debug, Clone, PartialEq)]
pub enum PackageCommand {
    /// Make an update or a hotfix known.
    Register {
        /// All that is said of it.
        package: PackageFacts,
        /// Whether files may come over http, as on a developer's desk.
        plain_http: bool,
    },
    /// Hand in a manufacturer's package.
    Submit {
        /// All that is said of it.
        package: PackageFacts,
        /// Who does.
        by: UserId,
        /// Whether files may come over http, as on a developer's desk.
        plain_http: bool,
    },
    /// Let customers see it.
    Certify {
        /// Who says so.
        by: UserId,
        /// The list of files that was looked at.
        manifest_sha256: String,
    },
    /// Let customers never see it.
    RefuseCertification {
        /// Who says so.
        by: UserId,
        /// Why.
        reason: String,
    },
    /// Download it, because it is to be installed.
    StartDownload {
        /// How the systems reach the publisher.
        connectivity: Connectivity,
    },
    /// Its files came.
    RecordDownload {
        /// What is in the storage.
        files: Vec<PackageFile>,
    },
    /// Its files did not come.
    FailDownload {
        /// Stable code.
        code: String,
        /// What is wrong.
        reason: String,
    },
    /// Begin to import its files.
    StartUpload {
        /// Those that will come.
        files: Vec<AnnouncedFile>,
    },
    /// Confirm the import.
    CompleteUpload {
        /// What is in the storage, as a whole.
        files: Vec<PackageFile>,
        /// The list's SHA-256.
        manifest_sha256: String,
        /// That of the list which was shown.
        shown_sha256: String,
    },
    /// Read its files.
    StartValidation,
    /// Its files were read.
    Judge(Box<Verdict>),
    /// A newer one is ready.
    Supersede {
        /// The newer one.
        by: PackageId,
    },
    /// Remove its files by hand.
    Remove {
        /// Places where it was approved and is not installed.
        outstanding: u32,
        /// Places where it is installed.
        installed: u32,
    },
    /// Remove its files because nobody needs them any more.
    Retire {
        /// Since when, and why.
        spare: Spare,
        /// How long packages are kept.
        days: u32,
        /// Now.
        at: DateTime<Utc>,
    },
}

impl Aggregate for Package {
    const STREAM: &'static str = "feeds.package";
    type State = PackageState;
    /// The command and the package that it is about.
    type Command = (PackageId, PackageCommand);
    type Event = PackageEvent;
    type Refusal = PackageRefusal;

    fn decide(
        state: &PackageState,
        (package_id, command): (PackageId, PackageCommand),
    ) -> Result<Vec<PackageEvent>, PackageRefusal> {
        use PackageCommand as C;
        match (state, command) {
            (_, C::Register { package, plain_http }) => {
                if package.package_type == PackageType::Oem {
                    return Err(PackageRefusal::OemIsSubmitted);
                }
                announce(state, package, plain_http, |package| {
                    PackageRegistered { package_id, package }.into()
                })
            }
            (_, C::Submit { package, by, plain_http }) => {
                if package.package_type != PackageType::Oem {
                    return Err(PackageRefusal::NotOem);
                }
                announce(state, package, plain_http, |package| {
                    OemPackageSubmitted { package_id, package, submitted_by: by }.into()
                })
            }
            (PackageState::Unknown, _) => Err(PackageRefusal::Unknown),
            (PackageState::Known { package, certification, stage }, command) => {
                Known { package_id, package, certification: *certification, stage }.decide(command)
            }
        }
    }

    fn evolve(state: PackageState, event: &PackageEvent) -> PackageState {
        use PackageEvent as E;
        let (package, certification, reached) = match (state, event) {
            (_, E::PackageRegistered(fact)) => {
                return known(&fact.package, Certification::NotNeeded);
            }
            (_, E::OemPackageSubmitted(fact)) => {
                return known(&fact.package, Certification::Awaiting { submitted_by: fact.submitted_by });
            }
            (PackageState::Unknown, _) => return PackageState::Unknown,
            (PackageState::Known { package, certification, stage }, _) => (package, certification, stage),
        };
        let (certification, next) = match event {
            E::PackageRegistered(_) | E::OemPackageSubmitted(_) => (certification, reached),
            E::OemPackageCertified(_) => (Certification::Certified, reached),
            E::OemCertificationRefused(_) => (certification, Stage::Refused),
            E::PackageDownloadStarted(_) => (certification, Stage::Downloading),
            E::PackageDownloaded(_) => (certification, Stage::Downloaded),
            E::PackageDownloadFailed(_) => (certification, Stage::DownloadFailed),
            E::PackageUploadStarted(fact) => (certification, Stage::Uploading { files: fact.files.clone() }),
            E::PackageUploaded(_) => (certification, Stage::Uploaded),
            E::PackageValidationStarted(_) => (certification, Stage::Validating),
            E::PackageReady(fact) => {
                let manifest_sha256 = fact.contents.manifest_sha256.clone();
                (certification, Stage::Ready { manifest_sha256, is_superseded: false })
            }
            E::PackageInvalid(_) => (certification, Stage::Invalid),
            E::PackageSuperseded(_) => (certification, superseded(reached)),
            E::PackageRemoved(_) => (certification, Stage::Removed),
        };
        PackageState::Known { package, certification, stage: next }
    }
}

fn known(package: &PackageFacts, certification: Certification) -> PackageState {
    PackageState::Known { package: Box::new(package.clone()), certification, stage: Stage::Registered }
}

fn superseded(stage: Stage) -> Stage {
    match stage {
        Stage::Ready { manifest_sha256, .. } => Stage::Ready { manifest_sha256, is_superseded: true },
        stage @ (Stage::Registered
        | Stage::Downloading
        | Stage::DownloadFailed
        | Stage::Downloaded
        | Stage::Uploading { .. }
        | Stage::Uploaded
        | Stage::Validating
        | Stage::Invalid
        | Stage::Refused
        | Stage::Removed) => stage,
    }
}

fn announce(
    state: &PackageState,
    package: PackageFacts,
    plain_http: bool,
    event: impl FnOnce(PackageFacts) -> PackageEvent,
) -> Result<Vec<PackageEvent>, PackageRefusal> {
    checks::facts(&package, plain_http)?;
    match state {
        PackageState::Unknown => Ok(vec![event(package)]),
        PackageState::Known { package: known, .. } if **known == package => Ok(Vec::new()),
        PackageState::Known { package: known, .. } => {
            Err(PackageRefusal::AlreadyRegistered { name: known.name.clone() })
        }
    }
}
