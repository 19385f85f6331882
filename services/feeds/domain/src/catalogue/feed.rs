//! A feed: registered once, changed, switched off and on, and a history of documents taken in or refused.

mod refusal;

pub use refusal::FeedRefusal;

use super::REASON_CHARS_MAX;
use contracts::feeds::{
    FeedChanged, FeedDisabled, FeedEnabled, FeedEvent, FeedFormat, FeedKind, FeedRegistered, FeedSchedule,
    FeedSyncCompleted, FeedSyncFailed, Publisher, RepositorySignature,
};
use kernel::{Aggregate, FeedId};

/// Characters of a feed's name.
pub const FEED_NAME_CHARS_MAX: usize = 200;
/// Characters of a path or web address.
pub const FEED_SOURCE_CHARS_MAX: usize = 2_000;
/// Characters of a keyring: that of all of Debian's archives, armoured, has some 80,000.
pub const FEED_KEYRING_CHARS_MAX: usize = 200_000;
/// The shortest interval: vendors ask not to be read more often.
pub const EVERY_MINUTES_MIN: u32 = 5;
/// The longest interval: a feed that is read less often than once a month is read by hand.
pub const EVERY_MINUTES_MAX: u32 = 44_640;

/// A source of documents.
#[derive(Debug)]
pub struct Feed;

/// What is known of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, of a feed that is registered")]
pub enum FeedState {
    /// Nothing.
    #[default]
    Unknown,
    /// It is registered.
    Registered {
        /// As it was registered or changed last.
        settings: FeedSettings,
        /// Whether it is read.
        enabled: bool,
        /// How the last synchronisation ended.
        last_sync: LastSync,
    },
}

/// What a feed is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSettings {
    /// Display name.
    pub name: String,
    /// Who stands behind it.
    pub kind: FeedKind,
    /// How it is written.
    pub format: FeedFormat,
    /// A path or an http(s) URL.
    pub source: String,
    /// When it is read by itself.
    pub schedule: Option<FeedSchedule>,
    /// Who publishes it.
    pub publisher: Option<Publisher>,
    /// Whose signatures count: certificates in the form in which [`FeedRegistered`] has them.
    pub keyring: Option<String>,
}

/// How a feed's last synchronisation ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LastSync {
    /// There was none.
    #[default]
    Never,
    /// This document was taken in.
    Completed {
        /// SHA-256, lowercase hex.
        document_sha256: String,
        /// Documents that were left out, each with its reason.
        refused: Vec<String>,
        /// Who signed it.
        signature: Option<RepositorySignature>,
    },
    /// It was refused.
    Failed {
        /// Stable code.
        code: String,
        /// What is wrong.
        reason: String,
    },
}

/// A wish about a feed.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedCommand {
    /// Make it known.
    Register {
        /// The feed.
        feed_id: FeedId,
        /// What it is.
        settings: FeedSettings,
        /// Whether a partner owns it.
        by_partner: bool,
    },
    /// Change what it is.
    Change {
        /// The feed.
        feed_id: FeedId,
        /// Display name.
        name: String,
        /// A path or an http(s) URL.
        source: String,
        /// When it is read by itself.
        schedule: Option<FeedSchedule>,
        /// Who publishes it.
        publisher: Option<Publisher>,
        /// Whose signatures count.
        keyring: Option<String>,
    },
    /// Read it no more.
    Disable {
        /// The feed.
        feed_id: FeedId,
        /// Why.
        reason: String,
    },
    /// Read it again.
    Enable {
        /// The feed.
        feed_id: FeedId,
    },
    /// Ask whether it may be read; adds nothing.
    Examine,
    /// Documents were taken in.
    RecordSync {
        /// What came of it.
        sync: FeedSyncCompleted,
        /// Whether one of the documents had never been taken in before.
        new_documents: bool,
    },
    /// A document was refused, or none could be had.
    RecordFailure(FeedSyncFailed),
}

impl Aggregate for Feed {
    const STREAM: &'static str = "feeds.feed";
    type State = FeedState;
    type Command = FeedCommand;
    type Event = FeedEvent;
    type Refusal = FeedRefusal;

    fn decide(state: &FeedState, command: FeedCommand) -> Result<Vec<FeedEvent>, FeedRefusal> {
        match (state, command) {
            (FeedState::Unknown, FeedCommand::Register { feed_id, settings, by_partner }) => {
                if by_partner != (settings.kind == FeedKind::Partner) {
                    return Err(FeedRefusal::WrongKind { by_partner });
                }
                let FeedSettings { name, kind, format, source, schedule, publisher, keyring } =
                    checked(settings)?;
                let fact =
                    FeedRegistered { feed_id, name, kind, format, source, schedule, publisher, keyring };
                Ok(vec![fact.into()])
            }
            (FeedState::Registered { settings: known, .. }, FeedCommand::Register { settings, .. }) => {
                if *known == checked(settings)? {
                    Ok(Vec::new())
                } else {
                    Err(FeedRefusal::AlreadyRegistered { name: known.name.clone() })
                }
            }
            (
                FeedState::Unknown,
                FeedCommand::Change { .. }
                | FeedCommand::Disable { .. }
                | FeedCommand::Enable { .. }
                | FeedCommand::Examine
                | FeedCommand::RecordSync { .. }
                | FeedCommand::RecordFailure(_),
            ) => Err(FeedRefusal::Unknown),
            (
                FeedState::Registered { settings: known, .. },
                FeedCommand::Change { feed_id, name, source, schedule, publisher, keyring },
            ) => {
                let (kind, format) = (known.kind, known.format);
                let now = FeedSettings { name, kind, format, source, schedule, publisher, keyring };
                let now = checked(now)?;
                Ok(change(feed_id, known, now))
            }
            (FeedState::Registered { enabled: true, .. }, FeedCommand::Disable { feed_id, reason }) => {
                let reason = reason.chars().take(REASON_CHARS_MAX).collect();
                Ok(vec![FeedDisabled { feed_id, reason }.into()])
            }
            (FeedState::Registered { enabled: false, .. }, FeedCommand::Enable { feed_id }) => {
                Ok(vec![FeedEnabled { feed_id }.into()])
            }
            (FeedState::Registered { enabled: false, .. }, FeedCommand::Examine) => {
                Err(FeedRefusal::Disabled)
            }
            (FeedState::Registered { .. }, FeedCommand::Examine)
            | (FeedState::Registered { enabled: false, .. }, FeedCommand::Disable { .. })
            | (FeedState::Registered { enabled: true, .. }, FeedCommand::Enable { .. }) => Ok(Vec::new()),
            (FeedState::Registered { last_sync, .. }, FeedCommand::RecordSync { sync, new_documents }) => {
                // After a failure it is news that the feed can be read again.
                let known = matches!(
                    last_sync,
                    LastSync::Completed { document_sha256, refused, signature }
                        if *refused == sync.refused
                            // Where nothing was read, nothing was looked at anew.
                            && (sync.signature.is_none() || *signature == sync.signature)
                            && (!new_documents || *document_sha256 == sync.document_sha256)
                );
                let changed = sync.published + sync.revised + sync.withdrawn + sync.vulnerabilities > 0;
                Ok(if known && !changed { Vec::new() } else { vec![sync.into()] })
            }
            (FeedState::Registered { last_sync, .. }, FeedCommand::RecordFailure(failure)) => {
                let reason: String = failure.reason.chars().take(REASON_CHARS_MAX).collect();
                // A feed that fails every hour for the same reason is news once.
                let known = matches!(
                    last_sync,
                    LastSync::Failed { code, reason: known } if *code == failure.code && *known == reason
                );
                Ok(if known { Vec::new() } else { vec![FeedSyncFailed { reason, ..failure }.into()] })
            }
        }
    }

    fn evolve(state: FeedState, event: &FeedEvent) -> FeedState {
        match (state, event) {
            (_, FeedEvent::FeedRegistered(fact)) => FeedState::Registered {
                settings: FeedSettings {
                    name: fact.name.clone(),
                    kind: fact.kind,
                    format: fact.format,
                    source: fact.source.clone(),
                    schedule: fact.schedule,
                    publisher: fact.publisher.clone(),
                    keyring: fact.keyring.clone(),
                },
                enabled: true,
                last_sync: LastSync::Never,
            },
            (FeedState::Registered { settings, enabled, last_sync }, FeedEvent::FeedChanged(fact)) => {
                let settings = FeedSettings {
                    name: fact.name.clone(),
                    source: fact.source.clone(),
                    schedule: fact.schedule,
                    publisher: fact.publisher.clone(),
                    keyring: fact.keyring.clone(),
                    ..settings
                };
                FeedState::Registered { settings, enabled, last_sync }
            }
            (FeedState::Registered { settings, last_sync, .. }, FeedEvent::FeedDisabled(_)) => {
                FeedState::Registered { settings, enabled: false, last_sync }
            }
            (FeedState::Registered { settings, last_sync, .. }, FeedEvent::FeedEnabled(_)) => {
                FeedState::Registered { settings, enabled: true, last_sync }
            }
            (FeedState::Registered { settings, enabled, .. }, FeedEvent::FeedSyncCompleted(fact)) => {
                let last_sync = LastSync::Completed {
                    document_sha256: fact.document_sha256.clone(),
                    refused: fact.refused.clone(),
                    signature: fact.signature.clone(),
                };
                FeedState::Registered { settings, enabled, last_sync }
            }
            (FeedState::Registered { settings, enabled, .. }, FeedEvent::FeedSyncFailed(fact)) => {
                let last_sync = LastSync::Failed { code: fact.code.clone(), reason: fact.reason.clone() };
                FeedState::Registered { settings, enabled, last_sync }
            }
            (
                FeedState::Unknown,
                FeedEvent::FeedChanged(_)
                | FeedEvent::FeedDisabled(_)
                | FeedEvent::FeedEnabled(_)
                | FeedEvent::FeedSyncCompleted(_)
                | FeedEvent::FeedSyncFailed(_),
            ) => FeedState::Unknown,
        }
    }
}

fn change(feed_id: FeedId, known: &FeedSettings, now: FeedSettings) -> Vec<FeedEvent> {
    let changed: Vec<String> = [
        ("name", known.name == now.name),
        ("source", known.source == now.source),
        ("schedule", known.schedule == now.schedule),
        ("publisher", known.publisher == now.publisher),
        ("keyring", known.keyring == now.keyring),
    ]
    .into_iter()
    .filter(|(_, same)| !same)
    .map(|(field, _)| field.to_owned())
    .collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let FeedSettings { name, source, schedule, publisher, keyring, .. } = now;
    vec![FeedChanged { feed_id, name, source, schedule, publisher, keyring, changed }.into()]
}

fn checked(settings: FeedSettings) -> Result<FeedSettings, FeedRefusal> {
    let name = settings.name.trim().to_owned();
    let source = settings.source.trim().to_owned();
    let is_text = |text: &str, limit: usize| {
        (1..=limit).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    if !is_text(&name, FEED_NAME_CHARS_MAX) {
        return Err(FeedRefusal::InvalidName);
    }
    if !is_text(&source, FEED_SOURCE_CHARS_MAX) {
        return Err(FeedRefusal::InvalidSource);
    }
    if let Some(FeedSchedule { every_minutes }) = settings.schedule
        && !(EVERY_MINUTES_MIN..=EVERY_MINUTES_MAX).contains(&every_minutes)
    {
        return Err(FeedRefusal::InvalidSchedule { every_minutes });
    }
    if let Some(publisher) = &settings.publisher {
        let is_address = |url: &String| {
            is_text(url, FEED_SOURCE_CHARS_MAX) && (url.starts_with("https://") || url.starts_with("http://"))
        };
        if !is_text(&publisher.name, FEED_NAME_CHARS_MAX) || !publisher.contact_url.iter().all(is_address) {
            return Err(FeedRefusal::InvalidPublisher);
        }
    }
    if let Some(keyring) = &settings.keyring {
        if settings.format != FeedFormat::DebianRepository {
            return Err(FeedRefusal::UnusedKeyring { format: settings.format });
        }
        if keyring.len() > FEED_KEYRING_CHARS_MAX {
            let reason = format!("it has more than {FEED_KEYRING_CHARS_MAX} characters");
            return Err(FeedRefusal::InvalidKeyring { reason });
        }
    }
    Ok(FeedSettings { name, source, ..settings })
}
