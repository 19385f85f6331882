//! What can happen to servers in life, on purpose: crashes, lost connections, a full disk.

use super::{Infra, Server, lock, retry};
use anyhow::{Context, Result};
use std::{thread, time::Duration};

const ENDED: &str = "the servers of this run have ended";

/// How a server goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fall {
    /// In order: clients are told.
    Orderly,
    /// `pg_ctl -m immediate`, which recovers from its log at the next start.
    Immediate,
    /// kill -9 of every process of it at the same moment.
    Killed,
}

impl Infra {
    /// Takes a server down and brings it back after a while, on its port and with its data.
    ///
    /// The state file goes on naming the process of before: nobody who may ask for restarts watches such a run.
    pub(crate) fn fell(&self, server: Server, fall: Fall, down_for: Duration) -> Result<()> {
        match server {
            Server::Database => {
                let mut held = lock(&self.servers.database);
                let database = held.as_mut().context(ENDED)?;
                match fall {
                    Fall::Orderly => database.stop(false),
                    Fall::Immediate => database.stop(true),
                    Fall::Killed => database.kill(),
                }
                thread::sleep(down_for);
                retry(|| database.start())?;
            }
            Server::Broker => {
                let mut held = lock(&self.servers.broker);
                let broker = held.as_mut().context(ENDED)?;
                broker.stop(fall != Fall::Orderly);
                thread::sleep(down_for);
                retry(|| broker.start())?;
            }
        }
        Ok(())
    }

    /// Ends every session of the services, as `pg_terminate_backend` does; answers with their number.
    pub(crate) fn end_database_sessions(&self) -> Result<usize> {
        lock(&self.servers.database).as_ref().context(ENDED)?.end_sessions()
    }

    /// Kills one server process of a session with SIGKILL, on which the whole server restarts itself; waits for it.
    pub(crate) fn crash_database_session(&self) -> Result<()> {
        lock(&self.servers.database).as_ref().context(ENDED)?.crash_session()
    }

    /// Cuts every connection to the broker; answers with their number, as Erlang writes it.
    pub(crate) fn cut_broker_connections(&self) -> Result<String> {
        lock(&self.servers.broker)
            .as_ref()
            .context(ENDED)?
            .evaluate("length([exit(C, kill) || C <- rabbit_networking:connections()])")
    }

    /// Raises the broker's disk alarm, on which it blocks everybody who publishes, or takes it back.
    pub(crate) fn broker_disk_alarm(&self, raised: bool) -> Result<String> {
        // An exbibyte must be free; or what the node's own configuration says.
        let limit = if raised { "1 bsl 60" } else { "50000000" };
        lock(&self.servers.broker)
            .as_ref()
            .context(ENDED)?
            .evaluate(&format!("rabbit_disk_monitor:set_disk_free_limit({limit})"))
    }
}
