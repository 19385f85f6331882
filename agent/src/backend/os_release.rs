//! What a Linux system says of itself in `os-release(5)`.

use super::Description;
use crate::{AgentError, files};
use contracts::{DevicePlatform, OsRelease};
use std::path::Path;

/// Reads the system below `root`.
pub(super) fn describe(root: &Path) -> Result<Description, AgentError> {
    let (etc, usr) = (root.join("etc/os-release"), root.join("usr/lib/os-release"));
    let path = if etc.exists() { etc } else { usr };
    let text = std::fs::read_to_string(&path).map_err(files::failed("reading", &path))?;
    let (id, version, os_name) = read(&text);
    Ok(Description { platform: DevicePlatform::Linux, os: OsRelease { id, version }, os_name })
}

/// Id, version and readable name.
fn read(text: &str) -> (String, String, String) {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let or = |value: String, other: &dyn Fn() -> String| if value.is_empty() { other() } else { value };
    let id = or(field("ID"), &|| "linux".to_owned());
    // Debian's testing and unstable have no version, only a name.
    let version = or(field("VERSION_ID"), &|| or(field("VERSION_CODENAME"), &|| "rolling".to_owned()));
    let name = or(field("PRETTY_NAME"), &|| format!("{id} {version}"));
    (id, version, name)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn os_release_is_read_with_and_without_quotes_and_version() {
        let owned = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        for (text, expected) in [
            (
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n",
                owned("debian", "12", "Debian GNU/Linux 12 (bookworm)"),
            ),
            ("ID=debian\nVERSION_CODENAME=trixie", owned("debian", "trixie", "debian trixie")),
            ("", owned("linux", "rolling", "linux rolling")),
            (
                "NAME=\"AlmaLinux\"\nVERSION=\"9.4 (Seafoam Ocelot)\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"AlmaLinux 9.4 (Seafoam Ocelot)\"\n",
                owned("almalinux", "9.4", "AlmaLinux 9.4 (Seafoam Ocelot)"),
            ),
            (
                "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME=\"Alpine Linux v3.18\"\n",
                owned("alpine", "3.18.4", "Alpine Linux v3.18"),
            ),
        ] {
            assert_eq!(read(text), expected);
        }
    }
}
