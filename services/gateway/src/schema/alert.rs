//! Alerts, webhooks and deliveries.

use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{Kind, global};
use crate::views::alert::AlertRow;
use crate::views::customer::CustomerRow;
use crate::views::device::DeviceRow;
use crate::views::device_job::DeviceJobRow;
use crate::views::int;
use crate::views::patch::PatchRow;
use crate::views::user::UserRow;
use crate::views::webhook::{DELIVERIES_OF_WEBHOOK, DeliveryRow, WebhookRow};
use crate::words::{AlertSeverity, AlertState, AlertType, DeliveryState, WebhookState};
use async_graphql::{ID, Object, Result};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A message about a condition that someone should know.
#[Object(name = "Alert")]
impl Seen<AlertRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Alert, self.row.alert_id)
    }

    #[graphql(name = "type")]
    async fn alert_type(&self) -> AlertType {
        self.row.alert_type
    }

    async fn severity(&self) -> AlertSeverity {
        self.row.severity
    }

    async fn state(&self) -> AlertState {
        self.row.state
    }

    /// One sentence for people.
    async fn message(&self) -> &str {
        &self.row.message
    }

    /// Why; never absent on critical alerts.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    async fn customer(&self) -> Result<Option<Seen<CustomerRow>>> {
        self.view.find_some(self.row.customer_id).await
    }

    async fn device(&self) -> Result<Option<Seen<DeviceRow>>> {
        self.view.find_some(self.row.device_id).await
    }

    /// The device job, where it is about one.
    async fn job(&self) -> Result<Option<Seen<DeviceJobRow>>> {
        self.view.find_some(self.row.job_id).await
    }

    async fn patches(&self) -> Result<Vec<Seen<PatchRow>>> {
        self.view.find_all(&self.row.patch_ids).await
    }

    async fn raised_at(&self) -> DateTime<Utc> {
        self.row.raised_at
    }

    async fn acknowledged_at(&self) -> Option<DateTime<Utc>> {
        self.row.acknowledged_at
    }

    async fn acknowledged_by(&self) -> Result<Option<Seen<UserRow>>> {
        self.view.find_some(self.row.acknowledged_by).await
    }

    async fn resolved_at(&self) -> Option<DateTime<Utc>> {
        self.row.resolved_at
    }

    async fn resolved_by(&self) -> Result<Option<Seen<UserRow>>> {
        self.view.find_some(self.row.resolved_by).await
    }
}

/// A registered receiver of events.
#[Object(name = "Webhook")]
impl Seen<WebhookRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Webhook, self.row.webhook_id)
    }

    /// Whose events it gets; absent where it gets those of all customers.
    async fn customer(&self) -> Result<Option<Seen<CustomerRow>>> {
        self.view.find_some(self.row.customer_id).await
    }

    async fn url(&self) -> &str {
        &self.row.url
    }

    async fn event_types(&self) -> &[String] {
        &self.row.event_types
    }

    async fn state(&self) -> WebhookState {
        self.row.state
    }

    async fn disabled_reason(&self) -> Option<&str> {
        self.row.disabled_reason.as_deref()
    }

    async fn registered_at(&self) -> DateTime<Utc> {
        self.row.registered_at
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn deliveries(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DeliveryRow>> {
        self.view.page(&DELIVERIES_OF_WEBHOOK, self.row.webhook_id, Page::new(first, after)).await
    }
}

/// How one event's way to one webhook goes.
#[Object(name = "Delivery")]
impl Seen<DeliveryRow> {
    /// Also the `webhook-id` header of every attempt.
    async fn event_id(&self) -> Uuid {
        self.row.event_id
    }

    async fn state(&self) -> DeliveryState {
        self.row.state
    }

    async fn attempts(&self) -> i32 {
        int(self.row.attempts)
    }

    /// The receiver's last answer, if there was one.
    async fn http_status(&self) -> Option<i32> {
        self.row.http_status
    }

    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    async fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.row.next_attempt_at
    }

    async fn updated_at(&self) -> DateTime<Utc> {
        self.row.updated_at
    }
}
