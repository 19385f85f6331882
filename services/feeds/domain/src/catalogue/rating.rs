//! What a vendor thinks of a vulnerability, apart from any patch.

use contracts::Severity;

/// What a vendor thinks of one vulnerability in one source package of one release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rating {
    /// Source package.
    pub source: String,
    /// `CVE-2023-1393`
    pub cve: String,
    /// Version of the operating system release, `12`.
    pub os_version: String,
    /// The vendor's word.
    pub vendor_severity: String,
    /// On our one scale.
    pub severity: Severity,
}
