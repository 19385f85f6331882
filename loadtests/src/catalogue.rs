//! Searches of the catalogue through the running program, by eight people at once: each kind of search with what the
//! catalogue really holds.

use crate::options::Options;
use crate::report::{Figure, Goal, Report};
use crate::rounds::Samples;
use crate::statistics::Spread;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// People who search at the same time, each without a pause.
const CLIENTS: usize = 8;
/// Searches of one person in a round; few enough that a round takes seconds, enough for a 99th percentile over all.
const SEARCHES: usize = 220;
/// Pages of patches from which the searches take what they look for.
const SAMPLE_PAGES: usize = 60;
/// What 99 of 100 searches must not exceed.
const P99_MS: f64 = 20.0;

const NOTES: [&str; 3] = [
    "The whole program answers over HTTP: sign-in, permissions, row-level security, reading, JSON. The clients run on the same machine, and their time is part of the figures.",
    "What is searched for is taken from the catalogue itself, from pages spread over all of it; a page of the answer has 20 patches with 9 fields.",
    "PostgreSQL keeps what it has acknowledged (fsync on); the catalogue's tables are vacuumed and analysed, as the server does by itself soon after an import.",
];

/// Where to search, as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The address of GraphQL
    #[arg(long)]
    pub url: String,
    /// A bearer token
    #[arg(long, env = "PATCHFLEET_BENCH_TOKEN", hide_env_values = true)]
    pub token: String,
    /// How the documents of the catalogue were taken in, for the report
    #[arg(long = "note")]
    pub notes: Vec<String>,
}

/// What the catalogue holds, in the order of the pages.
#[derive(Debug, Default)]
struct Stock {
    ids: Vec<String>,
    kbs: Vec<String>,
    cves: Vec<String>,
    words: Vec<String>,
    products: Vec<String>,
    months: Vec<String>,
}

/// One kind of search: its name, and the search for the nth thing of the stock.
type Kind = (&'static str, fn(&Stock, usize) -> String);

const KINDS: [Kind; 20] = [
    ("everything", |_, _| "{}".to_owned()),
    ("exact vendor id", |stock, n| format!("{{ vendorPatchId: {} }}", text(&stock.ids, n))),
    ("exact KB", |stock, n| format!("{{ kb: {} }}", text(&stock.kbs, n))),
    ("exact CVE", |stock, n| format!("{{ cve: {} }}", text(&stock.cves, n))),
    ("beginning of a CVE", |stock, n| {
        let cve = pick(&stock.cves, n);
        format!("{{ text: {:?} }}", cve.get(..cve.len() - 2).unwrap_or(cve))
    }),
    ("one word", |stock, n| format!("{{ text: {} }}", text(&stock.words, n))),
    ("a frequent word", |_, _| "{ text: \"security\" }".to_owned()),
    ("a frequent and another word", |stock, n| {
        format!("{{ text: {:?} }}", format!("security {}", pick(&stock.words, n)))
    }),
    ("frequent words that never meet", |_, _| "{ text: \"dsa windows\" }".to_owned()),
    ("a word that is nowhere", |_, n| format!("{{ text: \"zebra{n}\" }}")),
    ("product", |stock, n| format!("{{ product: {} }}", text(&stock.products, n))),
    ("product and text", |stock, n| {
        format!("{{ product: {}, text: {} }}", text(&stock.products, n), text(&stock.words, n))
    }),
    ("severity", |_, _| "{ severities: [CRITICAL] }".to_owned()),
    ("severity and platform", |_, _| "{ severities: [CRITICAL, HIGH], platform: WINDOWS }".to_owned()),
    ("platform and classification", |_, _| "{ platform: LINUX, classifications: [SECURITY] }".to_owned()),
    ("filters that nothing passes", |_, _| "{ platform: LINUX, classifications: [DRIVER] }".to_owned()),
    ("KEV", |_, _| "{ kev: true }".to_owned()),
    ("KEV, severities, text", |_, _| {
        "{ kev: true, severities: [CRITICAL, HIGH, MEDIUM, LOW], text: \"update\" }".to_owned()
    }),
    ("state", |_, _| "{ state: SUPERSEDED }".to_owned()),
    ("a month of releases", |stock, n| {
        let month = pick(&stock.months, n);
        format!("{{ releasedFrom: \"{month}-01\", releasedTo: \"{month}-28\" }}")
    }),
];

fn pick(of: &[String], n: usize) -> &str {
    // A stride that no stock's length divides: neighbours in the catalogue are alike.
    of.get(n * 7_919 % of.len().max(1)).map_or("", String::as_str)
}

fn text(of: &[String], n: usize) -> String {
    format!("{:?}", pick(of, n))
}

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    place: Place,
}

impl Client {
    async fn ask(&self, document: &str) -> Result<Value> {
        let answer = self
            .http
            .post(&self.place.url)
            .bearer_auth(&self.place.token)
            .json(&serde_json::json!({ "query": document }))
            .send()
            .await?
            .json::<Value>()
            .await?;
        match answer.get("errors") {
            Some(errors) => bail!("{document} was answered with {errors}"),
            None => Ok(answer),
        }
    }

    async fn stock(&self) -> Result<Stock> {
        let mut stock = Stock::default();
        let mut products = BTreeSet::new();
        let mut months = BTreeSet::new();
        // Half of the pages from the newest on, half from where the years are.
        for start in ["", "releasedTo: \"2022-12-31\"", "releasedTo: \"2015-12-31\""] {
            let mut after = String::new();
            for _ in 0..SAMPLE_PAGES / 3 {
                let answer = self
                    .ask(&format!(
                        "{{ patches(first: 100{after}, search: {{ {start} }}) {{ pageInfo {{ endCursor hasNextPage }}
                         nodes {{ vendorPatchId name platform releaseDate cves osVersions }} }} }}"
                    ))
                    .await?;
                let page = &answer["data"]["patches"];
                for patch in page["nodes"].as_array().context("there are no nodes")? {
                    let of = |field: &str| patch[field].as_str().unwrap_or_default().to_owned();
                    let id = of("vendorPatchId");
                    if let Some(number) = id.strip_prefix("KB") {
                        stock.kbs.push(number.to_owned());
                    }
                    stock.ids.push(id);
                    let name = of("name");
                    let word = name
                        .split_whitespace()
                        .find(|word| word.len() > 3 && word.chars().all(|c| c.is_ascii_alphanumeric()));
                    stock.words.extend(word.map(str::to_lowercase));
                    let list = |field: &str| patch[field].as_array().cloned().unwrap_or_default();
                    stock.cves.extend(list("cves").iter().filter_map(Value::as_str).map(ToOwned::to_owned));
                    products
                        .extend(list("osVersions").iter().filter_map(Value::as_str).map(ToOwned::to_owned));
                    months.extend(of("releaseDate").get(..7).map(ToOwned::to_owned));
                }
                if page["pageInfo"]["hasNextPage"] != true {
                    break;
                }
                after = format!(", after: {}", page["pageInfo"]["endCursor"]);
            }
        }
        stock.products = products.into_iter().collect();
        stock.months = months.into_iter().collect();
        for (what, of) in [
            ("ids", &stock.ids),
            ("KBs", &stock.kbs),
            ("vulnerabilities", &stock.cves),
            ("words", &stock.words),
            ("products", &stock.products),
        ] {
            ensure!(!of.is_empty(), "the catalogue holds no {what}; take documents in first");
        }
        Ok(stock)
    }

    /// One round of one person.
    async fn search(self, stock: &Stock, client: usize, selection: &str) -> Result<Vec<(usize, Duration)>> {
        let mut times = Vec::with_capacity(SEARCHES);
        for number in 0..SEARCHES {
            let kind = (number + client * 3) % KINDS.len();
            let Some((_, search)) = KINDS.get(kind) else { continue };
            let search = search(stock, number * CLIENTS + client);
            let document = format!(
                "{{ patches(first: 20, search: {search}) {{ {selection}pageInfo {{ endCursor hasNextPage }}
                 nodes {{ id vendorPatchId name platform severity state releaseDate isKev cves }} }} }}"
            );
            let begun = Instant::now();
            self.ask(&document).await?;
            times.push((kind, begun.elapsed()));
        }
        Ok(times)
    }
}

/// Measures what the options ask for.
pub async fn run(options: &Options, place: &Place) -> Result<Report> {
    let mut report = Report::begin("catalogue", options);
    report.notes.extend(NOTES.map(str::to_owned));
    report.notes.extend(place.notes.iter().cloned());
    // Fails only if somebody installed a provider before: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().context("building an HTTP client")?;
    let client = Client { http, place: place.clone() };
    let stock = client.stock().await?;
    for (part, selection) in [("a page", ""), ("a page and the count of all", "totalCount ")] {
        let mut samples = Samples::default();
        let mut by_kind: Vec<Vec<f64>> = vec![Vec::new(); KINDS.len()];
        // The first round only warms up.
        for round in 0..=options.rounds() {
            let clients = (0..CLIENTS).map(|number| client.clone().search(&stock, number, selection));
            let times = futures_util::future::try_join_all(clients).await?;
            if round == 0 {
                continue;
            }
            let mut all = Vec::new();
            for (kind, time) in times.into_iter().flatten() {
                let milliseconds = time.as_secs_f64() * 1_000.0;
                all.push(milliseconds);
                if let Some(of_kind) = by_kind.get_mut(kind) {
                    of_kind.push(milliseconds);
                }
            }
            samples.record("p50", percentile(&mut all, 50));
            samples.record("p99", percentile(&mut all, 99));
        }
        let setting = format!("{CLIENTS} clients, all kinds");
        for (what, goal) in [("p50", None), ("p99", Some(Goal::AtMost(P99_MS)))] {
            report.figures.push(Figure::alone(part, what, &setting, samples.spread(what), "ms", goal));
        }
        for ((name, _), mut times) in KINDS.iter().zip(by_kind) {
            let spread = Spread::of(&[percentile(&mut times, 99)]);
            report.figures.push(Figure::alone(part, *name, "p99 of all rounds", spread, "ms", None));
        }
    }
    Ok(report)
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(f64::NAN)
}
