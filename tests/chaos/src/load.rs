//! The load: lanes that send one command after the other, at a pace that is kept on average whatever breaks.

use crate::{
    agents::{self, Agent},
    plan::{self, Lane, PATCHES, Partner, Step, Way},
    send::{Acknowledged, Person, Sender, lock},
};
use anyhow::{Context, Result, bail};
use journeys::chaos::{Chance, Check, World};
use kernel::{CommandId, PatchId};
use serde::Serialize;
use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Tenants of the run. Few enough that lanes of one partner meet, enough that tenants are told apart.
const PARTNERS: u64 = 4;

/// Devices whose agents report scans, each partner's in turn.
const DEVICES: usize = 8;

/// Commands of a hundred that are sent again much later.
const LATER_PERCENT: u64 = 3;
/// Commands between the first time and the later one.
const LATER_AFTER: u64 = 60;

/// How long setting up may take; nothing is killed meanwhile.
const SETUP_LIMIT: Duration = Duration::from_secs(90);

/// What an agent's report is called in the ledger.
pub(crate) const SCAN: &str = "scan";

/// A command that was taken.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Acknowledgement {
    pub(crate) command_id: CommandId,
    pub(crate) name: String,
    pub(crate) pos: Option<i64>,
    pub(crate) position: Option<i64>,
    /// The types of the events that it writes, sorted.
    pub(crate) events: Vec<&'static str>,
}

/// What was sent and what became of it.
pub(crate) struct Ledger {
    file: Mutex<File>,
    acknowledged: Mutex<HashMap<CommandId, Acknowledgement>>,
    under_way: Mutex<HashMap<CommandId, String>>,
    pub(crate) over_graphql: AtomicU64,
    pub(crate) scans: AtomicU64,
    pub(crate) again_on_purpose: AtomicU64,
    /// Every answer to a repeated command is the first one.
    pub(crate) answers: Mutex<Check>,
    /// No command of the plan is refused.
    pub(crate) refusals: Mutex<Check>,
}

impl Ledger {
    /// A ledger that writes every acknowledgement into a file as well.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let file = folder.join("acknowledged.jsonl");
        Ok(Self {
            file: Mutex::new(File::create(&file).with_context(|| format!("making {}", file.display()))?),
            acknowledged: Mutex::default(),
            under_way: Mutex::default(),
            over_graphql: AtomicU64::new(0),
            scans: AtomicU64::new(0),
            again_on_purpose: AtomicU64::new(0),
            answers: Mutex::new(Check::new("a command that is sent again gets the answer of the first time")),
            refusals: Mutex::new(Check::new(
                "no command is refused: whoever was told of a fact may build on it",
            )),
        })
    }

    pub(crate) fn begin(&self, step: &Step) {
        lock(&self.under_way).insert(step.command_id, step.name.clone());
    }

    pub(crate) fn take(&self, step: &Step, outcome: &Result<Acknowledged, String>) -> Result<()> {
        if step.way == Way::GraphQl && outcome.is_ok() {
            self.over_graphql.fetch_add(1, Ordering::Relaxed);
        }
        let taken = outcome.as_ref().map(|taken| Acknowledgement {
            command_id: step.command_id,
            name: step.name.clone(),
            pos: taken.pos,
            position: taken.position,
            events: sorted(step.events.to_vec()),
        });
        self.note(step.command_id, &step.name, taken)
    }

    /// A scan is on its way.
    pub(crate) fn begin_scan(&self, command_id: CommandId) {
        lock(&self.under_way).insert(command_id, SCAN.to_owned());
    }

    /// A scan was taken; its receipt does not say where it stands.
    pub(crate) fn take_scan(
        &self,
        command_id: CommandId,
        events: Vec<&'static str>,
        outcome: &Result<(), String>,
    ) -> Result<()> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        let taken = outcome.as_ref().map(|()| Acknowledgement {
            command_id,
            name: SCAN.to_owned(),
            pos: None,
            position: None,
            events: sorted(events),
        });
        self.note(command_id, SCAN, taken)
    }

    /// Something was sent twice on purpose.
    pub(crate) fn count_again(&self) {
        self.again_on_purpose.fetch_add(1, Ordering::Relaxed);
    }

    fn note(
        &self,
        command_id: CommandId,
        name: &str,
        outcome: Result<Acknowledgement, &String>,
    ) -> Result<()> {
        lock(&self.under_way).remove(&command_id);
        let refused = outcome.as_ref().err();
        lock(&self.refusals).look(refused.map(|code| format!("{name} {command_id}: {code}")));
        let Ok(taken) = outcome else { return Ok(()) };
        let line = serde_json::to_string(&taken)?;
        writeln!(lock(&self.file), "{line}").context("writing an acknowledgement down")?;
        lock(&self.acknowledged).insert(command_id, taken);
        Ok(())
    }

    fn compare(&self, step: &Step, first: &Acknowledged, again: &Result<Acknowledged, String>) {
        let wrong = match again {
            Ok(again)
                if (again.pos, again.position, &again.answer)
                    == (first.pos, first.position, &first.answer) =>
            {
                None
            }
            again => Some(format!("{} {}: first {first:?}, then {again:?}", step.name, step.command_id)),
        };
        lock(&self.answers).look(wrong);
    }

    pub(crate) fn count(&self) -> u64 {
        lock(&self.acknowledged).len() as u64
    }

    /// All that was acknowledged.
    pub(crate) fn acknowledged(&self) -> HashMap<CommandId, Acknowledgement> {
        lock(&self.acknowledged).clone()
    }

    /// What was sent and never answered.
    pub(crate) fn unanswered(&self) -> HashMap<CommandId, String> {
        lock(&self.under_way).clone()
    }
}

fn sorted(mut events: Vec<&'static str>) -> Vec<&'static str> {
    events.sort_unstable();
    events
}

/// Lets out as many events a second as are wanted; what an outage held back is made up for afterwards.
pub(crate) struct Pace {
    begun: Instant,
    per_second: f64,
    events: AtomicU64,
}

impl Pace {
    fn new(begun: Instant, per_second: u32) -> Arc<Self> {
        Arc::new(Self { begun, per_second: f64::from(per_second.max(1)), events: AtomicU64::new(0) })
    }

    pub(crate) async fn take(&self, events: usize) {
        let before = self.events.fetch_add(events as u64, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 events")]
        let due = Duration::from_secs_f64(before as f64 / self.per_second);
        tokio::time::sleep_until(self.begun + due).await;
    }
}

/// The load, running.
pub(crate) struct Load {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) begun: Instant,
    lanes: JoinSet<Result<()>>,
    stop: CancellationToken,
}

impl Load {
    /// Makes the tenants and begins.
    pub(crate) async fn begin(world: &World) -> Result<Self> {
        let (ledger, sender) = (Arc::new(Ledger::create(&world.folder)?), Arc::new(Sender::new(world)?));
        let (partners, agents) = tokio::time::timeout(SETUP_LIMIT, set_up(world, &ledger, &sender))
            .await
            .with_context(|| format!("making the tenants: {:?}", sender.failures()))??;
        let begun = Instant::now();
        let pace = Pace::new(begun, world.events_per_second);
        let scans = Pace::new(begun, world.scans_per_second);
        let stop = CancellationToken::new();
        let mut lanes = JoinSet::new();
        for number in 0..u64::from(world.lanes) {
            let home = usize::try_from(number % PARTNERS)
                .ok()
                .and_then(|at| partners.get(at))
                .context("a lane without a partner")?;
            let lane = Runner {
                plan: Lane::new(world.seed, number, home.clone(), patches(world, number)),
                person: Person::of(home),
                chance: Chance::new(world.seed, 1_000_000 + number),
                ledger: Arc::clone(&ledger),
                sender: Arc::clone(&sender),
                pace: Arc::clone(&pace),
                taken: 0,
                later: VecDeque::new(),
            };
            lanes.spawn(lane.run(stop.clone()));
        }
        for agent in agents {
            let (sender, ledger) = (Arc::clone(&sender), Arc::clone(&ledger));
            lanes.spawn(agent.run(sender, ledger, Arc::clone(&scans), stop.clone()));
        }
        Ok(Self { ledger, sender, begun, lanes, stop })
    }

    /// Sends nothing new and waits until all that is under way is acknowledged, at most `limit`.
    pub(crate) async fn end(&mut self, limit: Duration) -> Result<()> {
        self.stop.cancel();
        let lanes = &mut self.lanes;
        let ended = tokio::time::timeout(limit, async {
            while let Some(lane) = lanes.join_next().await {
                lane.context("a lane panicked")??;
            }
            anyhow::Ok(())
        })
        .await;
        match ended {
            Ok(ended) => ended,
            // What is still under way is reported as never answered.
            Err(_elapsed) => {
                self.lanes.abort_all();
                Ok(())
            }
        }
    }
}

/// The patches that a lane decides about: each belongs to one lane of each partner.
fn patches(world: &World, lane: u64) -> Vec<PatchId> {
    let lanes = (u64::from(world.lanes) / PARTNERS).max(1);
    (0..PATCHES).filter(|patch| patch % lanes == lane / PARTNERS).map(plan::patch_id).collect()
}

/// Partners, a catalogue, devices with a first scan, and approvals that wait for a decision.
async fn set_up(world: &World, ledger: &Ledger, sender: &Sender) -> Result<(Vec<Partner>, Vec<Agent>)> {
    let partners = partners(world, ledger, sender).await?;
    let operator = Person::operator(&world.operator);
    for step in plan::catalogue(world.seed, operator.caller.user_id) {
        let outcome = sender.until_acknowledged(&operator, &step).await;
        ledger.take(&step, &outcome)?;
    }
    agents::until_catalogue_is_known(&world.database_url).await?;
    let mut agents = Vec::new();
    for (number, partner) in (0..).zip(partners.iter().cycle()).take(DEVICES) {
        let mut agent = Agent::enrol(world.seed, number, partner, sender, ledger).await?;
        agent.scan(sender, ledger).await?;
        agents.push(agent);
    }
    let approvals = i64::try_from(PARTNERS * PATCHES)?;
    agents::until_opened(&world.database_url, approvals).await?;
    Ok((partners, agents))
}

async fn partners(world: &World, ledger: &Ledger, sender: &Sender) -> Result<Vec<Partner>> {
    let operator = Person::operator(&world.operator);
    let mut partners = Vec::new();
    for number in 0..PARTNERS {
        let (partner, steps) = plan::partner(world.seed, number, operator.caller.user_id);
        for step in &steps {
            ledger.begin(step);
            let outcome = sender.until_acknowledged(&operator, step).await;
            ledger.take(step, &outcome)?;
            if let Err(code) = outcome {
                bail!("{} was refused: {code}", step.name);
            }
        }
        partners.push(partner);
    }
    Ok(partners)
}

/// One lane at work.
struct Runner {
    plan: Lane,
    person: Person,
    chance: Chance,
    ledger: Arc<Ledger>,
    sender: Arc<Sender>,
    pace: Arc<Pace>,
    taken: u64,
    later: VecDeque<(u64, Step, Acknowledged)>,
}

impl Runner {
    async fn run(mut self, end: CancellationToken) -> Result<()> {
        while !end.is_cancelled() {
            let step = self.plan.step();
            self.taken += 1;
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                () = self.pace.take(step.events.len()) => {}
            }
            let Some(taken) = self.carry_out(&step).await? else { continue };
            if self.chance.percent(LATER_PERCENT) {
                self.later.push_back((self.taken + LATER_AFTER, step, taken));
            }
            if self.later.front().is_some_and(|(due, ..)| *due <= self.taken)
                && let Some((_, step, first)) = self.later.pop_front()
            {
                self.ledger.again_on_purpose.fetch_add(1, Ordering::Relaxed);
                let again = self.sender.until_acknowledged(&self.person, &step).await;
                self.ledger.compare(&step, &first, &again);
            }
        }
        Ok(())
    }

    async fn carry_out(&self, step: &Step) -> Result<Option<Acknowledged>> {
        self.ledger.begin(step);
        let send = || self.sender.until_acknowledged(&self.person, step);
        let (outcome, twin) = if step.twin {
            let (outcome, twin) = tokio::join!(send(), send());
            (outcome, Some(twin))
        } else {
            (send().await, None)
        };
        self.ledger.take(step, &outcome)?;
        let Ok(taken) = outcome else { return Ok(None) };
        if let Some(twin) = twin {
            self.ledger.again_on_purpose.fetch_add(1, Ordering::Relaxed);
            self.ledger.compare(step, &taken, &twin);
        }
        Ok(Some(taken))
    }
}
