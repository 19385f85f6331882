//! Documents and bodies made to hurt: each is refused for the right reason, or answered cheaply.
//!
//! What keeps them cheap is counted, not timed: an answer of the schema carries at most as many expanded fields
//! as the limit allows, and a refusal names the limit that came first.

use gateway::front::Limits;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::api::{Api, codes};

/// What should become of a hostile request.
enum Expect {
    Refused(&'static str),
    Answered,
}
use Expect::{Answered, Refused};

fn doubling(levels: usize, last: &str) -> String {
    let fragments = (0..levels).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1));
    format!("{{ ...f0 }} {} fragment f{levels} on Query {{ {last} }}", fragments.collect::<String>())
}

fn chain(length: usize) -> String {
    let fragments = (0..length).map(|n| format!("fragment f{n} on Query {{ ...f{} }} ", n + 1));
    format!("{{ ...f0 }} {} fragment f{length} on Query {{ hello }}", fragments.collect::<String>())
}

fn nested(open: &str, inside: &str, close: &str, levels: usize) -> String {
    format!("{{ {}{inside}{} }}", open.repeat(levels), close.repeat(levels))
}

fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

fn documents() -> Vec<(&'static str, String, Expect)> {
    let long_name = "n".repeat(200_000);
    let introspection = nested("fields { type { ", "name", " } }", 6);
    vec![
        ("doubling fragments", doubling(24, "hello"), Refused("graphql.too_many_fields")),
        ("doubling fragments, overflowing", doubling(31, "hello"), Refused("graphql.too_many_fields")),
        ("doubling fragments nobody spreads", doubling(24, "hello").replacen("...f0", "hello", 1), Refused("graphql.too_many_fields")),
        ("doubling fragments without fields", doubling(24, "...gone"), Refused("graphql.too_many_fields")),
        ("a fragment in itself", "{ ...f } fragment f on Query { ...f }".to_owned(), Refused("graphql.fragment_cycle")),
        ("doubling cycle", "{ ...a } fragment a on Query { ...b ...b } fragment b on Query { ...a ...a }".to_owned(), Refused("graphql.fragment_cycle")),
        ("cycle nobody spreads", "{ hello } fragment f on Query { patch { ...g } } fragment g on Patch { superseded { ...g } }".to_owned(), Refused("graphql.fragment_cycle")),
        ("cycle through fields", "{ patch { ...g } } fragment g on Patch { superseded { ...g } }".to_owned(), Refused("graphql.fragment_cycle")),
        ("long chain of fragments", chain(1_000), Refused("graphql.too_deep")),
        ("chain of fragments just too long", chain(33), Refused("graphql.too_deep")),
        ("fields too deep", nested("patch { ", "hello", " }", 20), Refused("graphql.too_deep")),
        ("inline fragments too deep", nested("... { ", "hello", " }", 40), Refused("graphql.too_deep")),
        ("braces to the end of the body", "{".repeat(200_000), Refused("graphql.too_deep")),
        ("fields to the end of the body", "{a".repeat(100_000), Refused("graphql.too_deep")),
        ("lists to the end of the body", format!("{{ sum(numbers: {}", "[".repeat(200_000)), Refused("graphql.too_deep")),
        ("objects to the end of the body", format!("{{ sum(numbers: {}", "{a:".repeat(80_000)), Refused("graphql.too_deep")),
        ("list types to the end of the body", format!("query($a: {}", "[".repeat(200_000)), Refused("graphql.too_deep")),
        ("brackets behind a quote that opens nothing", format!("{{ sum(numbers: [\"\"\"x\" {}", "[".repeat(200_000)), Refused("graphql.syntax")),
        ("brackets behind a comment", format!("{{ hello #\"\n(name: {}", "[".repeat(200_000)), Refused("graphql.too_deep")),
        ("brackets in a string", format!("{{ hello(name: \"{}\") }}", "[".repeat(200_000)), Answered),
        ("escapes to the end of the body", format!("{{ hello(name: \"{}\") }}", "\\\\".repeat(50_000)), Answered),
        ("a string without an end", format!("{{ hello(name: \"{}", "x".repeat(200_000)), Refused("graphql.syntax")),
        ("aliases", format!("{{ {} }}", repeated(2_000, |n| format!("a{n}: hello "))), Refused("graphql.too_many_aliases")),
        ("aliases in fragments", format!("{{ patch {{ {} }} }} fragment f on Patch {{ a: title b: title }}", "...f ".repeat(60)), Refused("graphql.too_many_aliases")),
        ("the same field again and again", format!("{{ {} }}", "hello ".repeat(4_000)), Refused("graphql.too_many_root_fields")),
        ("the same inner field again and again", format!("{{ patch {{ {} }} }}", "title ".repeat(4_000)), Answered),
        ("more fields than allowed", format!("{{ patch {{ {} }} }}", "title ".repeat(5_000)), Refused("graphql.too_many_fields")),
        ("more words than allowed", format!("{{ hello {} }}", "hello ".repeat(40_000)), Refused("graphql.too_many_tokens")),
        ("directives on one field", format!("{{ hello {} }}", "@include(if: true) ".repeat(1_000)), Refused("graphql.too_many_directives")),
        ("unknown directives", format!("{{ hello {} }}", "@x ".repeat(7_000)), Refused("graphql.too_many_directives")),
        ("directives on the operation", format!("query {} {{ hello }}", "@x ".repeat(1_000)), Refused("graphql.too_many_directives")),
        ("directives on a variable", format!("query($a: Int {}) {{ hello }}", "@x ".repeat(1_000)), Refused("graphql.too_many_directives")),
        ("directives in fragments", format!("{{ patch {{ {} }} }} fragment f on Patch {{ title @x @y @z }}", "...f ".repeat(40)), Refused("graphql.too_many_directives")),
        ("many operations", repeated(1_000, |n| format!("query q{n} {{ hello }} ")), Refused("graphql.too_many_operations")),
        ("many variables", format!("query({}) {{ hello }}", repeated(2_000, |n| format!("$v{n}: Int "))), Refused("graphql.validation")),
        ("many variables, each used", format!("query({}) {{ sum(numbers: [{}]) }}", repeated(1_500, |n| format!("$v{n}: Int! ")), repeated(1_500, |n| format!("$v{n} "))), Refused("graphql.execution")),
        ("many fragments nobody spreads", format!("{{ hello }} {}", repeated(1_500, |n| format!("fragment f{n} on Query {{ hello }} "))), Refused("graphql.validation")),
        ("unknown fields", format!("{{ patch {{ {} }} }}", repeated(4_000, |n| format!("titel{n} "))), Refused("graphql.validation")),
        ("conflicting fields", format!("{{ patch {{ {} }} }}", repeated(1_000, |n| format!("devices(first: {n}) {{ name }} "))), Refused("graphql.validation")),
        ("an endless name", format!("{{ {long_name} }}"), Refused("graphql.validation")),
        ("an endless operation name", format!("query {long_name} {{ hello }}"), Answered),
        ("a giant number", format!("{{ sum(numbers: [{}]) }}", "9".repeat(100_000)), Refused("graphql.syntax")),
        ("a number out of range", "{ sum(numbers: [99999999999]) }".to_owned(), Refused("graphql.execution")),
        ("a giant exponent", "{ sum(numbers: [1e999999999]) }".to_owned(), Refused("graphql.syntax")),
        ("a long list", format!("{{ sum(numbers: [{}]) }}", "1 ".repeat(10_000)), Answered),
        ("a longer list", format!("{{ sum(numbers: [{}]) }}", "1 ".repeat(100_000)), Refused("graphql.too_many_tokens")),
        ("pages in pages", "{ patch { devices(first: 100) { name } superseded { devices(first: 30000) { name } } } }".to_owned(), Refused("graphql.too_complex")),
        ("introspection of fields of fields", format!("{{ __schema {{ types {introspection} }} }}"), Refused("graphql.introspection_too_large")),
        ("introspection of fields of fields in fragments", "{ __schema { types { ...a } } } fragment a on __Type { fields { type { ...b } } } fragment b on __Type { fields { type { ...c } } } fragment c on __Type { fields { type { fields { type { fields { name } } } } } }".to_owned(), Refused("graphql.introspection_too_large")),
        ("introspection repeated", format!("{{ {} }}", repeated(20, |n| format!("s{n}: __schema {{ types {{ fields {{ args {{ name type {{ name }} }} }} }} }} ")) .replacen("name", &"name ".repeat(80), 20)), Refused("graphql.introspection_too_large")),
        ("null bytes", "{ hel\0lo }".to_owned(), Refused("graphql.syntax")),
        ("only a null byte", "\0".to_owned(), Refused("graphql.syntax")),
        ("null bytes in a string", "{ hello(name: \"\0\") }".to_owned(), Answered),
        ("half a surrogate", "{ hello(name: \"\\ud800\") }".to_owned(), Refused("graphql.syntax")),
        ("letters from elsewhere", "{ h\u{435}llo }".to_owned(), Refused("graphql.syntax")),
        ("reversing characters", "{ hello \u{202e} }".to_owned(), Refused("graphql.syntax")),
        ("commas to the end of the body", format!("{{ hello {} }}", ",".repeat(200_000)), Answered),
        ("comments to the end of the body", format!("{{ hello {}\n}}", "#\n".repeat(80_000)), Answered),
        ("a type system definition", "type Query { hello: String }".to_owned(), Refused("graphql.syntax")),
        ("nothing but a comment", "# nothing".to_owned(), Refused("graphql.syntax")),
        ("an empty selection", "{ }".to_owned(), Refused("graphql.syntax")),
    ]
}

#[actix_web::test]
async fn hostile_documents_are_refused_for_the_right_reason_or_answered() {
    let api = Api::start().await;
    let limits = Limits::default();
    let documents = documents();
    assert!(documents.len() >= 50);
    let mut wrong = Vec::new();
    for (name, document, expect) in documents {
        assert!(document.len() < limits.body_bytes, "{name}");
        let response = api.post(&document).send().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(text.len() < 32_000 + document.len(), "{name} is answered with {} bytes", text.len());
        let answer: Value = serde_json::from_str(&text).unwrap();
        let cost = &answer["extensions"]["cost"]["expandedFields"];
        assert!(cost.as_u64().unwrap_or(0) <= limits.expanded_fields, "{name}: {cost}");
        let codes = codes(&answer);
        let as_expected = match expect {
            // The library reads arguments when it resolves their field: the request as such is answered.
            Refused(code @ "graphql.execution") => status == StatusCode::OK && codes == [code],
            Refused(code) => status == StatusCode::BAD_REQUEST && codes.first() == Some(&code),
            Answered => status == StatusCode::OK && codes.is_empty(),
        };
        if !as_expected {
            wrong.push(format!("{name}: {status} {text:.300}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[actix_web::test]
async fn hostile_bodies_are_refused_for_the_right_reason_or_answered() {
    let api = Api::start().await;
    let limits = Limits::default();
    let list_of_lists = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let query = "query($numbers: [Int!]!) { sum(numbers: $numbers) }";
    let with_variables = |variables: &str| format!(r#"{{"query":"{query}","variables":{variables}}}"#);
    let cases = [
        ("a large body", " ".repeat(limits.body_bytes + 1), 413, "graphql.body_too_large"),
        ("an endless list", "[".repeat(200_000), 400, "graphql.malformed_request"),
        (
            "deep variables",
            with_variables(&format!(r#"{{"x":{}}}"#, "[".repeat(100_000))),
            400,
            "graphql.malformed_request",
        ),
        (
            "variables as deep as JSON may be",
            with_variables(&format!(r#"{{"numbers":{list_of_lists}}}"#)),
            400,
            "graphql.validation",
        ),
        ("a number beyond all", with_variables(r#"{"numbers":[1e400]}"#), 400, "graphql.malformed_request"),
        ("a number out of range", with_variables(r#"{"numbers":[99999999999]}"#), 200, "graphql.execution"),
        ("a long list", with_variables(&format!(r#"{{"numbers":[1{}]}}"#, ",1".repeat(100_000))), 200, ""),
        (
            "many batches",
            format!("[{}]", [r#"{"query":"{ hello }"}"#; 1_000].join(",")),
            400,
            "graphql.batching_unsupported",
        ),
        ("bytes that are not UTF-8", "\u{0}".to_owned(), 400, "graphql.malformed_request"),
        ("a null byte in the query", r#"{"query":"{ hello \u0000 }"}"#.to_owned(), 400, "graphql.syntax"),
        ("a query twice", r#"{"query":"{","query":"{ hello }"}"#.to_owned(), 200, ""),
        (
            "many other members",
            format!(r#"{{"query":"{{ hello }}"{}}}"#, repeated(5_000, |n| format!(r#","m{n}":{n}"#))),
            200,
            "",
        ),
        (
            "extensions that are none",
            r#"{"query":"{ hello }","extensions":7}"#.to_owned(),
            400,
            "graphql.malformed_request",
        ),
    ];
    for (name, body, status, code) in cases {
        let request = api.post_json(&json!(null)).body(body).send().await;
        let response = request.unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            (got, codes(&answer).first().copied().unwrap_or_default()),
            (status, code),
            "{name}: {answer}"
        );
    }
}
