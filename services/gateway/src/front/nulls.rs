//! Null where a field failed, as the specification has it.
//!
//! async-graphql leaves a failed field out of its object. A client made from the schema expects null there, or,
//! where the type forbids null, null in the nearest place above that allows it. Every position of the answer,
//! field or list item, passes `resolve` after everything below it, so failures are carried upwards there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo,
};
use async_graphql::{QueryPathSegment, Response, ServerError, ServerResult, Value};

/// The position of the whole answer.
const ROOT: &str = "";

pub(super) struct NullWhereFailed;

impl ExtensionFactory for NullWhereFailed {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Failures::default())
    }
}

#[derive(Default)]
struct Failures {
    /// Spares the lock and the paths while nothing has failed.
    any: AtomicBool,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    errors: Vec<ServerError>,
    /// Positions that must become null, until the field they belong to takes them.
    nulls: HashSet<String>,
}

impl Failures {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// Takes the positions in the value of a field: its own, without indexes, and those of list items.
    fn take_below(&mut self, field: &str) -> Vec<Vec<usize>> {
        let mut taken = Vec::new();
        self.nulls.retain(|position| {
            let Some(rest) = position.strip_prefix(field) else { return true };
            if !rest.is_empty() && !rest.starts_with('.') {
                return true;
            }
            // Fields further down have taken theirs, so that only indexes follow.
            taken.push(rest.split('.').filter_map(|index| index.parse().ok()).collect());
            false
        });
        taken
    }
}

#[async_trait::async_trait]
impl Extension for Failures {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let mut response = next.run(ctx, operation_name).await;
        if self.any.swap(false, Ordering::Relaxed) {
            let found = std::mem::take(&mut *self.found());
            response.errors.extend(found.errors);
            if found.nulls.contains(ROOT) {
                response.data = Value::Null;
            }
        }
        response
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let path = info.path_node;
        let field_type = match path.segment {
            QueryPathSegment::Name(_) => Some(info.return_type),
            // For items the library names a type that does not say whether they may be null; their field knows.
            QueryPathSegment::Index(_) => None,
        };
        let mut value = match next.run(ctx, info).await {
            Ok(value) if !self.any.load(Ordering::Relaxed) => return Ok(value),
            Ok(value) => value.unwrap_or_default(),
            Err(error) => {
                self.any.store(true, Ordering::Relaxed);
                let mut found = self.found();
                found.errors.push(error);
                found.nulls.insert(path.to_string());
                Value::Null
            }
        };
        if let Some(field_type) = field_type {
            let mut found = self.found();
            let nulls = found.take_below(&path.to_string());
            if set_nulls(&mut value, field_type, &nulls) == Allowed::No {
                found.nulls.insert(path.parent.map_or_else(|| ROOT.to_owned(), ToString::to_string));
            }
        }
        Ok(Some(value))
    }
}

/// Whether a position may hold the null it was given.
#[derive(PartialEq, Eq)]
enum Allowed {
    Yes,
    No,
}

/// Sets nulls in a value of the given type, in the nearest places that allow them.
fn set_nulls(value: &mut Value, of_type: &str, nulls: &[Vec<usize>]) -> Allowed {
    if nulls.is_empty() {
        return Allowed::Yes;
    }
    let nullable = of_type.strip_suffix('!');
    let item_type = nullable.unwrap_or(of_type).strip_prefix('[').and_then(|list| list.strip_suffix(']'));
    if let (Value::List(items), Some(item_type)) = (&mut *value, item_type)
        && nulls.iter().all(|indexes| !indexes.is_empty())
    {
        let mut below: HashMap<usize, Vec<Vec<usize>>> = HashMap::new();
        for (index, rest) in nulls.iter().filter_map(|indexes| indexes.split_first()) {
            below.entry(*index).or_default().push(rest.to_vec());
        }
        let allowed = below.into_iter().all(|(index, nulls)| match items.get_mut(index) {
            Some(item) => set_nulls(item, item_type, &nulls) == Allowed::Yes,
            None => true,
        });
        if allowed {
            return Allowed::Yes;
        }
    }
    *value = Value::Null;
    if nullable.is_none() { Allowed::Yes } else { Allowed::No }
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    #[test]
    fn a_null_moves_up_through_lists_until_a_type_allows_it() {
        let set = |of_type: &str, nulls: &[Vec<usize>]| {
            let mut value = value!([[1, 2], [3]]);
            let allowed = set_nulls(&mut value, of_type, nulls) == Allowed::Yes;
            (value, allowed)
        };
        assert_eq!(set("[[Int]!]!", &[vec![0, 1]]), (value!([[1, null], [3]]), true));
        assert_eq!(set("[[Int!]]!", &[vec![0, 1]]), (value!([null, [3]]), true));
        assert_eq!(set("[[Int!]!]", &[vec![0, 1]]), (Value::Null, true));
        assert_eq!(set("[[Int!]!]!", &[vec![0, 1]]), (Value::Null, false));
        assert_eq!(set("[[Int]]", &[vec![1], vec![0, 0]]), (value!([[null, 2], null]), true));
        assert_eq!(set("[[Int]]!", &[vec![]]), (Value::Null, false));
    }
}
