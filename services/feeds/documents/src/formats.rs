//! One module a format. Each says by a document's beginning whether it is its own, and reads one into a [`Reading`].

pub(crate) mod alpine_secdb;
pub(crate) mod azurestack;
pub(crate) mod csaf;
pub(crate) mod csaf_changes;
pub(crate) mod csaf_provider;
pub(crate) mod cve5;
pub(crate) mod debian_list;
pub(crate) mod debian_packages;
pub(crate) mod debian_release;
pub(crate) mod debian_tracker;
pub(crate) mod dell;
pub(crate) mod epss;
pub(crate) mod kev;
pub(crate) mod lenovo;
mod microsoft;
pub(crate) mod msrc;
pub(crate) mod msrc_deployment;
pub(crate) mod msrc_index;
pub(crate) mod nvd;
pub(crate) mod osv;
pub(crate) mod oval;
pub(crate) mod repomd;
pub(crate) mod rolie;
pub(crate) mod ubuntu;
pub(crate) mod ubuntu_notices;
pub(crate) mod ubuntu_usndb;
pub(crate) mod updateinfo;
pub(crate) mod wesng;
pub(crate) mod wsus;

use crate::input::Input;
use crate::reading::Reading;
use crate::{DocumentError, Format};

/// Reads a document of a format.
pub(crate) fn read(format: Format, input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    match format {
        Format::MsrcCvrfXml | Format::MsrcCvrfJson => msrc::read(format, input, reading),
        Format::DebianDsaList => debian_list::read(input, reading),
        Format::DebianTracker => debian_tracker::read(input, reading),
        Format::MsrcIndex => msrc_index::read(input, reading),
        Format::MsrcDeployment => msrc_deployment::read(input, reading),
        Format::Csaf => csaf::read(input, reading),
        Format::CsafProvider => csaf_provider::read(input, reading),
        Format::Rolie => rolie::read(input, reading),
        Format::CsafChanges => csaf_changes::read(input, reading),
        Format::Osv => osv::read(input, reading),
        Format::Cve5 => cve5::read(input, reading),
        Format::Nvd => nvd::read(input, reading),
        Format::Epss => epss::read(input, reading),
        Format::UbuntuNotices => ubuntu_notices::read(input, reading),
        Format::UbuntuUsndb => ubuntu_usndb::read(input, reading),
        Format::AlpineSecdb => alpine_secdb::read(input, reading),
        Format::DebianRelease => debian_release::read(input, reading),
        Format::DebianPackages => debian_packages::read(input, reading),
        Format::Repomd => repomd::read(input, reading),
        Format::Updateinfo => updateinfo::read(input, reading),
        Format::Oval => oval::read(input, reading),
        Format::WsusClixml => wsus::read(input, reading),
        Format::AzureStackUpdates => azurestack::read(input, reading),
        Format::DellDriverpack => dell::read(input, reading),
        Format::LenovoCatalog => lenovo::read(input, reading),
        Format::KevJson | Format::KevCsv => kev::read(format, input, reading),
        // Told by what is in the zip file, before there is any text.
        Format::WesngZip => Err(DocumentError::malformed("it is not a zip file")),
    }
}
