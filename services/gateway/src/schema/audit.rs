//! The audit trail, asked of the auditors in the caller's name.

use crate::asking::{Asking, require};
use crate::commands::not_done;
use crate::errors::coded;
use crate::reading::cursor::Cursors;
use crate::schema::connection::page_size;
use crate::schema::global_id::{GlobalId, Kind, global};
use crate::schema::position::Position;
use crate::words::ActorKind;
use async_graphql::connection::{Connection, Edge};
use async_graphql::{ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::auditing;
use contracts::permissions::Permission;
use kernel::{CommandId, CorrelationId, CustomerId};
use uuid::Uuid;

/// The name of the trail as a list, for its cursors.
const TRAIL: &str = "AUDIT_TRAIL";

/// Which records to return.
#[derive(InputObject, Default)]
pub(crate) struct AuditFilter {
    /// Only these event types (`approvals.PatchApproved`).
    #[graphql(default)]
    event_types: Vec<String>,
    /// Only records about this object: a global id or a bare UUID.
    subject_id: Option<String>,
    /// Only records of this actor: a global id, a bare UUID, or the name of a service.
    actor_id: Option<String>,
    /// Only records that follow from this request.
    correlation_id: Option<Uuid>,
}

impl From<AuditFilter> for auditing::AuditFilter {
    fn from(filter: AuditFilter) -> Self {
        let bare = |text: String| GlobalId::read(&text).map_or(text, |global| global.id.to_string());
        Self {
            event_types: filter.event_types,
            subject_id: filter.subject_id.map(bare),
            actor_id: filter.actor_id.map(bare),
            correlation_id: filter.correlation_id.map(CorrelationId),
        }
    }
}

/// A page of the trail, newest first.
pub(crate) type Trail = Connection<String, AuditRecord, Completeness>;

/// How far the trail goes.
#[derive(SimpleObject)]
pub(crate) struct Completeness {
    /// The log position up to which the trail is complete.
    as_of: Position,
}

/// One event as an auditor sees it.
pub(crate) struct AuditRecord(auditing::AuditRecord);

#[Object]
impl AuditRecord {
    async fn position(&self) -> Position {
        self.0.position.into()
    }

    async fn event_id(&self) -> Uuid {
        self.0.event_id.0
    }

    /// `<service>.<EventName>`
    async fn event_type(&self) -> &str {
        &self.0.event_type
    }

    async fn customer_id(&self) -> Option<ID> {
        self.0.customer_id.map(|id| global(Kind::Customer, id.0))
    }

    /// By the clock of whoever saw it.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }

    /// By the database's clock.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    async fn actor(&self) -> Actor {
        let actor = self.0.actor.clone();
        Actor { kind: actor.kind.into(), id: actor.id, on_behalf_of: actor.on_behalf_of }
    }

    /// The request that all of it follows from.
    async fn correlation_id(&self) -> Uuid {
        self.0.correlation_id.0
    }

    /// The trace of the request (W3C Trace Context), through every service and the agent.
    async fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    /// The fact itself. A text about a person is `{"$personal": {"subject_id": …, "text": …}}`; once they are forgotten,
    /// `"forgotten": true` stands in the place of the text.
    async fn payload(&self) -> Json<&serde_json::Value> {
        Json(&self.0.payload)
    }

    /// RFC 6962 leaf hash of the event's canonical envelope, lowercase hex.
    async fn leaf_hash(&self) -> &str {
        &self.0.leaf_hash
    }
}

/// Who did it.
#[derive(SimpleObject)]
pub(crate) struct Actor {
    kind: ActorKind,
    /// The user, device or rule id; the service's name for `SYSTEM`.
    id: String,
    /// The user for whom it was done, where that differs.
    on_behalf_of: Option<String>,
}

/// Reads the trail: of the caller's scope, or of one customer in it.
pub(crate) async fn trail(
    asking: &Asking,
    filter: Option<AuditFilter>,
    customer: Option<ID>,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Trail> {
    let customer = customer.map(|id| customer_of(&id)).transpose()?;
    let limit = page_size(first)?;
    let cursors = &asking.services.library.cursors;
    let parent = customer.map_or(Uuid::nil(), |id| id.0);
    let before = after.map(|text| cursors.read(TRAIL, parent, &text)).transpose()?;

    let customer = customer.or(asking.caller.scope.customer_id());
    let narrowed = match customer {
        Some(customer_id) => asking.caller.narrowed_to(customer_id).ok_or_else(no_customer)?,
        None => asking.caller.as_ref().clone(),
    };
    require(&narrowed, Permission::ReadAudit, customer)?;

    let command = auditing::ReadAuditTrail {
        filter: filter.unwrap_or_default().into(),
        before: before.map(kernel::Position),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let command_id = CommandId(asking.services.ids.uuid());
    let sent = asking.services.commands.send(&narrowed, command, command_id, asking.correlation_id).await;
    let page = sent.map_err(not_done)?.answer;
    Ok(connection(page, before.is_some(), cursors, parent))
}

fn connection(page: auditing::AuditPage, continued: bool, cursors: &Cursors, parent: Uuid) -> Trail {
    let completeness = Completeness { as_of: page.as_of.into() };
    let mut connection = Connection::with_additional_fields(continued, page.has_more, completeness);
    connection.edges.extend(
        page.records
            .into_iter()
            .map(|record| Edge::new(cursors.write(TRAIL, parent, record.position.0), AuditRecord(record))),
    );
    connection
}

fn customer_of(id: &str) -> Result<CustomerId> {
    match GlobalId::read(id) {
        Some(GlobalId { kind: Kind::Customer, id }) => Ok(CustomerId(id)),
        Some(_) | None => Err(no_customer()),
    }
}

fn no_customer() -> async_graphql::Error {
    coded("tenancy.customer_not_found", "there is no such customer")
}
