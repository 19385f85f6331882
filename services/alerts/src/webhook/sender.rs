//! One attempt to hand an event to a receiver, to checked addresses only.

use super::target::{AllowedAddresses, Channel, Target, TargetRefusal};
use alerts_domain::delivery::Answer;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::EventId;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, redirect};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// For everything from the name look-up to the last byte of the answer.
pub const DEADLINE: Duration = Duration::from_secs(15);
/// More of an answer is not read.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// So much of an answer is kept for the person who looks for the reason.
pub const EXCERPT_CHARS_MAX: usize = 512;
/// Idle connections kept per receiver; deliveries come in bursts.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// Receivers' answers have no business with more.
const ANSWER_HEADERS_MAX: usize = 64;

/// Finds the addresses of a host name. Tests replace it.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Every address of the name.
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// For a name's addresses: well below the deadline of whoever registers a webhook and waits for the answer.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(3);

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// One signed message.
#[derive(Debug, Clone)]
pub struct Message {
    /// The delivered event, the same over all attempts.
    pub event_id: EventId,
    /// When this attempt is made.
    pub sent_at: DateTime<Utc>,
    /// The signatures of exactly this body.
    pub signatures: String,
    /// JSON.
    pub body: Vec<u8>,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What the receiver said, if it said something.
    pub answer: Answer,
    /// The beginning of its answer.
    pub excerpt: String,
}

/// No HTTP client could be made.
#[derive(Debug, thiserror::Error)]
#[error("making the HTTP client for webhooks")]
pub struct SenderError(#[source] reqwest::Error);

/// Sends messages to receivers, and only to addresses that were checked.
pub struct Sender {
    allowed: AllowedAddresses,
    lookup: Arc<dyn Lookup>,
    deadline: Duration,
    plain: Client,
    encrypted: Client,
}

impl Sender {
    /// A sender that keeps to the operator's list. The process must have a TLS provider installed.
    pub fn new(
        allowed: AllowedAddresses,
        lookup: Arc<dyn Lookup>,
        deadline: Duration,
    ) -> Result<Self, SenderError> {
        let client = |channel| client(channel, &allowed, &lookup, deadline).map_err(SenderError);
        let (plain, encrypted) = (client(Channel::Plain)?, client(Channel::Encrypted)?);
        Ok(Self { allowed, lookup, deadline, plain, encrypted })
    }

    /// Says whether a webhook may be registered with this URL: the very checks that every attempt makes.
    pub async fn check(&self, url: &str) -> Result<Target, TargetRefusal> {
        let target = Target::parse(url, &self.allowed)?;
        if let Some(name) = target.domain() {
            let found =
                tokio::time::timeout(self.deadline.min(LOOKUP_DEADLINE), self.lookup.addresses(name)).await;
            let unresolved =
                || TargetRefusal::UrlInvalid { reason: format!("the host name {name} cannot be resolved") };
            let addresses = found.ok().and_then(Result::ok).ok_or_else(unresolved)?;
            target.require(&self.allowed, addresses)?;
        }
        Ok(target)
    }

    /// Makes one attempt.
    pub async fn send(&self, url: &str, message: Message) -> Attempt {
        // A literal address never meets the resolver, so it is checked here, at every attempt.
        let target = match Target::parse(url, &self.allowed) {
            Ok(target) => target,
            Err(refusal) => return no_answer(refusal.to_string()),
        };
        let client = match target.channel {
            Channel::Plain => &self.plain,
            Channel::Encrypted => &self.encrypted,
        };
        let sent_at = message.sent_at;
        let request = client
            .post(target.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.event_id.to_string())
            .header("webhook-timestamp", sent_at.timestamp())
            .header("webhook-signature", message.signatures)
            .body(message.body);
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let retry_after_seconds = retry_after(response.headers(), sent_at);
                let excerpt = excerpt(response).await;
                Attempt { answer: Answer::Status { status, retry_after_seconds }, excerpt }
            }
            Err(error) => no_answer(what_went_wrong(&error)),
        }
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

fn client(
    channel: Channel,
    allowed: &AllowedAddresses,
    lookup: &Arc<dyn Lookup>,
    deadline: Duration,
) -> reqwest::Result<Client> {
    Client::builder()
        .dns_resolver(CheckedResolver { channel, allowed: allowed.clone(), lookup: Arc::clone(lookup) })
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .timeout(deadline)
        .user_agent(concat!("patchfleet-webhooks/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Hands only permitted addresses to the connector, so that what was checked is what is connected to.
struct CheckedResolver {
    channel: Channel,
    allowed: AllowedAddresses,
    lookup: Arc<dyn Lookup>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (channel, allowed, lookup) = (self.channel, self.allowed.clone(), Arc::clone(&self.lookup));
        Box::pin(async move {
            let host = name.as_str();
            let permitted: Vec<_> = lookup
                .addresses(host)
                .await?
                .into_iter()
                .filter(|address| allowed.admit(channel, *address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if permitted.is_empty() {
                return Err(TargetRefusal::AddressRefused { host: host.to_owned() }.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

fn no_answer(reason: String) -> Attempt {
    Attempt { answer: Answer::None { reason }, excerpt: String::new() }
}

/// The innermost cause in words, without the URL, which may hold the receiver's own secrets.
fn what_went_wrong(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        if let Some(refusal) = source.downcast_ref::<TargetRefusal>() {
            return refusal.to_string();
        }
        cause = source;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {cause}")
    } else {
        format!("no valid answer: {cause}")
    }
}

/// `Retry-After` in seconds, given as such or as a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds.max(0));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).num_seconds().max(0))
}

/// The beginning of the answer. Its status is known by now, so trouble while reading is no failure.
async fn excerpt(mut response: reqwest::Response) -> String {
    let mut read = 0;
    let mut kept = Vec::new();
    while read < ANSWER_BYTES_MAX {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        read += chunk.len();
        let room = (EXCERPT_CHARS_MAX * 4).saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    // Postgres text cannot hold NUL.
    String::from_utf8_lossy(&kept).chars().filter(|&c| c != '\0').take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
