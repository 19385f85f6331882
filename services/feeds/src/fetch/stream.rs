//! Files that are too large to be fetched as a whole: read chunk by chunk, as long as chunks come.

use super::{FetchError, Fetcher, address, page};
use bytes::Bytes;
use reqwest::header::LOCATION;
use std::time::Duration;
use url::Url;

/// How long a whole file may take: the largest packages over a slow line.
const WHOLE_DEADLINE: Duration = Duration::from_hours(24);
/// Between two chunks; a source that says nothing for so long is gone.
const CHUNK_DEADLINE: Duration = Duration::from_mins(1);

/// A file on its way.
pub(crate) struct Incoming(reqwest::Response);

impl Fetcher {
    /// Asks for a file.
    pub(crate) async fn open(&self, url: Url) -> Result<Incoming, FetchError> {
        if !self.private_addresses {
            address::require_public(&url)?;
        }
        let asking = self.client.get(url).timeout(WHOLE_DEADLINE).send();
        let response = within(asking).await?;
        let status = response.status();
        if !status.is_success() {
            let location = page::text(&response, LOCATION);
            return Err(FetchError::Status { status: status.as_u16(), location });
        }
        Ok(Incoming(response))
    }
}

impl Incoming {
    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        within(self.0.chunk()).await
    }
}

async fn within<T>(work: impl Future<Output = reqwest::Result<T>>) -> Result<T, FetchError> {
    match tokio::time::timeout(CHUNK_DEADLINE, work).await {
        Ok(done) => done.map_err(|error| page::failure(&error, WHOLE_DEADLINE)),
        Err(_elapsed) => Err(FetchError::Timeout { deadline: CHUNK_DEADLINE }),
    }
}
