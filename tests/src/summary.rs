//! What the story ended with, as tables.

use crate::{receiver::Received, story::Fleet};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;
use std::fmt::{self, Display};

/// The end of the story. The agents that still run end with it.
pub struct Summary {
    _fleet: Fleet,
    partner: Value,
    customer: Value,
    deliveries: Vec<Received>,
    trail: Vec<Value>,
    /// Who, and the bearer token.
    pub tokens: Vec<(String, String)>,
    position: Value,
}

impl Summary {
    pub(crate) fn new(
        fleet: Fleet,
        partner: Value,
        customer: Value,
        deliveries: Vec<Received>,
        trail: Vec<Value>,
        tokens: Vec<(String, String)>,
        position: Value,
    ) -> Self {
        Self { _fleet: fleet, partner, customer, deliveries, trail, tokens, position }
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value["nodes"].as_array().into_iter().flatten()
}

/// A value without quotes; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let viewer = &self.partner["viewer"];
        writeln!(
            f,
            "Partner {}, at log position {}",
            plain(&viewer["partner"]["name"]),
            plain(&self.position)
        )?;
        let mut customers =
            table(["customer", "devices", "assessed", "compliant", "pending approvals", "last scan"]);
        for customer in items(&viewer["customers"]) {
            let compliance = &customer["compliance"];
            customers.add_row([
                plain(&customer["name"]),
                plain(&compliance["devices"]),
                plain(&compliance["assessed"]),
                plain(&compliance["compliant"]),
                plain(&customer["pendingApprovals"]),
                plain(&customer["lastScanAt"]),
            ]);
        }
        writeln!(f, "{customers}\n\nCustomer {}", plain(&self.customer["name"]))?;

        let mut devices = table(["device", "system", "online", "missing", "apt or WU offers", "last scan"]);
        for device in items(&self.customer["devices"]) {
            devices.add_row([
                plain(&device["name"]),
                plain(&device["osName"]),
                plain(&device["online"]),
                plain(&device["missingPatches"]["totalCount"]),
                plain(&device["availableUpdates"]["totalCount"]),
                plain(&device["lastScanAt"]),
            ]);
        }
        writeln!(f, "{devices}")?;

        let mut patches = table(["device", "patch", "severity", "state", "status"]);
        for device in items(&self.customer["devices"]) {
            for entry in items(&device["patches"]) {
                patches.add_row([
                    plain(&device["name"]),
                    plain(&entry["patch"]["vendorPatchId"]),
                    plain(&entry["patch"]["severity"]),
                    plain(&entry["state"]),
                    plain(&entry["status"]),
                ]);
            }
        }
        writeln!(f, "{patches}")?;

        let mut alerts = table(["alert", "severity", "message"]);
        for alert in items(&self.customer["alerts"]) {
            alerts.add_row([plain(&alert["type"]), plain(&alert["severity"]), plain(&alert["message"])]);
        }
        writeln!(f, "{alerts}")?;

        let mut deliveries = table(["webhook delivery", "answered", "alert"]);
        for delivery in &self.deliveries {
            let body = delivery.json().unwrap_or_default();
            deliveries.add_row([
                delivery.id.clone(),
                delivery.answered.to_string(),
                plain(&body["data"]["alert_type"]),
            ]);
        }
        writeln!(f, "{deliveries}")?;

        let mut trail = table(["position", "when", "event", "by", "how"]);
        for record in &self.trail {
            trail.add_row([
                plain(&record["position"]),
                plain(&record["recordedAt"]),
                plain(&record["eventType"]),
                plain(&record["actor"]["kind"]),
                record["payload"]["by"].to_string(),
            ]);
        }
        writeln!(f, "{trail}")
    }
}
