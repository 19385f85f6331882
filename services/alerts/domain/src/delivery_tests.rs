//! When a delivery is tried again, and when it is over.

use super::{Answer, Command, Delivery, RETRY_AFTER_SECONDS_MAX, Refusal, RetryTable, State};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::alerts::{DeliveryDeadLettered, DeliveryEvent, DeliveryRetryScheduled, DeliverySucceeded};
use kernel::{Aggregate, EventId, WebhookId, fold};
use proptest::prelude::*;
use scenario::given;
use uuid::Uuid;

const WEBHOOK: WebhookId = WebhookId(Uuid::from_u128(1));
const EVENT: EventId = EventId(Uuid::from_u128(2));

fn noon() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(12)
}

fn status(status: u16) -> Answer {
    Answer::Status { status, retry_after_seconds: None }
}

fn no_answer() -> Answer {
    Answer::None { reason: "no connection".to_owned() }
}

fn attempt_with(attempt: u32, answer: Answer, jitter_permille: i32) -> Command {
    Command::RecordAttempt {
        webhook_id: WEBHOOK,
        event_id: EVENT,
        attempt,
        answer,
        at: noon(),
        table: RetryTable::standard(),
        jitter_permille,
    }
}

fn attempt(attempt: u32, answer: Answer) -> Command {
    attempt_with(attempt, answer, 0)
}

fn succeeded(attempts: u32, status: u16) -> DeliveryEvent {
    DeliverySucceeded { webhook_id: WEBHOOK, event_id: EVENT, attempts, status }.into()
}

fn retry(attempts: u32, status: u16, wait: TimeDelta) -> DeliveryEvent {
    DeliveryRetryScheduled {
        webhook_id: WEBHOOK,
        event_id: EVENT,
        attempts,
        status: Some(status),
        reason: format!("the receiver answered {status}"),
        next_attempt_at: noon() + wait,
    }
    .into()
}

fn dead(attempts: u32, reason: &str) -> DeliveryEvent {
    DeliveryDeadLettered { webhook_id: WEBHOOK, event_id: EVENT, attempts, reason: reason.to_owned() }.into()
}

fn wait_of(events: &[DeliveryEvent]) -> Option<TimeDelta> {
    match events {
        [DeliveryEvent::DeliveryRetryScheduled(fact)] => Some(fact.next_attempt_at - noon()),
        [] | [_, ..] => None,
    }
}

#[test]
fn a_receiver_that_answers_2xx_has_got_it() {
    for code in [200, 202, 204, 299] {
        given::<Delivery>([]).when(attempt(1, status(code))).then([succeeded(1, code)]);
    }
}

#[test]
fn a_receiver_that_fails_twice_gets_it_on_the_third_attempt() {
    given::<Delivery>([]).when(attempt(1, status(500))).then([retry(1, 500, TimeDelta::seconds(5))]);
    given::<Delivery>([retry(1, 500, TimeDelta::seconds(5))]).when(attempt(2, status(503))).then([retry(
        2,
        503,
        TimeDelta::minutes(5),
    )]);
    given::<Delivery>([retry(1, 500, TimeDelta::seconds(5)), retry(2, 503, TimeDelta::minutes(5))])
        .when(attempt(3, status(200)))
        .then([succeeded(3, 200)]);
}

#[test]
fn a_redirect_is_not_followed_and_counts_as_not_taken() {
    given::<Delivery>([]).when(attempt(1, status(302))).then([retry(1, 302, TimeDelta::seconds(5))]);
}

#[test]
fn a_receiver_that_cannot_be_reached_is_tried_again_with_the_reason_kept() {
    let scheduled = DeliveryRetryScheduled {
        webhook_id: WEBHOOK,
        event_id: EVENT,
        attempts: 1,
        status: None,
        reason: "no connection".to_owned(),
        next_attempt_at: noon() + TimeDelta::seconds(5),
    };
    given::<Delivery>([]).when(attempt(1, no_answer())).then([scheduled.into()]);
}

#[test]
fn the_standard_table_waits_5s_5min_30min_2h_5h_10h_10h_and_then_gives_up() {
    let hours = |hours: i64| Some(TimeDelta::hours(hours));
    let expected = [
        Some(TimeDelta::seconds(5)),
        Some(TimeDelta::minutes(5)),
        Some(TimeDelta::minutes(30)),
        hours(2),
        hours(5),
        hours(10),
        hours(10),
        None,
    ];
    let mut past: Vec<DeliveryEvent> = vec![];
    for (number, wait) in (1..).zip(expected) {
        let events = Delivery::decide(&fold::<Delivery>(&past), attempt(number, status(500))).unwrap();
        assert_eq!(wait_of(&events), wait, "after attempt {number}");
        past.extend(events);
    }
    assert_eq!(past.last(), Some(&dead(8, "the receiver answered 500")));
    assert_eq!(RetryTable::standard().attempts(), 8);
}

#[test]
fn another_unit_makes_every_wait_shorter() {
    let attempt = Command::RecordAttempt {
        webhook_id: WEBHOOK,
        event_id: EVENT,
        attempt: 1,
        answer: status(500),
        at: noon(),
        table: RetryTable::in_units_of(TimeDelta::milliseconds(20)),
        jitter_permille: 0,
    };
    given::<Delivery>([]).when(attempt).then([retry(1, 500, TimeDelta::milliseconds(100))]);
}

#[test]
fn a_receiver_that_answers_410_is_gone_at_once() {
    given::<Delivery>([])
        .when(attempt(1, status(410)))
        .then([dead(1, "the receiver is gone: it answered 410")]);
}

#[test]
fn retry_after_makes_the_wait_longer_never_shorter_and_not_beyond_the_bound() {
    let cases = [
        (Some(60), TimeDelta::seconds(60)),
        (Some(1), TimeDelta::seconds(5)),
        (Some(-7), TimeDelta::seconds(5)),
        (Some(i64::MAX), TimeDelta::seconds(RETRY_AFTER_SECONDS_MAX)),
        (None, TimeDelta::seconds(5)),
    ];
    for (retry_after_seconds, wait) in cases {
        given::<Delivery>([])
            .when(attempt(1, Answer::Status { status: 429, retry_after_seconds }))
            .then([retry(1, 429, wait)]);
    }
}

#[test]
fn jitter_moves_the_wait_by_a_fifth_at_most() {
    for (permille, seconds) in
        [(-200, 4_000), (200, 6_000), (100, 5_500), (i32::MIN, 4_000), (i32::MAX, 6_000)]
    {
        given::<Delivery>([]).when(attempt_with(1, status(500), permille)).then([retry(
            1,
            500,
            TimeDelta::milliseconds(seconds),
        )]);
    }
}

#[test]
fn a_late_note_about_an_attempt_that_is_already_recorded_adds_nothing() {
    given::<Delivery>([retry(1, 500, TimeDelta::seconds(5))]).when(attempt(1, status(200))).then_nothing();
}

#[test]
fn an_attempt_that_skips_a_number_is_refused() {
    given::<Delivery>([])
        .when(attempt(2, status(200)))
        .then_refused(&Refusal::OutOfOrder { attempt: 2, recorded: 0 });
}

#[test]
fn a_delivery_whose_webhook_was_switched_off_is_given_up() {
    let give_up = Command::GiveUp {
        webhook_id: WEBHOOK,
        event_id: EVENT,
        reason: "the webhook is switched off".to_owned(),
    };
    given::<Delivery>([retry(1, 500, TimeDelta::seconds(5))])
        .when(give_up)
        .then([dead(1, "the webhook is switched off")]);
}

#[test]
fn two_webhooks_have_different_deliveries_of_one_event() {
    let other = WebhookId(Uuid::from_u128(9));
    assert_ne!(Delivery::stream_id(WEBHOOK, EVENT), Delivery::stream_id(other, EVENT));
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (100_u16..600, proptest::option::of(any::<i64>()))
            .prop_map(|(status, retry_after_seconds)| Answer::Status { status, retry_after_seconds }),
        Just(no_answer()),
    ]
}

proptest! {
    #[test]
    fn whatever_a_receiver_answers_the_delivery_ends_within_eight_attempts(
        answers in proptest::collection::vec((answers(), any::<i32>()), 8)
    ) {
        let mut state = State::default();
        for (number, (answer, jitter)) in (1..).zip(answers) {
            let events = Delivery::decide(&state, attempt_with(number, answer, jitter)).unwrap();
            if let Some(wait) = wait_of(&events) {
                prop_assert!(wait >= TimeDelta::seconds(4) && wait <= TimeDelta::hours(12));
            }
            state = events.iter().fold(state, Delivery::evolve);
        }
        prop_assert!(matches!(state, State::Delivered | State::DeadLettered));
    }
}
