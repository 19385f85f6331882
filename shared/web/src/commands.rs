//! Commands from service to service: `POST /commands/<NAME>` with a statement about who is calling.

pub mod client;
pub mod route;

use kernel::{CommandId, CorrelationId};
use serde::{Deserialize, Serialize};

/// What is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request<C> {
    command: C,
    command_id: CommandId,
    correlation_id: CorrelationId,
}

fn path(name: &str) -> String {
    format!("/commands/{name}")
}

#[cfg(test)]
mod tests;
