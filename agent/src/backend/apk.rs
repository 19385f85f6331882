//! Alpine and its relatives: reads what is installed from apk's database, and installs nothing.

use super::{Description, Scan, os_release};
use crate::config::Config;
use crate::{AgentError, files};
use contracts::VersionOrder;
use contracts::agent::{InstalledPackage, Inventory};
use std::path::PathBuf;

/// Where the database may be, the newer place first.
const DATABASES: [&str; 2] = ["usr/lib/apk/db/installed", "lib/apk/db/installed"];
/// Bytes of the database: one with 2,000 packages and all their files has some 20 MB.
const DATABASE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What a report says was asked.
const SOURCE: &str = "apk: the installed packages; no update source is asked";

/// The backend for Alpine.
pub struct Apk {
    root: PathBuf,
}

impl Apk {
    pub(super) fn open(config: &Config) -> Self {
        Self { root: config.root.clone().unwrap_or_else(|| PathBuf::from("/")) }
    }

    pub(super) fn describe(&self) -> Result<Description, AgentError> {
        os_release::describe(&self.root)
    }

    pub(super) fn scan(&self) -> Result<Scan, AgentError> {
        let os = self.describe()?.os;
        let places = DATABASES.map(|place| self.root.join(place));
        let [newer, older] = &places;
        let path = if newer.exists() { newer } else { older };
        let failed = |source| files::failed("reading", path)(source);
        let damaged = |detail: String| AgentError::Damaged { path: path.clone(), detail };
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > DATABASE_BYTES_MAX {
            return Err(damaged(format!(
                "{bytes} bytes are more than the {DATABASE_BYTES_MAX} that it may have"
            )));
        }
        let text = String::from_utf8_lossy(&std::fs::read(path).map_err(failed)?).into_owned();
        let packages = installed(&text);
        if packages.is_empty() {
            return Err(damaged("it names no installed package".to_owned()));
        }
        Ok(Scan {
            os,
            inventory: Inventory::Packages { order: VersionOrder::Apk, packages },
            available: Vec::new(),
            source: SOURCE.to_owned(),
            // apk does not say what needs a restart.
            pending_reboot: false,
        })
    }
}

/// Reads the database: a paragraph for each package, with one letter for each field (`apk-v2(5)`).
fn installed(text: &str) -> Vec<InstalledPackage> {
    let mut all: Vec<InstalledPackage> = text.split("\n\n").filter_map(package).collect();
    all.sort();
    all.dedup();
    all
}

fn package(paragraph: &str) -> Option<InstalledPackage> {
    let field =
        |letter: &str| paragraph.lines().find_map(|line| line.strip_prefix(letter)?.strip_prefix(':'));
    let (name, version, architecture) = (field("P")?, field("V")?, field("A")?);
    // `apk add --virtual .build-deps …` is a bundle of others, and no package of anybody's.
    if name.starts_with('.') {
        return None;
    }
    Some(InstalledPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        source: field("o").unwrap_or(name).to_owned(),
        source_version: version.to_owned(),
        module: None,
    })
}

#[cfg(test)]
mod tests {
    use super::installed;

    /// As apk 2.14 on Alpine 3.18 writes it.
    const DATABASE: &str = "\
C:Q1+C9Yz1yqGNEkVmXpCPbBAwOFuk4=
P:musl
V:1.2.4-r2
A:x86_64
S:388700
I:622592
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo Teras <timo.teras@iki.fi>
t:1697534280
c:f93af038c3de7146121c2ea8124ba5ce29b4b058
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1WnWdTnGHlnXLHhmkW0BKFkVYmY0=

C:Q1abc=
P:libcrypto3
V:3.1.4-r0
A:x86_64
o:openssl
p:so:libcrypto.so.3=3

C:Q1def=
P:.build-deps
V:20240102.030405
A:noarch
D:gcc

C:Q1ghi=
P:local-tool
V:0.1-r0
A:noarch
";

    #[test]
    fn packages_have_the_origin_that_advisories_name() {
        let told: Vec<String> = installed(DATABASE)
            .iter()
            .map(|p| format!("{} {} {} {} {}", p.name, p.version, p.architecture, p.source, p.source_version))
            .collect();
        assert_eq!(
            told,
            [
                "libcrypto3 3.1.4-r0 x86_64 openssl 3.1.4-r0",
                "local-tool 0.1-r0 noarch local-tool 0.1-r0",
                "musl 1.2.4-r2 x86_64 musl 1.2.4-r2",
            ]
        );
    }

    #[test]
    fn what_is_no_paragraph_of_a_package_is_left_out() {
        assert_eq!(installed(""), []);
        assert_eq!(installed("P:half\nV:1-r0\n\nF:lib\n"), []);
    }
}
