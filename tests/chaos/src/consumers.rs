//! Who consumes what: the consumers that the store knows, and what the broker's own bindings say they want.

use anyhow::{Context, Result};
use serde::Deserialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// A consumer and the event types it wants, as `like` patterns.
pub(crate) type Consumers = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
struct Binding {
    source: String,
    destination: String,
    destination_type: String,
    routing_key: String,
}

/// Asks store and broker.
pub(crate) async fn find(
    database: &mut PgConnection,
    http: &reqwest::Client,
    admin_url: &str,
) -> Result<Consumers> {
    let names: Vec<String> =
        sqlx::query_scalar("select name from es.consumer order by name").fetch_all(database).await?;
    let mut consumers: Consumers = names.into_iter().map(|name| (name, Vec::new())).collect();
    let bindings: Vec<Binding> = http
        .get(format!("{admin_url}/api/bindings/%2F"))
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .context("asking the broker for its bindings")?
        .json()
        .await
        .context("reading the broker's bindings")?;
    for binding in bindings.iter().filter(|binding| binding.destination_type == "queue") {
        if let Some(interests) = consumers.get_mut(&binding.destination)
            && let Some(interest) = interest(&binding.source, &binding.routing_key)
        {
            interests.push(interest);
        }
    }
    Ok(consumers)
}

/// What a binding lets through: `tenancy.events` and `*.RoleGranted.*` are `tenancy.RoleGranted`.
fn interest(exchange: &str, key: &str) -> Option<String> {
    let service = exchange.strip_suffix(".events")?;
    match key.split('.').collect::<Vec<_>>().as_slice() {
        ["#"] => Some(format!("{service}.%")),
        [_, event, ..] => Some(format!("{service}.{event}")),
        _ => None,
    }
}

/// The names of all queues.
pub(crate) async fn queues(http: &reqwest::Client, admin_url: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Queue {
        name: String,
    }
    let queues: Vec<Queue> = http
        .get(format!("{admin_url}/api/queues/%2F?columns=name"))
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .context("asking the broker for its queues")?
        .json()
        .await
        .context("reading the broker's queues")?;
    Ok(queues.into_iter().map(|queue| queue.name).collect())
}

#[cfg(test)]
mod tests {
    use super::interest;

    #[test]
    fn a_binding_tells_what_a_consumer_wants() {
        assert_eq!(interest("tenancy.events", "#").as_deref(), Some("tenancy.%"));
        assert_eq!(interest("tenancy.events", "*.RoleGranted.*").as_deref(), Some("tenancy.RoleGranted"));
        assert_eq!(interest("", "tenancy.reactor"), None);
    }
}
