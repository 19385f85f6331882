//! What a baseline may be.

use super::*;
use contracts::{Classification, Severity};
use scenario::given;
use uuid::Uuid;

const SERVERS: BaselineId = BaselineId(Uuid::from_u128(1));
const ACME: CustomerId = CustomerId(Uuid::from_u128(2));
const ONE: PatchId = PatchId(Uuid::from_u128(3));
const OTHER: PatchId = PatchId(Uuid::from_u128(4));

fn critical() -> BaselineRule {
    BaselineRule { severities: vec![Severity::Critical], ..BaselineRule::default() }
}

fn content(rules: Vec<BaselineRule>) -> BaselineContent {
    BaselineContent { rules, ..BaselineContent::default() }
}

fn create(content: BaselineContent) -> Command {
    let (baseline_id, customer_id, name) = (SERVERS, Some(ACME), "Servers".to_owned());
    Command::Create { baseline_id, customer_id, name, content }
}

fn created() -> BaselineEvent {
    let (name, content) = ("Servers".to_owned(), content(vec![critical()]));
    BaselineCreated { baseline_id: SERVERS, customer_id: Some(ACME), name, content }.into()
}

#[test]
fn a_baseline_begins_with_version_1() {
    given::<Baseline>([]).when(create(content(vec![critical()]))).then([created()]);
}

#[test]
fn every_change_is_a_version_and_no_change_is_none() {
    let wider = BaselineRule { classifications: vec![Classification::Security], ..BaselineRule::default() };
    let wider = content(vec![critical(), wider]);
    let change = Command::Change { baseline_id: SERVERS, content: wider.clone() };
    let second = BaselineVersionCreated { baseline_id: SERVERS, baseline_version: 2, content: wider };
    given::<Baseline>([created()]).when(change).then([second.into()]);
    let same = Command::Change { baseline_id: SERVERS, content: content(vec![critical()]) };
    given::<Baseline>([created()]).when(same).then_nothing();
}

#[test]
fn a_baseline_that_asks_for_nothing_is_refused() {
    given::<Baseline>([]).when(create(BaselineContent::default())).then_refused(&Refusal::Empty);
    let only_excluded = BaselineContent { excluded: vec![ONE], ..BaselineContent::default() };
    given::<Baseline>([]).when(create(only_excluded)).then_refused(&Refusal::Empty);
}

#[test]
fn a_patch_is_not_included_and_excluded_at_the_same_time() {
    let content =
        BaselineContent { included: vec![OTHER, ONE], excluded: vec![ONE], ..BaselineContent::default() };
    given::<Baseline>([]).when(create(content)).then_refused(&Refusal::Contradiction { patch_id: ONE });
}

#[test]
fn named_patches_are_kept_in_order_and_once() {
    let wish = BaselineContent { included: vec![OTHER, ONE, OTHER], ..BaselineContent::default() };
    let kept = BaselineContent { included: vec![ONE, OTHER], ..BaselineContent::default() };
    let name = "Servers".to_owned();
    let created = BaselineCreated { baseline_id: SERVERS, customer_id: Some(ACME), name, content: kept };
    given::<Baseline>([]).when(create(wish)).then([created.into()]);
}

#[test]
fn everything_has_a_limit() {
    let rules = |change: fn(&mut BaselineRule)| {
        let mut rule = critical();
        change(&mut rule);
        content(vec![rule])
    };
    let too_many = |what, max| Refusal::TooMany { what, max, given: max + 1 };
    let cases = [
        (content(vec![critical(); 21]), too_many("rules", 20)),
        (rules(|rule| rule.products = vec!["x".to_owned(); 51]), too_many("products in a rule", 50)),
        (rules(|rule| rule.severities = vec![Severity::Low; 7]), too_many("severities in a rule", 6)),
        (rules(|rule| rule.products = vec![" ".to_owned()]), Refusal::InvalidProduct { length: 1 }),
        (rules(|rule| rule.products = vec!["x".repeat(201)]), Refusal::InvalidProduct { length: 201 }),
        (rules(|rule| rule.minimum_age_days = 361), Refusal::InvalidAge { days: 361 }),
        (
            BaselineContent { included: vec![ONE; 5_001], ..BaselineContent::default() },
            too_many("included patches", 5_000),
        ),
    ];
    for (content, refusal) in cases {
        given::<Baseline>([]).when(create(content)).then_refused(&refusal);
    }
    for name in [" ".to_owned(), "x".repeat(201)] {
        let length = name.len();
        let content = content(vec![critical()]);
        given::<Baseline>([])
            .when(Command::Create { baseline_id: SERVERS, customer_id: None, name, content })
            .then_refused(&Refusal::InvalidName { length });
    }
}

#[test]
fn a_retired_baseline_stays_as_it_was() {
    let retired = || BaselineEvent::from(BaselineRetired { baseline_id: SERVERS });
    let retire = Command::Retire { baseline_id: SERVERS };
    given::<Baseline>([created()]).when(retire.clone()).then([retired()]);
    let change = Command::Change { baseline_id: SERVERS, content: content(vec![BaselineRule::default()]) };
    given::<Baseline>([created(), retired()]).when(change.clone()).then_refused(&Refusal::Retired);
    given::<Baseline>([]).when(retire).then_refused(&Refusal::Unknown);
    given::<Baseline>([]).when(change).then_refused(&Refusal::Unknown);
}
