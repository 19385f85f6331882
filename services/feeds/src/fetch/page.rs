//! Documents on the web: no redirects, a deadline for the whole, and a limit kept while reading.

use super::{FetchError, address::PrivateAddress};
use reqwest::header::LOCATION;
use std::error::Error;
use std::time::Duration;
use url::Url;

/// Reads the answer to a GET, at most `limit` bytes of it.
pub(super) async fn read(
    client: &reqwest::Client,
    url: Url,
    limit: usize,
    deadline: Duration,
) -> Result<Vec<u8>, FetchError> {
    let failed = |error: reqwest::Error| failure(&error, deadline);
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        return Err(FetchError::Status { status: status.as_u16(), location: location.map(str::to_owned) });
    }
    if response.content_length().is_some_and(|announced| announced > limit as u64) {
        return Err(FetchError::TooLarge { limit });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause in words.
fn failure(error: &reqwest::Error, deadline: Duration) -> FetchError {
    if error.is_timeout() {
        return FetchError::Timeout { deadline };
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        if let Some(PrivateAddress { host }) = source.downcast_ref() {
            return FetchError::PrivateAddress { host: host.clone() };
        }
        cause = source;
    }
    FetchError::Unreachable { reason: cause.to_string() }
}
