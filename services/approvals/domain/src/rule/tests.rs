//! Rules are made, changed, and switched on and off.

use super::{Command, DAYS_MAX, RULES_MAX, Reach, Refusal, Rule, Surroundings};
use contracts::Severity;
use contracts::approvals::{
    RuleConditions, RuleContents, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent, RuleOwner, RuleTiming,
    RuleVersionCreated,
};
use kernel::{CustomerId, DeviceGroupId, PartnerId, RuleId};
use scenario::given;
use uuid::Uuid;

const RULE: RuleId = RuleId(Uuid::from_u128(1));
const ACME: RuleOwner = RuleOwner::Customer { customer_id: CustomerId(Uuid::from_u128(2)) };
const PARTNER: RuleOwner = RuleOwner::Partner { partner_id: PartnerId(Uuid::from_u128(3)) };
const GROUP: DeviceGroupId = DeviceGroupId(Uuid::from_u128(4));

const NARROW: Reach = Reach {
    installs: 0,
    pending: 0,
    confirm_above_percent: 50,
    confirm_from_installs: 100,
    confirmed: false,
};

fn alone() -> Surroundings {
    Surroundings { rules: 0, unknown_group: None, reach: NARROW }
}

fn on(severity: Severity) -> RuleContents {
    RuleContents {
        groups: vec![],
        conditions: RuleConditions { severities: vec![severity], ..RuleConditions::default() },
        timing: RuleTiming::Delay { days: 0 },
    }
}

fn with(change: impl FnOnce(&mut RuleContents)) -> RuleContents {
    let mut contents = on(Severity::Critical);
    change(&mut contents);
    contents
}

fn created() -> RuleEvent {
    let contents = on(Severity::Critical);
    RuleCreated { rule_id: RULE, owner: ACME, name: "critical".into(), contents }.into()
}

fn create(owner: RuleOwner, contents: RuleContents, surroundings: Surroundings) -> Command {
    Command::Create { rule_id: RULE, owner, name: "critical".into(), contents, surroundings }
}

fn change(contents: RuleContents, surroundings: Surroundings) -> Command {
    Command::Change { rule_id: RULE, contents, surroundings }
}

#[test]
fn a_rule_begins_as_it_was_wished() {
    given::<Rule>([]).when(create(ACME, on(Severity::Critical), alone())).then([created()]);
}

#[test]
fn a_change_makes_a_new_version() {
    let contents = on(Severity::High);
    given::<Rule>([created()]).when(change(contents.clone(), alone())).then([RuleVersionCreated {
        rule_id: RULE,
        rule_version: 2,
        contents,
    }
    .into()]);
}

#[test]
fn a_rule_is_switched_off_and_on() {
    let off: RuleEvent = RuleDisabled { rule_id: RULE }.into();
    given::<Rule>([created()]).when(Command::Disable { rule_id: RULE }).then([off.clone()]);
    given::<Rule>([created(), off])
        .when(Command::Enable { rule_id: RULE, reach: NARROW })
        .then([RuleEnabled { rule_id: RULE }.into()]);
    given::<Rule>([created()]).when(Command::Enable { rule_id: RULE, reach: NARROW }).then_nothing();
}

#[test]
fn nobody_can_switch_what_is_not_there() {
    given::<Rule>([]).when(Command::Disable { rule_id: RULE }).then_refused(&Refusal::Unknown);
    given::<Rule>([]).when(Command::Enable { rule_id: RULE, reach: NARROW }).then_refused(&Refusal::Unknown);
}

#[test]
fn what_makes_no_sense_is_refused_when_a_rule_is_made_and_when_it_is_changed() {
    let cases = [
        (with(|rule| rule.conditions.severities.clear()), Refusal::NoCondition),
        (
            with(|rule| rule.conditions.products = vec!["  ".into()]),
            Refusal::InvalidList { list: "products" },
        ),
        (
            with(|rule| rule.conditions.vendors = vec!["x".repeat(201)]),
            Refusal::InvalidList { list: "vendors" },
        ),
        (
            with(|rule| rule.conditions.os_releases = vec!["x".into(); 51]),
            Refusal::InvalidList { list: "OS releases" },
        ),
        (with(|rule| rule.conditions.minimum_rating = Some(0)), Refusal::InvalidRating { rating: 0 }),
        (with(|rule| rule.conditions.minimum_rating = Some(6)), Refusal::InvalidRating { rating: 6 }),
        (with(|rule| rule.timing = RuleTiming::Delay { days: 361 }), Refusal::TooLong { days: 361 }),
        (with(|rule| rule.conditions.minimum_age_days = Some(400)), Refusal::TooLong { days: 400 }),
        (with(|rule| rule.groups = vec![GROUP; 101]), Refusal::TooManyGroups),
    ];
    for (contents, refusal) in cases {
        given::<Rule>([]).when(create(ACME, contents.clone(), alone())).then_refused(&refusal);
        given::<Rule>([created()]).when(change(contents, alone())).then_refused(&refusal);
    }
}

#[test]
fn the_longest_delay_is_allowed() {
    let contents = with(|rule| rule.timing = RuleTiming::Delay { days: DAYS_MAX });
    given::<Rule>([]).when(create(ACME, contents.clone(), alone())).then([RuleCreated {
        rule_id: RULE,
        owner: ACME,
        name: "critical".into(),
        contents,
    }
    .into()]);
}

#[test]
fn groups_are_those_of_the_customer() {
    let grouped = with(|rule| rule.groups = vec![GROUP]);
    given::<Rule>([]).when(create(PARTNER, grouped.clone(), alone())).then_refused(&Refusal::GroupsOfPartner);
    let stranger = Surroundings { unknown_group: Some(GROUP), ..alone() };
    given::<Rule>([])
        .when(create(ACME, grouped, stranger))
        .then_refused(&Refusal::GroupUnknown { group_id: GROUP });
}

#[test]
fn there_is_an_end_to_the_number_of_rules() {
    let crowded = Surroundings { rules: RULES_MAX, ..alone() };
    given::<Rule>([]).when(create(ACME, on(Severity::Critical), crowded)).then_refused(&Refusal::TooMany);
}

#[test]
fn a_rule_that_would_approve_a_large_share_asks_for_confirmation() {
    let broad = Reach { installs: 501, pending: 1_000, ..NARROW };
    let too_broad = Refusal::TooBroad { installs: 501, pending: 1_000, percent: 50 };
    let wide = Surroundings { reach: broad, ..alone() };
    given::<Rule>([]).when(create(ACME, on(Severity::Critical), wide)).then_refused(&too_broad);
    given::<Rule>([created()]).when(change(on(Severity::High), wide)).then_refused(&too_broad);
    let off: RuleEvent = RuleDisabled { rule_id: RULE }.into();
    given::<Rule>([created(), off])
        .when(Command::Enable { rule_id: RULE, reach: broad })
        .then_refused(&too_broad);

    let confirmed = Surroundings { reach: Reach { confirmed: true, ..broad }, ..alone() };
    given::<Rule>([]).when(create(ACME, on(Severity::Critical), confirmed)).then([created()]);
    let half = Surroundings { reach: Reach { installs: 500, ..broad }, ..alone() };
    given::<Rule>([]).when(create(ACME, on(Severity::Critical), half)).then([created()]);
}

#[test]
fn all_of_very_little_is_no_large_share() {
    let little = Surroundings { reach: Reach { installs: 99, pending: 99, ..NARROW }, ..alone() };
    given::<Rule>([]).when(create(ACME, on(Severity::Critical), little)).then([created()]);
}

#[test]
fn a_rule_that_is_switched_off_may_be_changed_to_a_broad_one_and_asks_when_it_is_switched_on() {
    let off: RuleEvent = RuleDisabled { rule_id: RULE }.into();
    let wide = Surroundings { reach: Reach { installs: 900, pending: 1_000, ..NARROW }, ..alone() };
    let contents = on(Severity::High);
    given::<Rule>([created(), off]).when(change(contents.clone(), wide)).then([RuleVersionCreated {
        rule_id: RULE,
        rule_version: 2,
        contents,
    }
    .into()]);
}
