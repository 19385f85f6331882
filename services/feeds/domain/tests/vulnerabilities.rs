//! One vulnerability, told of by many sources, and a tenant's marks on patches.

use chrono::NaiveDate;
use contracts::feeds::{
    Cvss, CvssChanged, Epss, EpssChanged, KevEntry, KevEntryChanged, PatchRated, PatchRatingCleared,
    VulnerabilityAddedToKev, VulnerabilityReinstated, VulnerabilityRejected, VulnerabilityRemovedFromKev,
};
use feeds_domain::catalogue::patch_rating::{PatchRating, PatchRatingCommand, PatchRatingRefusal};
use feeds_domain::catalogue::vulnerability::{Said, Vulnerability, VulnerabilityCommand};
use kernel::PatchId;
use scenario::given;

fn cve() -> String {
    "CVE-2026-30001".to_owned()
}

fn say(source: &str, said: Said) -> VulnerabilityCommand {
    VulnerabilityCommand::Describe { cve: cve(), source: source.to_owned(), said: Box::new(said) }
}

fn entry(name: &str) -> KevEntry {
    KevEntry {
        date_added: NaiveDate::default(),
        due_date: None,
        ransomware: None,
        vendor: "Example".to_owned(),
        product: "Gateway".to_owned(),
        name: name.to_owned(),
    }
}

fn epss(score: u32) -> Epss {
    Epss { score, percentile: None, date: None }
}

fn cvss(base_score: u8) -> Vec<Cvss> {
    vec![Cvss { version: "3.1".to_owned(), vector: String::new(), base_score }]
}

#[test]
fn a_listed_vulnerability_is_news_once_and_its_change_and_its_end_are_as_well() {
    let listed = VulnerabilityAddedToKev { cve: cve(), entry: entry("a") };
    let kev = |name| say("cisa-kev", Said { kev: Some(entry(name)), ..Said::default() });
    given::<Vulnerability>([]).when(kev("a")).then([listed.clone().into()]);
    given::<Vulnerability>([listed.clone().into()]).when(kev("b")).then([KevEntryChanged {
        cve: cve(),
        entry: entry("b"),
    }
    .into()]);
    given::<Vulnerability>([listed.into()])
        .when(VulnerabilityCommand::RemoveFromKev { cve: cve() })
        .then([VulnerabilityRemovedFromKev { cve: cve() }.into()]);
    given::<Vulnerability>([]).when(VulnerabilityCommand::RemoveFromKev { cve: cve() }).then_nothing();
}

#[test]
fn a_prediction_is_news_when_it_moves_by_a_percent_point() {
    let told = EpssChanged { cve: cve(), epss: epss(50_000) };
    let predict = |score| say("first-epss", Said { epss: Some(epss(score)), ..Said::default() });
    given::<Vulnerability>([]).when(predict(50_000)).then([told.clone().into()]);
    given::<Vulnerability>([told.clone().into()]).when(predict(50_999)).then_nothing();
    given::<Vulnerability>([told.into()]).when(predict(49_000)).then([EpssChanged {
        cve: cve(),
        epss: epss(49_000),
    }
    .into()]);
}

#[test]
fn each_source_has_scores_of_its_own() {
    let scored = |source: &str| CvssChanged { cve: cve(), source: source.to_owned(), scores: cvss(98) };
    given::<Vulnerability>([scored("nvd").into()])
        .when(say("vendor", Said { cvss: cvss(98), ..Said::default() }))
        .then([scored("vendor").into()]);
    // A source that gives no score does not take its old one back.
    given::<Vulnerability>([scored("nvd").into()]).when(say("nvd", Said::default())).then_nothing();
}

#[test]
fn only_the_source_that_rejects_an_id_can_reinstate_it() {
    let rejected =
        VulnerabilityRejected { cve: cve(), source: "nvd".to_owned(), reason: "a duplicate".to_owned() };
    given::<Vulnerability>([])
        .when(say("nvd", Said { rejected: Some("a duplicate".to_owned()), ..Said::default() }))
        .then([rejected.clone().into()]);
    given::<Vulnerability>([rejected.clone().into()]).when(say("vendor", Said::default())).then_nothing();
    given::<Vulnerability>([rejected.into()])
        .when(say("nvd", Said::default()))
        .then([VulnerabilityReinstated { cve: cve(), source: "nvd".to_owned() }.into()]);
}

#[test]
fn a_mark_is_on_a_scale_of_five() {
    let patch_id = PatchId(uuid::Uuid::from_u128(5));
    let rate = |rating| PatchRatingCommand::Rate { patch_id, rating, comment: None };
    let rated = PatchRated { patch_id, rating: 5, comment: None };
    given::<PatchRating>([]).when(rate(5)).then([rated.clone().into()]);
    for rating in [0, 6] {
        given::<PatchRating>([]).when(rate(rating)).then_refused(&PatchRatingRefusal::OutOfScale { rating });
    }
    given::<PatchRating>([rated.into()])
        .when(PatchRatingCommand::Clear { patch_id })
        .then([PatchRatingCleared { patch_id }.into()]);
    given::<PatchRating>([]).when(PatchRatingCommand::Clear { patch_id }).then_nothing();
}
