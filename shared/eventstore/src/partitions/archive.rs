//! Old partitions go to a file, out of the database, and back.
//!
//! ```text
//! attached ──export──▶ attached, with a file ──detach──▶ table set aside ──drop──▶ file only
//!    ▲                                                        │                       │
//!    '────────────────────────────attach──────────────────────┴───────────────────────'
//! ```

use super::{Partition, line::Line, partitions};
use crate::{Database, StoreError};
use kernel::{Position, Scope};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    fs,
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, Lines},
};

/// Events that are read, written or compared at once: about a megabyte.
const PAGE: i64 = 2_000;
/// How long an export waits for transactions that may have drawn a place in the partition: longer than any of ours lives.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(1);
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// Detaching stops every append for a moment. Rather than queue up behind a long reader, and everybody behind us, it
/// gives up and tries again after a pause in which appends get through.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '50ms'";
const LOCK_ATTEMPTS: u32 = 60;
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// SQLSTATE of a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A partition's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub file: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Its lines, one for each event.
    pub events: u64,
}

/// Why a partition stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no such partition, or not in a state for this.
    #[error("partition {part} {why}")]
    Unfit {
        /// The partition.
        part: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody still has to read its events.
    #[error("{who} has got to position {seq} and still needs partition {part}, which reaches to {last}")]
    Needed {
        /// The partition.
        part: String,
        /// Who.
        who: String,
        /// How far it has got.
        seq: Position,
        /// The partition's last position.
        last: Position,
    },
    /// Streams would become unreadable that the caller has not accepted.
    #[error(
        "{streams} streams cannot be loaded without partition {part}, and their aggregates could not be commanded; {accepted} were accepted"
    )]
    Unreadable {
        /// The partition.
        part: String,
        /// How many streams.
        streams: i64,
        /// How many of them were accepted.
        accepted: i64,
    },
    /// The file is not what the partition holds, or not what was written.
    #[error("{file} does not hold partition {part}: {why}")]
    Differs {
        /// The partition.
        part: String,
        /// The file.
        file: PathBuf,
        /// Where they differ.
        why: String,
    },
    /// The file cannot be written or read.
    #[error("using {file}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ArchiveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn unfit(part: &str, why: impl Into<String>) -> ArchiveError {
    ArchiveError::Unfit { part: part.to_owned(), why: why.into() }
}

fn in_file(file: &Path) -> impl Fn(io::Error) -> ArchiveError {
    move |source| ArchiveError::File { file: file.to_owned(), source }
}

/// Writes a full partition to `folder` as JSON lines, one for each event with everything that is stored of it, and notes
/// the file. Tells `progress` how many events are written.
pub async fn export_partition(
    database: &Database,
    part: &str,
    folder: &Path,
    mut progress: impl FnMut(u64),
) -> Result<Exported, ArchiveError> {
    let partition = attached(database, part).await?;
    settle(database, &partition).await?;
    let file = std::path::absolute(folder.join(format!("{part}.jsonl"))).map_err(in_file(folder))?;
    let unfinished = file.with_extension("jsonl.unfinished");
    let mut writer = BufWriter::new(fs::File::create(&unfinished).await.map_err(in_file(&unfinished))?);
    let (mut hash, mut events, mut bytes) = (Sha256::new(), 0_u64, 0_u64);
    let (mut first_seq, mut last_seq) = (None, None);
    let mut pages = Pages::of(database, &partition);
    while let Some(lines) = pages.next().await? {
        for line in &lines {
            let text = line.text();
            hash.update(&text);
            writer.write_all(&text).await.map_err(in_file(&unfinished))?;
            bytes += text.len() as u64;
            first_seq = Some(first_seq.map_or(line.seq, |first: i64| first.min(line.seq)));
            last_seq = last_seq.max(Some(line.seq));
        }
        events += lines.len() as u64;
        progress(events);
    }
    writer.flush().await.map_err(in_file(&unfinished))?;
    writer.get_ref().sync_all().await.map_err(in_file(&unfinished))?;
    fs::rename(&unfinished, &file).await.map_err(in_file(&file))?;
    // The file's name must outlive a power failure as its bytes do: the table may be dropped next.
    let folder = fs::File::open(file.parent().unwrap_or(folder)).await.map_err(in_file(folder))?;
    folder.sync_all().await.map_err(in_file(&file))?;
    let exported = Exported { file, sha256: hex(&hash.finalize()), bytes, events };
    note(database, &partition, &exported, first_seq, last_seq).await?;
    Ok(exported)
}

/// Compares a partition with its file, line by line.
pub async fn verify_export(
    database: &Database,
    part: &str,
    mut progress: impl FnMut(u64),
) -> Result<Exported, ArchiveError> {
    let partition = attached(database, part).await?;
    let exported = exported(&partition)?;
    check_hash(part, &exported).await?;
    let differs =
        |why: String| ArchiveError::Differs { part: part.to_owned(), file: exported.file.clone(), why };
    let mut stored = open_lines(&exported.file).await?;
    let mut pages = Pages::of(database, &partition);
    let mut events = 0_u64;
    while let Some(lines) = pages.next().await? {
        for line in lines {
            events += 1;
            let read = stored.next_line().await.map_err(in_file(&exported.file))?;
            let read = read.ok_or_else(|| differs(format!("it ends before event {events}")))?;
            if Line::read(&read).is_none_or(|read| read != line) {
                return Err(differs(format!("line {events} is not the event at position {}", line.seq)));
            }
        }
        progress(events);
    }
    if stored.next_line().await.map_err(in_file(&exported.file))?.is_some() || events != exported.events {
        return Err(differs(format!("the partition has {events} events")));
    }
    Ok(exported)
}

/// How many streams could not be loaded without this partition: those with events in it that no snapshot covers.
pub async fn unreadable_streams(database: &Database, part: &str) -> Result<i64, ArchiveError> {
    let partition = attached(database, part).await?;
    let mut tx = database.begin(&Scope::Platform).await?;
    // A whole partition is read, by a person's wish and not in a service's time.
    sqlx::query("set local statement_timeout = 0").execute(&mut *tx).await?;
    let streams = sqlx::query_scalar(
        "select count(*)
           from (select e.stream_id, max(e.version) as version
                   from es.event e
                  where e.pos >= $1 and e.pos < $2
                  group by e.stream_id) held
           left join es.snapshot s on s.stream_id = held.stream_id
          where s.version is null or s.version < held.version",
    )
    .persistent(false)
    .bind(partition.from_pos)
    .bind(partition.until_pos)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(streams)
}

/// Takes a partition out of the log: only after its file was found to hold the same, only when nobody has to read its
/// events any more, and only if not more than `accepted` streams become unreadable by it. Its table stays, set aside,
/// until it is dropped. `owner` is the URL of the tables' owner.
pub async fn detach_partition(
    database: &Database,
    owner: &str,
    part: &str,
    accepted: i64,
    progress: impl FnMut(u64),
) -> Result<Exported, ArchiveError> {
    let exported = verify_export(database, part, progress).await?;
    refuse_needed(database, part).await?;
    let streams = unreadable_streams(database, part).await?;
    if streams > accepted {
        return Err(ArchiveError::Unreadable { part: part.to_owned(), streams, accepted });
    }
    let mut owner = connect(owner).await?;
    // The name has been found among the log's partitions.
    let statements = format!(
        "{LOCK_TIMEOUT};
         alter table es.event detach partition es.\"{part}\";
         create trigger stored_events_cannot_be_changed before update or delete on es.\"{part}\"
           for each row execute function es.refuse_change();
         create trigger stored_events_cannot_be_truncated before truncate on es.\"{part}\"
           for each statement execute function es.refuse_change();
         update es.archive set detached_at = clock_timestamp() where part = '{part}'"
    );
    let mut attempt = 1;
    loop {
        match change(&mut owner, &statements).await {
            Ok(()) => return Ok(exported),
            Err(error) if attempt < LOCK_ATTEMPTS && is_locked(&error) => attempt += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// Drops the table of a partition that was taken away, after a last look at its file.
pub async fn drop_partition(database: &Database, owner: &str, part: &str) -> Result<(), ArchiveError> {
    let partition = archived(database, part).await?;
    if partition.dropped_at.is_some() {
        return Ok(());
    }
    check_hash(part, &exported(&partition)?).await?;
    // The name has been found among those that were taken away.
    let statements = format!(
        "{LOCK_TIMEOUT};
         drop table es.\"{part}\";
         update es.archive set dropped_at = clock_timestamp() where part = '{part}'"
    );
    Ok(change(&mut connect(owner).await?, &statements).await?)
}

/// Brings a partition back into the log: its table, or what its file says where that was dropped. `file` says where the
/// file is now, if it was moved.
pub async fn attach_partition(
    database: &Database,
    owner: &str,
    part: &str,
    file: Option<&Path>,
    progress: impl FnMut(u64),
) -> Result<(), ArchiveError> {
    let partition = archived(database, part).await?;
    let mut owner = connect(owner).await?;
    let (from, until) = (partition.from_pos, partition.until_pos);
    // What takes long is done before, in steps that hold nobody up; with the places checked, attaching is short.
    if partition.dropped_at.is_some() {
        let mut exported = exported(&partition)?;
        if let Some(file) = file {
            file.clone_into(&mut exported.file);
        }
        check_hash(part, &exported).await?;
        let make = format!(
            "drop table if exists es.\"{part}\";
             create table es.\"{part}\" (like es.event including defaults including indexes);
             alter table es.\"{part}\" add constraint places check (pos >= {from} and pos < {until});"
        );
        change(&mut owner, &make).await?;
        load(&mut owner, part, &exported, progress).await?;
    } else {
        let check = format!(
            "alter table es.\"{part}\" drop constraint if exists places;
             alter table es.\"{part}\" add constraint places check (pos >= {from} and pos < {until}) not valid;"
        );
        change(&mut owner, &check).await?;
        change(&mut owner, &format!("alter table es.\"{part}\" validate constraint places")).await?;
    }
    // The name has been found among those that were taken away.
    let statements = format!(
        "drop trigger if exists stored_events_cannot_be_changed on es.\"{part}\";
         drop trigger if exists stored_events_cannot_be_truncated on es.\"{part}\";
         alter table es.event attach partition es.\"{part}\" for values from ({from}) to ({until});
         alter table es.\"{part}\" drop constraint places;
         alter table es.\"{part}\" enable row level security;
         alter table es.\"{part}\" force row level security;
         update es.archive set detached_at = null, dropped_at = null where part = '{part}'",
    );
    Ok(change(&mut owner, &statements).await?)
}

/// Statements of ours about one partition, all of them or none.
async fn change(owner: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    let mut tx = owner.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut *tx).await?;
    tx.commit().await
}

/// Fills the table from the file, page by page: one long transaction would hold up the order of all events.
async fn load(
    owner: &mut PgConnection,
    part: &str,
    exported: &Exported,
    mut progress: impl FnMut(u64),
) -> Result<(), ArchiveError> {
    let insert = format!("insert into es.\"{part}\" {}", Line::ROWS_OF_TEXTS);
    let mut lines = open_lines(&exported.file).await?;
    let mut events = 0;
    loop {
        let mut page: Vec<String> = Vec::new();
        while page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            match lines.next_line().await.map_err(in_file(&exported.file))? {
                Some(line) => page.push(line),
                None => break,
            }
        }
        if page.is_empty() {
            break;
        }
        events += sqlx::query(AssertSqlSafe(insert.clone()))
            .bind(&page)
            .execute(&mut *owner)
            .await?
            .rows_affected();
        progress(events);
    }
    if events == exported.events {
        return Ok(());
    }
    Err(ArchiveError::Differs {
        part: part.to_owned(),
        file: exported.file.clone(),
        why: format!("it has {events} events instead of {}", exported.events),
    })
}

/// Waits until nobody can add to the partition: a transaction that has drawn a place in it may still be open.
async fn settle(database: &Database, partition: &Partition) -> Result<(), ArchiveError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    // A transaction id of our own, given back at once: everybody who has one by now has an older one.
    let (reached, ours): (i64, i64) =
        sqlx::query_as("select q.last_value, pg_current_xact_id()::text::bigint from es.event_pos q")
            .fetch_one(&mut *tx)
            .await?;
    tx.commit().await?;
    if reached < partition.until_pos {
        return Err(unfit(&partition.part, "is being filled: only a full one can be exported"));
    }
    let deadline = tokio::time::Instant::now() + SETTLE_TIMEOUT;
    loop {
        let mut tx = database.begin(&Scope::Platform).await?;
        let oldest: i64 = sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        if oldest > ours {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(unfit(&partition.part, "may still be written by a transaction that does not end"));
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

async fn note(
    database: &Database,
    partition: &Partition,
    exported: &Exported,
    first_seq: Option<i64>,
    last_seq: Option<i64>,
) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    sqlx::query(
        "insert into es.archive (part, from_pos, until_pos, first_seq, last_seq, events, file, sha256, bytes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (part) do update
            set first_seq = excluded.first_seq, last_seq = excluded.last_seq, events = excluded.events,
                file = excluded.file, sha256 = excluded.sha256, bytes = excluded.bytes,
                exported_at = clock_timestamp()",
    )
    .bind(&partition.part)
    .bind(partition.from_pos)
    .bind(partition.until_pos)
    .bind(first_seq)
    .bind(last_seq)
    .bind(i64::try_from(exported.events).unwrap_or(i64::MAX))
    .bind(exported.file.display().to_string())
    .bind(&exported.sha256)
    .bind(i64::try_from(exported.bytes).unwrap_or(i64::MAX))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Fails with whoever still has to read events of the partition, the one that is furthest behind first.
async fn refuse_needed(database: &Database, part: &str) -> Result<(), ArchiveError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    let last: Option<i64> = sqlx::query_scalar("select last_seq from es.archive where part = $1")
        .bind(part)
        .fetch_one(&mut *tx)
        .await?;
    let needed: Option<(String, i64)> = sqlx::query_as(
        "select who, seq
           from (select 'the relay ' || name as who, seq from es.relay
                 union all select 'consumer ' || name, seq from es.consumer
                 union all select 'follower ' || name, seq from es.follower
                 union all select 'consumer ' || consumer || ' (postponed)', seq - 1 from es.postponed
                 union all select 'consumer ' || consumer || ' (parked)', seq - 1 from es.parked
                            where dropped_at is null and seq is not null) needs
          where seq < $1
          order by seq
          limit 1",
    )
    .bind(last.unwrap_or(0))
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    match needed {
        None => Ok(()),
        Some((who, seq)) => Err(ArchiveError::Needed {
            part: part.to_owned(),
            who,
            seq: Position(seq),
            last: Position(last.unwrap_or(0)),
        }),
    }
}

/// The partition, if it is one of the log's.
async fn attached(database: &Database, part: &str) -> Result<Partition, ArchiveError> {
    let found = find(database, part).await?;
    if found.detached_at.is_some() {
        return Err(unfit(part, "was taken away"));
    }
    Ok(found)
}

/// The partition, if it was taken away.
async fn archived(database: &Database, part: &str) -> Result<Partition, ArchiveError> {
    let found = find(database, part).await?;
    if found.detached_at.is_none() {
        return Err(unfit(part, "is in the log"));
    }
    Ok(found)
}

async fn find(database: &Database, part: &str) -> Result<Partition, ArchiveError> {
    let all = partitions(database, &Scope::Platform).await?;
    all.into_iter().find(|found| found.part == part).ok_or_else(|| unfit(part, "does not exist"))
}

fn exported(partition: &Partition) -> Result<Exported, ArchiveError> {
    match (&partition.file, &partition.sha256) {
        (Some(file), Some(sha256)) => Ok(Exported {
            file: PathBuf::from(file),
            sha256: sha256.clone(),
            bytes: partition.file_bytes.unwrap_or(0).unsigned_abs(),
            events: partition.events.unsigned_abs(),
        }),
        (None, _) | (_, None) => Err(unfit(&partition.part, "was not exported")),
    }
}

/// The file is, to the last bit, the one that was written.
async fn check_hash(part: &str, exported: &Exported) -> Result<(), ArchiveError> {
    let mut file = fs::File::open(&exported.file).await.map_err(in_file(&exported.file))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).await.map_err(in_file(&exported.file))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let sha256 = hex(&hash.finalize());
    if sha256 == exported.sha256 {
        return Ok(());
    }
    Err(ArchiveError::Differs {
        part: part.to_owned(),
        file: exported.file.clone(),
        why: format!("its SHA-256 is {sha256} instead of {}", exported.sha256),
    })
}

async fn open_lines(file: &Path) -> Result<Lines<BufReader<fs::File>>, ArchiveError> {
    Ok(BufReader::new(fs::File::open(file).await.map_err(in_file(file))?).lines())
}

async fn connect(url: &str) -> Result<PgConnection, ArchiveError> {
    Ok(PgConnection::connect(url).await?)
}

fn is_locked(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref()
        == Some(LOCK_NOT_AVAILABLE)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The events of a partition, page by page along its index.
struct Pages<'a> {
    database: &'a Database,
    partition: &'a Partition,
    after: (String, i64),
}

impl<'a> Pages<'a> {
    fn of(database: &'a Database, partition: &'a Partition) -> Self {
        Self { database, partition, after: ("0".to_owned(), 0) }
    }

    async fn next(&mut self) -> Result<Option<Vec<Line>>, ArchiveError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let lines: Vec<Line> = sqlx::query_as(Line::PAGE)
            .persistent(false)
            .bind(self.partition.from_pos)
            .bind(self.partition.until_pos)
            .bind(&self.after.0)
            .bind(self.after.1)
            .bind(PAGE)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        let Some(last) = lines.last() else { return Ok(None) };
        if lines.iter().any(|line| line.seq == 0) {
            return Err(unfit(&self.partition.part, "holds events that have no position yet"));
        }
        self.after = (last.xid.clone(), last.pos);
        Ok(Some(lines))
    }
}
