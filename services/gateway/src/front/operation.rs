//! One operation as the client sent it, read and measured before anything is executed.

use std::collections::HashMap;

use actix_web::web::Query;
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Request, ServerError, Variables};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::limits::Limits;
use super::measure::{Cost, measure};
use super::refusal::Refusal;
use super::scan::scan;

/// The members of a request in the GraphQL over HTTP sense; others are ignored, as it asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
    extensions: Option<Map<String, Value>>,
}

impl Parameters {
    pub(super) fn from_body(body: &[u8]) -> Result<Self, Refusal> {
        let body: Value = serde_json::from_slice(body).map_err(malformed)?;
        match body {
            Value::Array(_) => Err(Refusal::BatchingUnsupported),
            Value::Object(_) => serde_json::from_value(body).map_err(malformed),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(Refusal::MalformedRequest { reason: "the body must be a JSON object".to_owned() })
            }
        }
    }

    pub(super) fn from_query_string(query_string: &str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Encoded {
            query: Option<String>,
            operation_name: Option<String>,
            variables: Option<String>,
            extensions: Option<String>,
        }

        let encoded = Query::<Encoded>::from_query(query_string).map_err(malformed)?.into_inner();
        Ok(Self {
            query: encoded.query,
            operation_name: encoded.operation_name,
            variables: encoded.variables.as_deref().map(object).transpose()?.flatten(),
            extensions: encoded.extensions.as_deref().map(object).transpose()?.flatten(),
        })
    }
}

fn object(text: &str) -> Result<Option<Map<String, Value>>, Refusal> {
    serde_json::from_str(text).map_err(malformed)
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn malformed(error: impl ToString) -> Refusal {
    Refusal::MalformedRequest { reason: error.to_string() }
}

/// A parsed operation within the limits.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) request: Request,
    /// `None` where the document leaves open which operation is meant; the schema words that refusal.
    pub(super) kind: Option<OperationType>,
    pub(super) cost: Cost,
}

impl Operation {
    pub(super) fn read(parameters: Parameters, limits: &Limits) -> Result<Self, Refusal> {
        let query = parameters.query.filter(|query| !query.trim().is_empty()).ok_or(Refusal::MissingQuery)?;
        scan(&query, limits.tokens)?;

        let name = parameters.operation_name.filter(|name| !name.is_empty());
        let mut request = Request::new(query);
        if let Some(variables) = parameters.variables {
            request.variables = Variables::from_json(Value::Object(variables));
        }
        if let Some(extensions) = parameters.extensions {
            let values: HashMap<_, _> =
                serde_json::from_value(Value::Object(extensions)).map_err(malformed)?;
            request.extensions = async_graphql::Extensions(values);
        }

        let document = request.parsed_query().map_err(|error| syntax(&error))?;
        let cost = measure(document, limits)?;
        let kind = chosen(document, name.as_deref());
        request.operation_name = name;
        Ok(Self { request, kind, cost })
    }
}

fn chosen(document: &ExecutableDocument, name: Option<&str>) -> Option<OperationType> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Single(_), Some(_)) | (DocumentOperations::Multiple(_), None) => None,
    };
    operation.map(|operation| operation.node.ty)
}

fn syntax(error: &ServerError) -> Refusal {
    // The parser draws its message over several lines; the last says what was expected.
    let reason = error.message.lines().last().unwrap_or_default().trim().trim_start_matches("= ").to_owned();
    Refusal::Syntax { reason, at: error.locations.first().copied() }
}
