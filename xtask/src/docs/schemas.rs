//! One JSON Schema per version of every event, and that of the envelope: written once, compared for ever.

use anyhow::{Context, Result, bail};
use contracts::{catalogue, schema};
use serde_json::Value;
use std::{fs, path::Path};

/// Where the files are, below the workspace.
pub(super) const FOLDER: &str = "docs/events";
/// The file of what surrounds every fact.
pub(super) const ENVELOPE: &str = "envelope.schema.json";
const ENDING: &str = ".schema.json";

/// The files below `root` that differ in words or are not there yet; fails where one differs in meaning.
pub(super) fn stale(root: &Path) -> Result<Vec<(String, String)>> {
    let (mut stale, mut changed) = (Vec::new(), Vec::new());
    for shape in schema::shapes() {
        let name = format!("{FOLDER}/{}", schema::file_name(shape.event_type, shape.version));
        match schema::guard(&shape, read(root, &name)?.as_deref()) {
            Ok(Some(text)) => stale.push((name, text)),
            Ok(None) => {}
            Err(refused) => changed.push(refused.to_string()),
        }
    }
    if !changed.is_empty() {
        bail!("{}", changed.join("\n"));
    }
    let (name, text) = (format!("{FOLDER}/{ENVELOPE}"), schema::text(&schema::envelope()));
    if read(root, &name)?.as_deref() != Some(&text) {
        stale.push((name, text));
    }
    Ok(stale)
}

/// Fails where a file is gone whose version may be stored, or one is there that no event has.
pub(super) fn check_history(root: &Path) -> Result<()> {
    let types = || catalogue::SETS.iter().flat_map(|set| set.types);
    for (event_type, today) in types() {
        for version in 1..*today {
            let name = schema::file_name(event_type, version);
            if !root.join(FOLDER).join(&name).is_file() {
                bail!(
                    "{FOLDER}/{name} is gone, although facts of version {version} are stored for ever: put it back"
                );
            }
        }
    }
    let folder = root.join(FOLDER);
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let belongs = |(event_type, today): &(&str, i16)| {
            (1..=*today).any(|version| name == schema::file_name(event_type, version))
        };
        if name.ends_with(ENDING) && name != ENVELOPE && !types().any(belongs) {
            bail!("{FOLDER}/{name} belongs to no event: a type that was stored is never taken away");
        }
    }
    Ok(())
}

/// The committed schema of a version that may have no Rust type any more.
pub(super) fn committed(root: &Path, event_type: &str, version: i16) -> Result<Value> {
    let name = format!("{FOLDER}/{}", schema::file_name(event_type, version));
    let text = read(root, &name)?.with_context(|| format!("{name} is not there"))?;
    serde_json::from_str(&text).with_context(|| format!("reading {name}"))
}

fn read(root: &Path, name: &str) -> Result<Option<String>> {
    match fs::read_to_string(root.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{ENVELOPE, FOLDER, check_history, stale};
    use contracts::schema;
    use std::fs;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("patchfleet-schemas-{name}-{}", std::process::id()));
        _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join(FOLDER)).unwrap();
        root
    }

    #[test]
    fn files_that_are_missing_or_say_it_in_other_words_are_written_and_no_others() {
        let root = folder("words");
        let all = stale(&root).unwrap();
        assert_eq!(all.len(), schema::shapes().len() + 1);
        for (name, text) in &all {
            fs::write(root.join(name), text).unwrap();
        }
        assert!(stale(&root).unwrap().is_empty());
        let (name, text) = &all[0];
        fs::write(root.join(name), text.replacen("\"description\": \"", "\"description\": \"Formerly: ", 1))
            .unwrap();
        assert_eq!(stale(&root).unwrap(), [(name.clone(), text.clone())]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_file_of_another_meaning_is_refused_by_name_and_left_as_it_is() {
        let root = folder("meaning");
        let shape = schema::shapes().remove(0);
        let mut committed = shape.schema.clone();
        committed["properties"].as_object_mut().unwrap().clear();
        let file = root.join(FOLDER).join(schema::file_name(shape.event_type, shape.version));
        fs::write(&file, schema::text(&committed)).unwrap();
        let refused = stale(&root).unwrap_err().to_string();
        let expected = format!("{} v{} is a promise", shape.event_type, shape.version);
        assert!(refused.contains(&expected) && refused.contains("is new"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), schema::text(&committed));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_file_that_no_event_has_is_refused() {
        let root = folder("stray");
        for shape in schema::shapes() {
            for version in 1..=shape.version {
                fs::write(root.join(FOLDER).join(schema::file_name(shape.event_type, version)), "{}")
                    .unwrap();
            }
        }
        fs::write(root.join(FOLDER).join(ENVELOPE), "{}").unwrap();
        check_history(&root).unwrap();
        fs::write(root.join(FOLDER).join("tenancy.Nothing.v1.schema.json"), "{}").unwrap();
        assert!(check_history(&root).unwrap_err().to_string().contains("tenancy.Nothing.v1.schema.json"));
        fs::remove_dir_all(&root).unwrap();
    }
}
