//! What a document may be, each limit with its reason.

/// Bytes of a document after decompression. The largest known today are Red Hat's and SUSE's OVAL files, some 400 MiB.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;
/// How many times larger a document may become by decompression. XML of repositories reaches 60.
pub const DECODED_RATIO_MAX: u64 = 250;
/// Below this many decoded bytes the ratio is not looked at: small documents of blanks compress without end.
pub const DECODED_RATIO_FREE_BYTES: u64 = 16 << 20;
/// Memory of a decompressor. `xz -9` needs 65 MiB, `zstd --ultra` may ask for 128.
pub const DECODER_MEMORY_BYTES_MAX: u64 = 80 << 20;
/// Bytes that are looked at to tell the format: some records hold long texts before they name themselves.
pub const HEAD_BYTES: usize = 1 << 20;
/// Bytes of one record: the longest notice of a kernel is below 4 MiB.
pub const RECORD_BYTES_MAX: u64 = 16 << 20;
/// Elements of one XML record: a kernel update with debug packages for all architectures has some 20,000.
pub const RECORD_NODES_MAX: usize = 200_000;
/// Attributes of one XML record: some ten for each package of a kernel update.
pub const RECORD_ATTRIBUTES_MAX: usize = 500_000;
/// Records of a document: the database of Windows fixes has some 700,000 rows.
pub const RECORDS_MAX: usize = 2_000_000;
/// Bytes that all patches and vulnerabilities of a document may take in memory, about. Scores of all CVEs take some 110 MiB.
pub const CONTENTS_BYTES_MAX: u64 = 160 << 20;
/// Patches of a document: Debian's whole history has some 20,000.
pub const PATCHES_MAX: usize = 100_000;
/// Vulnerabilities that one document speaks of: all CVE ids there are were some 320,000 at the end of 2025, and what is
/// kept of each takes some 330 bytes.
pub const VULNERABILITIES_MAX: usize = 500_000;
/// Further documents that one names: Red Hat's list of changes has some 300,000.
pub const LINKS_MAX: usize = 500_000;
/// Severities of vulnerabilities in packages: some 40,000 CVEs in some five releases of Debian have an urgency.
pub const RATINGS_MAX: usize = 500_000;
/// CVEs of one patch: a kernel advisory has some hundreds, a cumulative update some thousands.
pub const PATCH_CVES_MAX: usize = 5_000;
/// Products or packages of one patch.
pub const PATCH_TARGETS_MAX: usize = 5_000;
/// Characters of an id, version or product name.
pub const TEXT_CHARS_MAX: usize = 500;
/// Elements inside elements: real documents need some twenty.
pub const NESTING_MAX: usize = 64;
/// Reasons that are told one by one.
pub const QUARANTINED_MAX: usize = 100;
