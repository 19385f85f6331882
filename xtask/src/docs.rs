//! Generated references: written by `cargo xtask docs`, compared by `cargo xtask check`.
//!
//! They are made from `contracts` and from the source text of the rest, so that no page needs another program to be
//! built first.

mod asyncapi;
mod configuration;
mod errors;
mod events;
mod fields;
mod permissions;
mod readers;
mod schemas;
mod source;

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// A file below the workspace and how it is made from the source below a folder.
type Page = (&'static str, fn(&Path) -> Result<String>);

/// Every generated page; the schemas of events are as many as there are versions.
const GENERATED: [Page; 5] = [
    ("docs/permissions.md", permissions::page),
    ("docs/events.md", events::page),
    ("docs/asyncapi.json", asyncapi::document),
    ("docs/errors.md", errors::page),
    ("docs/configuration.md", configuration::page),
];

/// Writes the files that differ.
pub(crate) fn write(root: &Path) -> Result<Vec<String>> {
    let stale = stale(root)?;
    for (name, text) in &stale {
        let file = root.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(stale.into_iter().map(|(name, _)| name).collect())
}

/// Fails when a file is not what it would be if written now.
pub(crate) fn check(root: &Path) -> Result<()> {
    let stale: Vec<_> = stale(root)?.into_iter().map(|(name, _)| name).collect();
    if !stale.is_empty() {
        bail!("run `cargo xtask docs` and commit: {}", stale.join(", "));
    }
    Ok(())
}

/// The files below `root` that differ, as they should be.
fn stale(root: &Path) -> Result<Vec<(String, String)>> {
    let source = workspace::root()?;
    schemas::check_history(&source)?;
    let mut stale = schemas::stale(root)?;
    for (name, page) in GENERATED {
        let text = page(&source).with_context(|| format!("generating {name}"))?;
        if fs::read_to_string(root.join(name)).map_or(true, |committed| committed != text) {
            stale.push((name.to_owned(), text));
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_missing_or_changed_page_is_stale() {
        let root = std::env::temp_dir().join(format!("patchfleet-docs-{}", std::process::id()));
        let said = check(&root).unwrap_err().to_string();
        assert!(said.contains("docs/permissions.md") && said.contains("docs/events/envelope"), "{said}");
        super::write(&root).unwrap();
        check(&root).unwrap();
        std::fs::write(root.join("docs/permissions.md"), "edited by hand").unwrap();
        assert!(check(&root).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
