//! Which parts of a CSAF document are read, and where each goes.

use super::header::Header;
use super::products::Branch;
use super::vulnerability::Vulnerability;
use super::{Csaf, parsed};
use crate::DocumentError;
use crate::json::{paths::Paths, paths::Take};
use serde_json::value::RawValue;

/// What the standard lets a product be.
const STATUSES: &[&str] = &[
    "first_affected",
    "first_fixed",
    "fixed",
    "known_affected",
    "known_not_affected",
    "last_affected",
    "recommended",
    "under_investigation",
];
impl Paths for Csaf<'_> {
    fn take(&self, path: &str) -> Take {
        if let Some(rest) = path.strip_prefix("product_tree") {
            return take_product(rest);
        }
        if let Some(rest) = path.strip_prefix("vulnerabilities[]") {
            return self.take_part(rest);
        }
        match path {
            "document" => Take::Whole,
            "vulnerabilities" => Take::List,
            _ => Take::Skip,
        }
    }

    fn begin(&mut self, path: &str) -> Result<(), DocumentError> {
        match path {
            "product_tree" => self.once("product_tree")?,
            "vulnerabilities" => self.once("vulnerabilities")?,
            "vulnerabilities[]" => self.open = Vulnerability::default(),
            _ if path.ends_with(".branches[]") => self.branches.push(Branch::default()),
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, path: &str, value: &RawValue) -> Result<(), DocumentError> {
        if path == "document" {
            self.once("document")?;
            let header: Header = parsed(path, value)?;
            self.header = Some(header.checked()?);
            return Ok(());
        }
        if let Some(part) = path.strip_prefix("vulnerabilities[].") {
            return self.part(part, value);
        }
        let name = path.rsplit('.').next().unwrap_or_default();
        match name {
            "product" | "full_product_names[]" => self.product(value),
            "relationships[]" => self.relationship(value),
            "name" | "category" => {
                let word: String = parsed(path, value)?;
                self.products.keep(word.len())?;
                if let Some(branch) = self.branches.last_mut() {
                    if name == "name" { branch.name = word } else { branch.category = word }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, path: &str) -> Result<(), DocumentError> {
        match path {
            "vulnerabilities[]" => self.close_vulnerability(),
            "vulnerabilities[].remediations[]" => {
                let (category, restart, fix) = self.open.close_remediation();
                if let Some(fix) = fix.filter(|_| self.keeps_fixes()) {
                    self.products.keep(fix.bytes())?;
                    self.open.fixes.push(fix);
                }
                self.tally("remediation_categories", &category)?;
                if restart.is_empty() { Ok(()) } else { self.tally("restart_required", &restart) }
            }
            "vulnerabilities[].threats[]" => match self.open.close_threat() {
                Some(impact) => self.tally("impact_threats", &impact),
                None => Ok(()),
            },
            _ if path.ends_with(".branches[]") => self.close_branch(),
            _ => Ok(()),
        }
    }

    fn mistyped(&mut self, path: &str, expected: &'static str) -> Result<(), DocumentError> {
        let reason = format!("{path} is not {expected}");
        if let Some(part) = path.strip_prefix("vulnerabilities[]") {
            if part.is_empty() {
                self.reading.contents.records += 1;
                self.reading.contents.quarantine(reason);
            } else {
                self.open.refuse(reason);
            }
            return Ok(());
        }
        Err(DocumentError::malformed(reason))
    }
}

impl Csaf<'_> {
    /// How a part of a vulnerability is read.
    fn take_part(&self, path: &str) -> Take {
        if let Some(status) = path.strip_prefix(".product_status.") {
            return match status.strip_suffix("[]") {
                None if STATUSES.contains(&status) => Take::List,
                Some("fixed" | "first_fixed" | "recommended") if self.keeps_fixes() => Take::Whole,
                Some(_) if self.reading.figures.on() => Take::Whole,
                None | Some(_) => Take::Skip,
            };
        }
        match path {
            "" | ".product_status" | ".scores[]" | ".metrics[]" | ".metrics[].content"
            | ".remediations[]" | ".threats[]" => Take::Object,
            ".scores" | ".metrics" | ".remediations" | ".threats" => Take::List,
            ".remediations[].product_ids" if self.keeps_kbs() => Take::List,
            ".cve"
            | ".remediations[].category"
            | ".remediations[].details"
            | ".remediations[].url"
            | ".remediations[].restart_required"
            | ".remediations[].product_ids[]"
            | ".threats[].category"
            | ".threats[].details" => Take::Whole,
            _ => match path.rsplit_once('.') {
                Some((".scores[]" | ".metrics[].content", "cvss_v2" | "cvss_v3" | "cvss_v4")) => Take::Whole,
                _ => Take::Skip,
            },
        }
    }
}

/// How a part of the product tree is read; branches hold branches.
fn take_product(path: &str) -> Take {
    let mut rest = path;
    let mut in_branch = false;
    while let Some(inner) = rest.strip_prefix(".branches[]") {
        rest = inner;
        in_branch = true;
    }
    match rest {
        "" => Take::Object,
        ".branches" => Take::List,
        ".product" | ".name" | ".category" if in_branch => Take::Whole,
        ".full_product_names" | ".relationships" if !in_branch => Take::List,
        ".full_product_names[]" | ".relationships[]" if !in_branch => Take::Whole,
        _ => Take::Skip,
    }
}
