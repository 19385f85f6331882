//! Strikes blow after blow while the load goes on, and writes down what each did.

use super::{
    fleet::{Fleet, Member, Target},
    plan::{Blow, Kind},
};
use crate::{
    infra::{Infra, control::Server, disturb::Fall},
    stop,
};
use anyhow::{Result, bail};
use contracts::Service;
use serde::{Deserialize, Serialize};
use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Blows whose effects last at the same moment: beyond it nothing is left that could do the work.
const AT_ONCE_MAX: usize = 4;

/// The leader of the backbones is hit in so many of a hundred cases.
const LEADER_PERCENT: u64 = 75;

const POLL: Duration = Duration::from_millis(20);

/// What a blow did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Struck {
    /// After the beginning of the load.
    pub(super) at_seconds: f64,
    pub(super) kind: Kind,
    pub(super) target: String,
    /// Until what was hit was there again: restarted, recovered, and ready.
    pub(super) recovered_seconds: f64,
    pub(super) note: String,
    /// What went wrong that must not.
    pub(super) failure: Option<String>,
}

/// What a blow hits.
enum Hit<'a> {
    Member(&'a Member),
    Database,
    Broker,
}

impl Hit<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Member(member) => &member.name,
            Self::Database => "postgresql",
            Self::Broker => "rabbitmq",
        }
    }
}

/// Strikes until the plan is done, or `go_on` says no. `tell` hears of every blow when its effect is over.
pub(super) fn strike(
    fleet: &Fleet,
    infra: &Infra,
    blows: &[Blow],
    go_on: impl Fn() -> Result<()>,
    tell: impl Fn(&Struck) + Sync,
) -> Result<Vec<Struck>> {
    let begun = Instant::now();
    let struck = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let mut lasting: Vec<thread::ScopedJoinHandle<'_, ()>> = Vec::new();
        for blow in blows {
            let hit = loop {
                stop::check()?;
                go_on()?;
                lasting.retain(|one| !one.is_finished());
                if begun.elapsed() >= blow.at
                    && lasting.len() < AT_ONCE_MAX
                    && let Some(hit) = take(fleet, blow)
                {
                    break hit;
                }
                thread::sleep(POLL);
            };
            let (struck, tell) = (&struck, &tell);
            lasting.push(scope.spawn(move || {
                let done = carry_out(fleet, infra, *blow, &hit, begun);
                tell(&done);
                struck.lock().unwrap_or_else(PoisonError::into_inner).push(done);
            }));
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let mut struck = struck.into_inner().unwrap_or_else(PoisonError::into_inner);
    struck.sort_by(|a, b| a.at_seconds.total_cmp(&b.at_seconds));
    Ok(struck)
}

/// Takes one of the things that the blow can hit and that no other blow has.
fn take<'a>(fleet: &'a Fleet, blow: &Blow) -> Option<Hit<'a>> {
    let free = |target: &Target| target.take();
    let of = |wanted: &dyn Fn(Service) -> bool| -> Vec<&Member> {
        fleet.members.iter().filter(|member| wanted(member.service)).collect()
    };
    let members = match blow.kind {
        Kind::ServiceKilled | Kind::ServiceTerminated => of(&|service| service != Service::Backbone),
        Kind::BackboneKilled | Kind::BackboneTerminated => {
            let mut backbones = of(&|service| service == Service::Backbone);
            // Who has run longest leads: a standby takes over only when the leader is gone.
            backbones.sort_by_key(|member| member.since());
            let wanted = usize::from(blow.draw % 100 >= LEADER_PERCENT);
            backbones.into_iter().skip(wanted).take(1).collect()
        }
        Kind::ProcessPaused => of(&|_| true),
        Kind::DatabaseImmediate
        | Kind::DatabaseKilled
        | Kind::DatabaseSessionKilled
        | Kind::SessionsEnded => return free(&fleet.database).then_some(Hit::Database),
        Kind::BrokerKilled | Kind::BrokerRestarted | Kind::ConnectionsCut | Kind::DiskAlarm => {
            return free(&fleet.broker).then_some(Hit::Broker);
        }
    };
    let count = members.len();
    let first = usize::try_from(blow.draw % (count.max(1) as u64)).unwrap_or(0);
    members.into_iter().cycle().skip(first).take(count).find(|member| free(&member.target)).map(Hit::Member)
}

fn carry_out(fleet: &Fleet, infra: &Infra, blow: Blow, hit: &Hit<'_>, begun: Instant) -> Struck {
    let (at, target) = (begun.elapsed(), hit.name().to_owned());
    let outcome = match hit {
        Hit::Member(member) => on_member(member, blow),
        Hit::Database => on_database(infra, blow),
        Hit::Broker => on_broker(infra, blow),
    };
    let recovered = begun.elapsed().saturating_sub(at);
    match hit {
        Hit::Member(member) => member.target.give_back(),
        Hit::Database => fleet.database.give_back(),
        Hit::Broker => fleet.broker.give_back(),
    }
    let (note, failure) = match outcome {
        Ok(note) => (note, None),
        Err(error) => (String::new(), Some(format!("{error:#}"))),
    };
    Struck {
        at_seconds: at.as_secs_f64(),
        kind: blow.kind,
        target,
        recovered_seconds: recovered.as_secs_f64(),
        note,
        failure,
    }
}

fn on_member(member: &Member, blow: Blow) -> Result<String> {
    match blow.kind {
        Kind::ServiceKilled | Kind::BackboneKilled => {
            member.kill(blow.down_for)?;
            Ok(String::new())
        }
        Kind::ServiceTerminated | Kind::BackboneTerminated => {
            let took = member.terminate(blow.down_for)?;
            Ok(format!("ended in order after {:.2} s", took.as_secs_f64()))
        }
        Kind::ProcessPaused => {
            member.pause(blow.down_for)?;
            Ok(format!("stood still for {:.1} s", blow.down_for.as_secs_f64()))
        }
        Kind::DatabaseImmediate
        | Kind::DatabaseKilled
        | Kind::DatabaseSessionKilled
        | Kind::BrokerKilled
        | Kind::BrokerRestarted
        | Kind::SessionsEnded
        | Kind::ConnectionsCut
        | Kind::DiskAlarm => bail!("{:?} is no blow to a process of ours", blow.kind),
    }
}

fn on_database(infra: &Infra, blow: Blow) -> Result<String> {
    match blow.kind {
        Kind::DatabaseImmediate => infra.fell(Server::Database, Fall::Immediate, blow.down_for)?,
        Kind::DatabaseKilled => infra.fell(Server::Database, Fall::Killed, blow.down_for)?,
        Kind::DatabaseSessionKilled => infra.crash_database_session()?,
        Kind::SessionsEnded => return Ok(format!("{} sessions", infra.end_database_sessions()?)),
        Kind::ServiceKilled
        | Kind::ServiceTerminated
        | Kind::BackboneKilled
        | Kind::BackboneTerminated
        | Kind::BrokerKilled
        | Kind::BrokerRestarted
        | Kind::ConnectionsCut
        | Kind::DiskAlarm
        | Kind::ProcessPaused => bail!("{:?} is no blow to the database", blow.kind),
    }
    Ok(String::new())
}

fn on_broker(infra: &Infra, blow: Blow) -> Result<String> {
    match blow.kind {
        Kind::BrokerKilled => infra.fell(Server::Broker, Fall::Killed, blow.down_for)?,
        Kind::BrokerRestarted => infra.fell(Server::Broker, Fall::Orderly, blow.down_for)?,
        Kind::ConnectionsCut => return Ok(format!("{} connections", infra.cut_broker_connections()?)),
        Kind::DiskAlarm => {
            infra.broker_disk_alarm(true)?;
            thread::sleep(blow.down_for);
            infra.broker_disk_alarm(false)?;
            return Ok(format!("blocked for {:.1} s", blow.down_for.as_secs_f64()));
        }
        Kind::ServiceKilled
        | Kind::ServiceTerminated
        | Kind::BackboneKilled
        | Kind::BackboneTerminated
        | Kind::DatabaseImmediate
        | Kind::DatabaseKilled
        | Kind::DatabaseSessionKilled
        | Kind::SessionsEnded
        | Kind::ProcessPaused => bail!("{:?} is no blow to the broker", blow.kind),
    }
    Ok(String::new())
}
