//! Alerts.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{AlertSeverity, AlertState, AlertType};
use chrono::{DateTime, Utc};
use contracts::alerts::{AlertAcknowledged, AlertEvent, AlertRaised, AlertResolved};
use eventstore::{StoreError, Tx};
use uuid::Uuid;

/// An alert as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AlertRow {
    pub(crate) alert_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) alert_type: AlertType,
    pub(crate) severity: AlertSeverity,
    pub(crate) state: AlertState,
    pub(crate) message: String,
    pub(crate) reason: Option<String>,
    pub(crate) device_id: Option<Uuid>,
    pub(crate) job_id: Option<Uuid>,
    pub(crate) patch_ids: Vec<Uuid>,
    pub(crate) raised_at: DateTime<Utc>,
    pub(crate) acknowledged_at: Option<DateTime<Utc>>,
    pub(crate) acknowledged_by: Option<Uuid>,
    pub(crate) resolved_at: Option<DateTime<Utc>>,
    pub(crate) resolved_by: Option<Uuid>,
}

macro_rules! columns {
    () => {
        "t.alert_id, t.customer_id, t.alert_type, t.severity, t.state, t.message, t.reason, t.device_id, t.job_id,
         t.patch_ids, t.raised_at, t.acknowledged_at, t.acknowledged_by, t.resolved_at, t.resolved_by, t.seq"
    };
}

impl ById for AlertRow {
    const BY_IDS: &'static str =
        concat!("select t.alert_id as key, ", columns!(), " from views.alert t where t.alert_id = any($1)");
}

list! {
    /// A customer's alerts, filtered by state.
    ALERTS_OF_CUSTOMER: AlertRow, columns from "views.alert t"
    where "t.customer_id = p.parent" only "t.state", newest first by "t.seq"
}

list! {
    /// A partner's alerts that concern no single customer, filtered by state.
    ALERTS_OF_PARTNER: AlertRow, columns from "views.alert t"
    where "t.partner_id = p.parent and t.customer_id is null" only "t.state", newest first by "t.seq"
}

list! {
    /// A customer's alerts in the order in which they were raised: what a subscriber gets.
    ALERTS_RAISED: AlertRow, columns from "views.alert t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: AlertEvent) -> Result<(), StoreError> {
    match fact {
        AlertEvent::AlertRaised(AlertRaised {
            alert_id,
            alert_type,
            severity,
            message,
            reason,
            customer_id,
            device_id,
            job_id,
            patch_ids,
        }) => {
            sqlx::query(
                "insert into alert (alert_id, partner_id, customer_id, alert_type, severity, state, message,
                                    reason, device_id, job_id, patch_ids, raised_at, seq)
                 values ($1, $2, $3, $4, $5, 'OPEN', $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(alert_id.0)
            .bind(entry.partner_id)
            .bind(customer_id.map(|id| id.0))
            .bind(AlertType::from(alert_type))
            .bind(AlertSeverity::from(severity))
            .bind(message)
            .bind(reason)
            .bind(device_id.map(|id| id.0))
            .bind(job_id.map(|id| id.0))
            .bind(patch_ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        AlertEvent::AlertAcknowledged(AlertAcknowledged { alert_id, acknowledged_by }) => {
            sqlx::query(
                "update alert
                    set state = 'ACKNOWLEDGED',
                        acknowledged_at = $2,
                        acknowledged_by = $3
                  where alert_id = $1",
            )
            .bind(alert_id.0)
            .bind(entry.recorded_at)
            .bind(acknowledged_by.0)
            .execute(&mut **tx)
            .await?;
        }
        AlertEvent::AlertResolved(AlertResolved { alert_id, resolved_by }) => {
            sqlx::query(
                "update alert
                    set state = 'RESOLVED',
                        resolved_at = $2,
                        resolved_by = $3
                  where alert_id = $1",
            )
            .bind(alert_id.0)
            .bind(entry.recorded_at)
            .bind(resolved_by.map(|id| id.0))
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}
