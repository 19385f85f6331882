//! What a run is asked for.

use std::{path::PathBuf, time::Duration};

/// Options of every bench.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Seconds instead of minutes: for trying, not for quoting
    #[arg(long)]
    pub quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Also write JSON, Markdown and plots into this folder
    #[arg(long, value_name = "FOLDER")]
    pub save: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    pub only: Vec<String>,
    /// Rounds in which the contenders take turns [default: 5, quick: 3]
    #[arg(long)]
    pub rounds: Option<usize>,
    /// How long a contender works in a round, in milliseconds [default: 700, quick: 250]
    #[arg(long, value_name = "MS")]
    pub turn_ms: Option<u64>,
    /// Events already stored, of which each part uses the first or all [default: 100000,5000000, quick: 20000]
    #[arg(long, value_delimiter = ',', value_name = "COUNT")]
    pub stored: Vec<u64>,
    /// Writers at the same time [default: 1,8,32, quick: 1,8]
    #[arg(long, value_delimiter = ',', value_name = "COUNT")]
    pub writers: Vec<u32>,
    /// Messages that are sent in a round [default: 40000, quick: 5000]
    #[arg(long, value_name = "COUNT")]
    pub messages: Option<usize>,
    /// Devices of the fleets that are measured one after the other [default: 10000,100000,1000000, quick: 1000,10000]
    #[arg(long, value_delimiter = ',', value_name = "COUNT")]
    pub devices: Vec<u64>,
    /// Distinct inventories in each fleet [default: 1000, quick: 100]
    #[arg(long, value_name = "COUNT")]
    pub inventories: Option<u64>,
    /// The server was started for us: its settings may be changed, so that fsync is measured on and off
    #[arg(long, hide = true)]
    pub own_server: bool,
    /// A superuser's URL
    #[arg(long, env = "PATCHFLEET_TEST_DATABASE_URL", hide_env_values = true, hide = true)]
    pub database_url: String,
    /// The broker's URL
    #[arg(long, env = "PATCHFLEET_TEST_AMQP_URL", hide_env_values = true, hide = true)]
    pub amqp_url: String,
}

impl Options {
    /// How many rounds count.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    /// How long a contender works in a round.
    pub fn turn(&self) -> Duration {
        Duration::from_millis(self.turn_ms.unwrap_or(if self.quick { 250 } else { 700 }).max(10))
    }

    /// How many events are stored before the measurement, the fewest first.
    pub fn stored(&self) -> Vec<u64> {
        let usual: &[u64] = if self.quick { &[20_000] } else { &[100_000, 5_000_000] };
        if self.stored.is_empty() { usual.to_vec() } else { self.stored.clone() }
    }

    /// How many messages are sent in a round.
    pub fn messages(&self) -> usize {
        self.messages.unwrap_or(if self.quick { 5_000 } else { 40_000 }).max(100)
    }

    /// How many devices the fleets have.
    pub fn devices(&self) -> Vec<u64> {
        let usual: &[u64] = if self.quick { &[1_000, 10_000] } else { &[10_000, 100_000, 1_000_000] };
        if self.devices.is_empty() { usual.to_vec() } else { self.devices.clone() }
    }

    /// How many inventories they share.
    pub fn inventories(&self) -> u64 {
        self.inventories.unwrap_or(if self.quick { 100 } else { 1_000 }).max(1)
    }

    /// How many writers at the same time.
    pub fn writers(&self) -> Vec<u32> {
        let usual: &[u32] = if self.quick { &[1, 8] } else { &[1, 8, 32] };
        if self.writers.is_empty() { usual.to_vec() } else { self.writers.clone() }
    }

    /// Whether a part is wanted.
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }
}
