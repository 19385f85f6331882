//! Why something about a package is refused.

use super::checks::{FILE_NAME_CHARS_MAX, FILES_MAX, PACKAGE_BYTES_MAX, TEXT_CHARS_MAX};
use kernel::Refused;

/// A "no" about a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageRefusal {
    /// There is no such package.
    #[error("there is no such package")]
    Unknown,
    /// Another one is registered under the id, or with the same vendor, product and version.
    #[error("a package {name:?} is registered already")]
    AlreadyRegistered {
        /// Its name.
        name: String,
    },
    /// A text that cannot be shown.
    #[error("a package's {field} has 1 to {TEXT_CHARS_MAX} printable characters")]
    InvalidText {
        /// Which one.
        field: &'static str,
    },
    /// An address that leads nowhere.
    #[error("{field} {url:?} is not an http(s) address")]
    InvalidAddress {
        /// Which one.
        field: &'static str,
        /// What was given.
        url: String,
    },
    /// Files come over connections that nobody can change on the way.
    #[error("{url:?} is not an https address")]
    InsecureDownload {
        /// What was given.
        url: String,
    },
    /// A hotfix is for one version of its product.
    #[error("a hotfix names the version that it is for")]
    HotfixWithoutBase,
    /// Packages of manufacturers are submitted, not registered.
    #[error("a manufacturer's package is submitted for certification, not registered")]
    OemIsSubmitted,
    /// Only packages of manufacturers are certified.
    #[error("only a manufacturer's package is certified")]
    NotOem,
    /// Four eyes.
    #[error("whoever submitted a package cannot certify it")]
    OwnSubmission,
    /// There is nothing that a certificate could be about.
    #[error("a package is certified when it is ready, and this one is {stage}")]
    NotCertifiable {
        /// Where it is.
        stage: &'static str,
    },
    /// Its certificate was refused, which is final.
    #[error("the package's certification was refused")]
    CertificationRefused,
    /// It has its certificate.
    #[error("the package is certified already")]
    AlreadyCertified,
    /// People are owed a reason.
    #[error("a refusal has a reason of 1 to {TEXT_CHARS_MAX} printable characters")]
    NoReason,
    /// Point 59: it is the vendor's own business.
    #[error("the package is not imported and installed here, but by its vendor's own means")]
    External,
    /// The table of preparation says so.
    #[error("the package has to be prepared by hand: download it elsewhere and import its files")]
    ByHand,
    /// Nobody said where its files are.
    #[error("the package names no files to download")]
    NothingToDownload,
    /// It has moved on, or is not there yet.
    #[error("the package is {stage}")]
    WrongStage {
        /// Where it is.
        stage: &'static str,
    },
    /// A name that could lead elsewhere, or that two files share.
    #[error(
        "{name:?} is no name for a package's file: 1 to {FILE_NAME_CHARS_MAX} letters, digits, spaces and .-_()+, no path, each name once"
    )]
    InvalidFileName {
        /// What was given.
        name: String,
    },
    /// Point 52: the notice is for people and not part of the package.
    #[error("{name:?} is not part of the package and must not be imported")]
    SupplementalNotice {
        /// What was given.
        name: String,
    },
    /// Nothing, or too much.
    #[error(
        "a package has 1 to {FILES_MAX} files of together at most {PACKAGE_BYTES_MAX} bytes, none of them empty"
    )]
    InvalidSize,
    /// Not 64 hexadecimal digits.
    #[error("{sha256:?} is no SHA-256 in lowercase hexadecimal digits")]
    InvalidChecksum {
        /// What was given.
        sha256: String,
    },
    /// Bytes are still missing.
    #[error("the file {name:?} is not complete yet")]
    UploadIncomplete {
        /// Which one.
        name: String,
    },
    /// What is there is not what was looked at.
    #[error("the package's files are not those that were shown: look at them again")]
    ContentsChanged,
    /// Point 73.
    #[error("the package was not installed anywhere yet")]
    NotInstalled,
    /// Point 73.
    #[error("the package was approved at {outstanding} places where it is not installed yet")]
    StillNeeded {
        /// How many.
        outstanding: u32,
    },
    /// Retention came too early.
    #[error("the package is kept a while longer")]
    NotDue,
}

impl Refused for PackageRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "feeds.package_unknown",
            Self::AlreadyRegistered { .. } => "feeds.package_exists",
            Self::InvalidText { .. } => "feeds.package_text_invalid",
            Self::InvalidAddress { .. } => "feeds.package_address_invalid",
            Self::InsecureDownload { .. } => "feeds.package_download_insecure",
            Self::HotfixWithoutBase => "feeds.package_without_base",
            Self::OemIsSubmitted => "feeds.package_needs_submission",
            Self::NotOem => "feeds.package_not_oem",
            Self::OwnSubmission => "feeds.package_own_submission",
            Self::NotCertifiable { .. } => "feeds.package_not_certifiable",
            Self::CertificationRefused => "feeds.package_certification_refused",
            Self::AlreadyCertified => "feeds.package_certified",
            Self::NoReason => "feeds.package_reason_missing",
            Self::External => "feeds.package_external",
            Self::ByHand => "feeds.package_by_hand",
            Self::NothingToDownload => "feeds.package_without_download",
            Self::WrongStage { .. } => "feeds.package_stage_wrong",
            Self::InvalidFileName { .. } => "feeds.package_file_name_invalid",
            Self::SupplementalNotice { .. } => "feeds.package_supplemental_notice",
            Self::InvalidSize => "feeds.package_size_invalid",
            Self::InvalidChecksum { .. } => "feeds.package_checksum_invalid",
            Self::UploadIncomplete { .. } => "feeds.package_upload_incomplete",
            Self::ContentsChanged => "feeds.package_contents_changed",
            Self::NotInstalled => "feeds.package_not_installed",
            Self::StillNeeded { .. } => "feeds.package_still_needed",
            Self::NotDue => "feeds.package_not_due",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyRegistered { .. } | Self::ContentsChanged)
    }
}
