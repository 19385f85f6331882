//! The beginning of a document: enough to tell what it is, without taking it in.

use super::download::{is_conditional, refusal, within};
use super::{FetchError, Patience};
use feeds_documents::limits::HEAD_BYTES;
use reqwest::StatusCode;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Somebody waits for the answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// What was seen of a document.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    /// Whether the source can say that nothing has changed.
    pub(crate) conditional: bool,
}

/// Asks once for a document as a synchronisation would, and reads no more than its beginning.
pub(super) async fn read(
    client: &reqwest::Client,
    url: Url,
    limit: u64,
    patience: Patience,
) -> Result<Head, FetchError> {
    let deadline = patience.deadline.min(DEADLINE);
    let reading = read_patiently(client, url, limit, patience.stall);
    timeout(deadline, reading).await.unwrap_or(Err(FetchError::Timeout { deadline }))
}

async fn read_patiently(
    client: &reqwest::Client,
    url: Url,
    limit: u64,
    stall: Duration,
) -> Result<Head, FetchError> {
    let mut response = within(stall, client.get(url).send()).await?;
    if !response.status().is_success() || response.status() == StatusCode::PARTIAL_CONTENT {
        return Err(refusal(&response));
    }
    if response.content_length().is_some_and(|announced| announced > limit) {
        return Err(FetchError::TooLarge { limit });
    }
    let mut head = Head { bytes: Vec::new(), conditional: is_conditional(&response) };
    while head.bytes.len() < HEAD_BYTES
        && let Some(chunk) = within(stall, response.chunk()).await?
    {
        head.bytes.extend_from_slice(&chunk);
    }
    head.bytes.truncate(HEAD_BYTES);
    Ok(head)
}
