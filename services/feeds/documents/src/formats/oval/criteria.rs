//! Criteria: which tests count for which release, processor architecture and module stream.

use crate::identity::{is_minor_of, named};
use crate::text::is_plain;
use crate::xml::Tree;
use contracts::OsRelease;
use std::collections::BTreeSet;

/// What holds where a test counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Context {
    /// Releases; none where only the package's own version tells it.
    pub(super) releases: BTreeSet<OsRelease>,
    /// Processor architectures; none is any.
    pub(super) architectures: BTreeSet<String>,
    /// Module stream.
    pub(super) module: Option<String>,
    /// A product must be installed that is no release of an operating system known here.
    is_elsewhere: bool,
}

/// What a criterion says in words. Tests say the same in regular expressions, each publisher in its own way.
enum Statement {
    /// A product is installed: a release, or something that is none.
    Installed(Option<OsRelease>),
    Architecture(String),
    Module(String),
}

/// Beginnings of products' names. Packages are said to be installed as well.
const PRODUCTS: &[&str] = &[
    "Red Hat ",
    "CentOS ",
    "AlmaLinux ",
    "Oracle ",
    "SUSE ",
    "openSUSE ",
    "Debian ",
    "Ubuntu ",
    "Azure Linux",
    "CBL-",
];

/// Calls `found` with each test of the definition and what holds there; a major release is that of `minors`, where they
/// have one.
pub(super) fn walk<'a, E>(
    definition: &'a Tree,
    releases: BTreeSet<OsRelease>,
    minors: &BTreeSet<OsRelease>,
    found: &mut dyn FnMut(&'a str, &Context) -> Result<(), E>,
) -> Result<(), E> {
    let context = Context { releases, ..Context::default() };
    let found = &mut |test: &'a str, context: &Context| {
        if context.releases.iter().any(|major| minors.iter().any(|minor| is_minor_of(minor, major))) {
            found(test, &context.at(minors))
        } else {
            found(test, context)
        }
    };
    for criteria in definition.all("criteria") {
        walk_criteria(criteria, &context, found)?;
    }
    Ok(())
}

fn walk_criteria<'a, E>(
    criteria: &'a Tree,
    outer: &Context,
    found: &mut dyn FnMut(&'a str, &Context) -> Result<(), E>,
) -> Result<(), E> {
    if is_negated(criteria) {
        return Ok(());
    }
    let mut context = outer.clone();
    // What stands beside other things in an "and" holds for all of them.
    if !is_or(criteria) {
        for child in &criteria.children {
            match child.name() {
                "criterion" => context.narrow([child]),
                "criteria" if is_choice(child) => context.narrow(child.all("criterion")),
                _ => {}
            }
        }
    }
    if context.is_elsewhere {
        return Ok(());
    }
    for child in &criteria.children {
        match child.name() {
            "criterion" if !is_negated(child) && !is_signature(child) && statement(child).is_none() => {
                if let Some(test) = child.attribute("test_ref") {
                    found(test, &context)?;
                }
            }
            // Not deeper than NESTING_MAX: the reader saw to that.
            "criteria" if !is_choice(child) => walk_criteria(child, &context, found)?,
            _ => {}
        }
    }
    Ok(())
}

impl Context {
    /// The same on minor releases in place of their major one.
    fn at(&self, minors: &BTreeSet<OsRelease>) -> Self {
        let at = |major: &OsRelease| {
            let own: Vec<OsRelease> =
                minors.iter().filter(|minor| is_minor_of(minor, major)).cloned().collect();
            if own.is_empty() { vec![major.clone()] } else { own }
        };
        Self { releases: self.releases.iter().flat_map(at).collect(), ..self.clone() }
    }

    /// Takes in statements of which one must hold.
    fn narrow<'a>(&mut self, criterions: impl IntoIterator<Item = &'a Tree>) {
        let mut products = 0;
        let mut releases = BTreeSet::new();
        let mut architectures = BTreeSet::new();
        for criterion in criterions.into_iter().filter(|criterion| !is_negated(criterion)) {
            match statement(criterion) {
                Some(Statement::Installed(release)) => {
                    products += 1;
                    releases.extend(release);
                }
                Some(Statement::Architecture(architecture)) => {
                    architectures.insert(architecture);
                }
                Some(Statement::Module(module)) => self.module = Some(module),
                None => {}
            }
        }
        if products > 0 {
            self.is_elsewhere |= releases.is_empty();
            self.releases = releases;
        }
        if !architectures.is_empty() {
            self.architectures = architectures;
        }
    }
}

/// "One of these products": criteria that hold nothing but statements.
fn is_choice(criteria: &Tree) -> bool {
    let mut criterions = criteria.children.iter().peekable();
    criterions.peek().is_some()
        && !is_negated(criteria)
        && criterions.all(|child| child.name() == "criterion" && statement(child).is_some())
}

fn is_or(criteria: &Tree) -> bool {
    criteria.attribute("operator").is_some_and(|operator| operator.trim() == "OR")
}

fn is_negated(element: &Tree) -> bool {
    element.attribute("negate").is_some_and(|negate| ["true", "1"].contains(&negate.trim()))
}

/// Half of all tests ask who signed a package; they say nothing about versions.
fn is_signature(criterion: &Tree) -> bool {
    criterion.attribute("comment").is_some_and(|comment| comment.contains(" is signed with "))
}

fn statement(criterion: &Tree) -> Option<Statement> {
    let comment = criterion.attribute("comment")?.trim().trim_end_matches('.');
    if let Some(product) = comment.strip_suffix(" is installed") {
        let is_product = PRODUCTS.iter().any(|prefix| product.starts_with(prefix));
        return is_product.then(|| Statement::Installed(named(product)));
    }
    if let Some((product, architecture)) = comment.split_once(" arch is ") {
        let is_product = PRODUCTS.iter().any(|prefix| product.starts_with(prefix));
        return (is_product && is_plain(architecture))
            .then(|| Statement::Architecture(architecture.to_owned()));
    }
    let module = comment.strip_prefix("Module ")?.strip_suffix(" is enabled")?.trim();
    (is_plain(module) && module.contains(':')).then(|| Statement::Module(module.to_owned()))
}
