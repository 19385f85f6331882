//! Rules over source text that neither compiler nor clippy knows.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold source of ours.
const FOLDERS: [&str; 5] = ["agent", "services", "shared", "tests", "xtask"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["common", "helper", "helpers", "types", "util", "utils", "misc", "shared_types"];

/// Schemas that belong to one service each. `es` belongs to all.
const SCHEMAS: [&str; 9] =
    ["tenancy", "feeds", "devices", "approvals", "scheduling", "alerts", "auditing", "views", "gateway"];

/// Synonyms of a word of the glossary, with the word.
const SYNONYMS: [(&str, &str); 3] = [("rollout", "deployment"), ("wave", "ring"), ("asset", "device")];

/// Synonyms only where the business is spoken of: elsewhere they have technical meanings.
const BUSINESS_SYNONYMS: [(&str, &str); 2] = [("host", "device"), ("endpoint", "device")];

/// Fails with every broken rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files)?;
        for file in files {
            let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).with_context(|| format!("reading {path}"))?;
            found.extend(violations(&path, &text));
        }
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|end| end == "rs" || end == "sql") {
            files.push(path);
        }
    }
    Ok(())
}

/// Everything wrong with one file; `path` is relative to the workspace.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = empty_names(path, text);
    if Path::new(path).extension().is_none_or(|end| end != "rs") {
        found.extend(foreign_schema(path, &[(1, text.to_owned())]));
        return found;
    }
    if text.lines().take(3).any(|line| line.contains("@generated")) {
        return found;
    }
    if path.ends_with("/mod.rs") {
        found.push(format!("{path}: a module is `name.rs` beside `name/`, never `mod.rs`"));
    }
    if !text.starts_with("//!") {
        found.push(format!("{path}:1: the first line says in one sentence what the file is for (`//! …`)"));
    }
    found.extend(foreign_schema(path, &string_literals(text)));
    found.extend(unversioned_payload(path, text));
    // The rule's own examples.
    if !path.starts_with("xtask/") {
        found.extend(synonyms(path, text));
    }
    found
}

fn empty_names(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let stems = path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    for name in stems.filter(|name| EMPTY_NAMES.contains(name)) {
        found.push(format!("{path}: `{name}` says nothing about what is inside"));
    }
    for (number, line) in numbered(text) {
        let declared = line.trim_start().trim_start_matches("pub").trim_start_matches("(crate)").trim_start();
        if let Some(name) = declared.strip_prefix("mod ").map(|rest| rest.trim_end_matches(['{', ';', ' ']))
            && EMPTY_NAMES.contains(&name)
        {
            found.push(format!("{path}:{number}: `{name}` says nothing about what is inside"));
        }
    }
    found
}

/// A service that takes a payload as it was stored knows today's version only, and fails on the facts of yesterday.
fn unversioned_payload(path: &str, text: &str) -> Vec<String> {
    if own_schema(path).is_none() {
        return Vec::new();
    }
    let bare = numbered(text).filter(|(_, line)| line.contains("from_value(") && line.contains(".payload"));
    bare.map(|(number, _)| {
        format!("{path}:{number}: `event.read()` brings a payload of any version into today's shape")
    })
    .collect()
}

/// SQL of a service that names a table of another one.
fn foreign_schema(path: &str, literals: &[(usize, String)]) -> Vec<String> {
    let Some(own) = own_schema(path) else { return Vec::new() };
    let mut found = Vec::new();
    for (number, literal) in literals.iter().filter(|(_, literal)| is_sql(literal)) {
        let literal = literal.to_lowercase();
        for schema in SCHEMAS.iter().filter(|schema| !is_own(own, schema)) {
            if names_table_of(&literal, schema) {
                found.push(format!(
                    "{path}:{number}: SQL of `{own}` reads or writes `{schema}`: services meet in events"
                ));
            }
        }
    }
    found
}

/// The schema of the service whose source or SQL this is.
fn own_schema(path: &str) -> Option<&str> {
    let (service, rest) = path.strip_prefix("services/")?.split_once('/')?;
    if !rest.starts_with("src/") || service == "patchfleet" {
        return None;
    }
    Some(if service == "gateway" { "views" } else { service })
}

/// The gateway has a schema for its views, which are built anew as a whole, and one for the rest.
fn is_own(own: &str, schema: &str) -> bool {
    own == schema || (own == "views" && schema == "gateway")
}

fn is_sql(literal: &str) -> bool {
    let keywords = ["select", "insert", "update", "delete"];
    words(literal).any(|word| keywords.contains(&word.to_lowercase().as_str()))
}

/// Whether `<schema>.<table>` stands in the statement.
fn names_table_of(statement: &str, schema: &str) -> bool {
    statement.match_indices(schema).any(|(start, _)| {
        let before = statement[..start].chars().next_back();
        let starts_word = before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let mut after = statement[start + schema.len()..].chars();
        starts_word
            && after.next() == Some('.')
            && after.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
    })
}

fn synonyms(path: &str, text: &str) -> Vec<String> {
    let speaks_of_business = path.starts_with("shared/contracts/") || path.contains("/domain/");
    let mut found = Vec::new();
    for (number, line) in numbered(text) {
        let mut previous = String::new();
        for word in words(line).flat_map(parts) {
            let word = word.to_lowercase();
            let singular = word.strip_suffix('s').unwrap_or(&word);
            let banned = SYNONYMS.iter().chain(BUSINESS_SYNONYMS.iter().filter(|_| speaks_of_business));
            for (synonym, instead) in banned.filter(|(synonym, _)| *synonym == singular) {
                // The one endpoint of the glossary.
                if previous != "webhook" {
                    found.push(format!("{path}:{number}: `{synonym}` is no word of ours, `{instead}` is"));
                }
            }
            previous = word;
        }
    }
    found
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The words of an identifier: `WebhookEndpoint` and `webhook_endpoint` are both two.
fn parts(identifier: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut previous_is_lower = false;
    for (index, c) in identifier.char_indices() {
        if c == '_' || (c.is_uppercase() && previous_is_lower) {
            found.push(identifier[start..index].trim_matches('_'));
            start = index;
        }
        previous_is_lower = c.is_lowercase();
    }
    found.push(identifier[start..].trim_matches('_'));
    found.retain(|part| !part.is_empty());
    found
}

/// The string literals of Rust source with the line each begins on; comments and character literals are passed over.
fn string_literals(source: &str) -> Vec<(usize, String)> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &source[at..];
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string_hashes(source, at) {
            let open = 2 + hashes;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = rest[open..].find(&close).map_or(rest.len(), |end| open + end);
            found.push((line, rest[open..end].to_owned()));
            (end + close.len()).min(rest.len())
        } else if rest.starts_with('"') {
            let end = string_end(rest);
            found.push((line, rest[1..end].to_owned()));
            (end + 1).min(rest.len())
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") || rest.starts_with("'\\\\'") || rest.starts_with("'\\''") {
            4
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        line += source[at..at + taken].matches('\n').count();
        at += taken;
    }
    found
}

/// How many `#` the raw string at this place has, if there is one.
fn raw_string_hashes(source: &str, at: usize) -> Option<usize> {
    let before = source[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() && c != 'b') {
        return None;
    }
    let rest = source[at..].strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// Where the literal that begins with the first `"` ends.
fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::{parts, string_literals, violations};

    fn assert_found(path: &str, text: &str, expected: &str) {
        let found = violations(path, text);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }

    fn assert_fine(path: &str, text: &str) {
        assert_eq!(violations(path, text), [""; 0]);
    }

    #[test]
    fn this_workspace_is_tidy() {
        super::check(&crate::workspace::root().unwrap()).unwrap();
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert_found("agent/src/scan.rs", "use std::fs;\n", "first line");
        assert_fine("agent/src/scan.rs", "//! Scans.\nuse std::fs;\n");
        assert_fine("agent/src/scan.rs", "// @generated\n");
    }

    #[test]
    fn a_module_is_named_after_its_file() {
        assert_found("shared/web/src/scan/mod.rs", "//! Scans.\n", "never `mod.rs`");
    }

    #[test]
    fn a_payload_is_read_with_its_version() {
        let bare = "//! Reacts.\nlet fact: A = serde_json::from_value(event.payload.clone())?;\n";
        assert_found("services/approvals/src/reactor.rs", bare, "reactor.rs:2: `event.read()`");
        assert_fine("services/approvals/tests/service.rs", bare);
        assert_fine("services/approvals/src/reactor.rs", "//! Reacts.\nlet fact = event.read::<A>()?;\n");
    }

    #[test]
    fn a_name_says_what_is_inside() {
        assert_found("shared/web/src/utils.rs", "//! Things.\n", "`utils`");
        assert_found("shared/common/src/lib.rs", "//! Things.\n", "`common`");
        assert_found("shared/web/src/lib.rs", "//! Web.\npub(crate) mod helpers {\n}\n", "`helpers`");
        assert_fine("shared/web/src/lib.rs", "//! Web.\nmod useful_types;\n");
    }

    #[test]
    fn a_service_reads_only_its_own_tables() {
        let foreign = "//! Rules.\nconst Q: &str = \"select 1 from devices.scan\";\n";
        assert_found(
            "services/approvals/src/rules.rs",
            foreign,
            "rules.rs:2: SQL of `approvals` reads or writes `devices`",
        );
        assert_fine("services/devices/src/rules.rs", foreign);
        assert_found(
            "services/approvals/src/sql/read_rules.sql",
            "-- Reads.\nselect 1 from views.device",
            "`views`",
        );
        let many = "//! Rules.\nconst Q: &str = r#\"INSERT INTO\n  tenancy.partner VALUES ($1)\"#;\n";
        assert_found("services/gateway/src/rules.rs", many, "`tenancy`");
    }

    #[test]
    fn own_tables_the_store_and_codes_are_fine() {
        assert_fine(
            "services/approvals/src/rules.rs",
            "//! Rules. Does not select from devices.scan.\n\
             const Q: &str = \"update approvals.rule set at = (select pos from es.event)\";\n\
             const CODE: &str = \"devices.not_found\";\n",
        );
        assert_fine(
            "services/gateway/src/views.rs",
            "//! Views.\nconst Q: &str = \"delete from views.device\";\n",
        );
    }

    #[test]
    fn the_words_are_those_of_the_glossary() {
        assert_found("services/scheduling/src/rings.rs", "//! Starts a rollout.\n", "`deployment` is");
        assert_found("agent/src/run.rs", "//! Runs.\nfn first_wave() {}\n", "`ring` is");
        assert_found("shared/contracts/src/devices.rs", "//! Facts.\nstruct HostEnrolled;\n", "`device` is");
        assert_fine(
            "shared/contracts/src/alerts.rs",
            "//! Facts of a webhook endpoint.\nstruct WebhookEndpoint;\n",
        );
        assert_fine("services/gateway/src/relay.rs", "//! The node of a connection.\n");
    }

    #[test]
    fn literals_are_found_where_they_are() {
        let source =
            "// \"no\"\nlet a = \"one \\\" two\"; let q = '\"'; let b = br#\"x \" y\"#;\n/* \"no\" */ \"z\"";
        let expected =
            [(2, "one \\\" two"), (2, "x \" y"), (3, "z")].map(|(line, text)| (line, text.to_owned()));
        assert_eq!(string_literals(source), expected);
    }

    #[test]
    fn identifiers_have_words() {
        assert_eq!(parts("WebhookEndpoint"), ["Webhook", "Endpoint"]);
        assert_eq!(parts("webhook_endpoint_id"), ["webhook", "endpoint", "id"]);
    }
}
