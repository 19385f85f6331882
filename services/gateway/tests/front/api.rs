//! A small API behind the front, on a port of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{App, HttpServer};
use async_graphql::{Context, Error, ErrorExtensions, Object, Result, Schema, Subscription};
use futures_util::stream::{self, Stream, StreamExt};
use gateway::front::{Authenticator, Denied, Front, Limits, Session, Settings};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) struct Caller(&'static str);

/// How many subscriptions are being followed right now.
#[derive(Clone, Default)]
pub(crate) struct Followed(Arc<AtomicUsize>);

struct Following(Followed);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Query;

#[Object]
impl Query {
    async fn hello(&self, #[graphql(default_with = "\"world\".to_owned()")] name: String) -> String {
        format!("hello {name}")
    }

    async fn caller(&self, ctx: &Context<'_>) -> &'static str {
        ctx.data_unchecked::<Caller>().0
    }

    async fn patch(&self) -> Patch {
        Patch
    }

    async fn sum(&self, numbers: Vec<i32>) -> i32 {
        numbers.iter().fold(0, |sum, number| sum.wrapping_add(*number))
    }

    async fn maybe_forbidden(&self) -> Result<Option<i32>> {
        Err(Error::new("only for operators").extend_with(|_, values| values.set("code", "access.forbidden")))
    }

    async fn broken(&self) -> Result<i32> {
        Err(std::io::Error::other("connection to postgres://secret@db refused"))?
    }

    async fn tree(&self) -> Option<Tree> {
        Some(Tree(0))
    }

    async fn endless(&self) -> i32 {
        std::future::pending().await
    }

    async fn with_header(&self, ctx: &Context<'_>) -> bool {
        ctx.insert_http_header("x-position", "42");
        true
    }
}

pub(crate) struct Patch;

#[Object]
impl Patch {
    async fn title(&self) -> &'static str {
        "KB5000001"
    }

    async fn superseded(&self) -> Patch {
        Patch
    }

    #[graphql(complexity = "usize::try_from(first).unwrap_or(0) * child_complexity")]
    async fn devices(&self, first: i32) -> Vec<Device> {
        (0..first.clamp(0, 100)).map(Device).collect()
    }
}

pub(crate) struct Device(i32);

#[Object]
impl Device {
    async fn name(&self) -> String {
        format!("device-{}", self.0)
    }
}

pub(crate) struct Tree(i32);

#[Object]
impl Tree {
    async fn name(&self) -> String {
        self.0.to_string()
    }

    async fn broken(&self) -> Result<i32> {
        Err(Error::new("broken"))
    }

    async fn broken_at(&self, index: i32) -> Result<i32> {
        if self.0 == index { Err(Error::new("broken")) } else { Ok(self.0) }
    }

    async fn maybe(&self) -> Result<Option<i32>> {
        Err(Error::new("broken"))
    }

    async fn branches(&self) -> Vec<Tree> {
        vec![Tree(0), Tree(1)]
    }

    async fn leaves(&self) -> Vec<Option<Tree>> {
        vec![Some(Tree(0)), Some(Tree(1))]
    }
}

pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn record(&self, name: String) -> String {
        format!("recorded {name}")
    }
}

pub(crate) struct Subscriptions;

#[Subscription]
impl Subscriptions {
    async fn count_to(&self, last: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=last)
    }

    /// One event, and then nothing until the client or the server ends it.
    async fn endless(&self, ctx: &Context<'_>) -> impl Stream<Item = &'static str> {
        let followed = ctx.data_unchecked::<Followed>().clone();
        followed.0.fetch_add(1, Ordering::SeqCst);
        let following = Following(followed);
        let caller = ctx.data_unchecked::<Caller>().0;
        stream::once(async move { caller }).chain(stream::pending()).map(move |caller| {
            let _until_dropped = &following;
            caller
        })
    }

    async fn forbidden(&self) -> Result<impl Stream<Item = i32>> {
        let refused =
            Error::new("only for operators").extend_with(|_, values| values.set("code", "access.forbidden"));
        Err::<stream::Empty<i32>, _>(refused)
    }
}

struct Tokens {
    anonymous: bool,
}

#[async_trait::async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Session, Denied> {
        let session = |name| Session::new(move |request| request.data(Caller(name)));
        let unauthenticated = |message: &str| Denied::Unauthenticated {
            code: "access.unauthenticated".to_owned(),
            message: message.to_owned(),
        };
        match headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap()) {
            None if self.anonymous => Ok(session("nobody")),
            None => Err(unauthenticated("a token is needed")),
            Some("Bearer alice") => Ok(session("alice")),
            Some("Bearer brief") => Ok(session("brief").expires_in(Duration::from_millis(100))),
            Some("Bearer outage") => Err(Denied::Unavailable {
                code: "access.keys_unavailable".to_owned(),
                message: "the keys of the issuer cannot be read".to_owned(),
            }),
            Some("Bearer stall") => std::future::pending().await,
            Some(_) => Err(unauthenticated("the token is not valid")),
        }
    }
}

pub(crate) struct Api {
    pub(crate) address: String,
    pub(crate) stop: CancellationToken,
    pub(crate) server: ServerHandle,
    followed: Followed,
}

pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) anonymous: bool,
    pub(crate) development: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), anonymous: true, development: false }
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::start_with(Setup { limits, ..Setup::default() }).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let followed = Followed::default();
        let stop = CancellationToken::new();
        let schema =
            setup.limits.guard(Schema::build(Query, Mutation, Subscriptions)).data(followed.clone()).finish();
        let front = Front::new(
            schema,
            Settings {
                authenticator: Box::new(Tokens { anonymous: setup.anonymous }),
                limits: setup.limits,
                development: setup.development,
                stop: stop.clone(),
            },
        );
        let server = HttpServer::new(move || App::new().configure(|config| front.configure(config)))
            .workers(1)
            .disable_signals()
            // Without this a client that left an event stream is noticed at the second beat after it.
            .h1_allow_half_closed(false)
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0].to_string();
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, stop, server: handle, followed }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    pub(crate) fn post(&self, query: &str) -> reqwest::RequestBuilder {
        self.post_json(&json!({ "query": query }))
    }

    pub(crate) fn post_json(&self, body: &Value) -> reqwest::RequestBuilder {
        reqwest::Client::new()
            .post(self.url())
            .header("accept", "application/graphql-response+json")
            .json(body)
    }

    pub(crate) fn get(&self, parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut url = url_of(&self.url(), parameters);
        if parameters.is_empty() {
            url = self.url();
        }
        reqwest::Client::new().get(url).header("accept", "application/graphql-response+json")
    }

    /// Waits until this many subscriptions are being followed.
    pub(crate) async fn until_followed(&self, count: usize) {
        let reached = async {
            while self.followed.0.load(Ordering::SeqCst) != count {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "{} subscriptions are followed", self.followed.0.load(Ordering::SeqCst));
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
        // Asks the server to stop; the runtime of the test ends with it.
        drop(self.server.stop(false));
    }
}

fn url_of(base: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = parameters.iter().map(|(name, value)| {
        let value: Vec<_> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{name}={}", value.concat())
    });
    format!("{base}?{}", encoded.collect::<Vec<_>>().join("&"))
}

pub(crate) fn codes(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("none")).collect()
}
