//! Taking a scan's report.

use super::{Agents, Origin, cause, contact::Contact, origin, read};
use crate::{
    catalogue,
    fault::{Fault, retried},
    groups::device_changed,
    inventory,
};
use actix_web::{HttpRequest, HttpResponse, web::Data};
use contracts::agent::{Receipt, ScanReport};
use devices_domain::{DELTAS_MAX, DeviceCommand, Scan, Seen, applicability::Finding, report};
use eventstore::Tx;
use kernel::CommandId;
use web::{ApiError, Body};

/// `POST /agent/v1/scans`
pub(super) async fn report(
    agents: Data<Agents>,
    request: HttpRequest,
    Body(body): Body,
) -> Result<HttpResponse, ApiError> {
    let contact = match agents.meet(&request, &body).await {
        Ok(contact) => contact,
        Err(turned) => return turned.answer(),
    };
    let scan: ScanReport = read(&body)?;
    report::check_scan(&scan, contact.platform, agents.foundation.clock.now())
        .map_err(|invalid| ApiError::refused(&invalid))?;
    let receipt = retried(|| agents.take_scan(&contact, &scan)).await?;
    Ok(HttpResponse::Accepted().json(receipt))
}

impl Agents {
    /// Facts and rows of one report, in one transaction.
    async fn take_scan(&self, contact: &Contact, scan: &ScanReport) -> Result<Receipt, Fault> {
        let mut tx = self.foundation.database.begin(&contact.scope()).await?;
        let job = match scan.job_id {
            None => None,
            Some(job_id) => Some(origin(&mut tx, contact, job_id).await?),
        };
        let hash = scan.inventory_hash.as_str();
        let count = match &scan.inventory {
            Some(content) => Some(inventory::keep(&mut tx, hash, &scan.os, content).await?),
            None => inventory::item_count(&mut tx, hash).await?,
        };
        let Some(count) = count else { return Ok(Receipt { inventory_wanted: true }) };

        let position = catalogue::hold(&mut tx).await?;
        let (missing_bound, os_id, os_version): (i32, String, String) = sqlx::query_as(
            "select missing_bound, os_id, os_version from devices.device where device_id = $1 for update",
        )
        .bind(contact.device_id.0)
        .fetch_one(&mut *tx)
        .await?;
        let findings = catalogue::judge(&mut tx, hash).await?;
        let missing = findings.values().filter(|finding| matches!(finding, Finding::Missing(_))).count();
        let command = DeviceCommand::RecordScan(Box::new(Scan {
            job_id: scan.job_id,
            inventory_hash: hash.to_owned(),
            item_count: u32::try_from(count).unwrap_or(0),
            source: scan.source.clone(),
            pending_reboot: scan.pending_reboot,
            available: scan.available.clone(),
            findings: findings.clone(),
            catalogue_position: position.0,
        }));
        let cause = cause(contact, job.as_ref(), CommandId::derived(scan.report_id, "scan"));
        let done = self.execute(&mut tx, contact, &cause, Some(scan.scanned_at), command).await?;
        if done.repeated {
            return Ok(Receipt { inventory_wanted: false });
        }
        let news_max = missing + usize::try_from(missing_bound).unwrap_or(0);
        for part in 1..=news_max / DELTAS_MAX {
            self.compare_rest(&mut tx, contact, scan, job.as_ref(), &findings, part).await?;
        }
        sqlx::query(
            "update devices.device
                set inventory_hash = $2,
                    missing_bound = $3,
                    os_id = $4,
                    os_version = $5
              where device_id = $1",
        )
        .bind(contact.device_id.0)
        .bind(hash)
        .bind(i32::try_from(missing).unwrap_or(i32::MAX))
        .bind(&scan.os.id)
        .bind(&scan.os.version)
        .execute(&mut *tx)
        .await?;
        // The system was upgraded, and may belong elsewhere now.
        if (os_id, os_version) != (scan.os.id.clone(), scan.os.version.clone()) {
            let (store, tenant) = (&self.foundation.store, contact.tenant);
            device_changed(&mut tx, store, &contact.scope(), tenant, contact.device_id, &cause).await?;
        }
        tx.commit().await?;
        tracing::debug!(device.id = %contact.device_id, inventory.items = count, "a scan was taken");
        Ok(Receipt { inventory_wanted: false })
    }

    /// What did not fit into the scan's own batch.
    async fn compare_rest(
        &self,
        tx: &mut Tx,
        contact: &Contact,
        scan: &ScanReport,
        job: Option<&Origin>,
        findings: &catalogue::Findings,
        part: usize,
    ) -> Result<(), Fault> {
        let command_id = CommandId::derived(scan.report_id, &format!("compare {part}"));
        let cause = cause(contact, job, command_id);
        let command =
            DeviceCommand::Compare { findings: findings.clone(), seen: Seen::ByScan { job_id: scan.job_id } };
        self.execute(tx, contact, &cause, Some(scan.scanned_at), command).await?;
        Ok(())
    }
}
