//! The event store on `PostgreSQL`: scoped transactions, append, the one order, and reading the log.
//!
//! ```text
//! execute / execute_in ──▶ es.append ──▶ es.event ──▶ Sequencer ──▶ es.order_log ──▶ Log::page ──▶ relay, views
//! ```

mod append;
mod blind;
mod database;
mod error;
mod follower;
mod leadership;
mod load;
mod log;
mod migrate;
mod partitions;
mod privacy;
mod reading;
mod rebuild;
mod restore;
mod sequencer;
mod several;
mod store;

pub use append::NewEvent;
pub use blind::prune_command_keys;
pub use database::{Database, DatabaseOptions, Tx};
pub use error::{ExecuteError, StoreError};
pub use follower::{FollowError, Projection, follow};
pub use leadership::Leadership;
pub use log::{Log, Page, REBUILD_PAGE_MAX, read_envelope};
pub use migrate::{MigrateError, migrate, schema_fingerprint};
pub use partitions::{
    ArchiveError, Exported, PARTITION_WIDTH, Partition, attach_partition, detach_partition, drop_partition,
    ensure_partitions, export_partition, partitions, unreadable_streams, verify_export,
};
pub use privacy::{Keyring, Privacy, PrivacyError};
pub use reading::{EventFilter, Fence, Follower, LogStats, Machinery, Order, Reader};
pub use rebuild::{
    Checked, ColumnDifference, Difference, DifferenceKind, Overview, Progress, RebuildError, RebuildOptions,
    Rebuilt, Stage, TableChecked, Told, check, discard, overview, rebuild,
};
pub use restore::{RestoreError, Restored, restore};
pub use sequencer::Sequencer;
pub use several::{Part, Standing};
pub use store::{Committed, Store, Target};
