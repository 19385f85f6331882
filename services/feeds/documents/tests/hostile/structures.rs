//! Syntax that is there to hurt: entities, declarations, nesting without end.

use super::seeds::{self, Seed, check, read};
use kernel::Refused;

fn code(text: &str) -> &'static str {
    read(text.as_bytes()).map_or_else(|error| error.code(), |_| "read")
}

/// Documents of one kind as text, by the end of their names.
fn texts(ending: &str) -> Vec<(String, String)> {
    let is_it = |seed: &Seed| seed.name.ends_with(ending);
    let text = |seed: Seed| {
        let text = if seed.bytes.starts_with(b"\xff\xfe") {
            let units: Vec<u16> =
                seed.bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).unwrap()
        } else {
            String::from_utf8(seed.bytes).unwrap()
        };
        (seed.name, text.trim_start_matches('\u{feff}').to_owned())
    };
    seeds::all().into_iter().filter(is_it).map(text).collect()
}

/// A text in front of the root, and one in front of the root's end.
fn with(xml: &str, before: &str, inside: &str) -> String {
    let root =
        xml.match_indices('<').map(|(at, _)| at).find(|at| !xml[at + 1..].starts_with(['?', '!'])).unwrap();
    let end = xml.rfind("</").unwrap();
    format!("{}{before}{}{inside}{}", &xml[..root], &xml[root..end], &xml[end..])
}

#[test]
fn entities_and_declarations_are_refused_and_never_followed() {
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10)))
        .collect::<Vec<_>>()
        .concat();
    let laughs = format!("<!DOCTYPE x [<!ENTITY lol0 \"lol\">{laughs}]>");
    let quadratic = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>", "a".repeat(100_000));
    for (name, xml) in texts(".xml") {
        for (before, inside) in [
            (laughs.as_str(), "<x>&lol9;</x>"),
            (quadratic.as_str(), "<x>&a;&a;&a;</x>"),
            ("<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>", "<x>&a;</x>"),
            ("<!DOCTYPE x SYSTEM \"http://example.org/x.dtd\">", ""),
            ("<!DOCTYPE x [<!ENTITY % a SYSTEM \"http://example.org/x\"> %a;]>", ""),
            ("<!DOCTYPE x [<!ELEMENT x ANY>]>", ""),
            ("", "<x>&unheard;</x>"),
            ("", "<x a='&unheard;'/>"),
            ("", "<x>&#0;</x>"),
            ("", "<x>&#x110000;</x>"),
        ] {
            assert_eq!(code(&with(&xml, before, inside)), "feeds.document_malformed", "{name}: {inside}");
        }
        // The five of XML itself, and characters by number, are what they stand for.
        assert_eq!(code(&with(&xml, "", "<x>&lt;&amp;&#x41;</x>")), "read", "{name}");
        assert_eq!(code(&with(&xml, "<!-- <!DOCTYPE x> -->", "<?x y?>")), "read", "{name}");
    }
}

#[test]
fn markup_that_does_not_fit_together_is_refused() {
    for (name, xml) in texts(".xml") {
        for (inside, wanted) in [
            ("<a><b></a></b>", "feeds.document_malformed"),
            ("</a>", "feeds.document_malformed"),
            ("<a b='1' b='2'/>", "feeds.document_malformed"),
            ("<a b=1/>", "feeds.document_malformed"),
            ("<a", "feeds.document_malformed"),
            ("<![CDATA[", "feeds.document_truncated"),
            ("<!--", "feeds.document_truncated"),
        ] {
            assert_eq!(code(&with(&xml, "", inside)), wanted, "{name}: {inside}");
        }
        assert_eq!(code(&format!("{xml}<a/>")), "feeds.document_malformed", "{name}: a second root");
        let attributes: String =
            (0..1_000).map(|number| format!(" a{number}=''")).collect::<Vec<_>>().concat();
        let inside = format!("<a{attributes}/>");
        assert_eq!(code(&with(&xml, "", &inside)), "feeds.document_malformed", "{name}: attributes");
    }
}

#[test]
fn elements_inside_elements_end_somewhere() {
    for (name, xml) in texts(".xml") {
        for deep in [1_000, 100_000] {
            let closed = "<a>".repeat(deep) + &"</a>".repeat(deep);
            assert_eq!(code(&with(&xml, "", &closed)), "feeds.document_too_deep", "{name}");
            assert_eq!(code(&with(&xml, "", &"<a>".repeat(deep))), "feeds.document_too_deep", "{name}");
            // Also in the middle of a record.
            let at = xml[..xml.rfind("</").unwrap()].rfind("</").unwrap();
            let inside = format!("{}{closed}{}", &xml[..at], &xml[at..]);
            assert_eq!(code(&inside), "feeds.document_too_deep", "{name}");
        }
    }
}

#[test]
fn lists_inside_lists_end_somewhere() {
    for (name, json) in texts(".json") {
        let first = json.find('{').unwrap() + 1;
        for deep in [1_000, 100_000] {
            for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
                let closed = format!("{}1{}", open.repeat(deep), close.repeat(deep));
                // As a field of its own, in place of each value, and in front of all.
                let field = format!("{}\"x\": {closed},{}", &json[..first], &json[first..]);
                let code_of_field = code(&field);
                // The first key tells what it is.
                let is_known = name != "ubuntu-usndb.json";
                let wanted =
                    if is_known { "feeds.document_too_deep" } else { "feeds.document_unknown_format" };
                assert!([wanted, "read"].contains(&code_of_field), "{name}: {code_of_field}");
                let step = if deep > 1_000 { 100 } else { 11 };
                for (at, _) in json.match_indices(": ").step_by(step) {
                    let end = json[at + 2..].find([',', '}', '\n']).unwrap() + at + 2;
                    let value = format!("{}{closed}{}", &json[..at + 2], &json[end..]);
                    if let Ok(document) = read(value.as_bytes()) {
                        check(&document);
                    }
                }
                assert_eq!(code(&closed), "feeds.document_unknown_format", "{name}");
                let unclosed = format!("{}\"x\": {}", &json[..first], open.repeat(deep));
                assert_ne!(code(&unclosed), "read", "{name}");
            }
        }
    }
}

#[test]
fn json_is_one_value_and_nothing_behind_it() {
    for (name, json) in texts(".json") {
        assert_eq!(code(&format!("{json} {{}}")), "feeds.document_malformed", "{name}");
        assert_eq!(code(&format!("{json}]")), "feeds.document_malformed", "{name}");
        let first = json.find('{').unwrap() + 1;
        for field in [
            "\"x\": 1e999999,",
            "\"x\": NaN,",
            "\"x\": 01,",
            "\"x\": \"\u{1}\",",
            "x: 1,",
            "\"x\": \"\\ud800\",",
            ",",
        ] {
            let changed = format!("{}{field}{}", &json[..first], &json[first..]);
            // A number or a text that nobody asks for may be any; syntax may not.
            let found = code(&changed);
            // The first key tells what it is.
            if name == "ubuntu-usndb.json" && field.contains('"') {
                assert_eq!(found, "feeds.document_unknown_format", "{field}");
                continue;
            }
            assert!(["feeds.document_malformed", "read"].contains(&found), "{name}: {field}: {found}");
            if ["x: 1,", ",", "\"x\": NaN,"].contains(&field) {
                assert_eq!(found, "feeds.document_malformed", "{name}: {field}");
            }
        }
    }
}

#[test]
fn yaml_has_no_depth_aliases_or_tags() {
    let (_, yaml) = texts(".yaml").into_iter().next().unwrap();
    for deep in [1_000, 100_000] {
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("[", ""), ("- ", "")] {
            let value = format!("{yaml}x: {}{}\n", open.repeat(deep), close.repeat(deep));
            let found = code(&value);
            assert!(
                ["feeds.document_too_deep", "feeds.document_malformed", "feeds.document_truncated"]
                    .contains(&found),
                "{open:?}: {found}"
            );
        }
    }
    for value in
        ["x: &a [1]\ny: *a\n", "x: !!binary aaaa\n", "x: *a\n", "---\nx: 1\n", "x: &a [*a]\n", "? [a]\n: 1\n"]
    {
        assert_eq!(code(&format!("{yaml}{value}")), "feeds.document_malformed", "{value:?}");
    }
}
