//! `cargo xtask demo`: the whole system, then the story, then the summary.

use crate::{infra::Infra, progress::Progress, services, services::System, stop, workspace};
use anyhow::{Context, Result, bail};
use contracts::Service;
use journeys::{
    api::Issuer,
    story::{self, Audience, Outage, World},
    summary::Summary,
};
use std::{path::Path, pin::Pin, time::Instant};

/// How the story is told.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// End after the summary, with status 0 only if every step was verified
    #[arg(long)]
    once: bool,
    /// Restart the broker and the database in the middle of the story
    #[arg(long)]
    outages: bool,
    #[command(flatten)]
    services: services::Options,
}

/// Starts the system, tells the story, and serves on unless it is to be told once only.
pub(crate) fn run(options: Options) -> Result<()> {
    let progress = Progress::new();
    let root = workspace::root()?;
    let extra = settings(&root);
    let mut system = System::start(&root, options.services, &extra, &progress)?;
    let summary = {
        let audience = Person {
            progress: &progress,
            infra: &system.infra,
            outages: options.outages,
            begun: Instant::now(),
        };
        let world = world(&system);
        std::fs::create_dir_all(&world.folder).context("making the folder of the story")?;
        tell(&world, &audience).with_context(|| system.log_ends())?
    };
    println!("\n{summary}");
    println!("Every step was verified.\n");
    print_access(&system, &summary.tokens);
    if options.once { Ok(()) } else { system.serve() }
}

/// What differs from the defaults, so that the story takes seconds where life takes hours.
fn settings(root: &Path) -> [(&'static str, String); 5] {
    [
        ("PATCHFLEET__FEEDS__IMPORT_FOLDER", root.join("tests/documents").display().to_string()),
        ("PATCHFLEET__DEVICES__OFFLINE_AFTER_SECONDS", "6".to_owned()),
        ("PATCHFLEET__DEVICES__CHECK_IN_SECONDS", "2".to_owned()),
        // The receiver of the story listens on this machine.
        ("PATCHFLEET__ALERTS__WEBHOOK_ALLOWED_ADDRESSES", "127.0.0.0/8".to_owned()),
        ("PATCHFLEET__ALERTS__WEBHOOK_RETRY_UNIT_MS", "20".to_owned()),
    ]
}

fn tell(world: &World, audience: &Person<'_>) -> Result<Summary> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("building a runtime")?;
    runtime.block_on(async {
        tokio::select! {
            told = story::tell(world, audience) => told,
            () = stop::requested_async() => bail!("stopped by a signal"),
        }
    })
}

fn world(system: &System) -> World {
    World {
        gateway_url: system.url(Service::Gateway).to_owned(),
        devices_url: system.url(Service::Devices).to_owned(),
        issuer: Issuer {
            url: system.url(Service::Tenancy).to_owned(),
            client_secret: system.client_secret.clone(),
        },
        operator: system.operator.to_owned(),
        folder: system.infra.folder().join("demo"),
        agent: system.programs.agent.clone(),
    }
}

/// What a person needs to look around.
pub(crate) fn print_access(system: &System, tokens: &[(String, String)]) {
    println!("GraphQL        {}/graphql", system.url(Service::Gateway));
    println!("agents         {}", system.url(Service::Devices));
    for (who, token) in tokens {
        println!("\n{who}\nauthorization: Bearer {token}");
    }
    println!(
        "\nnew tokens     curl -d grant_type=client_credentials -d client_secret={} -d subject={} {}/oauth/token",
        system.client_secret,
        system.operator,
        system.url(Service::Tenancy)
    );
}

/// A person at a terminal, who may pull plugs.
struct Person<'a> {
    progress: &'a Progress,
    infra: &'a Infra,
    outages: bool,
    begun: Instant,
}

impl Audience for Person<'_> {
    fn step(&self, title: &str) {
        self.progress.line(&format!("\n{title}"));
    }

    fn seen(&self, fact: &str) {
        self.progress.line(&format!("   ✓ {fact} ({:.1} s)", self.begun.elapsed().as_secs_f32()));
    }

    fn interlude(&self, outage: Outage) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async move {
            if !self.outages {
                return Ok(());
            }
            let begun = Instant::now();
            tokio::task::block_in_place(|| match outage {
                Outage::Broker => self.infra.restart_broker(),
                Outage::Database => self.infra.restart_database(),
            })?;
            let seconds = begun.elapsed().as_secs_f32();
            self.seen(&format!(
                "the {} was restarted ({seconds:.1} s)",
                format!("{outage:?}").to_lowercase()
            ));
            Ok(())
        })
    }
}
