//! Reads our own Rust source as text: files, string literals, doc comments.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One file without its tests.
#[derive(Debug)]
pub(super) struct Source {
    /// Below the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A string literal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// Where its opening quote is.
    pub(super) start: usize,
    /// Behind its closing quote.
    pub(super) end: usize,
    pub(super) value: String,
}

/// Every source file below these folders of the workspace, in the order of their paths.
pub(super) fn files(root: &Path, folders: &[&str]) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.into_iter().map(|path| read(root, &path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_test = stem == "tests" || stem.ends_with("_tests");
        if path.is_dir() && !is_test && stem != "node_modules" {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") && !is_test {
            files.push(path);
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path) -> Result<Source> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let rules = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let path = path.strip_prefix(root).unwrap_or(path);
    Ok(Source { path: path.to_string_lossy().into_owned(), text: rules.to_owned() })
}

/// The string literals of Rust source; comments and character literals are passed over.
pub(super) fn literals(source: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            let end = rest.find("\"#").map_or(rest.len(), |end| end + 2);
            let value = rest.get(3..end.saturating_sub(2)).unwrap_or_default().to_owned();
            found.push(Literal { start: at, end: at + end, value });
            end
        } else if rest.starts_with('"') {
            let (length, value) = unescaped(rest);
            found.push(Literal { start: at, end: at + length, value });
            length
        } else if ["'\"'", "'\\\"'", "'\\''"].iter().any(|quoted| rest.starts_with(quoted)) {
            rest.char_indices().skip(2).find(|(_, c)| *c == '\'').map_or(1, |(index, _)| index + 1)
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
    }
    found
}

/// How long the literal at the beginning is in the source, and what it says.
fn unescaped(rest: &str) -> (usize, String) {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return (index + 1, value),
            '\\' => match chars.next() {
                // A line that goes on in the next one.
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => {}
            },
            other => value.push(other),
        }
    }
    (rest.len(), value)
}

/// Text for one cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::{Literal, literals};

    #[test]
    fn literals_are_read_as_the_compiler_reads_them() {
        let source = "// \"no\"\nlet q = '\"'; f(\"one \\\"two\\\" \\\n    three\", r#\"a \" b\"#);";
        let values: Vec<_> = literals(source).into_iter().map(|literal| literal.value).collect();
        assert_eq!(values, ["one \"two\" three", "a \" b"]);
    }

    #[test]
    fn a_literal_knows_its_place() {
        let expected = Literal { start: 2, end: 5, value: "x".to_owned() };
        assert_eq!(literals("a \"x\" b"), [expected]);
    }
}
