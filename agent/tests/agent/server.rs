//! A server of a page: lets agents enrol, checks every signature for real, hands out jobs, keeps what it is told.

use contracts::agent::{CheckInAnswer, EnrolAnswer, EnrolRequest, JobReport, Receipt, ScanReport, SignedJob};
use contracts::devices::JobStep;
use ed25519_dalek::{SigningKey, VerifyingKey};
use kernel::{CustomerId, DeviceId, JobId};
use serde::Serialize;
use signing::{Claim, RequestParts};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(crate) const TOKEN: &str = "one-time-token";
/// Ends a test that waits in vain; nothing here takes nearly as long.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a job request of the agent waits here: short, so that tests end soon.
const JOB_WAIT: Duration = Duration::from_millis(300);

/// A report as it came in.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Scan { report: ScanReport, traceparent: Option<String> },
    Step { job_id: JobId, report: JobReport, traceparent: Option<String> },
}

impl Told {
    pub(crate) fn report_id(&self) -> Uuid {
        match self {
            Self::Scan { report, .. } => report.report_id,
            Self::Step { report, .. } => report.report_id,
        }
    }

    pub(crate) fn step(&self) -> Option<&JobStep> {
        match self {
            Self::Scan { .. } => None,
            Self::Step { report, .. } => Some(&report.report),
        }
    }

    pub(crate) fn scan(&self) -> Option<&ScanReport> {
        match self {
            Self::Scan { report, .. } => Some(report),
            Self::Step { .. } => None,
        }
    }

    pub(crate) fn traceparent(&self) -> Option<&str> {
        match self {
            Self::Scan { traceparent, .. } | Self::Step { traceparent, .. } => traceparent.as_deref(),
        }
    }
}

/// How the server treats reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Hangs up on every request without an answer.
    Away,
    /// Keeps the next report, but its answer is lost on the way.
    LosesOneAnswer,
    /// Answers reports of job steps with 422.
    RefusesSteps,
}

#[derive(Default)]
struct Inside {
    mood: Mood,
    enrolled: Option<(EnrolRequest, VerifyingKey)>,
    jobs: VecDeque<SignedJob>,
    told: Vec<Told>,
    /// Attempts to report while away.
    hung_up: usize,
    check_ins: usize,
    inventories: HashSet<String>,
    nonces: HashSet<String>,
    faults: Vec<String>,
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) device_id: DeviceId,
    pub(crate) job_key: SigningKey,
    inside: Arc<(Mutex<Inside>, Condvar)>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            device_id: DeviceId(Uuid::from_u128(7)),
            job_key: SigningKey::from_bytes(&[3; 32]),
            inside: Arc::default(),
        };
        let (inside, device_id, job_key) = (server.inside.clone(), server.device_id, server.job_key.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inside, job_key) = (inside.clone(), job_key.clone());
                std::thread::spawn(move || serve(&inside, device_id, &job_key, stream));
            }
        });
        server
    }

    pub(crate) fn give(&self, job: SignedJob) {
        self.inside.0.lock().unwrap().jobs.push_back(job);
        self.inside.1.notify_all();
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.inside.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.inside.0.lock().unwrap().told.clone()
    }

    pub(crate) fn enrolment(&self) -> EnrolRequest {
        self.inside.0.lock().unwrap().enrolled.clone().unwrap().0
    }

    /// The steps of a job in the order in which they came; a report that came twice counts once.
    pub(crate) fn steps(&self, job_id: JobId) -> Vec<JobStep> {
        let mut seen = HashSet::new();
        let of_job = |told: &Told| match told {
            Told::Step { job_id: of, report, .. } if *of == job_id => {
                seen.insert(report.report_id).then(|| report.report.clone())
            }
            Told::Step { .. } | Told::Scan { .. } => None,
        };
        self.told().iter().filter_map(of_job).collect()
    }

    pub(crate) fn wait_for_told(&self, what: &str, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        self.wait(what, |inside| enough(&inside.told)).told.clone()
    }

    /// Waits for the scan that answers a job, with its inventory or without.
    pub(crate) fn wait_for_scan(&self, job_id: JobId) -> ScanReport {
        let of_job = |told: &Told| told.scan().filter(|s| s.job_id == Some(job_id)).cloned();
        let told = self.wait_for_told("a scan report", |told| told.iter().any(|t| of_job(t).is_some()));
        told.iter().find_map(of_job).unwrap()
    }

    pub(crate) fn wait_until_enrolled(&self) {
        drop(self.wait("an enrolment", |inside| inside.enrolled.is_some()));
    }

    pub(crate) fn wait_for_check_in(&self) {
        drop(self.wait("a check-in", |inside| inside.check_ins > 0));
    }

    pub(crate) fn wait_until_hung_up(&self, times: usize) {
        drop(self.wait("attempts to report", |inside| inside.hung_up >= times));
    }

    fn wait(&self, what: &str, enough: impl Fn(&Inside) -> bool) -> MutexGuard<'_, Inside> {
        let deadline = Instant::now() + PATIENCE;
        let mut inside = self.inside.0.lock().unwrap();
        while !enough(&inside) {
            assert!(inside.faults.is_empty(), "the server found fault: {:?}", inside.faults);
            assert!(Instant::now() < deadline, "waited in vain for {what}; told so far: {:#?}", inside.told);
            inside = self.inside.1.wait_timeout(inside, Duration::from_millis(100)).unwrap().0;
        }
        inside
    }
}

fn serve(inside: &(Mutex<Inside>, Condvar), device_id: DeviceId, job_key: &SigningKey, stream: TcpStream) {
    let Some(request) = read(&stream) else { return };
    let answered = answer(inside, device_id, job_key, &request);
    inside.1.notify_all();
    let Some((status, body)) = answered else { return };
    let head = format!(
        "HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

type Answer = Option<(u16, Vec<u8>)>;

#[expect(clippy::unnecessary_wraps, reason = "hanging up without an answer is the other one")]
fn json(status: u16, value: &impl Serialize) -> Answer {
    Some((status, serde_json::to_vec(value).unwrap()))
}

fn problem(status: u16, code: &str) -> Answer {
    json(status, &serde_json::json!({ "code": code, "detail": "in words" }))
}

fn answer(
    (inside, changed): &(Mutex<Inside>, Condvar),
    device_id: DeviceId,
    job_key: &SigningKey,
    request: &Request,
) -> Answer {
    let mut state = inside.lock().unwrap();
    let reporting = request.path.ends_with("/reports") || request.path.ends_with("/scans");
    if state.mood == Mood::Away {
        state.hung_up += usize::from(reporting);
        return None;
    }
    if request.path == "/agent/v1/enrol" {
        let asked: EnrolRequest = serde_json::from_slice(&request.body).unwrap();
        if asked.token != TOKEN || state.enrolled.is_some() {
            return problem(401, "devices.token_refused");
        }
        let key = signing::public_key(&asked.public_key).unwrap();
        state.enrolled = Some((asked, key));
        let job_public_key = signing::public_key_text(&job_key.verifying_key());
        let customer_id = CustomerId(Uuid::from_u128(1));
        return json(201, &EnrolAnswer { device_id, customer_id, job_public_key });
    }
    if let Err(fault) = check_signature(&mut state, device_id, request) {
        state.faults.push(format!("{} {}: {fault}", request.method, request.path));
        return problem(401, "agent.signature_invalid");
    }
    let traceparent = request.headers.get("traceparent").cloned();
    let mut inventory_wanted = false;
    match request.path.as_str() {
        "/agent/v1/checkin" => {
            state.check_ins += 1;
            return json(200, &CheckInAnswer { inventory_wanted: false, check_in_after_seconds: 1 });
        }
        "/agent/v1/jobs" => {
            let deadline = Instant::now() + JOB_WAIT;
            while state.jobs.is_empty() && Instant::now() < deadline {
                state = changed.wait_timeout(state, JOB_WAIT).unwrap().0;
            }
            return match state.jobs.pop_front() {
                Some(job) => json(200, &job),
                None => Some((204, Vec::new())),
            };
        }
        "/agent/v1/scans" => {
            let report: ScanReport = serde_json::from_slice(&request.body).unwrap();
            if report.inventory.is_some() {
                state.inventories.insert(report.inventory_hash.clone());
            }
            inventory_wanted = !state.inventories.contains(&report.inventory_hash);
            state.told.push(Told::Scan { report, traceparent });
        }
        path => {
            let id = path.strip_prefix("/agent/v1/jobs/").and_then(|p| p.strip_suffix("/reports")).unwrap();
            if state.mood == Mood::RefusesSteps {
                return problem(422, "devices.report_refused");
            }
            let report = serde_json::from_slice(&request.body).unwrap();
            state.told.push(Told::Step { job_id: id.parse().unwrap(), report, traceparent });
        }
    }
    if state.mood == Mood::LosesOneAnswer {
        state.mood = Mood::Well;
        return None;
    }
    json(202, &Receipt { inventory_wanted })
}

fn check_signature(state: &mut Inside, device_id: DeviceId, request: &Request) -> Result<(), String> {
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let claim = Claim::read(header("content-digest"), header("signature-input"), header("signature"))
        .map_err(|e| e.to_string())?;
    if claim.keyid() != device_id.to_string() {
        return Err(format!("keyid {}", claim.keyid()));
    }
    let Some((_, key)) = &state.enrolled else { return Err("not enrolled".to_owned()) };
    let parts = RequestParts {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        body: &request.body,
    };
    claim.verify(key, parts, patchfleet_agent::clock::now().timestamp(), 300).map_err(|e| e.to_string())?;
    if state.nonces.insert(claim.nonce().to_owned()) { Ok(()) } else { Err("nonce used twice".to_owned()) }
}
