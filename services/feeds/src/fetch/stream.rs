//! Files that are too large to be fetched as a whole: read chunk by chunk, as long as chunks come.

use super::download::{refusal, within};
use super::{FetchError, Fetcher};
use crate::source::Source;
use bytes::Bytes;
use std::time::Duration;
use url::Url;

/// How long a whole file may take: the largest packages over a slow line.
const WHOLE_DEADLINE: Duration = Duration::from_hours(24);

/// A file on its way.
pub(crate) struct Incoming {
    response: reqwest::Response,
    stall: Duration,
}

impl Fetcher {
    /// Asks for a file.
    pub(crate) async fn open(&self, url: Url) -> Result<Incoming, FetchError> {
        self.permit(&Source::Web(url.clone()))?;
        let stall = self.patience.stall;
        let response = within(stall, self.client.get(url).timeout(WHOLE_DEADLINE).send()).await?;
        if response.status().is_success() {
            Ok(Incoming { response, stall })
        } else {
            Err(refusal(&response))
        }
    }
}

impl Incoming {
    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        within(self.stall, self.response.chunk()).await
    }
}
