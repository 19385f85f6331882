//! What counts as a change of a shape and what does not.

use super::{Shape, changes, envelope, guard};
use kernel::{CustomerId, JobId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

mod first {
    use super::{CustomerId, JobId, JsonSchema, Serialize};

    /// Which.
    #[derive(Serialize, JsonSchema)]
    pub(super) enum Word {
        One,
        Two,
    }

    /// A fact.
    #[derive(Serialize, JsonSchema)]
    pub(super) struct Fact {
        /// A number.
        pub(super) count: u32,
        /// A word.
        pub(super) word: Word,
        /// Words.
        pub(super) words: Vec<Word>,
        /// The customer.
        pub(super) customer_id: Option<CustomerId>,
        /// A job.
        pub(super) job_id: JobId,
    }
}

/// The same shape in other words and another order, with types of other names.
mod reworded {
    use super::{CustomerId, JsonSchema, Serialize};

    /// An id of another name.
    #[derive(Serialize, JsonSchema)]
    #[serde(transparent)]
    pub(super) struct TaskId(pub(super) uuid::Uuid);

    /// Which one it is.
    #[derive(Serialize, JsonSchema)]
    pub(super) enum Choice {
        /// The second.
        Two,
        /// The first.
        One,
    }

    /// Something happened.
    #[derive(Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Fact {
        /// What the job was.
        pub(super) job_id: TaskId,
        /// The words.
        pub(super) words: Vec<Choice>,
        /// The word.
        pub(super) word: Choice,
        /// Whose it is.
        pub(super) customer_id: Option<CustomerId>,
        /// How many.
        pub(super) count: u32,
    }
}

fn schema<T: JsonSchema>() -> Value {
    Shape::of::<T>("tenancy.Fact", 1).schema
}

/// The schema of the first fact with something done to it.
fn after(change: impl FnOnce(&mut Value)) -> Value {
    let mut schema = schema::<first::Fact>();
    change(&mut schema);
    schema
}

#[test]
fn other_words_order_and_names_of_types_change_nothing() {
    let (first, reworded) = (schema::<first::Fact>(), schema::<reworded::Fact>());
    assert_ne!(first, reworded);
    assert_eq!(changes(&first, &reworded), [""; 0]);
}

#[test]
fn every_change_that_a_reader_could_notice_is_named() {
    let first = schema::<first::Fact>();
    let words = |schema: &mut Value| -> Value { schema["$defs"]["Word"]["enum"].take() };
    let cases: [(&str, Value); 8] = [
        (
            "properties/count is gone",
            after(|s| drop(s["properties"].as_object_mut().unwrap().remove("count"))),
        ),
        ("properties/note is new", after(|s| s["properties"]["note"] = json!({ "type": "string" }))),
        (
            "properties/count/type was \"integer\" and is \"string\"",
            after(|s| s["properties"]["count"]["type"] = "string".into()),
        ),
        (
            "properties/count/minimum is gone",
            after(|s| drop(s["properties"]["count"].as_object_mut().unwrap().remove("minimum"))),
        ),
        ("required was", after(|s| s["required"] = json!(["count"]))),
        (
            "properties/word/enum was [\"One\",\"Two\"] and is [\"One\",\"Three\",\"Two\"]",
            after(|s| {
                let mut all = words(s);
                all.as_array_mut().unwrap().push("Three".into());
                s["$defs"]["Word"]["enum"] = all;
            }),
        ),
        (
            "properties/customer_id/anyOf was",
            after(|s| drop(s["properties"]["customer_id"]["anyOf"].as_array_mut().unwrap().pop())),
        ),
        (
            "properties/job_id/format was \"uuid\" and is \"uri\"",
            after(|s| s["$defs"]["JobId"]["format"] = "uri".into()),
        ),
    ];
    for (expected, changed) in cases {
        let found = changes(&first, &changed);
        assert!(found.iter().any(|change| change.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_fact_is_valid_as_it_is_written_and_with_more_but_not_with_less() {
    let fact = first::Fact {
        count: 7,
        word: first::Word::One,
        words: vec![first::Word::Two],
        customer_id: None,
        job_id: JobId(uuid::Uuid::nil()),
    };
    let same = reworded::Fact {
        job_id: reworded::TaskId(uuid::Uuid::nil()),
        words: vec![reworded::Choice::Two],
        word: reworded::Choice::One,
        customer_id: None,
        count: 7,
    };
    let mut written = serde_json::to_value(fact).unwrap();
    assert_eq!(written, serde_json::to_value(same).unwrap());
    let validator = jsonschema::validator_for(&schema::<first::Fact>()).unwrap();
    assert!(validator.is_valid(&written));
    written["later"] = json!("unknown to this version");
    assert!(validator.is_valid(&written));
    written.as_object_mut().unwrap().remove("customer_id");
    assert!(!validator.is_valid(&written));
}

#[test]
fn a_shape_is_written_once_and_its_words_anew_but_never_its_meaning() {
    let [mut shape, reworded] =
        [Shape::of::<first::Fact>("tenancy.Fact", 3), Shape::of::<reworded::Fact>("tenancy.Fact", 3)];
    let committed = guard(&shape, None).unwrap().expect("a new file");
    assert_eq!(guard(&shape, Some(&committed)).unwrap(), None);
    let rewritten = guard(&reworded, Some(&committed)).unwrap().expect("other words");
    assert_ne!(rewritten, committed);
    shape.schema["properties"]["note"] = json!({ "type": "string" });
    let refused = guard(&shape, Some(&committed)).unwrap_err().to_string();
    for part in [
        "tenancy.Fact v3 is a promise and its shape has changed (properties/note is new)",
        "make it version 4 with an upcast from 3",
        "shared/contracts/tests/events/tenancy.Fact.v4.json",
        "docs/events/tenancy.Fact.v3.schema.json",
        "`cargo xtask docs`",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let refused = guard(&shape, Some("no JSON")).unwrap_err().to_string();
    assert!(refused.contains("the committed file is not JSON"), "{refused}");
}

#[test]
fn a_field_may_be_called_as_words_for_people_are() {
    let with = |kind: &str| json!({ "type": "object", "properties": { "title": { "type": kind }, "description": { "type": kind } } });
    assert_eq!(changes(&with("string"), &with("integer")).len(), 2);
}

#[test]
fn a_type_that_contains_itself_is_compared_as_well() {
    let tree = |kind: &str| {
        json!({
            "$ref": "#/$defs/Tree",
            "$defs": { "Tree": { "properties": { "value": { "type": kind }, "below": { "items": { "$ref": "#/$defs/Tree" } } } } }
        })
    };
    assert_eq!(changes(&tree("string"), &tree("string")), [""; 0]);
    assert_eq!(
        changes(&tree("string"), &tree("integer")),
        ["properties/value/type was \"string\" and is \"integer\""]
    );
}

#[test]
fn unknown_fields_are_never_forbidden_and_links_to_items_are_plain_words() {
    for schema in crate::schema::shapes().into_iter().map(|shape| shape.schema).chain([envelope()]) {
        let text = schema.to_string();
        assert!(!text.contains("additionalProperties") && !text.contains("\"default\""), "{text}");
        assert!(!text.contains("[`") && !text.contains("`]"), "{text}");
    }
}
