//! The story, step by step. Every step is verified; what is not as it should be ends the story with an error.

mod approvals;
mod audit;
mod deployments;
mod devices;
mod people;
mod views;

use crate::{
    api::{Api, Issuer},
    receiver::Receiver,
    summary::Summary,
};
use anyhow::Result;
use std::{path::PathBuf, pin::Pin};

pub use devices::Fleet;

/// Where the system is, and what the story may use.
#[derive(Debug, Clone)]
pub struct World {
    /// Where people's questions go.
    pub gateway_url: String,
    /// Where agents go.
    pub devices_url: String,
    /// Where tokens come from.
    pub issuer: Issuer,
    /// The subject of the platform operator.
    pub operator: String,
    /// An empty folder for roots, repositories and the agents' files.
    pub folder: PathBuf,
    /// The agent's program.
    pub agent: PathBuf,
}

/// A server that may go away in the middle of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The broker.
    Broker,
    /// The database.
    Database,
}

/// Who listens to the story.
pub trait Audience: Sync {
    /// A step begins.
    fn step(&self, title: &str);
    /// Something was seen to be so.
    fn seen(&self, fact: &str);
    /// A place at which the listener may take a server away and bring it back.
    fn interlude(&self, outage: Outage) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;
}

/// What the steps share.
struct Stage<'a> {
    world: &'a World,
    audience: &'a dyn Audience,
    http: reqwest::Client,
    operator: Api,
    receiver: Receiver,
}

impl Stage<'_> {
    async fn sign_in(&self, subject: &str) -> Result<Api> {
        Api::sign_in(&self.http, &self.world.gateway_url, &self.world.issuer, subject).await
    }
}

/// Tells the whole story; the agents go on as long as the summary lives.
pub async fn tell(world: &World, audience: &dyn Audience) -> Result<Summary> {
    let http = crate::api::client()?;
    let operator = Api::sign_in(&http, &world.gateway_url, &world.issuer, &world.operator).await?;
    // The receiver takes the first two deliveries for a failure of its own, so that a retry is seen.
    let receiver = Receiver::start(2).await?;
    let stage = Stage { world, audience, http, operator, receiver };

    audience.step("1  A partner, two customers, people of several roles");
    let people = people::register(&stage).await?;
    audience.step("2  Vendors publish: a Debian list, two Microsoft months");
    let catalogue = people::import_feeds(&stage).await?;
    let webhook = people::register_webhook(&stage, &people).await?;
    audience.step("3  Three devices enrol; their first scan starts by itself");
    let fleet = devices::enrol(&stage, &people).await?;
    audience.step("4  What is missing where");
    devices::check_missing(&stage, &people, &catalogue, &fleet).await?;
    audience.interlude(Outage::Broker).await?;
    audience.step("5  Rules and people decide");
    approvals::decide(&stage, &people, &catalogue).await?;
    audience.step("6  Patch now: real apt, real dpkg, proven by a second scan");
    let fleet = deployments::patch_now(&stage, &people, &catalogue, fleet).await?;
    audience.step("7  Alerts and webhooks; a package that cannot be installed");
    deployments::fail_honestly(&stage, &people, &catalogue, &fleet).await?;
    let deliveries = views::check_webhook(&stage, &webhook).await?;
    audience.step("8  Who approved what, when and why");
    let trail = audit::read(&stage, &people).await?;
    audience.step("9  What the partner and the customer see");
    views::summarise(&stage, people, fleet, deliveries, trail).await
}
