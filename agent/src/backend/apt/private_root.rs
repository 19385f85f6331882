//! A private root: apt and dpkg kept inside a folder, as root or not.

use crate::AgentError;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The root in a form that apt's settings can hold.
pub(super) fn usable(root: &Path) -> Result<PathBuf, AgentError> {
    let wrong = |detail: String| AgentError::Config { detail };
    let root = root.canonicalize().map_err(|e| wrong(format!("root {}: {e}", root.display())))?;
    let unusable = |c: char| c.is_whitespace() || c.is_control() || "\"'\\;{}[]%#".contains(c);
    match root.to_str() {
        Some(text) if text != "/" && !text.contains(unusable) => Ok(root),
        Some(_) | None => Err(wrong(format!("root {}: apt cannot use this name", root.display()))),
    }
}

/// What keeps dpkg inside the private root, also without being root.
pub(super) fn dpkg_options(root: Option<&Path>) -> Vec<String> {
    let Some(root) = root else { return Vec::new() };
    vec![
        format!("--root={}", root.display()),
        format!("--log={}", root.join("var/log/dpkg.log").display()),
        "--force-not-root".to_owned(),
        "--force-script-chrootless".to_owned(),
    ]
}

/// Settings that keep apt inside the private root; given by `APT_CONFIG`, they come before the machine's own
/// `apt.conf.d`, which then is not read.
pub(super) fn apt_settings(root: &Path) -> String {
    let dir = root.display();
    let mut text = format!(
        "Dir \"{dir}\";\nDir::State::status \"{dir}/var/lib/dpkg/status\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\n\
         Debug::NoLocking \"true\";\nAPT::Sandbox::User \"\";\nDPkg::Options {{\n"
    );
    for option in dpkg_options(Some(root)) {
        let _ = writeln!(text, "  \"{option}\";");
    }
    text.push_str("};\n");
    text
}
