//! How long a partner's roll-up takes over many customers and a year of history: `cargo xtask bench compliance`.

use crate::system::{System, codes};
use crate::world::{World, global};
use chrono::{Days, Utc};
use contracts::permissions::Role;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::{Duration, Instant};

/// Customers and devices of one partner; `PATCHFLEET_BENCH_CUSTOMERS` makes it smaller for trying.
const CUSTOMERS: i32 = 1_000;
const DEVICES_OF_A_CUSTOMER: i32 = 100;
/// Results of each device within the year before.
const PERIODS: i32 = 12;
const QUESTIONS: usize = 300;

/// The views as a year of events would have left them: filled by statements, since 1.3 million events take an hour.
async fn fill(owner: &mut PgConnection, world: &World, customers: i32) {
    let (partner, baseline) = (world.partner, world.template);
    let statements = [
        format!(
            "insert into views.customer (customer_id, partner_id, name, time_zone, seq)
             select md5('customer ' || c)::uuid, '{partner}', 'customer ' || c, 'UTC', 1000000 + c
               from generate_series(1, {customers}) as c"
        ),
        format!(
            "insert into views.device (device_id, partner_id, customer_id, name, platform, os_release, os_name, mode,
                                       agent_version, online, last_contact_at, last_scan_at, seq)
             select md5('device ' || c || '/' || d)::uuid, '{partner}', md5('customer ' || c)::uuid, 'device ' || d, 'LINUX',
                    'debian:12', 'Debian', 'FULL', '1', true, now(), now(), 2000000 + c * {DEVICES_OF_A_CUSTOMER} + d
               from generate_series(1, {customers}) as c, generate_series(1, {DEVICES_OF_A_CUSTOMER}) as d"
        ),
        // Each device's results follow one another in steps of thirty days, by turns better and worse.
        format!(
            "insert into views.compliance_period (device_id, baseline_id, partner_id, customer_id, baseline_version, state,
                                                  not_assessed, missing, waived, valid_from, valid_until, evaluated_at,
                                                  scanned_at, device_seq, seq)
             select v.device_id, '{baseline}', v.partner_id, v.customer_id, 1,
                    case when (v.seq + k) % 10 < 8 then 'COMPLIANT' else 'NON_COMPLIANT' end, null,
                    case when (v.seq + k) % 10 < 8 then array[0, 0, 0, 0, 0, 0]::bigint[]
                         else array[1, 2, 0, 0, 0, 0]::bigint[] end,
                    0, b.begins, case when k < {PERIODS} then b.begins + interval '30 days' end, b.begins, b.begins, v.seq,
                    3000000 + v.seq * 20 + k
               from views.device v
              cross join generate_series(0, {PERIODS}) as k
              cross join lateral (select now() - interval '400 days' + make_interval(days => k * 30 + (v.seq % 30)::int)
                                         as begins) b
              where v.name like 'device %' and v.seq > 2000000"
        ),
        format!(
            "insert into views.compliance_day (baseline_id, scope_id, day, partner_id, customer_id, counts)
             select '{baseline}', s.scope_id, s.day, '{partner}', nullif(s.scope_id, '{partner}'),
                    array[s.good, s.bad, 0, 0, s.bad, 2 * s.bad, 0, 0, 0, 0, 0]::bigint[]
               from (select d.scope_id, d.day,
                            sum(sum(d.good)) over w as good, sum(sum(d.bad)) over w as bad
                       from (select u.scope_id, e.day, e.sign * (p.state = 'COMPLIANT')::int as good,
                                    e.sign * (p.state <> 'COMPLIANT')::int as bad
                               from views.compliance_period p
                              cross join lateral (values ((p.valid_from at time zone 'UTC')::date, 1),
                                                         ((p.valid_until at time zone 'UTC')::date, -1)) as e (day, sign)
                              cross join lateral (values (p.customer_id), (p.partner_id)) as u (scope_id)
                              where p.baseline_id = '{baseline}' and e.day is not null and p.seq > 3000000) d
                      group by d.scope_id, d.day
                     window w as (partition by d.scope_id order by d.day)) s
                 on conflict (baseline_id, scope_id, day) do update set counts = excluded.counts"
        ),
        // What the server does by itself within the next minute.
        "vacuum analyze views.customer".to_owned(),
        "vacuum analyze views.device".to_owned(),
        "vacuum analyze views.compliance_period".to_owned(),
        "vacuum analyze views.compliance_day".to_owned(),
    ];
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *owner).await.unwrap();
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1_000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, for an optimised build and a quiet machine"]
#[expect(clippy::disallowed_methods, reason = "a size for trying, and a date a year back from now")]
async fn a_large_partner_is_rolled_up() {
    let customers = std::env::var("PATCHFLEET_BENCH_CUSTOMERS").ok().and_then(|number| number.parse().ok());
    let customers: i32 = customers.unwrap_or(CUSTOMERS);
    let (system, world) = (System::start().await, World::new("acker"));
    world.record(&system).await;
    let who = world.subject(Role::PartnerViewer);
    system.sequence().await;
    while !codes(&system.ask(&who, "{ position }", Value::Null).await).is_empty() {}
    let begun = Instant::now();
    fill(&mut system.database.owner().await, &world, customers).await;
    eprintln!(
        "{customers} customers, {} devices, filled in {:.1?}",
        customers * DEVICES_OF_A_CUSTOMER,
        begun.elapsed()
    );

    let counts = "counts { devices assessed compliant nonCompliant pendingReboot notAssessed percent
                           missing { total critical high } }";
    let partner = format!(
        "query($baseline: ID!, $asOf: NaiveDate) {{ compliance(baselineId: $baseline, asOf: $asOf) {{ position version {{ version }}
         {counts} customers(first: 100) {{ nodes {{ customer {{ id name }} {counts} }} pageInfo {{ endCursor hasNextPage }} }} }} }}"
    );
    let totals = format!(
        "query($baseline: ID!, $asOf: NaiveDate) {{ compliance(baselineId: $baseline, asOf: $asOf) {{ {counts} }} }}"
    );
    let devices = "query($baseline: ID!, $asOf: NaiveDate) { compliance(baselineId: $baseline, asOf: $asOf) {
        devices(state: NON_COMPLIANT, first: 100) { nodes { device { id name } state since missing { total } } } } }"
        .to_owned();
    let year = Utc::now().date_naive() - Days::new(365);
    for (name, goal, query, as_of) in [
        ("roll-up of the partner", 50.0, &totals, Value::Null),
        ("roll-up with its first 100 customers", 50.0, &partner, Value::Null),
        ("the same a year back", 200.0, &partner, json!(year)),
        ("100 devices that are not compliant", 200.0, &devices, Value::Null),
        ("the same a year back", 200.0, &devices, json!(year)),
    ] {
        let variables = json!({ "baseline": global("Baseline", world.template), "asOf": as_of });
        let mut times = Vec::new();
        for _ in 0..QUESTIONS {
            let begun = Instant::now();
            let answer: Value =
                system.request(&who, query, &variables).send().await.unwrap().json().await.unwrap();
            times.push(begun.elapsed());
            let answer = &answer["data"]["compliance"];
            let found = answer["counts"]["devices"].as_i64().unwrap_or_else(|| {
                answer["devices"]["nodes"].as_array().map_or(0, |nodes| nodes.len().try_into().unwrap())
            });
            // The measured answer is a full one: all devices but those of which the year begins later, or a full page.
            assert!(found >= 100.min(i64::from(customers)), "{name}: {answer}");
        }
        times.sort();
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        let mark = if p99 <= goal { '✓' } else { '✗' };
        eprintln!("  {name:<38} p50 {p50:>6.1} ms  p99 {p99:>6.1} ms  goal {goal:.0} ms {mark}");
    }
}
