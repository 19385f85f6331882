//! One person at the GraphQL API.

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a mutation is repeated (with its one idempotency key) while servers are away.
const OUTAGE_PATIENCE: Duration = Duration::from_mins(1);

/// A signed-in person.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// Where tokens come from.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its address.
    pub url: String,
    /// Proves that we may ask.
    pub client_secret: String,
}

impl Issuer {
    /// A token for `subject`.
    pub async fn token(&self, http: &reqwest::Client, subject: &str) -> Result<String> {
        let form = form(&[
            ("grant_type", "client_credentials"),
            ("client_secret", &self.client_secret),
            ("subject", subject),
        ]);
        let answer = http
            .post(format!("{}/oauth/token", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .context("asking the issuer for a token")?;
        let body: Value = answer.json().await?;
        body["access_token"]
            .as_str()
            .map(ToOwned::to_owned)
            .with_context(|| format!("no token for {subject}: {body}"))
    }
}

/// A client for one or several people.
pub fn client() -> Result<reqwest::Client> {
    // Fails only if somebody installed a provider before: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().context("building an HTTP client")
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

fn form(pairs: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() {
                out.push(char::from(byte));
            } else {
                out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
            out
        })
    };
    pairs.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect::<Vec<_>>().join("&")
}

impl Api {
    /// Signs `subject` in.
    pub async fn sign_in(
        http: &reqwest::Client,
        gateway: &str,
        issuer: &Issuer,
        subject: &str,
    ) -> Result<Self> {
        let token = issuer.token(http, subject).await?;
        Ok(Self { http: http.clone(), url: format!("{gateway}/graphql"), token })
    }

    /// The bearer token, for people who want to look around.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The whole answer to an operation, whatever it is.
    pub async fn answer(&self, document: &str, variables: Value) -> Result<Value> {
        let answer = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("accept", "application/graphql-response+json")
            .json(&json!({ "query": document, "variables": variables }))
            .send()
            .await?;
        let status = answer.status();
        answer.json().await.with_context(|| format!("the gateway answered {status} without JSON"))
    }

    /// The data of a query; an answer with errors is an error.
    pub async fn query(&self, document: &str, variables: Value) -> Result<Value> {
        let mut answer = self.answer(document, variables).await?;
        ensure!(answer.get("errors").is_none(), "the query failed: {}", answer["errors"]);
        Ok(answer["data"].take())
    }

    /// Carries out a mutation and answers with its payload; a refusal is an error.
    pub async fn mutate(&self, name: &str, input: Value, fields: &str) -> Result<Value> {
        let payload = self.attempt(name, input, fields).await?;
        let refused = payload["userErrors"].as_array().is_some_and(|errors| !errors.is_empty());
        ensure!(!refused, "{name} was refused: {}", payload["userErrors"]);
        Ok(payload)
    }

    /// Attempts a mutation that must be refused; answers with the code of the refusal.
    pub async fn refused(&self, name: &str, input: Value) -> Result<String> {
        let payload = self.attempt(name, input, "").await?;
        payload["userErrors"][0]["code"]
            .as_str()
            .map(ToOwned::to_owned)
            .with_context(|| format!("{name} was not refused: {payload}"))
    }

    /// Sends a mutation; the same one again, with the same key, as long as servers are away.
    pub async fn attempt(&self, name: &str, mut input: Value, fields: &str) -> Result<Value> {
        if input.get("idempotencyKey").is_none() {
            input["idempotencyKey"] = json!(uuid::Uuid::new_v4());
        }
        let type_name = name[..1].to_uppercase() + &name[1..];
        let document = format!(
            "mutation($input: {type_name}Input!) {{ {name}(input: $input) {{ {fields} position repeated \
             userErrors {{ code message field }} }} }}"
        );
        let deadline = Instant::now() + OUTAGE_PATIENCE;
        loop {
            let failure = match self.answer(&document, json!({ "input": input })).await {
                Ok(mut answer) if answer.get("errors").is_none() => return Ok(answer["data"][name].take()),
                Ok(answer) if !is_outage(&answer["errors"]) => bail!("{name} failed: {}", answer["errors"]),
                Ok(answer) => answer["errors"].to_string(),
                Err(error) => format!("{error:#}"),
            };
            ensure!(Instant::now() < deadline, "{name} found no servers: {failure}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until the views show what a mutation wrote.
    pub async fn settle(&self, payload: &Value) -> Result<()> {
        crate::wait::until("the views to show what was written", async || {
            let position = json!({ "position": payload["position"] });
            self.query("query($position: Position) { position(waitFor: $position) }", position)
                .await
                .map(Some)
        })
        .await?;
        Ok(())
    }

    /// Opens a subscription over server-sent events; every item is the `data` of one `next` event.
    pub async fn subscribe(
        &self,
        document: &str,
        variables: Value,
    ) -> Result<impl futures_util::Stream<Item = Result<Value>> + use<>> {
        let answer = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("accept", "text/event-stream")
            .json(&json!({ "query": document, "variables": variables }))
            .send()
            .await?;
        ensure!(answer.status().is_success(), "the subscription was refused with {}", answer.status());
        let chunks = answer.bytes_stream();
        Ok(futures_util::stream::unfold((chunks, String::new()), |(mut chunks, mut buffer)| async move {
            loop {
                if let Some(end) = buffer.find("\n\n") {
                    let event: String = buffer.drain(..end + 2).collect();
                    if let Some(item) = next_data(&event) {
                        return Some((item, (chunks, buffer)));
                    }
                    continue;
                }
                match chunks.next().await? {
                    Ok(bytes) => buffer.push_str(&String::from_utf8_lossy(&bytes).replace("\r\n", "\n")),
                    Err(error) => return Some((Err(error.into()), (chunks, buffer))),
                }
            }
        }))
    }
}

/// The payload of a `next` event; comments, `complete` and the like give none.
fn next_data(event: &str) -> Option<Result<Value>> {
    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
    if !event.contains("event: next") && !event.contains("event:next") {
        return None;
    }
    Some(serde_json::from_str::<Value>(&data).map(|mut item| item["data"].take()).map_err(Into::into))
}

/// Codes that say: the same again later.
fn is_outage(errors: &Value) -> bool {
    const CODES: [&str; 8] = [
        "store.unavailable",
        "web.service_unavailable",
        "web.service_timeout",
        "views.unavailable",
        "views.behind",
        "access.issuer_unavailable",
        "store.busy",
        "store.behind",
    ];
    errors.as_array().is_some_and(|errors| {
        errors.iter().any(|error| CODES.iter().any(|code| error["extensions"]["code"] == *code))
    })
}
