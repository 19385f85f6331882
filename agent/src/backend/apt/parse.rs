//! What dpkg and apt say (with `LC_ALL=C`), read without trust in its form.

use contracts::agent::InstalledPackage;
use std::collections::HashMap;

/// For `dpkg-query --showformat`.
pub(super) const INSTALLED_FORMAT: &str = "${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t${source:Version}\\t${db:Status-Status}\\t${Config-Version}\\n";

/// A package as dpkg has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) package: InstalledPackage,
    /// Unpacked and configured.
    pub(super) whole: bool,
}

/// Reads `dpkg-query`'s lines; packages that are gone (`config-files`, `not-installed`) are left out.
///
/// A package whose configuration failed counts at the version that was last configured: the newer one is on the
/// disk, but its maintainer scripts have not said that it works.
pub(super) fn installed(text: &str) -> Vec<Installed> {
    let mut all: Vec<_> = text.lines().filter_map(installed_line).collect();
    all.sort_by(|a, b| a.package.cmp(&b.package));
    all
}

fn installed_line(line: &str) -> Option<Installed> {
    let mut fields = line.split('\t').map(str::to_owned);
    let (name, version, architecture) = (fields.next()?, fields.next()?, fields.next()?);
    let (source, source_version) = (fields.next()?, fields.next()?);
    let (status, configured) = (fields.next()?, fields.next()?);
    if matches!(status.as_str(), "config-files" | "not-installed") || version.is_empty() {
        return None;
    }
    let whole = matches!(status.as_str(), "installed" | "triggers-pending" | "triggers-awaited");
    let (version, source_version) = if whole || configured.is_empty() {
        (version, source_version)
    } else {
        (configured.clone(), without_binary_rebuild(&configured).to_owned())
    };
    Some(Installed {
        package: InstalledPackage { name, version, architecture, source, source_version, module: None },
        whole,
    })
}

/// `1.2-3+b4` is a rebuild of the source version `1.2-3`.
fn without_binary_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((base, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => version,
    }
}

/// A package source, as `apt-cache policy` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Origin {
    /// `Debian-Security:12/stable-security`, or the address where the source has no name.
    pub(super) name: String,
    /// `http://deb.debian.org/debian-security bookworm-security/main`
    pub(super) address: String,
    /// Whether name or suite say security.
    pub(super) security: bool,
}

/// Reads the list of sources from `apt-cache policy` without arguments, by the text that stands for each.
pub(super) fn origins(text: &str) -> HashMap<String, Origin> {
    let mut origins = HashMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let word = line.trim_start();
        if line.starts_with("Pinned packages") {
            break;
        }
        if let Some(release) = word.strip_prefix("release ") {
            if let Some(key) = &current {
                origins.insert(key.clone(), origin(key, release));
            }
        } else if let Some((_, key)) = prioritised(word) {
            current = Some(key.to_owned());
            if !key.starts_with('/') {
                origins.insert(key.to_owned(), origin(key, ""));
            }
        }
    }
    // dpkg's own status file is where packages are, not where they come from.
    origins.retain(|key, _| !key.starts_with('/'));
    origins
}

fn origin(key: &str, release: &str) -> Origin {
    let field = |name: &str| {
        let found = release.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    let (version, suite, codename) = (field("v"), field("a"), field("n"));
    let label = Some(field("l")).filter(|l| !l.is_empty()).unwrap_or_else(|| field("o"));
    let address = address(key);
    let security =
        [&label, &suite, &codename].iter().any(|text| text.to_ascii_lowercase().contains("security"));
    let name = if label.is_empty() { address.clone() } else { format!("{label}:{version}/{suite}") };
    Origin { name, address, security }
}

/// `http://user:secret@host/debian suite/main amd64 Packages` without secret and tail.
fn address(key: &str) -> String {
    let mut words = key.split(' ');
    let (uri, suite) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let uri = match uri.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        None => uri.to_owned(),
    };
    format!("{uri} {suite}")
}

/// `500 http://…`: a priority and a source.
fn prioritised(text: &str) -> Option<(i32, &str)> {
    let (priority, rest) = text.split_once(' ')?;
    Some((priority.parse().ok()?, rest.trim()))
}

/// What apt would install of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) version: String,
    /// Keys into [`origins`].
    pub(super) sources: Vec<String>,
}

/// Reads `apt-cache policy NAME…`: the candidate of each name that has one.
pub(super) fn candidates(text: &str) -> HashMap<String, Candidate> {
    let mut found: HashMap<String, Candidate> = HashMap::new();
    let mut name = String::new();
    let mut within_candidate = false;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let word = line.trim();
        if indent == 0 {
            word.trim_end_matches(':').clone_into(&mut name);
            within_candidate = false;
        } else if let Some(version) = word.strip_prefix("Candidate: ") {
            if version != "(none)" {
                found.insert(name.clone(), Candidate { version: version.to_owned(), sources: vec![] });
            }
        } else if line.starts_with(" *** ") || indent == 5 {
            let version = word.trim_start_matches("*** ").split(' ').next().unwrap_or_default();
            within_candidate = found.get(&name).is_some_and(|candidate| candidate.version == version);
        } else if indent >= 7
            && within_candidate
            && let (Some((_, key)), Some(candidate)) = (prioritised(word), found.get_mut(&name))
        {
            candidate.sources.push(key.to_owned());
        }
    }
    found
}

/// Whether dpkg allows a package to have this name, with an optional architecture (`libc6:i386`).
pub(super) fn is_package_name(text: &str) -> bool {
    let (name, architecture) = text.split_once(':').unwrap_or((text, "all"));
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let architecture_fits = !architecture.is_empty()
        && architecture.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (2..=256).contains(&text.len()) && name.len() >= 2 && first && rest && architecture_fits
}

/// Whether this can be a version for dpkg, and for apt in `name=version` (where a last `+` or `-` has a meaning).
pub(super) fn is_version(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-:~".contains(&b));
    first && rest && text.len() <= 256 && !text.ends_with(['+', '-'])
}

#[cfg(test)]
mod tests;
