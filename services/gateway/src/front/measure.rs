//! The size a document has after expanding its fragments, computed without expanding them.
//!
//! Twenty-four fragments that each spread the next one twice are 914 bytes of text and sixteen million fields.
//! Every fragment is measured once and its totals are reused, so the time is linear in the text.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};

use super::limits::{FRAGMENTS_FACTOR, INTROSPECTION_WEIGHT_MAX, Limits, NESTING_MAX, OPERATIONS_MAX};
use super::refusal::Refusal;

/// What a document costs, reported to the client as `extensions.cost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Fields and spreads after expanding fragments, over all operations.
    pub expanded_fields: u64,
    /// Deepest nesting of fields.
    pub depth: usize,
}

/// Measures a parsed document and refuses what is above the limits.
pub(super) fn measure(document: &ExecutableDocument, limits: &Limits) -> Result<Cost, Refusal> {
    let operations = document.operations.iter().count();
    if operations > OPERATIONS_MAX {
        return Err(Refusal::TooManyOperations { count: operations, limit: OPERATIONS_MAX });
    }

    let mut walk = Walk { document, fragments: HashMap::new(), visited: 0 };
    let mut sum = Totals::default();
    let mut most_roots = 0;
    for (_, operation) in document.operations.iter() {
        let totals = walk.operation(&operation.node)?;
        most_roots = most_roots.max(totals.roots);
        if operation.node.ty == OperationType::Subscription && totals.roots > 1 {
            return Err(Refusal::SubscriptionRootFields { count: totals.roots });
        }
        sum.add(totals);
    }
    check(&sum, limits, limits.expanded_fields)?;
    if most_roots > limits.root_fields {
        return Err(Refusal::TooManyRootFields { count: most_roots, limit: limits.root_fields });
    }

    // Fragments nobody spreads are validated as well.
    let mut fragments = Totals::default();
    for name in document.fragments.keys() {
        fragments.add(walk.fragment(name, 0)?);
    }
    check(
        &Totals { aliases: 0, directives: 0, ..fragments },
        limits,
        limits.expanded_fields * FRAGMENTS_FACTOR,
    )?;

    Ok(Cost { expanded_fields: sum.selections, depth: sum.depth })
}

fn check(totals: &Totals, limits: &Limits, expanded_fields: u64) -> Result<(), Refusal> {
    if totals.selections > expanded_fields {
        return Err(Refusal::TooManyFields { count: totals.selections, limit: expanded_fields });
    }
    if totals.depth > limits.depth {
        return Err(Refusal::TooDeep { depth: totals.depth, limit: limits.depth });
    }
    if totals.nesting > NESTING_MAX {
        return Err(Refusal::TooDeep { depth: totals.nesting, limit: NESTING_MAX });
    }
    if totals.aliases > limits.aliases {
        return Err(Refusal::TooManyAliases { count: totals.aliases, limit: limits.aliases });
    }
    if totals.directives > limits.directives {
        return Err(Refusal::TooManyDirectives { count: totals.directives, limit: limits.directives });
    }
    if totals.introspection > INTROSPECTION_WEIGHT_MAX {
        return Err(Refusal::IntrospectionTooLarge);
    }
    Ok(())
}

/// Sums over a selection set with its fragments expanded; sums saturate, since doublings overflow.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    selections: u64,
    aliases: u64,
    directives: u64,
    /// Fields at the outermost level.
    roots: u64,
    /// Levels of fields.
    depth: usize,
    /// Levels of selection sets, fragments included.
    nesting: usize,
    /// Estimated values below `__schema` and `__type`.
    introspection: u64,
    /// The same estimate as if these selections were below `__schema`.
    weight: u64,
}

impl Totals {
    /// Puts a sibling beside what was counted so far.
    fn add(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.roots = self.roots.saturating_add(other.roots);
        self.depth = self.depth.max(other.depth);
        self.nesting = self.nesting.max(other.nesting);
        self.introspection = self.introspection.saturating_add(other.introspection);
        self.weight = self.weight.saturating_add(other.weight);
    }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    /// `None` while the fragment is being measured: meeting it again then is a cycle.
    fragments: HashMap<&'a Name, Option<Totals>>,
    visited: usize,
}

impl<'a> Walk<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Totals, Refusal> {
        let on_variables: usize =
            operation.variable_definitions.iter().map(|variable| variable.node.directives.len()).sum();
        let mut totals = self.set(&operation.selection_set.node, 0)?;
        totals.directives =
            totals.directives.saturating_add(count(operation.directives.len() + on_variables));
        Ok(totals)
    }

    fn set(&mut self, set: &'a SelectionSet, nesting: usize) -> Result<Totals, Refusal> {
        if nesting > NESTING_MAX {
            return Err(Refusal::TooDeep { depth: nesting, limit: NESTING_MAX });
        }
        let mut totals = Totals::default();
        for selection in &set.items {
            self.visited += 1;
            totals.add(self.selection(&selection.node, nesting)?);
        }
        Ok(Totals { nesting: totals.nesting + 1, ..totals })
    }

    fn selection(&mut self, selection: &'a Selection, nesting: usize) -> Result<Totals, Refusal> {
        let mut totals = match selection {
            Selection::Field(field) => {
                let field = &field.node;
                let inner = if field.selection_set.node.items.is_empty() {
                    Totals::default()
                } else {
                    self.set(&field.selection_set.node, nesting + 1)?
                };
                let name = field.name.node.as_str();
                Totals {
                    aliases: inner.aliases.saturating_add(u64::from(field.alias.is_some())),
                    roots: 1,
                    depth: inner.depth + 1,
                    introspection: match name {
                        "__schema" | "__type" => inner.weight,
                        _ => inner.introspection,
                    },
                    weight: inner.weight.saturating_mul(usual_length(name)).saturating_add(1),
                    ..inner
                }
            }
            Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, nesting + 1)?,
            Selection::FragmentSpread(spread) => {
                self.fragment(&spread.node.fragment_name.node, nesting + 1)?
            }
        };
        totals.selections = totals.selections.saturating_add(1);
        totals.directives = totals.directives.saturating_add(count(selection.directives().len()));
        Ok(totals)
    }

    fn fragment(&mut self, name: &Name, nesting: usize) -> Result<Totals, Refusal> {
        // A spread of an unknown fragment is left to validation.
        let Some((name, definition)) = self.document.fragments.get_key_value(name) else {
            return Ok(Totals::default());
        };
        match self.fragments.get(name) {
            Some(Some(totals)) => return Ok(*totals),
            Some(None) => return Err(Refusal::FragmentCycle { name: name.to_string() }),
            None => {}
        }
        self.fragments.insert(name, None);
        let mut totals = self.set(&definition.node.selection_set.node, nesting)?;
        totals.directives = totals.directives.saturating_add(count(definition.node.directives.len()));
        self.fragments.insert(name, Some(totals));
        Ok(totals)
    }
}

/// Guesses how many entries a list of the introspection system has in a schema of our size.
fn usual_length(introspection_field: &str) -> u64 {
    match introspection_field {
        "types" => 100,
        "fields" | "inputFields" | "enumValues" | "possibleTypes" => 10,
        "args" | "directives" | "interfaces" | "locations" => 4,
        _ => 1,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn measured(document: &str) -> Result<Cost, Refusal> {
        measure(&parse_query(document).unwrap(), &Limits::default())
    }

    fn doubling(fragments: usize) -> String {
        let doubles = (0..fragments).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1));
        let last = format!("fragment f{fragments} on Query {{ a }}");
        ["{ ...f0 }".to_owned()].into_iter().chain(doubles).chain([last]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn fragments_count_where_they_are_spread() {
        let cost = measured("{ a { ...f } b: a { ...f } } fragment f on A { c { d } ... { e } }").unwrap();
        // Twice the field, the spread, the inline fragment and its four selections.
        assert_eq!(cost, Cost { expanded_fields: 12, depth: 3 });
    }

    #[test]
    fn doubling_fragments_are_counted_exactly_and_visited_once() {
        let document = parse_query(doubling(24)).unwrap();
        let mut walk = Walk { document: &document, fragments: HashMap::new(), visited: 0 };
        let (_, operation) = document.operations.iter().next().unwrap();
        let totals = walk.operation(&operation.node).unwrap();
        assert_eq!(totals.selections, (1 << 25) - 1 + (1 << 24));
        assert_eq!(walk.visited, 1 + 24 * 2 + 1, "one visit for each selection written in the document");
    }

    #[test]
    fn a_document_of_914_bytes_is_refused_for_its_sixteen_million_fields() {
        let refused = measured(&doubling(24)).unwrap_err();
        assert_eq!(refused, Refusal::TooManyFields { count: 50_331_647, limit: 5_000 });
    }

    #[test]
    fn a_cycle_is_refused_however_many_paths_it_has() {
        let refused =
            measured("{ ...a } fragment a on Q { ...b ...b } fragment b on Q { ...a ...a }").unwrap_err();
        assert_eq!(refused.code(), "graphql.fragment_cycle");
        assert_eq!(measured("{ x } fragment a on Q { ...a }").unwrap_err().code(), "graphql.fragment_cycle");
    }

    #[test]
    fn depth_is_found_through_fragments_measured_earlier() {
        // `f` is first measured at the root and then met again ten levels down.
        let deep = format!("{}...f{}", "a {".repeat(10), "}".repeat(10));
        let f = format!("fragment f on Q {{ {}b{} }}", "b {".repeat(9), "}".repeat(9));
        let refused = measured(&format!("{{ ...f {deep} }} {f}")).unwrap_err();
        assert_eq!(refused, Refusal::TooDeep { depth: 20, limit: 15 });
    }

    #[test]
    fn aliases_directives_and_roots_are_counted_after_expansion() {
        let spreads = "...f ".repeat(15);
        let aliases = format!("{{ a {{ {spreads} }} }} fragment f on A {{ {} }}", "x: y ".repeat(7));
        assert_eq!(measured(&aliases), Err(Refusal::TooManyAliases { count: 105, limit: 100 }));
        let directives = format!("{{ a {{ {spreads} }} }} fragment f on A {{ y {} }}", "@d ".repeat(7));
        assert_eq!(measured(&directives), Err(Refusal::TooManyDirectives { count: 105, limit: 100 }));
        let roots = format!("{{ {spreads} }} fragment f on A {{ x y }}");
        assert_eq!(measured(&roots), Err(Refusal::TooManyRootFields { count: 30, limit: 20 }));
    }

    #[test]
    fn introspection_that_multiplies_the_schema_is_refused() {
        let levels = 5;
        let nested = format!("{}name{}", "fields { type {".repeat(levels), "} }".repeat(levels));
        let refused = measured(&format!("{{ __schema {{ types {{ {nested} }} }} }}"));
        assert_eq!(refused, Err(Refusal::IntrospectionTooLarge));
        assert!(
            measured(&format!("{{ mine {{ types {{ {nested} }} }} }}")).is_ok(),
            "only below __schema and __type"
        );
    }

    #[test]
    fn many_long_fragments_are_refused_although_nobody_spreads_them() {
        let long = format!("fragment f on Q {{ {} }}", "a ".repeat(1_000));
        let spreading: Vec<_> = (0..40).map(|n| format!("fragment g{n} on Q {{ ...f }}")).collect();
        let refused = measured(&format!("{{ a }} {long} {}", spreading.join(" "))).unwrap_err();
        assert_eq!(refused.code(), "graphql.too_many_fields");
    }
}
