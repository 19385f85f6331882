//! What happens to packages without anybody asking: downloads, validation, removal. Looks at the rows, so that whatever
//! broke off goes on, in whichever process.

use super::contents::Unreadable;
use super::table::{self, Row};
use super::{Packages, commit, removal, unkept};
use contracts::packages::Connectivity;
use eventstore::Leadership;
use feeds_domain::package::{PackageCommand, removal_is_due, supersedes};
use foundation::store_failed;
use kernel::{Actor, Cause, CommandId, CorrelationId, PackageId, Scope};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use web::ApiError;

/// Between two looks, when nobody wakes the worker.
const PAUSE: Duration = Duration::from_secs(5);
/// Packages that are worked on at the same time: each holds a line or reads a large file.
const AT_ONCE: usize = 4;
/// Packages that one look finds.
const LOOK_MAX: i64 = 100;
/// What a process that works alone is known by.
const LEADERSHIP: &str = "feeds packages";

/// Packages that a task is at work on.
type Busy = Arc<Mutex<BTreeSet<PackageId>>>;

/// Works until the process stops.
pub(super) async fn run(packages: Packages) {
    let lifecycle = packages.foundation.lifecycle.clone();
    let (mut leadership, busy) = (None, Busy::default());
    loop {
        if let Err(error) = round(&packages, &mut leadership, &busy).await {
            tracing::warn!(error.code = %error.code, error.message = error.chain(), "a round over the packages did not work");
            leadership = None;
        }
        tokio::select! {
            () = lifecycle.stop.cancelled() => return,
            () = packages.wake.notified() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn round(
    packages: &Packages,
    leadership: &mut Option<Leadership>,
    busy: &Busy,
) -> Result<(), ApiError> {
    if let Some(leadership) = leadership {
        leadership.confirm().await.map_err(store_failed)?;
    } else {
        let database = &packages.foundation.database;
        *leadership = Leadership::seek(database, LEADERSHIP).await.map_err(store_failed)?;
    }
    if leadership.is_none() {
        return Ok(());
    }
    packages.start_what_was_asked_for().await?;
    packages.retire().await?;
    let mut tx = packages.begin(&Scope::Platform).await?;
    let states = ["DOWNLOADING", "DOWNLOADED", "UPLOADED", "VALIDATING", "INVALID", "REFUSED", "REMOVED"];
    let rows = table::at_work(&mut tx, &states, LOOK_MAX).await?;
    commit(tx).await?;
    for row in rows {
        take_on(packages, busy, row);
    }
    Ok(())
}

/// Works on a package beside the others, unless somebody does already.
fn take_on(packages: &Packages, busy: &Busy, row: Row) {
    {
        let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.len() >= AT_ONCE || !busy.insert(row.package_id) {
            return;
        }
    }
    let (packages, busy) = (packages.clone(), busy.clone());
    packages.foundation.lifecycle.clone().spawn(format!("package {}", row.package_id), async move {
        let worked = packages.work_on(&row).await;
        busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&row.package_id);
        match worked {
            // Its next stage may be ours as well.
            Ok(()) => packages.wake.notify_one(),
            Err(error) => {
                tracing::warn!(package.id = %row.package_id, error.code = %error.code, error.message = error.chain(), "a package waits");
            }
        }
        Ok::<_, Infallible>(())
    });
}

impl Packages {
    async fn work_on(&self, row: &Row) -> Result<(), ApiError> {
        match row.state.as_str() {
            "DOWNLOADING" => {
                let ended = self.download(row).await;
                if self.foundation.lifecycle.stop.is_cancelled() {
                    // Nothing is wrong with the source; the next process begins anew.
                    return Ok(());
                }
                self.tell(row, ended).await
            }
            "DOWNLOADED" | "UPLOADED" => self.tell(row, PackageCommand::StartValidation).await,
            "VALIDATING" => self.validate(row).await,
            _ => self.forget_bytes(row).await,
        }
    }

    /// Reads the files and says what they are; a package that is ready replaces older ones, or is replaced at once.
    async fn validate(&self, row: &Row) -> Result<(), ApiError> {
        let verdict = match self.read_contents(row.package_id, &row.package.product).await {
            Ok(review) => Ok(review.contents),
            Err(Unreadable::Refused { code, reason }) => Err((code, reason)),
            Err(Unreadable::Failed(error)) => return Err(error),
        };
        let contents = verdict.clone().ok();
        let scope = Scope::partner_of(row.tenant);
        let mut tx = self.begin(&scope).await?;
        let judge = PackageCommand::Judge(Box::new(verdict));
        self.execute_in(&mut tx, row.package_id, row.tenant, &self.cause(), judge).await?;
        if let Some(contents) = contents {
            table::keep_contents(&mut tx, row.package_id, &contents).await?;
        }
        let is_ready = table::find(&mut tx, row.package_id).await?.state == "READY";
        if is_ready {
            for other in table::ready_beside(&mut tx, row).await? {
                let (older, newer) = if supersedes(&row.package, &other.package) {
                    (&other, row)
                } else if supersedes(&other.package, &row.package) {
                    (row, &other)
                } else {
                    continue;
                };
                let supersede = PackageCommand::Supersede { by: newer.package_id };
                self.execute_in(&mut tx, older.package_id, older.tenant, &self.cause(), supersede).await?;
            }
        }
        commit(tx).await
    }

    /// Starts the downloads that wait because somebody installs the package (the process may have died in between).
    async fn start_what_was_asked_for(&self) -> Result<(), ApiError> {
        let mut tx = self.begin(&Scope::Platform).await?;
        let rows = table::asked_for(&mut tx, LOOK_MAX).await?;
        commit(tx).await?;
        for row in rows {
            let start = PackageCommand::StartDownload { connectivity: Connectivity::Connected };
            self.tell(&row, start).await?;
        }
        Ok(())
    }

    /// Removes what nobody needs any more and is kept for long enough.
    async fn retire(&self) -> Result<(), ApiError> {
        let (days, at) = (self.retention_days, self.foundation.clock.now());
        let mut tx = self.begin(&Scope::Platform).await?;
        let spare = removal::spare(&mut tx).await?;
        commit(tx).await?;
        for (row, spare) in spare {
            if removal_is_due(spare, days, at) {
                self.tell(&row, PackageCommand::Retire { spare, days, at }).await?;
            }
        }
        Ok(())
    }

    /// Removes the bytes of a package that has ended; the fact was recorded before.
    async fn forget_bytes(&self, row: &Row) -> Result<(), ApiError> {
        self.storage.remove_package(row.package_id).await?;
        let mut tx = self.begin(&Scope::partner_of(row.tenant)).await?;
        for statement in [
            "delete from feeds.package_file where package_id = $1",
            "update feeds.package set bytes_gone = true where package_id = $1",
        ] {
            sqlx::query(statement).bind(row.package_id.0).execute(&mut *tx).await.map_err(unkept)?;
        }
        commit(tx).await
    }

    async fn tell(&self, row: &Row, command: PackageCommand) -> Result<(), ApiError> {
        self.execute(row.package_id, row.tenant, &self.cause(), command).await?;
        Ok(())
    }

    fn cause(&self) -> Cause {
        let id = self.foundation.ids.uuid();
        Cause {
            command_id: CommandId(id),
            correlation_id: CorrelationId(id),
            causation_id: None,
            actor: Actor::system("feeds"),
            traceparent: None,
        }
    }
}
