//! What a known package answers to each wish.

use super::aggregate::{Certification, PackageCommand, Stage, Verdict};
use super::checks::{self, difference};
use super::preparation::preparation;
use super::refusal::PackageRefusal;
use super::retention::{Spare, removal_is_due};
use chrono::{DateTime, Utc};
use contracts::packages::{
    AnnouncedFile, Connectivity, OemCertificationRefused, OemPackageCertified, PackageDownloadFailed,
    PackageDownloadStarted, PackageDownloaded, PackageEvent, PackageFacts, PackageFile, PackageInvalid,
    PackageReady, PackageRemovalReason, PackageRemoved, PackageSuperseded, PackageUploadStarted,
    PackageUploaded, PackageValidationStarted, Preparation,
};
use kernel::{PackageId, UserId};

/// Characters of what went wrong: for people, and not a document.
const REASON_CHARS_MAX: usize = 1_000;

type Decision = Result<Vec<PackageEvent>, PackageRefusal>;

/// A package as it is now.
pub(super) struct Known<'a> {
    pub(super) package_id: PackageId,
    pub(super) package: &'a PackageFacts,
    pub(super) certification: Certification,
    pub(super) stage: &'a Stage,
}

impl Known<'_> {
    /// The answer to a wish; both ways of announcing a package are answered elsewhere.
    pub(super) fn decide(&self, command: PackageCommand) -> Decision {
        use PackageCommand as C;
        match command {
            C::Register { .. } | C::Submit { .. } => Ok(Vec::new()),
            C::Certify { by, manifest_sha256 } => self.certify(by, manifest_sha256),
            C::RefuseCertification { by, reason } => self.refuse_certification(by, reason),
            C::StartDownload { connectivity } => self.start_download(connectivity),
            C::RecordDownload { files } => self.record_download(files),
            C::FailDownload { code, reason } => self.fail_download(code, &reason),
            C::StartUpload { files } => self.start_upload(files),
            C::CompleteUpload { files, manifest_sha256, shown_sha256 } => {
                self.complete_upload(files, manifest_sha256, &shown_sha256)
            }
            C::StartValidation => self.start_validation(),
            C::Judge(verdict) => self.judge(*verdict),
            C::Supersede { by } => Ok(self.supersede(by)),
            C::Remove { outstanding, installed } => self.remove(outstanding, installed),
            C::Retire { spare, days, at } => self.retire(spare, days, at),
        }
    }

    fn certify(&self, by: UserId, manifest_sha256: String) -> Decision {
        match (self.certification, self.stage) {
            (Certification::NotNeeded, _) => Err(PackageRefusal::NotOem),
            (Certification::Certified, _) => Ok(Vec::new()),
            (Certification::Awaiting { .. }, Stage::Refused) => Err(PackageRefusal::CertificationRefused),
            (Certification::Awaiting { submitted_by }, _) if submitted_by == by => {
                Err(PackageRefusal::OwnSubmission)
            }
            (Certification::Awaiting { .. }, Stage::Ready { manifest_sha256: known, .. }) => {
                if *known != manifest_sha256 {
                    return Err(PackageRefusal::ContentsChanged);
                }
                let package_id = self.package_id;
                Ok(vec![OemPackageCertified { package_id, certified_by: by, manifest_sha256 }.into()])
            }
            (Certification::Awaiting { .. }, stage) => {
                Err(PackageRefusal::NotCertifiable { stage: stage.word() })
            }
        }
    }

    fn refuse_certification(&self, by: UserId, reason: String) -> Decision {
        match (self.certification, self.stage) {
            (Certification::NotNeeded, _) => Err(PackageRefusal::NotOem),
            (Certification::Certified, _) => Err(PackageRefusal::AlreadyCertified),
            (Certification::Awaiting { .. }, Stage::Refused) => Ok(Vec::new()),
            (Certification::Awaiting { .. }, Stage::Removed | Stage::Invalid) => self.wrong_stage(),
            (Certification::Awaiting { .. }, _) => {
                if !checks::is_text(&reason) {
                    return Err(PackageRefusal::NoReason);
                }
                Ok(vec![
                    OemCertificationRefused { package_id: self.package_id, refused_by: by, reason }.into(),
                ])
            }
        }
    }

    fn start_download(&self, connectivity: Connectivity) -> Decision {
        match self.stage {
            Stage::Registered | Stage::DownloadFailed => {
                self.require_in_band()?;
                if preparation(self.package.package_type, connectivity) == Preparation::ByHand {
                    return Err(PackageRefusal::ByHand);
                }
                if self.package.downloads.is_empty() {
                    return Err(PackageRefusal::NothingToDownload);
                }
                Ok(vec![PackageDownloadStarted { package_id: self.package_id }.into()])
            }
            Stage::Downloading | Stage::Downloaded | Stage::Validating | Stage::Ready { .. } => {
                Ok(Vec::new())
            }
            Stage::Uploading { .. } | Stage::Uploaded | Stage::Invalid | Stage::Refused | Stage::Removed => {
                self.wrong_stage()
            }
        }
    }

    fn record_download(&self, files: Vec<PackageFile>) -> Decision {
        match self.stage {
            Stage::Downloading => Ok(vec![PackageDownloaded { package_id: self.package_id, files }.into()]),
            Stage::Downloaded | Stage::Validating | Stage::Ready { .. } | Stage::Invalid => Ok(Vec::new()),
            Stage::Registered
            | Stage::DownloadFailed
            | Stage::Uploading { .. }
            | Stage::Uploaded
            | Stage::Refused
            | Stage::Removed => self.wrong_stage(),
        }
    }

    fn fail_download(&self, code: String, reason: &str) -> Decision {
        match self.stage {
            Stage::Downloading => {
                let (package_id, reason) = (self.package_id, shortened(reason));
                Ok(vec![PackageDownloadFailed { package_id, code, reason }.into()])
            }
            Stage::DownloadFailed => Ok(Vec::new()),
            Stage::Registered
            | Stage::Downloaded
            | Stage::Uploading { .. }
            | Stage::Uploaded
            | Stage::Validating
            | Stage::Ready { .. }
            | Stage::Invalid
            | Stage::Refused
            | Stage::Removed => self.wrong_stage(),
        }
    }

    fn start_upload(&self, files: Vec<AnnouncedFile>) -> Decision {
        checks::announced(&files)?;
        match self.stage {
            Stage::Uploading { files: known } if *known == files => Ok(Vec::new()),
            Stage::Registered | Stage::DownloadFailed | Stage::Uploading { .. } => {
                self.require_in_band()?;
                Ok(vec![PackageUploadStarted { package_id: self.package_id, files }.into()])
            }
            Stage::Downloading
            | Stage::Downloaded
            | Stage::Uploaded
            | Stage::Validating
            | Stage::Ready { .. }
            | Stage::Invalid
            | Stage::Refused
            | Stage::Removed => self.wrong_stage(),
        }
    }

    fn complete_upload(&self, files: Vec<PackageFile>, manifest_sha256: String, shown: &str) -> Decision {
        match self.stage {
            Stage::Uploading { files: announced } => {
                let missing =
                    announced.iter().find(|file| !files.iter().any(|stored| is_whole(file, stored)));
                if let Some(file) = missing {
                    return Err(PackageRefusal::UploadIncomplete { name: file.name.clone() });
                }
                if manifest_sha256 != shown {
                    return Err(PackageRefusal::ContentsChanged);
                }
                Ok(vec![PackageUploaded { package_id: self.package_id, files, manifest_sha256 }.into()])
            }
            Stage::Uploaded | Stage::Validating | Stage::Ready { .. } => Ok(Vec::new()),
            Stage::Registered
            | Stage::Downloading
            | Stage::DownloadFailed
            | Stage::Downloaded
            | Stage::Invalid
            | Stage::Refused
            | Stage::Removed => self.wrong_stage(),
        }
    }

    fn start_validation(&self) -> Decision {
        match self.stage {
            Stage::Downloaded | Stage::Uploaded => {
                Ok(vec![PackageValidationStarted { package_id: self.package_id }.into()])
            }
            Stage::Validating | Stage::Ready { .. } | Stage::Invalid => Ok(Vec::new()),
            Stage::Registered
            | Stage::Downloading
            | Stage::DownloadFailed
            | Stage::Uploading { .. }
            | Stage::Refused
            | Stage::Removed => self.wrong_stage(),
        }
    }

    fn judge(&self, verdict: Verdict) -> Decision {
        match self.stage {
            Stage::Validating => {
                let package_id = self.package_id;
                let invalid = match verdict {
                    Ok(contents) => match difference(self.package, &contents) {
                        None => return Ok(vec![PackageReady { package_id, contents }.into()]),
                        Some((code, reason)) => (code.to_owned(), reason),
                    },
                    Err(invalid) => invalid,
                };
                let (code, reason) = (invalid.0, shortened(&invalid.1));
                Ok(vec![PackageInvalid { package_id, code, reason }.into()])
            }
            Stage::Ready { .. } | Stage::Invalid => Ok(Vec::new()),
            Stage::Registered
            | Stage::Downloading
            | Stage::DownloadFailed
            | Stage::Downloaded
            | Stage::Uploading { .. }
            | Stage::Uploaded
            | Stage::Refused
            | Stage::Removed => self.wrong_stage(),
        }
    }

    fn supersede(&self, superseded_by: PackageId) -> Vec<PackageEvent> {
        match self.stage {
            Stage::Ready { is_superseded: false, .. } => {
                vec![PackageSuperseded { package_id: self.package_id, superseded_by }.into()]
            }
            // What has no files yet takes no room; it may still be the right one for somebody.
            Stage::Ready { .. }
            | Stage::Registered
            | Stage::Downloading
            | Stage::DownloadFailed
            | Stage::Downloaded
            | Stage::Uploading { .. }
            | Stage::Uploaded
            | Stage::Validating
            | Stage::Invalid
            | Stage::Refused
            | Stage::Removed => Vec::new(),
        }
    }

    fn remove(&self, outstanding: u32, installed: u32) -> Decision {
        match self.stage {
            Stage::Ready { .. } if outstanding > 0 => Err(PackageRefusal::StillNeeded { outstanding }),
            Stage::Ready { is_superseded: false, .. } if installed == 0 => Err(PackageRefusal::NotInstalled),
            Stage::Ready { .. } => Ok(self.removed(PackageRemovalReason::ByHand)),
            Stage::Removed => Ok(Vec::new()),
            Stage::Registered
            | Stage::Downloading
            | Stage::DownloadFailed
            | Stage::Downloaded
            | Stage::Uploading { .. }
            | Stage::Uploaded
            | Stage::Validating
            | Stage::Invalid
            | Stage::Refused => self.wrong_stage(),
        }
    }

    fn retire(&self, spare: Spare, days: u32, at: DateTime<Utc>) -> Decision {
        let fits = match (self.stage, spare) {
            (Stage::Removed, _) => return Ok(Vec::new()),
            (Stage::Ready { is_superseded, .. }, Spare::Superseded { .. }) => *is_superseded,
            (Stage::Ready { .. }, Spare::Installed { .. })
            | (Stage::Uploading { .. }, Spare::Abandoned { .. }) => true,
            (_, Spare::Superseded { .. } | Spare::Installed { .. } | Spare::Abandoned { .. }) => false,
        };
        if !fits {
            return self.wrong_stage();
        }
        if !removal_is_due(spare, days, at) {
            return Err(PackageRefusal::NotDue);
        }
        Ok(self.removed(spare.reason()))
    }

    fn removed(&self, reason: PackageRemovalReason) -> Vec<PackageEvent> {
        vec![PackageRemoved { package_id: self.package_id, reason }.into()]
    }

    fn require_in_band(&self) -> Result<(), PackageRefusal> {
        if self.package.managed_in_band { Ok(()) } else { Err(PackageRefusal::External) }
    }

    fn wrong_stage(&self) -> Decision {
        Err(PackageRefusal::WrongStage { stage: self.stage.word() })
    }
}

/// Whether the storage has what was announced.
fn is_whole(announced: &AnnouncedFile, stored: &PackageFile) -> bool {
    announced.name == stored.name
        && announced.size_bytes == stored.size_bytes
        && announced.sha256.as_ref().is_none_or(|sha256| *sha256 == stored.sha256)
}

fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
