//! What is said of vulnerabilities: CISA's list, FIRST's scores, the National Vulnerability Database and CVE records.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use chrono::NaiveDate;
use contracts::feeds::{Cvss, SsvcInputs};
use feeds_documents::contents::{Contents, VulnerabilityFacts};
use feeds_documents::{Document, DocumentError, Format, Options, read};
use kernel::{FeedId, Refused};
use serde_json::{Value, json};
use std::io::Cursor;

const KEV_JSON: &str = include_str!("documents/kev-json.json");
const KEV_CSV: &str = include_str!("documents/kev-csv.csv");
const EPSS: &str = include_str!("documents/epss-csv.csv");
const NVD: &str = include_str!("documents/nvd-2.0.json");
const CVE5: &str = include_str!("documents/cve5.json");

fn document(text: &str) -> Result<Document, DocumentError> {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::from_u128(7)),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    read(Cursor::new(text.as_bytes()), options)
}

fn contents(text: &str) -> Contents {
    document(text).unwrap().contents
}

fn code(text: &str) -> &'static str {
    document(text).unwrap_err().code()
}

fn figure(text: &str, name: &str) -> Value {
    document(text).unwrap().to_json().remove(name).unwrap_or_default()
}

fn of<'a>(contents: &'a Contents, cve: &str) -> &'a VulnerabilityFacts {
    contents.vulnerabilities.iter().find(|facts| facts.cve == cve).unwrap()
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

/// Cuts a document everywhere; what is left must be refused, or say nothing that the whole does not say.
fn assert_no_cut_is_believed(text: &str, says_nothing_else: impl Fn(&Contents) -> bool) {
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        if let Ok(document) = document(&text[..at]) {
            assert!(says_nothing_else(&document.contents), "cut at byte {at}: {:?}", document.contents);
        }
    }
}

#[test]
fn the_list_says_the_same_as_json_and_as_csv() {
    let (json, csv) = (document(KEV_JSON).unwrap(), document(KEV_CSV).unwrap());
    assert_eq!((json.format, csv.format), (Format::KevJson, Format::KevCsv));
    assert_eq!(json.contents.vulnerabilities, csv.contents.vulnerabilities);
    assert_eq!(json.contents.records, 3);
    assert!(json.contents.is_whole_kev && csv.contents.is_whole_kev);
    assert_eq!(json.contents.document_id.as_deref(), Some("2026.03.02"));
    let listed = of(&csv.contents, "CVE-2031-10001").kev.clone().unwrap();
    assert_eq!(listed.date_added, day(2026, 3, 2));
    assert_eq!(listed.due_date, Some(day(2026, 3, 23)));
    assert_eq!((listed.vendor.as_str(), listed.product.as_str()), ("Microsoft", "Example Server"));
    assert_eq!(listed.name, "Example Server Path Traversal Vulnerability");
}

#[test]
fn ransomware_is_known_or_it_is_not() {
    let list = contents(KEV_JSON);
    let ransomware = |cve| of(&list, cve).kev.as_ref().unwrap().ransomware;
    assert_eq!(ransomware("CVE-2031-10001"), Some(true));
    assert_eq!(ransomware("CVE-2031-10002"), None);
    assert_eq!(ransomware("CVE-2029-0007"), None);
    assert_eq!(figure(KEV_JSON, "ransomware"), json!({"": 1, "Known": 1, "Unknown": 1}));
    assert_eq!(figure(KEV_CSV, "ransomware"), json!({"": 1, "Known": 1, "Unknown": 1}));
    assert_eq!(figure(KEV_CSV, "cves")["first"], "CVE-2029-0007");
}

#[test]
fn a_list_that_miscounts_itself_is_refused() {
    assert_eq!(code(&KEV_JSON.replace("\"count\": 3", "\"count\": 4")), "feeds.document_malformed");
    assert_eq!(code(&KEV_JSON.replace("\"count\": 3", "\"count\": \"3\"")), "feeds.document_malformed");
    assert_eq!(code(&KEV_JSON.replace("\"count\"", "\"counts\"")), "feeds.document_malformed");
    let empty = r#"{"catalogVersion": "2026.03.02", "count": 0, "vulnerabilities": []}"#;
    assert_eq!(code(empty), "feeds.document_malformed");
}

#[test]
fn a_list_with_an_unreadable_record_takes_nothing_off() {
    for broken in [
        KEV_JSON.replace("CVE-2031-10002", "CVE-203-1"),
        KEV_JSON.replace("\"2026-02-27\"", "\"soon\""),
        KEV_JSON.replace("\"Gateway\"", "7"),
        KEV_CSV.replace("2026-02-27", "soon"),
        KEV_CSV.replace(",2026-03-20,Unknown,,", ""),
    ] {
        let list = contents(&broken);
        assert!(!list.is_whole_kev && list.quarantined_count() > 0, "{:?}", list.quarantined);
        assert_eq!(list.records, 3);
        assert!(of(&list, "CVE-2031-10001").kev.is_some());
    }
}

#[test]
fn a_list_that_breaks_off_is_refused_or_takes_nothing_off() {
    assert_no_cut_is_believed(KEV_JSON.trim_end(), |_| false);
    let whole = contents(KEV_CSV).vulnerabilities;
    let ends_with_a_row = |list: &Contents| list.records < whole.len();
    assert_no_cut_is_believed(KEV_CSV, |list| {
        list.vulnerabilities.iter().all(|facts| whole.contains(facts))
            && (!list.is_whole_kev || ends_with_a_row(list))
    });
}

#[test]
fn scores_are_kept_in_parts_of_a_hundred_thousand() {
    let scores = contents(EPSS);
    assert_eq!(scores.records, 3);
    assert_eq!(scores.document_date.unwrap().date_naive(), day(2026, 3, 2));
    let score = of(&scores, "CVE-2031-10001").epss.unwrap();
    assert_eq!((score.score, score.percentile, score.date), (97_567, Some(99_995), Some(day(2026, 3, 2))));
    assert_eq!(of(&scores, "CVE-2031-10002").epss.unwrap().score, 42);
    assert_eq!(of(&scores, "CVE-2029-0007").epss.unwrap().score, 100_000);
    assert_eq!(figure(EPSS, "max_epss"), json!(1.0));
    assert_eq!(figure(EPSS, "rows"), json!(3));
}

#[test]
fn every_generation_of_score_files_is_read() {
    let first = "cve,epss\r\nCVE-2031-10001,0.65117\r\nCVE-2031-10002,9e-05\r\n";
    let scores = contents(first);
    let score = of(&scores, "CVE-2031-10001").epss.unwrap();
    assert_eq!((score.score, score.percentile, score.date), (65_117, None, None));
    assert_eq!(of(&scores, "CVE-2031-10002").epss.unwrap().score, 9);
    assert_eq!((figure(first, "comment"), figure(first, "has_percentile")), (Value::Null, json!(false)));
    let second = "cve,epss,percentile\nCVE-2031-10001,0.65117,0.5\n";
    assert_eq!(of(&contents(second), "CVE-2031-10001").epss.unwrap().percentile, Some(50_000));
    assert_eq!(figure(EPSS, "header"), json!(["cve", "epss", "percentile"]));
}

#[test]
fn a_score_that_is_no_probability_is_left_out() {
    for wrong in ["1.1", "-0.1", "NaN", "inf", "", "high"] {
        let scores = contents(&EPSS.replace("0.00042", wrong));
        assert_eq!((scores.records, scores.vulnerabilities.len()), (3, 2), "{wrong}");
        assert_eq!(scores.quarantined, ["row 2: a value of \"CVE-2031-10002\" is no probability"], "{wrong}");
    }
}

#[test]
fn a_number_that_was_cut_is_not_believed() {
    let whole = contents(EPSS).vulnerabilities;
    assert_no_cut_is_believed(EPSS, |scores| {
        scores.vulnerabilities.iter().all(|facts| whole.contains(facts))
    });
    assert!(document(EPSS.trim_end()).is_ok(), "only the last line end is missing");
    assert_eq!(code("cve,epss,percentile\n"), "feeds.document_truncated");
}

#[test]
fn scores_of_the_newest_system_come_first_and_the_databases_own_before_others() {
    let page = contents(NVD);
    let scores: Vec<(&str, u8)> = of(&page, "CVE-2031-10001")
        .cvss
        .iter()
        .map(|score| (score.version.as_str(), score.base_score))
        .collect();
    assert_eq!(scores, [("4.0", 87), ("3.1", 75), ("3.1", 65), ("2.0", 50)]);
    assert_eq!(of(&page, "CVE-2031-10002").cvss, []);
    assert_eq!(figure(NVD, "primary_severity"), json!({"": 2, "V31:HIGH": 1}));
    assert_eq!((figure(NVD, "cpe_matches"), figure(NVD, "totalResults")), (json!(2), json!(3)));
}

#[test]
fn the_database_tells_what_is_exploited_and_what_is_none_any_more() {
    let page = contents(NVD);
    let listed = of(&page, "CVE-2031-10001").kev.clone().unwrap();
    assert_eq!((listed.date_added, listed.due_date), (day(2026, 3, 2), Some(day(2026, 3, 23))));
    assert!(!page.is_whole_kev);
    let rejected = of(&page, "CVE-2031-10003").rejected.as_deref();
    assert_eq!(rejected, Some("Rejected reason: a duplicate of CVE-2031-10001."));
    assert_eq!(of(&page, "CVE-2031-10002").rejected, None);
}

#[test]
fn a_bad_record_of_a_page_is_left_out() {
    let page = contents(&NVD.replace("\"id\": \"CVE-2031-10002\"", "\"id\": 7"));
    assert_eq!((page.records, page.vulnerabilities.len(), page.quarantined_count()), (3, 2, 1));
    let page = contents(&NVD.replace("\"baseScore\": 8.7", "\"baseScore\": 87"));
    assert_eq!(page.quarantined, ["CVE-2031-10001: a score is left out: 87 is no score"]);
    assert_eq!(of(&page, "CVE-2031-10001").cvss.len(), 3);
}

#[test]
fn a_page_or_record_that_breaks_off_is_refused() {
    assert_no_cut_is_believed(NVD.trim_end(), |_| false);
    assert_no_cut_is_believed(CVE5.trim_end(), |_| false);
    assert_eq!(code(&NVD[..NVD.len() - 20]), "feeds.document_truncated");
}

#[test]
fn a_record_says_what_each_organisation_says() {
    let record = contents(CVE5);
    assert_eq!(record.document_id.as_deref(), Some("CVE-2031-10001"));
    let sources: Vec<&str> = record.vulnerabilities.iter().map(|facts| facts.source.as_str()).collect();
    assert_eq!(sources, ["example", "cisa-vulnrichment"]);
    let [authority, cisa] = &record.vulnerabilities[..] else { panic!("{:?}", record.vulnerabilities) };
    let versions: Vec<&str> = authority.cvss.iter().map(|score| score.version.as_str()).collect();
    assert_eq!(versions, ["4.0", "3.1"]);
    assert_eq!(
        cisa.ssvc,
        Some(SsvcInputs {
            exploitation: Some("active".to_owned()),
            automatable: Some(true),
            technical_impact: Some("partial".to_owned()),
        })
    );
    assert_eq!(cisa.kev.as_ref().unwrap().date_added, day(2026, 3, 2));
    assert_eq!(figure(CVE5, "cna_metrics"), json!(["cvssV3_1", "cvssV4_0"]));
    assert_eq!(
        (figure(CVE5, "state"), figure(CVE5, "problem_types")),
        (json!("PUBLISHED"), json!(["CWE-22"]))
    );
}

#[test]
fn a_score_without_its_number_is_computed_from_its_vector() {
    let record = contents(&CVE5.replace("\"baseScore\": 8.7,", ""));
    let vector = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N";
    let wanted = Cvss { version: "4.0".to_owned(), vector: vector.to_owned(), base_score: 87 };
    assert_eq!(record.vulnerabilities[0].cvss[0], wanted);
}

#[test]
fn a_rejected_record_says_why() {
    let rejected = r#"{
        "dataType": "CVE_RECORD", "dataVersion": "5.1",
        "containers": {"cna": {
            "providerMetadata": {"orgId": "x", "shortName": "mitre"},
            "rejectedReasons": [{"lang": "en", "value": "It was a duplicate."}]}},
        "cveMetadata": {"cveId": "CVE-2031-10004", "assignerOrgId": "x", "state": "REJECTED"}
    }"#;
    let record = contents(rejected);
    assert_eq!(record.vulnerabilities.len(), 1);
    assert_eq!(record.vulnerabilities[0].rejected.as_deref(), Some("It was a duplicate."));
    assert_eq!((figure(rejected, "updated"), figure(rejected, "state")), (Value::Null, json!("REJECTED")));
    assert_eq!(contents(CVE5).vulnerabilities[0].rejected, None);
    let other = rejected.replace("CVE-2031-10004", "CAN-2031-10004");
    assert_eq!(code(&other), "feeds.document_malformed");
}

#[test]
fn the_order_of_fields_does_not_matter() {
    for text in [KEV_JSON, NVD, CVE5] {
        let sorted: Value = serde_json::from_str(text).unwrap();
        let sorted = document(&sorted.to_string()).unwrap();
        let whole = document(text).unwrap();
        assert_eq!(sorted.contents, whole.contents);
        assert_eq!(sorted.to_json(), whole.to_json());
    }
}

#[test]
fn a_mark_or_other_line_ends_change_nothing() {
    for text in [KEV_JSON, KEV_CSV, EPSS, NVD, CVE5] {
        let whole = contents(text);
        assert_eq!(contents(&format!("\u{feff}{text}")), whole);
        // Not inside of a quoted text, where a line end is part of it.
        let windows = text.replace("file,\n", "file, ").replace('\n', "\r\n");
        assert_eq!(contents(&windows), contents(&text.replace("file,\n", "file, ")));
    }
}

#[test]
fn figures_are_counted_only_where_somebody_asks() {
    for text in [KEV_JSON, KEV_CSV, EPSS, NVD, CVE5] {
        let options = Options {
            feed_id: FeedId(uuid::Uuid::from_u128(7)),
            received_on: chrono::NaiveDate::default(),
            figures: false,
        };
        let silent = read(Cursor::new(text.as_bytes()), options).unwrap();
        assert_eq!(silent.to_json().len(), 1, "only the format");
        assert_eq!(silent.contents, contents(text));
    }
}

#[test]
fn hostile_lengths_are_refused() {
    let many = format!("cve,epss\n{}", "CVE-2031-10001,0.1\n".repeat(500_001));
    // Their memory ends before their number.
    assert_eq!(code(&many), "feeds.document_too_large");
    let long = format!("cve,epss\nCVE-2031-10001,\"{}\n", "x".repeat(17 << 20));
    assert_eq!(code(&long), "feeds.document_record_too_large");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let page = contents(&format!("{{\"totalResults\": 1, \"vulnerabilities\": [{deep}]}}"));
    assert_eq!((page.records, page.quarantined_count()), (1, 1));
    let record = CVE5.replace("\"title\": \"CISA ADP Vulnrichment\"", &format!("\"title\": {deep}"));
    assert_eq!(code(&record), "feeds.document_malformed");
}
