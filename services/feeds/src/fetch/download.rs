//! One document on its way, over as many connections as it takes: no redirects, and a limit kept while reading.

use super::{FetchError, Fetched, Validators, address::PrivateAddress, spool::Spool};
use chrono::{DateTime, TimeDelta};
use reqwest::header::{
    CONTENT_RANGE, DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Response, StatusCode};
use std::error::Error;
use std::time::Duration;
use url::Url;

/// A document that is asked for until it is there.
pub(super) struct Download<'a> {
    client: &'a reqwest::Client,
    url: Url,
    known: &'a Validators,
    limit: u64,
    stall: Duration,
    /// What has arrived, where the rest of it can be asked for.
    part: Option<Part>,
}

/// What has arrived of one version of a document.
#[derive(Debug)]
struct Part {
    spool: Spool,
    validators: Validators,
    /// What makes sure that the rest is of the same version (RFC 9110, 13.1.5); none where nothing does.
    version: Option<String>,
    /// Bytes of the whole document, where the source said so.
    total: Option<u64>,
}

impl<'a> Download<'a> {
    pub(super) fn new(
        client: &'a reqwest::Client,
        url: Url,
        known: &'a Validators,
        limit: u64,
        stall: Duration,
    ) -> Self {
        Self { client, url, known, limit, stall, part: None }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Bytes that need not be asked for again.
    pub(super) fn received(&self) -> u64 {
        self.part.as_ref().map_or(0, |part| part.spool.bytes())
    }

    /// Asks once for all that is missing.
    pub(super) async fn attempt(&mut self) -> Result<Fetched, FetchError> {
        let mut request = self.client.get(self.url.clone());
        let conditions = match &self.part {
            Some(part) => {
                [(RANGE, Some(format!("bytes={}-", part.spool.bytes()))), (IF_RANGE, part.version.clone())]
            }
            None => [
                (IF_NONE_MATCH, self.known.etag.clone()),
                (IF_MODIFIED_SINCE, self.known.last_modified.clone()),
            ],
        };
        for (name, value) in conditions {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut response = within(self.stall, request.send()).await?;
        let mut part = match response.status() {
            StatusCode::NOT_MODIFIED if self.part.is_none() && *self.known != Validators::default() => {
                return Ok(Fetched::Unchanged);
            }
            // What does not fit is dropped: the next attempt begins anew.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if self.part.is_some() => {
                let part = self.part.take().filter(|part| part.goes_on_with(&response));
                part.ok_or(FetchError::WrongPart)?
            }
            status if status.is_success() && status != StatusCode::PARTIAL_CONTENT => {
                // Another version, or a server that sends nothing but whole documents.
                self.part = None;
                Part::begin(&response, self.limit)?
            }
            _ => return Err(refusal(&response)),
        };
        match part.receive(&mut response, self.stall).await {
            Ok(()) => Ok(Fetched::Document(part.spool.finish(part.validators)?)),
            Err(error) => {
                self.part = Some(part).filter(Part::is_resumable);
                Err(error)
            }
        }
    }
}

impl Part {
    fn begin(response: &Response, limit: u64) -> Result<Self, FetchError> {
        let total = response.content_length();
        if total.is_some_and(|announced| announced > limit) {
            return Err(FetchError::TooLarge { limit });
        }
        let validators =
            Validators { etag: text(response, ETAG), last_modified: text(response, LAST_MODIFIED) };
        let version = strong(&validators, text(response, DATE).as_deref());
        Ok(Self { spool: Spool::new(limit)?, validators, version, total })
    }

    fn is_resumable(&self) -> bool {
        self.version.is_some() && self.spool.bytes() > 0
    }

    /// Whether this is the rest of the same version.
    fn goes_on_with(&self, response: &Response) -> bool {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return false;
        }
        let Some(range) = text(response, CONTENT_RANGE).as_deref().and_then(range_of) else { return false };
        let same_total = match (range.total, self.total) {
            (Some(now), Some(then)) => now == then,
            (None, _) | (_, None) => true,
        };
        let same_etag = text(response, ETAG).is_none_or(|etag| self.validators.etag.as_ref() == Some(&etag));
        range.first == self.spool.bytes() && same_total && same_etag
    }

    async fn receive(&mut self, response: &mut Response, stall: Duration) -> Result<(), FetchError> {
        while let Some(chunk) = within(stall, response.chunk()).await? {
            self.spool.write(&chunk)?;
        }
        match self.total {
            Some(total) if self.spool.bytes() < total => {
                Err(FetchError::Unreachable { reason: "the document ended before its end".to_owned() })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// An answer that is not the document.
pub(super) fn refusal(response: &Response) -> FetchError {
    FetchError::Status {
        status: response.status().as_u16(),
        location: text(response, LOCATION),
        retry_after: text(response, RETRY_AFTER)
            .and_then(|wanted| wait(&wanted, text(response, DATE).as_deref())),
    }
}

/// Whether the source can say that nothing has changed.
pub(super) fn is_conditional(response: &Response) -> bool {
    [ETAG, LAST_MODIFIED].iter().any(|name| response.headers().contains_key(name))
}

/// Waits for the next sign of life.
pub(super) async fn within<T>(
    stall: Duration,
    next: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, FetchError> {
    match tokio::time::timeout(stall, next).await {
        Ok(outcome) => outcome.map_err(|error| failure(&error, stall)),
        Err(_elapsed) => Err(FetchError::Stalled { limit: stall }),
    }
}

fn text(response: &Response, name: HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// What tells this version of a document from every other, byte by byte: a strong `ETag`, or a time of change that had
/// passed when it was sent (RFC 9110, 8.8.2.2).
fn strong(validators: &Validators, sent_at: Option<&str>) -> Option<String> {
    if let Some(etag) = &validators.etag {
        return Some(etag.clone()).filter(|etag| !etag.starts_with("W/"));
    }
    let changed_at = validators.last_modified.as_ref()?;
    let (changed, sent) =
        (DateTime::parse_from_rfc2822(changed_at).ok()?, DateTime::parse_from_rfc2822(sent_at?).ok()?);
    (sent - changed >= TimeDelta::seconds(1)).then(|| changed_at.clone())
}

/// A `Content-Range`.
#[derive(Debug, PartialEq, Eq)]
struct ByteRange {
    first: u64,
    total: Option<u64>,
}

/// Reads `bytes 0-4/10` or `bytes 0-4/*`.
fn range_of(text: &str) -> Option<ByteRange> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some(ByteRange { first, total })
}

/// Reads a `Retry-After`: seconds, or a time, which is compared with the source's own clock.
fn wait(wanted: &str, sent_at: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = wanted.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(wanted).ok()?;
    let now = DateTime::parse_from_rfc2822(sent_at?).ok()?;
    Some((until - now).to_std().unwrap_or_default())
}

/// The innermost cause in words.
fn failure(error: &reqwest::Error, limit: Duration) -> FetchError {
    if error.is_timeout() {
        return if error.is_connect() {
            FetchError::Unreachable { reason: "it does not answer".to_owned() }
        } else {
            FetchError::Stalled { limit }
        };
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

#[cfg(test)]
mod tests {
    use super::{ByteRange, range_of, strong, wait};
    use crate::fetch::Validators;
    use std::time::Duration;

    const AT_NINE: &str = "Sun, 06 Nov 1994 09:00:00 GMT";
    const A_MINUTE_LATER: &str = "Sun, 06 Nov 1994 09:01:00 GMT";

    fn version(etag: Option<&str>, last_modified: Option<&str>, sent_at: Option<&str>) -> Option<String> {
        let validators =
            Validators { etag: etag.map(Into::into), last_modified: last_modified.map(Into::into) };
        strong(&validators, sent_at)
    }

    #[test]
    fn only_what_names_one_version_exactly_lets_a_document_go_on() {
        assert_eq!(version(Some("\"a\""), None, None).as_deref(), Some("\"a\""));
        assert_eq!(version(Some("W/\"a\""), Some(AT_NINE), Some(A_MINUTE_LATER)), None);
        assert_eq!(version(None, Some(AT_NINE), Some(A_MINUTE_LATER)).as_deref(), Some(AT_NINE));
        assert_eq!(version(None, Some(AT_NINE), Some(AT_NINE)), None, "it may change within the second");
        assert_eq!(version(None, Some(AT_NINE), None), None);
        assert_eq!(version(None, None, Some(AT_NINE)), None);
    }

    #[test]
    fn a_range_is_read_or_refused() {
        assert_eq!(range_of("bytes 5-9/10"), Some(ByteRange { first: 5, total: Some(10) }));
        assert_eq!(range_of("bytes 5-9/*"), Some(ByteRange { first: 5, total: None }));
        for bad in ["bytes */10", "bytes 9-5/10", "bytes 5-10/10", "items 5-9/10", "bytes 5-9", ""] {
            assert_eq!(range_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_time_of_the_sources_clock() {
        assert_eq!(wait("120", None), Some(Duration::from_mins(2)));
        assert_eq!(wait(A_MINUTE_LATER, Some(AT_NINE)), Some(Duration::from_mins(1)));
        assert_eq!(wait(AT_NINE, Some(A_MINUTE_LATER)), Some(Duration::ZERO));
        assert_eq!(wait(AT_NINE, None), None);
        assert_eq!(wait("soon", Some(AT_NINE)), None);
    }
}
