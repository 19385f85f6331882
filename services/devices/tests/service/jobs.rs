//! Jobs on their way to agents, and what agents say of them.

use crate::house::{Agent, House, bookworm, code, dsa, now, packages, patch_id, read, scan_of};
use chrono::TimeDelta;
use contracts::{
    DevicePlatform,
    agent::{Job, JobReport, ScanReport, SignedJob, Work},
    devices::{JobStep, MissingPackage},
    scheduling::{
        DeviceJobEvent, DeviceJobQueued, PatchOrder, RebootPolicy, ScanJobEvent, ScanReason, ScanRequested,
    },
};
use kernel::{DeviceId, JobId};
use testkit::id;

const JOBS: &str = "/agent/v1/jobs";

fn scan_for(device_id: DeviceId, job_id: JobId) -> ScanJobEvent {
    ScanRequested { job_id, device_id, reason: ScanReason::OnDemand }.into()
}

fn install_for(device_id: DeviceId, job_id: JobId, valid: TimeDelta) -> DeviceJobEvent {
    DeviceJobQueued {
        job_id,
        run_id: id(),
        deployment_id: id(),
        device_id,
        patches: vec![PatchOrder {
            patch_id: patch_id(1),
            vendor_patch_id: "DSA-1-1".to_owned(),
            packages: vec![MissingPackage {
                name: "openssl".to_owned(),
                installed_version: "3.0.11".to_owned(),
                fixed_version: "3.0.12".to_owned(),
            }],
        }],
        reboot_policy: RebootPolicy::Never,
        expires_at: now() + valid,
    }
    .into()
}

fn says(step: JobStep) -> JobReport {
    JobReport { report_id: id(), occurred_at: now(), report: step }
}

async fn fetch(agent: &Agent, query: &str) -> Option<Job> {
    let (status, body) = agent.get(JOBS, query).await;
    if status == 204 {
        return None;
    }
    assert_eq!(status, 200, "{body}");
    Some(signing::verify_job(&agent.job_key, &read::<SignedJob>(body)).unwrap())
}

async fn report(agent: &Agent, job_id: JobId, step: JobStep) -> u16 {
    agent.post(&format!("{JOBS}/{job_id}/reports"), &says(step)).await.0
}

#[actix_web::test]
async fn an_install_goes_from_its_order_to_the_scan_that_proves_it() {
    let house = House::open().await;
    house.publish(dsa(1, "openssl", "3.0.12")).await;
    house.settled().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    agent.scan(&scan_of(bookworm(), packages(&[("openssl", "3.0.11")]))).await;

    let job_id = id();
    house.install_job(agent.tenant, install_for(agent.device_id, job_id, TimeDelta::hours(1))).await;
    let job = fetch(&agent, "wait=20").await.unwrap();
    assert_eq!((job.job_id, job.device_id, job.number), (job_id, agent.device_id, 1));
    assert!(matches!(&job.work, Work::Install { patches, .. } if patches[0].patch_id == patch_id(1)));

    for step in [
        JobStep::Acknowledged,
        JobStep::Downloading { source: "http://deb.example.org".to_owned() },
        JobStep::Installing,
        JobStep::Installed { packages: vec![] },
    ] {
        assert_eq!(report(&agent, job_id, step).await, 202);
    }
    let proof =
        ScanReport { job_id: Some(job_id), ..scan_of(bookworm(), packages(&[("openssl", "3.0.12")])) };
    assert_eq!(agent.scan(&proof).await.0, 202);
    assert_eq!(
        house.story(agent.device_id).await[4..],
        [
            "JobDelivered",
            "JobReported",
            "JobReported",
            "JobReported",
            "JobReported",
            "PatchFoundInstalled",
            "ScanCompleted"
        ]
    );
    let facts = house.facts(agent.device_id).await;
    let ordered = house.events().await;
    let order = ordered.iter().find(|event| event.event_type == "scheduling.DeviceJobQueued").unwrap();
    for fact in &facts[4..] {
        assert_eq!(fact.correlation_id, order.correlation_id, "{}", fact.event_type);
        assert_eq!(fact.payload["job_id"], job_id.to_string().as_str(), "{}", fact.event_type);
    }
    assert_eq!(fetch(&agent, "").await, None);
    house.close().await;
}

#[actix_web::test]
async fn a_waiting_agent_gets_its_job_at_once_and_others_get_nothing() {
    let house = House::open().await;
    let tenant = house.customer().await;
    let agent = house.agent(tenant, DevicePlatform::Linux).await;
    let other = house.agent(tenant, DevicePlatform::Linux).await;
    let job_id = id();
    let asked = async {
        let started = std::time::Instant::now();
        (fetch(&agent, "wait=30").await.unwrap(), started.elapsed())
    };
    let ordered = house.scan_job(tenant, scan_for(agent.device_id, job_id));
    let ((job, took), ()) = futures(asked, ordered).await;
    assert_eq!((job.job_id, job.work), (job_id, Work::Scan));
    assert!(took < std::time::Duration::from_secs(20), "not only when the wait was over: {took:?}");
    assert_eq!(fetch(&other, "").await, None);

    let foreign = other.post(&format!("{JOBS}/{job_id}/reports"), &says(JobStep::Acknowledged)).await;
    assert_eq!(code(&foreign), (404, "devices.job_unknown"));
    let odd = agent.post(&format!("{JOBS}/seven/reports"), &says(JobStep::Acknowledged)).await;
    assert_eq!(code(&odd), (404, "devices.job_unknown"));
    house.close().await;
}

async fn futures<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

#[actix_web::test]
async fn a_scan_that_did_not_work_is_a_fact_of_its_own() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let job_id = id();
    house.scan_job(agent.tenant, scan_for(agent.device_id, job_id)).await;
    assert!(fetch(&agent, "wait=20").await.is_some());
    let failed = JobStep::Failed { class: "locked".to_owned(), reason: "apt is busy".to_owned() };
    let twice = says(failed);
    for _ in 0..2 {
        assert_eq!(agent.post(&format!("{JOBS}/{job_id}/reports"), &twice).await.0, 202);
    }
    assert_eq!(house.story(agent.device_id).await[2..], ["JobDelivered", "JobReported", "ScanFailed"]);
    let odd = JobStep::Failed { class: "bad luck".to_owned(), reason: "x".to_owned() };
    let refused = agent.post(&format!("{JOBS}/{job_id}/reports"), &says(odd)).await;
    assert_eq!(code(&refused), (422, "devices.invalid_failure_class"));
    house.close().await;
}

#[actix_web::test]
async fn jobs_are_numbered_and_one_that_was_lost_on_the_way_comes_again() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let (first, second) = (id(), id());
    house.scan_job(agent.tenant, scan_for(agent.device_id, first)).await;
    house.settled().await;
    house.install_job(agent.tenant, install_for(agent.device_id, second, TimeDelta::hours(1))).await;
    house.settled().await;
    let taken = fetch(&agent, "").await.unwrap();
    assert_eq!((taken.job_id, taken.number), (first, 1));
    let next = fetch(&agent, "").await.unwrap();
    assert_eq!((next.job_id, next.number), (second, 2));
    assert_eq!(fetch(&agent, "").await, None);

    // The agent never answers for the first one.
    assert_eq!(report(&agent, second, JobStep::Acknowledged).await, 202);
    sqlx::query("update devices.job set delivered_at = delivered_at - interval '2 minutes'")
        .execute(&mut house.owner().await)
        .await
        .unwrap();
    let again = fetch(&agent, "").await.unwrap();
    assert_eq!(
        (again.job_id, again.number),
        (first, 3),
        "a later number, or the agent refuses it as outdated"
    );
    let delivered = house.story(agent.device_id).await.iter().filter(|name| *name == "JobDelivered").count();
    assert_eq!(delivered, 2);
    house.close().await;
}

#[actix_web::test]
async fn expired_jobs_and_jobs_for_another_customers_device_are_not_handed_out() {
    let house = House::open().await;
    let agent = house.agent(house.customer().await, DevicePlatform::Linux).await;
    let stranger = house.customer().await;
    house.install_job(agent.tenant, install_for(agent.device_id, id(), TimeDelta::seconds(-1))).await;
    house.settled().await;
    assert_eq!(fetch(&agent, "").await, None);
    house.install_job(stranger, install_for(agent.device_id, id(), TimeDelta::hours(1))).await;
    // Something after it shows that it was dealt with.
    house.publish(dsa(9, "bash", "9")).await;
    house.settled().await;
    assert_eq!(fetch(&agent, "").await, None);
    let known: i64 = sqlx::query_scalar("select count(*) from devices.job")
        .fetch_one(&mut house.owner().await)
        .await
        .unwrap();
    assert_eq!(known, 1);
    house.close().await;
}
