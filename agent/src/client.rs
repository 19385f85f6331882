//! Requests to the server, signed by the device's key.

use crate::AgentError;
use crate::clock::{new_id, now};
use crate::config::Config;
use contracts::agent::{
    AGENT_BODY_BYTES_MAX, CheckIn, CheckInAnswer, EnrolAnswer, EnrolRequest, JobReport, Receipt, ScanReport,
    SignedJob,
};
use ed25519_dalek::SigningKey;
use kernel::{DeviceId, JobId};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Certificate, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signing::RequestParts;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one request with its answer: a megabyte over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// What a job request may take beyond the time it asks the server to wait.
const WAIT_MARGIN: Duration = Duration::from_secs(15);
/// A server that wants more rest than this is asked anyway.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// Characters of an error answer that are worth logging.
const DETAIL_CHARS_MAX: usize = 500;

/// The server, as seen by one device.
pub struct Client {
    http: reqwest::Client,
    server: Url,
}

/// With what an enrolled device signs.
pub struct Signer {
    /// Its own key.
    pub key: SigningKey,
    /// Its id.
    pub device_id: DeviceId,
}

/// The parts of an `application/problem+json` answer that the agent uses.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    title: String,
}

impl Client {
    /// Makes a client for the server that the configuration or the identity names.
    pub fn new(config: &Config, server: &str) -> Result<Self, AgentError> {
        let wrong = |detail: String| AgentError::Config { detail };
        let url = Url::parse(server).map_err(|e| wrong(format!("server {server:?}: {e}")))?;
        let local = is_this_machine(&url);
        match url.scheme() {
            "https" => {}
            "http" if local || config.allow_http => {}
            "http" => {
                return Err(wrong(format!("server {server:?}: http to another machine needs allow_http")));
            }
            other => return Err(wrong(format!("server {server:?}: scheme {other:?} is not https"))),
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() {
            return Err(wrong(format!("server {server:?}: only scheme, host and port belong here")));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("patchfleet-agent/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT);
        if local {
            builder = builder.no_proxy();
        }
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(crate::files::failed("reading", path))?;
            let extra =
                Certificate::from_pem_bundle(&pem).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
            builder = builder.tls_certs_merge(extra);
        } else if url.scheme() == "http" {
            // No certificates are needed, and a machine without any must still work.
            builder = builder.tls_certs_only([]);
        }
        let http =
            builder.build().map_err(|source| AgentError::Unreachable { doing: "preparing TLS", source })?;
        Ok(Self { http, server: url })
    }

    /// Asks to be let in.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolAnswer, AgentError> {
        let doing = "enrolling";
        let sent = self
            .http
            .post(self.url("/agent/v1/enrol", ""))
            .header(CONTENT_TYPE, "application/json")
            .body(json(doing, request)?)
            .send()
            .await
            .map_err(|source| AgentError::Unreachable { doing, source })?;
        answer(doing, sent).await
    }

    /// Says "I am here".
    pub async fn check_in(&self, signer: &Signer, check_in: &CheckIn) -> Result<CheckInAnswer, AgentError> {
        let doing = "checking in";
        let body = json(doing, check_in)?;
        let sent = self.send(doing, signer, Method::POST, "/agent/v1/checkin", "", body, None).await?;
        answer(doing, sent).await
    }

    /// Sends a scan's result.
    pub async fn report_scan(
        &self,
        signer: &Signer,
        report: &ScanReport,
        traceparent: Option<&str>,
    ) -> Result<Receipt, AgentError> {
        let doing = "reporting a scan";
        let body = json(doing, report)?;
        let sent = self.send(doing, signer, Method::POST, "/agent/v1/scans", "", body, traceparent).await?;
        answer(doing, sent).await
    }

    /// Sends a step of a job.
    pub async fn report_job(
        &self,
        signer: &Signer,
        job_id: JobId,
        report: &JobReport,
        traceparent: Option<&str>,
    ) -> Result<Receipt, AgentError> {
        let doing = "reporting on a job";
        let path = format!("/agent/v1/jobs/{job_id}/reports");
        let body = json(doing, report)?;
        let sent = self.send(doing, signer, Method::POST, &path, "", body, traceparent).await?;
        answer(doing, sent).await
    }

    /// Waits for a job; none if there was none in that time.
    pub async fn next_job(&self, signer: &Signer, wait: Duration) -> Result<Option<SignedJob>, AgentError> {
        let doing = "asking for jobs";
        let query = format!("wait={}", wait.as_secs());
        let sent = self.send(doing, signer, Method::GET, "/agent/v1/jobs", &query, Vec::new(), None).await?;
        if sent.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        answer(doing, sent).await.map(Some)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an HTTP request, passed on in one place")]
    async fn send(
        &self,
        doing: &'static str,
        signer: &Signer,
        method: Method,
        path: &str,
        query: &str,
        body: Vec<u8>,
        traceparent: Option<&str>,
    ) -> Result<Response, AgentError> {
        let parts = RequestParts { method: method.as_str(), path, query, body: &body };
        let nonce = new_id().simple().to_string();
        let keyid = signer.device_id.to_string();
        let headers = signing::sign(&signer.key, parts, now().timestamp(), &nonce, &keyid);
        let waits = method == Method::GET;
        let mut request = self
            .http
            .request(method, self.url(path, query))
            .header(signing::HEADER_CONTENT_DIGEST, headers.content_digest)
            .header(signing::HEADER_SIGNATURE_INPUT, headers.signature_input)
            .header(signing::HEADER_SIGNATURE, headers.signature);
        if waits {
            let server = Duration::from_secs(contracts::agent::JOB_WAIT_SECONDS_MAX);
            request = request.timeout(server + WAIT_MARGIN);
        } else {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        request.send().await.map_err(|source| AgentError::Unreachable { doing, source })
    }

    fn url(&self, path: &str, query: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url.set_query(Some(query).filter(|q| !q.is_empty()));
        url
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn json(doing: &'static str, value: &impl Serialize) -> Result<Vec<u8>, AgentError> {
    serde_json::to_vec(value).map_err(|e| AgentError::Misunderstood { doing, detail: e.to_string() })
}

async fn answer<T: DeserializeOwned>(doing: &'static str, response: Response) -> Result<T, AgentError> {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let body = bounded_body(doing, response).await?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|e| AgentError::Misunderstood { doing, detail: e.to_string() });
    }
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let detail = if problem.detail.is_empty() { problem.title } else { problem.detail };
    Err(AgentError::Refused {
        status: status.as_u16(),
        code: if problem.code.is_empty() { "agent.refused".to_owned() } else { problem.code },
        detail: detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect(),
        retry_after,
    })
}

async fn bounded_body(doing: &'static str, mut response: Response) -> Result<Vec<u8>, AgentError> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|source| AgentError::Unreachable { doing, source })?
    {
        if body.len() + chunk.len() > AGENT_BODY_BYTES_MAX {
            return Err(AgentError::Misunderstood { doing, detail: "it is longer than 4 MiB".to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::Client;
    use crate::config::Config;

    fn code(server: &str, config: &Config) -> Option<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new(config, server).err().map(|e| e.code().to_owned())
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let strict = Config::default();
        for good in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080/"] {
            assert_eq!(code(good, &strict), None, "{good}");
        }
        let refused = Some("agent.config_invalid".to_owned());
        for bad in ["http://example.org", "ftp://127.0.0.1", "http://127.0.0.1/x", "http://u@127.0.0.1", "x"]
        {
            assert_eq!(code(bad, &strict), refused, "{bad}");
        }
        let lax = Config { allow_http: true, ..Config::default() };
        assert_eq!(code("http://example.org", &lax), None);
    }
}
