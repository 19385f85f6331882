//! What happens around every operation: permissions of fields, the position to wait for, what the answer says of itself.

use crate::asking::{Asking, forbidden};
use crate::errors::coded;
use crate::schema::permissions::{Needed, needed};
use crate::schema::position::Position;
use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery, NextPrepareRequest,
    NextResolve, ResolveInfo,
};
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{
    Name, PathSegment, Pos, QueryPathNode, QueryPathSegment, Request, Response, ScalarType, ServerError,
    ServerResult, Value, Variables,
};
use std::any::TypeId;
use std::sync::{Arc, OnceLock};

/// The argument of root fields by which an operation asks for a later state.
const WAIT_FOR: &str = "waitFor";

/// Guards every operation.
pub(crate) struct Guarding;

impl ExtensionFactory for Guarding {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Guard { waits: OnceLock::new() })
    }
}

struct Guard {
    /// Per operation of the document, the greatest position that its root fields ask for.
    waits: OnceLock<Vec<(Option<Name>, kernel::Position)>>,
}

#[async_trait::async_trait]
impl Extension for Guard {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let asking = request.data.get(&TypeId::of::<Arc<Asking>>());
        if let Some(asking) = asking.and_then(|asking| asking.downcast_ref::<Arc<Asking>>()) {
            let renewed = asking.renewed().await.map_err(|error| error.into_server_error(Pos::default()))?;
            if let Some(renewed) = renewed {
                request.data.insert(Arc::new(renewed));
            }
        }
        next.run(ctx, request).await
    }

    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        let _known_already = self.waits.set(waits(&document, variables));
        Ok(document)
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let Some(asking) = asking(ctx) else { return next.run(ctx, operation_name).await };
        for (name, position) in self.waits.get().into_iter().flatten() {
            if operation_name.is_none() || name.as_deref() == operation_name {
                asking.wait_for(*position);
            }
        }
        let response = next.run(ctx, operation_name).await;
        let response = response.extension("correlationId", Value::from(asking.correlation_id.to_string()));
        match asking.opened() {
            Some(view) => response
                .extension("position", Value::from(view.position().0))
                .extension("statements", Value::from(view.statements())),
            None => response,
        }
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        // A mutation answers with a typed refusal itself.
        if info.parent_type != "Mutation" && !info.is_for_introspection {
            let allowed = match needed(info.parent_type, info.name) {
                Needed::Nothing => Ok(()),
                Needed::Permission(permission) => match asking(ctx) {
                    Some(asking) => asking.caller.require_anywhere(permission).map_err(forbidden),
                    None => Err(coded("access.unauthenticated", "nobody is signed in")),
                },
                Needed::Unlisted => Err(coded("access.forbidden", "the field has no permission")),
            };
            allowed.map_err(|error| ServerError {
                path: path(info.path_node),
                ..error.into_server_error(info.field.name.pos)
            })?;
        }
        next.run(ctx, info).await
    }
}

/// Where in the answer a field is: an error without it would look as if nothing had been carried out.
fn path(node: &QueryPathNode<'_>) -> Vec<PathSegment> {
    let mut path: Vec<_> = std::iter::successors(Some(node), |node| node.parent)
        .map(|node| match node.segment {
            QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
            QueryPathSegment::Index(index) => PathSegment::Index(index),
        })
        .collect();
    path.reverse();
    path
}

fn asking<'a>(ctx: &ExtensionContext<'a>) -> Option<&'a Arc<Asking>> {
    ctx.query_data?.get(&TypeId::of::<Arc<Asking>>())?.downcast_ref()
}

fn waits(document: &ExecutableDocument, variables: &Variables) -> Vec<(Option<Name>, kernel::Position)> {
    let wait = |operation: &OperationDefinition| {
        let reading = Reading { document, operation, variables };
        reading.greatest(&operation.selection_set.node).unwrap_or_default()
    };
    match &document.operations {
        DocumentOperations::Single(operation) => vec![(None, wait(&operation.node))],
        DocumentOperations::Multiple(operations) => {
            operations.iter().map(|(name, operation)| (Some(name.clone()), wait(&operation.node))).collect()
        }
    }
}

struct Reading<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
}

impl Reading<'_> {
    /// The greatest position that the fields of a selection ask for. The front has refused cyclic fragments.
    fn greatest(&self, selections: &SelectionSet) -> Option<kernel::Position> {
        selections
            .items
            .iter()
            .filter_map(|selection| match &selection.node {
                Selection::Field(field) => {
                    let value = &field.node.get_argument(WAIT_FOR)?.node;
                    let value = value.clone().into_const_with(|name| self.variable(&name)).ok()?;
                    Position::parse(value).ok().map(|position| position.0)
                }
                Selection::InlineFragment(inline) => self.greatest(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node)?;
                    self.greatest(&fragment.node.selection_set.node)
                }
            })
            .max()
    }

    fn variable(&self, name: &Name) -> Result<Value, ()> {
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
        }
        let definition =
            self.operation.variable_definitions.iter().find(|given| given.node.name.node == *name);
        let default = definition.and_then(|given| given.node.default_value.as_ref());
        default.map(|value| value.node.clone()).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::waits;
    use async_graphql::Variables;
    use async_graphql::parser::parse_query;
    use serde_json::json;

    fn positions(query: &str) -> Vec<i64> {
        let document = parse_query(query).unwrap();
        let variables = Variables::from_json(json!({ "written": 42 }));
        waits(&document, &variables).into_iter().map(|(_, position)| position.0).collect()
    }

    #[test]
    fn an_operation_waits_for_the_greatest_position_of_its_root_fields() {
        assert_eq!(positions("{ viewer { user { id } } }"), [0]);
        assert_eq!(positions("{ viewer(waitFor: 7) { a } node(id: 1, waitFor: 9) { id } }"), [9]);
        assert_eq!(positions("query ($written: Position) { viewer(waitFor: $written) { a } }"), [42]);
        assert_eq!(positions("query ($at: Position = 5) { viewer(waitFor: $at) { a } }"), [5]);
        assert_eq!(
            positions("{ ...root } fragment root on Query { ... { viewer(waitFor: \"8\") { a } } }"),
            [8]
        );
    }
}
