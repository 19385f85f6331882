//! What a page of events writes at once: the rows that most events are about.
//!
//! Rows of one key are merged in memory to what the last event leaves of them. Whoever is about to write such a table in
//! another way, or to read it, has the noted rows written first.

use super::{
    approval::Decisions, decision::Standings, device::Contacts, device_job::Steps, device_patch::Sightings,
    patch::Changes, vulnerability::Said,
};
use eventstore::{StoreError, Tx};

/// Rows that are noted and not written yet. No statement of one touches a table of another, patches and vulnerabilities
/// apart: whichever is written, the patches' marks are made from what both tables then hold.
#[derive(Default)]
pub(super) struct Later {
    pub(super) contacts: Contacts,
    pub(super) decisions: Decisions,
    pub(super) patches: Changes,
    pub(super) sightings: Sightings,
    pub(super) standings: Standings,
    pub(super) steps: Steps,
    pub(super) vulnerabilities: Said,
}

impl Later {
    /// Writes everything that is noted.
    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.contacts.write(tx).await?;
        self.decisions.write(tx).await?;
        self.standings.write(tx).await?;
        self.patches.write(tx).await?;
        self.vulnerabilities.write(tx).await?;
        self.sightings.write(tx).await?;
        self.steps.write(tx).await
    }
}

/// One column of many rows.
pub(super) fn column<'a, K: 'a, R: 'a, C>(
    rows: impl IntoIterator<Item = (&'a K, &'a R)>,
    of: impl Fn(&'a K, &'a R) -> C,
) -> Vec<C> {
    rows.into_iter().map(|(key, row)| of(key, row)).collect()
}

/// A statement about many rows of tables that grow: a plan that is kept from when they were empty would read all of them
/// for every page of a rebuild.
pub(super) fn planned_anew(
    statement: &'static str,
) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(statement).persistent(false)
}
