//! Documents on the web: no redirects, a deadline for the whole, and a limit kept while reading.

use super::{FetchError, Fetched, Validators, address::PrivateAddress, spool::Spool};
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use std::error::Error;
use std::time::Duration;
use url::Url;

/// Reads the answer to a GET into a temporary file, at most `limit` bytes of it.
pub(super) async fn read(
    client: &reqwest::Client,
    url: Url,
    known: &Validators,
    limit: u64,
    deadline: Duration,
) -> Result<Fetched, FetchError> {
    let failed = |error: reqwest::Error| failure(&error, deadline);
    let mut request = client.get(url);
    for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED && *known != Validators::default() {
        return Ok(Fetched::Unchanged);
    }
    if !status.is_success() {
        let location = text(&response, LOCATION);
        return Err(FetchError::Status { status: status.as_u16(), location });
    }
    if response.content_length().is_some_and(|announced| announced > limit) {
        return Err(FetchError::TooLarge { limit });
    }
    let validators =
        Validators { etag: text(&response, ETAG), last_modified: text(&response, LAST_MODIFIED) };
    let mut spool = Spool::new(limit)?;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        spool.write(&chunk)?;
    }
    Ok(Fetched::Document(spool.finish(validators)?))
}

pub(super) fn text(response: &reqwest::Response, name: HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// The innermost cause in words.
pub(super) fn failure(error: &reqwest::Error, deadline: Duration) -> FetchError {
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
