//! The formats that are known here, and how each is told by a document's beginning.

use crate::formats;
use crate::head::Head;
use contracts::feeds::FeedFormat;
use std::fmt;

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $word:literal of $feed:ident, $is:expr;)+) => {
        /// How a document is written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Format {
            $( $(#[$doc])* $name, )+
            /// The definitions of Windows Exploit Suggester NG, a zip file.
            WesngZip,
        }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+ Self::WesngZip];

            /// Its name for people and machines.
            pub fn word(self) -> &'static str {
                match self {$( Self::$name => $word, )+ Self::WesngZip => "wesng-zip" }
            }

            /// The kind of feed that publishes such documents.
            pub fn feed(self) -> FeedFormat {
                match self {$( Self::$name => FeedFormat::$feed, )+ Self::WesngZip => FeedFormat::Wesng }
            }

            /// The format of a document with this beginning.
            pub fn of(head: &Head) -> Option<Self> {
                $( if $is(head) { return Some(Self::$name); } )+
                None
            }

            /// Every format that takes a document with this beginning for its own.
            #[cfg(test)]
            fn all_of(head: &Head) -> Vec<Self> {
                let mut all = Vec::new();
                $( if $is(head) { all.push(Self::$name); } )+
                all
            }
        }
    };
}

// The more telling ones first: the first that fits counts.
formats! {
    /// Microsoft's month as XML.
    MsrcCvrfXml = "msrc-cvrf-xml" of MsrcCvrf, formats::msrc::is_xml;
    /// Microsoft's month as JSON.
    MsrcCvrfJson = "msrc-cvrf-json" of MsrcCvrf, formats::msrc::is_json;
    /// Debian's list of advisories.
    DebianDsaList = "debian-dsa-list" of DebianDsaList, formats::debian_list::is;
    /// Microsoft's index of months.
    MsrcIndex = "msrc-updates-index" of MsrcCvrf, formats::msrc_index::is;
    /// A page of Microsoft's table of deployments.
    MsrcDeployment = "msrc-sug-deployment" of MsrcDeployment, formats::msrc_deployment::is;
    /// A CSAF 2.0 document.
    Csaf = "csaf" of Csaf, formats::csaf::is;
    /// What a CSAF provider says of itself and where its documents are.
    CsafProvider = "csaf-provider-metadata" of Csaf, formats::csaf_provider::is;
    /// A ROLIE feed of CSAF documents.
    Rolie = "rolie-feed" of Csaf, formats::rolie::is;
    /// A CSAF provider's list of changes (or deletions).
    CsafChanges = "csaf-changes-csv" of Csaf, formats::csaf_changes::is;
    /// An OSV record.
    Osv = "osv" of Osv, formats::osv::is;
    /// A CVE record, version 5.
    Cve5 = "cve5" of Cve, formats::cve5::is;
    /// A page of the National Vulnerability Database.
    Nvd = "nvd-2.0" of Nvd, formats::nvd::is;
    /// CISA's list of known exploited vulnerabilities, as JSON.
    KevJson = "kev-json" of Kev, formats::kev::is_json;
    /// The same as CSV.
    KevCsv = "kev-csv" of Kev, formats::kev::is_csv;
    /// FIRST's exploit prediction scores.
    Epss = "epss-csv" of Epss, formats::epss::is;
    /// A page of Ubuntu's security notices.
    UbuntuNotices = "ubuntu-notices" of UbuntuNotices, formats::ubuntu_notices::is;
    /// Ubuntu's database of security notices.
    UbuntuUsndb = "ubuntu-usndb" of UbuntuUsnDatabase, formats::ubuntu_usndb::is;
    /// The security database of Alpine and its relatives (JSON or YAML).
    AlpineSecdb = "alpine-secdb" of AlpineSecdb, formats::alpine_secdb::is;
    /// A Debian repository's `Release` or `InRelease`.
    DebianRelease = "debian-release" of DebianRepository, formats::debian_release::is;
    /// A Debian repository's `Packages`.
    DebianPackages = "debian-packages" of DebianRepository, formats::debian_packages::is;
    /// What an RPM repository holds.
    Repomd = "repomd" of RpmRepository, formats::repomd::is;
    /// An RPM repository's advisories.
    Updateinfo = "updateinfo" of RpmRepository, formats::updateinfo::is;
    /// OVAL definitions.
    Oval = "oval" of Oval, formats::oval::is;
    /// An export of a WSUS server.
    WsusClixml = "wsus-clixml" of WsusExport, formats::wsus::is;
    /// Azure Stack's list of updates.
    AzureStackUpdates = "azurestack-updates" of AzureStackUpdates, formats::azurestack::is;
    /// Dell's catalogue of driver packs.
    DellDriverpack = "dell-driverpack" of DellCatalog, formats::dell::is;
    /// Lenovo's catalogue of BIOS and driver packs.
    LenovoCatalog = "lenovo-catalog" of LenovoCatalog, formats::lenovo::is;
    /// Debian's tracker.
    DebianTracker = "debian-tracker-json" of DebianTracker, formats::debian_tracker::is;
}

impl Format {
    /// Whether each issue of such a document lists everything that its publisher knows, so that a much shorter one has
    /// lost something. Others are windows: a page, a period, one advisory.
    pub fn lists_all(self) -> bool {
        matches!(
            self,
            Self::MsrcCvrfXml
                | Self::MsrcCvrfJson
                | Self::MsrcIndex
                | Self::WesngZip
                | Self::DebianDsaList
                | Self::DebianTracker
                | Self::DebianPackages
                | Self::UbuntuUsndb
                | Self::Updateinfo
                | Self::Oval
                | Self::AlpineSecdb
                | Self::KevJson
                | Self::KevCsv
                | Self::Epss
                | Self::DellDriverpack
                | Self::LenovoCatalog
        )
    }
}

impl Format {
    /// Whether each issue of such a document lists every patch that its publisher still stands by, so that one that is
    /// not listed any more was taken back. Microsoft's months are windows, and a tracker describes no patches.
    pub fn lists_all_patches(self) -> bool {
        matches!(
            self,
            Self::DebianDsaList
                | Self::UbuntuUsndb
                | Self::Updateinfo
                | Self::Oval
                | Self::AlpineSecdb
                | Self::WesngZip
                | Self::DellDriverpack
                | Self::LenovoCatalog
        )
    }

    /// Whether the id in such a document is that of the issue (a version, a day), so that the next issue has another one.
    pub fn numbers_issues(self) -> bool {
        matches!(self, Self::DellDriverpack | Self::WesngZip | Self::Repomd)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::head::Head;
    use crate::input::Input;
    use std::io::Cursor;
    use std::path::Path;

    /// `csaf-changes-csv` of `csaf-changes-csv.csv`, `csaf` of `csaf-suse.json`.
    fn format_of_name(name: &str) -> Option<Format> {
        let is_it = |format: &&Format| {
            name.strip_prefix(format.word()).is_some_and(|rest| rest.starts_with(['.', '-']))
        };
        Format::ALL.iter().filter(is_it).max_by_key(|format| format.word().len()).copied()
    }

    fn formats_of(bytes: &[u8]) -> Vec<Format> {
        let unpacked = Box::new(Cursor::new(bytes.to_vec()));
        let (head, _) = Input::open(unpacked, bytes.len() as u64).expect("the document can be opened");
        Format::all_of(&Head::new(&head))
    }

    #[test]
    fn every_document_is_of_one_format_alone() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
        let mut seen = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the documents are there") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let format = format_of_name(&name).unwrap_or_else(|| panic!("{name} is named after no format"));
            seen.push(format);
            if format != Format::WesngZip {
                let bytes = std::fs::read(&path).expect("the document can be read");
                assert_eq!(formats_of(&bytes), [format], "{name}");
            }
        }
        let missing: Vec<&Format> = Format::ALL.iter().filter(|format| !seen.contains(format)).collect();
        assert!(missing.is_empty(), "no document of {missing:?}");
    }

    #[test]
    fn a_document_that_is_of_no_format_is_taken_by_none() {
        for text in [
            "{}",
            "[]",
            "<html><body>busy</body></html>",
            r#"{"error": {"releases": {"bookworm": {}}}}"#,
            r#"{"notices": [{"releases": {"jammy": {"releases": 1}}}]}"#,
            r#"{"data": [{"id": 1}], "releases": {"a": {"releases": {}}}}"#,
            "just words\n",
            "a,b\n1,2\n",
        ] {
            assert_eq!(formats_of(text.as_bytes()), [], "{text}");
        }
    }
}
