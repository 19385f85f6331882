//! Early facts of rules and whitelists in the shape of today.

use serde_json::{Map, Value, json};

/// Whitelists were customers' only.
pub(super) fn of_customer(mut fact: Value) -> Result<Value, String> {
    own(fields(&mut fact)?)?;
    Ok(fact)
}

/// Rules were customers' only, worked for all of their devices, and approved at once.
pub(super) fn with_owner_and_contents(mut fact: Value) -> Result<Value, String> {
    own(fields(&mut fact)?)?;
    with_contents(fact)
}

/// Rules asked for severities and classifications only, worked for all devices, and approved at once.
pub(super) fn with_contents(mut fact: Value) -> Result<Value, String> {
    let fields = fields(&mut fact)?;
    let mut conditions = fields.remove("conditions").ok_or("conditions are missing")?;
    let asked = conditions.as_object_mut().ok_or("conditions must be an object")?;
    for texts in ["products", "vendors", "os_releases"] {
        asked.insert(texts.to_owned(), json!([]));
    }
    asked.insert("minimum_rating".to_owned(), Value::Null);
    asked.insert("kev_only".to_owned(), false.into());
    asked.insert("minimum_age_days".to_owned(), Value::Null);
    let contents = json!({ "groups": [], "conditions": conditions, "timing": at_once() });
    fields.insert("contents".to_owned(), contents);
    Ok(fact)
}

/// Decisions of rules noted the whitelist's pattern, severity and classification; the pattern was the customer's.
pub(super) fn with_inputs(mut fact: Value) -> Result<Value, String> {
    let by = fact.get_mut("by").and_then(Value::as_object_mut).ok_or("by must be an object")?;
    if by.get("mode").is_some_and(|mode| mode == "AUTO") {
        let mut input = |name: &str| by.remove(name).ok_or_else(|| format!("{name} is missing"));
        let inputs = json!({
            "whitelist": input("whitelist")?,
            "whitelist_level": "CUSTOMER",
            "severity": input("severity")?,
            "classification": input("classification")?,
            "kev": null,
            "rating": null,
            "release_date": null,
            "timing": at_once(),
        });
        by.insert("inputs".to_owned(), inputs);
        by.insert("next_change_at".to_owned(), Value::Null);
    }
    Ok(fact)
}

/// Nobody said when a refusal might change by itself: none did.
pub(super) fn without_next_change(mut fact: Value) -> Result<Value, String> {
    fields(&mut fact)?.insert("next_change_at".to_owned(), Value::Null);
    Ok(fact)
}

fn fields(fact: &mut Value) -> Result<&mut Map<String, Value>, String> {
    fact.as_object_mut().ok_or_else(|| "a fact must be an object".to_owned())
}

fn own(fields: &mut Map<String, Value>) -> Result<(), String> {
    let customer_id = fields.remove("customer_id").ok_or("customer_id is missing")?;
    fields.insert("owner".to_owned(), json!({ "level": "CUSTOMER", "customer_id": customer_id }));
    Ok(())
}

fn at_once() -> Value {
    json!({ "kind": "DELAY", "days": 0 })
}
