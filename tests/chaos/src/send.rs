//! Sends a command until it is acknowledged, always with the same id.

use crate::plan::{Step, Way};
use access::{Caller, Grant, InternalAuth};
use anyhow::{Context, Result};
use contracts::{Service, permissions::Role};
use journeys::{api::Issuer, chaos::World};
use kernel::{Scope, UserId};
use reqwest::StatusCode;
use runtime::{Clock, SystemClock};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Longer than a service waits for its own consumers before it says so.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// Wait before the same command is sent again: short, so that restarting services are met at every stage.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) caller: Caller,
}

impl Person {
    /// The platform's operator.
    pub(crate) fn operator(subject: &str) -> Self {
        Self::new(subject, crate::plan::operator_id(subject), Scope::Platform, Role::PlatformOperator)
    }

    /// The administrator of a partner.
    pub(crate) fn of(partner: &crate::plan::Partner) -> Self {
        let scope = Scope::Partner { partner_id: partner.id };
        Self::new(&partner.subject, partner.person, scope, Role::PartnerAdmin)
    }

    fn new(subject: &str, user_id: UserId, scope: Scope, role: Role) -> Self {
        let caller =
            Caller { user_id, subject: subject.to_owned(), scope, grants: vec![Grant::everywhere(role)] };
        Self { subject: subject.to_owned(), caller }
    }
}

/// What the system said of a command that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Where its last event arrived, where the service itself answered.
    pub(crate) pos: Option<i64>,
    /// The position of its last event, where the gateway answered.
    pub(crate) position: Option<i64>,
    /// Whether it had been carried out before.
    pub(crate) repeated: bool,
    /// What a service answered beside.
    pub(crate) answer: Value,
}

/// What became of one attempt.
pub(crate) enum Attempt<T> {
    /// It is done.
    Taken(T),
    /// An error, a time-out, or nothing; with what it was.
    Again(String),
    /// A rule's no, which no command of the plan deserves.
    Refused(String),
}

/// The driver's side of the network.
pub(crate) struct Sender {
    pub(crate) http: reqwest::Client,
    auth: InternalAuth,
    issuer: Issuer,
    services: BTreeMap<String, Vec<String>>,
    tokens: Mutex<HashMap<String, String>>,
    turn: AtomicU64,
    /// Attempts that were answered with an error or not at all, by what was answered.
    failures: Mutex<BTreeMap<String, u64>>,
    /// Answers that said: carried out before.
    pub(crate) repeated: AtomicU64,
}

impl Sender {
    pub(crate) fn new(world: &World) -> Result<Self> {
        let settings = serde_json::from_value(json!({ "secret": world.internal_secret }))
            .context("the secret between services")?;
        let issuer = Issuer {
            url: world.services.get("tenancy").and_then(|urls| urls.first()).cloned().unwrap_or_default(),
            client_secret: world.client_secret.clone(),
        };
        Ok(Self {
            http: runtime::http::internal_client(ANSWER_LIMIT).context("making an HTTP client")?,
            auth: InternalAuth::new(&settings),
            issuer,
            services: world.services.clone(),
            tokens: Mutex::default(),
            turn: AtomicU64::new(0),
            failures: Mutex::default(),
            repeated: AtomicU64::new(0),
        })
    }

    /// Sends until the command is acknowledged; an error is a refusal.
    pub(crate) async fn until_acknowledged(
        &self,
        person: &Person,
        step: &Step,
    ) -> Result<Acknowledged, String> {
        let acknowledged = self.until_taken(|| self.attempt(person, step)).await?;
        if acknowledged.repeated {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(acknowledged)
    }

    /// Attempts the same until it is taken; an error is a refusal.
    pub(crate) async fn until_taken<T, Fut>(&self, mut attempt: impl FnMut() -> Fut) -> Result<T, String>
    where
        Fut: Future<Output = Attempt<T>>,
    {
        let mut pause = PAUSE_MIN;
        loop {
            match attempt().await {
                Attempt::Taken(taken) => return Ok(taken),
                Attempt::Refused(code) => return Err(code),
                Attempt::Again(what) => {
                    *lock(&self.failures).entry(what).or_default() += 1;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn attempt(&self, person: &Person, step: &Step) -> Attempt<Acknowledged> {
        match step.way {
            Way::Internal => self.command(person, step).await,
            Way::GraphQl => self.mutation(person, step).await,
        }
    }

    /// One of the processes that run the service, in turn: a standby takes commands as well.
    pub(crate) fn url(&self, service: Service) -> String {
        let urls = self.services.get(service.name()).map(Vec::as_slice).unwrap_or_default();
        let turn = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
        urls.get(turn % urls.len().max(1)).cloned().unwrap_or_default()
    }

    async fn command(&self, person: &Person, step: &Step) -> Attempt<Acknowledged> {
        let Ok(assertion) = self.auth.assertion(&person.caller, step.service, SystemClock.now()) else {
            return Attempt::Refused("the statement about the caller cannot be signed".to_owned());
        };
        let body = json!({
            "command": step.body, "commandId": step.command_id, "correlationId": step.command_id,
        });
        let url = format!("{}/commands/{}", self.url(step.service), step.name);
        let answer = match self.http.post(url).bearer_auth(assertion).json(&body).send().await {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        let status = answer.status();
        let answer = match answer.json::<Value>().await {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        if status.is_success() {
            Attempt::Taken(Acknowledged {
                pos: answer["written"]["pos"].as_i64(),
                position: None,
                repeated: answer["repeated"] == true,
                answer: answer["answer"].clone(),
            })
        } else if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            Attempt::Refused(answer["code"].to_string())
        } else {
            Attempt::Again(format!("{}: {}", status.as_u16(), answer["code"].as_str().unwrap_or("no code")))
        }
    }

    async fn mutation(&self, person: &Person, step: &Step) -> Attempt<Acknowledged> {
        let Some(token) = self.token(&person.subject).await else {
            return Attempt::Again("no token".to_owned());
        };
        let type_name = step.name[..1].to_uppercase() + &step.name[1..];
        let document = format!(
            "mutation($input: {type_name}Input!) {{ {}(input: $input) {{ position repeated userErrors {{ code }} }} }}",
            step.name
        );
        let sent = self
            .http
            .post(format!("{}/graphql", self.url(Service::Gateway)))
            .bearer_auth(token)
            .header("accept", "application/graphql-response+json")
            .json(&json!({ "query": document, "variables": { "input": step.body } }))
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The issuer was restarted with another key, or the token is too old.
            lock(&self.tokens).remove(&person.subject);
            return Attempt::Again("GraphQL: the token is not accepted".to_owned());
        }
        let answer = match answer.json::<Value>().await {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        let payload = &answer["data"][&step.name];
        if answer.get("errors").is_some() || payload.is_null() {
            let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("no code");
            return Attempt::Again(format!("GraphQL: {code}"));
        }
        if let Some(refusal) = payload["userErrors"].as_array().and_then(|errors| errors.first()) {
            return Attempt::Refused(refusal["code"].to_string());
        }
        let position = &payload["position"];
        Attempt::Taken(Acknowledged {
            pos: None,
            position: position.as_i64().or_else(|| position.as_str()?.parse().ok()),
            repeated: payload["repeated"] == true,
            answer: Value::Null,
        })
    }

    async fn token(&self, subject: &str) -> Option<String> {
        let known = lock(&self.tokens).get(subject).cloned();
        if known.is_some() {
            return known;
        }
        let token = self.issuer.token(&self.http, subject).await.ok()?;
        lock(&self.tokens).insert(subject.to_owned(), token.clone());
        Some(token)
    }

    /// What attempts were answered with, and how often.
    pub(crate) fn failures(&self) -> BTreeMap<String, u64> {
        lock(&self.failures).clone()
    }
}

/// No answer, or half of one.
pub(crate) fn lost<T>(error: &reqwest::Error) -> Attempt<T> {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection was lost"
    };
    Attempt::Again(what.to_owned())
}

/// A panic elsewhere must not hide what was counted.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
