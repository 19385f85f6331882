//! How devices stand against baselines, now and on any day before.

use crate::asking::{Asking, reachable, reaches};
use crate::commands::ownership;
use crate::errors::{coded, failed};
use crate::reading::{Page, Seen, View};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{GlobalId, Kind};
use crate::schema::position::Position;
use crate::views::baseline::{BaselineRow, BaselineVersionRow, VERSION_AT};
use crate::views::compliance::{
    COUNTS_ON_DAY, CUSTOMERS_OF_PARTNER_ON_DAY, Counts, CustomerCountsRow, DEVICE_AT,
    DEVICES_OF_CUSTOMER_NOW, DEVICES_OF_CUSTOMER_THEN, DEVICES_OF_GROUP_NOW, DEVICES_OF_GROUP_THEN,
    DEVICES_OF_PARTNER_NOW, DEVICES_OF_PARTNER_THEN, PeriodRow,
};
use crate::views::customer::CustomerRow;
use crate::views::device::DeviceRow;
use crate::views::int;
use crate::words::{ComplianceState, NotAssessedReason, name};
use async_graphql::{ID, Object, Result, SimpleObject};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, Utc};
use contracts::permissions::Permission;
use kernel::{CustomerId, Tenant};
use std::sync::Arc;
use uuid::Uuid;

/// Patches by severity.
#[derive(Debug, Clone, Default, PartialEq, SimpleObject)]
pub(crate) struct PatchCounts {
    total: i32,
    critical: i32,
    high: i32,
    medium: i32,
    low: i32,
    none: i32,
    unknown: i32,
}

impl PatchCounts {
    /// From critical to unknown.
    fn of(counts: &[i64]) -> Self {
        let at = |place: usize| int(counts.get(place).copied().unwrap_or(0));
        Self {
            total: int(counts.iter().sum()),
            critical: at(0),
            high: at(1),
            medium: at(2),
            low: at(3),
            none: at(4),
            unknown: at(5),
        }
    }
}

/// Devices by how they stand.
#[derive(Debug, Clone, PartialEq, SimpleObject)]
pub(crate) struct ComplianceCounts {
    /// Devices for which the baseline holds.
    devices: i32,
    /// Those of which somebody knows: scanned within 30 days.
    assessed: i32,
    compliant: i32,
    non_compliant: i32,
    pending_reboot: i32,
    not_assessed: i32,
    /// Compliant ones of the assessed devices; absent when nothing was assessed.
    percent: Option<f64>,
    /// Missing patches that the baseline asks for, each counted once per device.
    missing: PatchCounts,
    /// The same of those that are waived.
    waived: i32,
}

impl From<&Counts> for ComplianceCounts {
    fn from(counts: &Counts) -> Self {
        let of = |state| int(counts.devices(state));
        let compliant = of(ComplianceState::Compliant);
        let non_compliant = of(ComplianceState::NonCompliant);
        let pending_reboot = of(ComplianceState::PendingReboot);
        let not_assessed = of(ComplianceState::NotAssessed);
        let assessed = compliant + non_compliant + pending_reboot;
        Self {
            devices: assessed + not_assessed,
            assessed,
            compliant,
            non_compliant,
            pending_reboot,
            not_assessed,
            percent: (assessed > 0).then(|| 100.0 * f64::from(compliant) / f64::from(assessed)),
            missing: PatchCounts::of(counts.missing()),
            waived: int(counts.waived()),
        }
    }
}

/// What somebody wants to know of a baseline.
pub(crate) struct Wanted {
    pub(crate) customer_id: Option<ID>,
    pub(crate) group_id: Option<ID>,
    pub(crate) device_id: Option<ID>,
    pub(crate) as_of: Option<NaiveDate>,
}

/// Which devices.
#[derive(Debug, Clone, Copy)]
enum Within {
    /// All of the partner that are reached.
    Partner(Uuid),
    Customer(Uuid),
    Group(Uuid),
    Device(Uuid),
}

impl Wanted {
    /// The answer; none where there is no such customer, group or device for the person.
    pub(crate) async fn of(
        self,
        asking: &Arc<Asking>,
        baseline: Seen<BaselineRow>,
    ) -> Result<Option<BaselineCompliance>> {
        let given = [
            (self.customer_id.as_ref(), Kind::Customer),
            (self.group_id.as_ref(), Kind::DeviceGroup),
            (self.device_id.as_ref(), Kind::Device),
        ];
        let mut given = given.into_iter().filter_map(|(id, kind)| Some((id?, kind)));
        let (first, more) = (given.next(), given.next().is_some());
        if more {
            let message = "one of customerId, groupId and deviceId says enough";
            return Err(coded("graphql.input_invalid", message));
        }
        let within = match first {
            None => asking.caller.scope.partner_id().map(|id| Within::Partner(id.0)),
            Some((id, kind)) => found(asking, &baseline.view, id, kind).await?,
        };
        let today = baseline.view.now().date_naive();
        let as_of = self.as_of.filter(|day| *day < today);
        Ok(within.map(|within| BaselineCompliance { baseline, within, as_of }))
    }
}

/// What the id leads to, if that exists for the caller.
pub(crate) async fn reached(asking: &Arc<Asking>, view: &View, id: &ID, kind: Kind) -> Result<Option<Uuid>> {
    let Some(wanted) = GlobalId::read(id).filter(|id| id.kind == kind) else { return Ok(None) };
    let customer_id: Option<Uuid> = match kind {
        Kind::Customer => view.row::<CustomerRow>(wanted.id).await?.map(|row| row.customer_id),
        Kind::Device => view.row::<DeviceRow>(wanted.id).await?.map(|row| row.customer_id),
        Kind::Partner
        | Kind::User
        | Kind::Feed
        | Kind::Patch
        | Kind::Package
        | Kind::Approval
        | Kind::Rule
        | Kind::Baseline
        | Kind::Deployment
        | Kind::DeviceJob
        | Kind::ScanJob
        | Kind::Alert
        | Kind::Webhook => None,
        Kind::DeviceGroup => {
            let mut tx = view.tx().await;
            sqlx::query_scalar("select customer_id from views.compliance_group where group_id = $1")
                .bind(wanted.id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(|error| failed(error.into()))?
        }
    };
    let (caller, partner_id) = (view.caller(), view.caller().scope.partner_id());
    let own = partner_id.zip(customer_id).is_some_and(|(partner_id, customer_id)| {
        reaches(caller, Tenant::customer(partner_id, CustomerId(customer_id)))
            && caller.require(Permission::ReadFleet, Some(CustomerId(customer_id))).is_ok()
    });
    if !own {
        ownership::note_if_foreign(asking, wanted, "compliance").await?;
    }
    Ok(own.then_some(wanted.id))
}

async fn found(asking: &Arc<Asking>, view: &View, id: &ID, kind: Kind) -> Result<Option<Within>> {
    let id = reached(asking, view, id, kind).await?;
    Ok(id.and_then(|id| match kind {
        Kind::Customer => Some(Within::Customer(id)),
        Kind::Device => Some(Within::Device(id)),
        Kind::DeviceGroup => Some(Within::Group(id)),
        Kind::Partner
        | Kind::User
        | Kind::Feed
        | Kind::Patch
        | Kind::Package
        | Kind::Approval
        | Kind::Rule
        | Kind::Baseline
        | Kind::Deployment
        | Kind::DeviceJob
        | Kind::ScanJob
        | Kind::Alert
        | Kind::Webhook => None,
    }))
}

/// How devices stand against a baseline.
pub(crate) struct BaselineCompliance {
    baseline: Seen<BaselineRow>,
    within: Within,
    /// None for now.
    as_of: Option<NaiveDate>,
}

impl BaselineCompliance {
    fn view(&self) -> &View {
        &self.baseline.view
    }

    fn day(&self) -> NaiveDate {
        // Counts of now stand in the last day, even where this clock is behind the database's.
        self.as_of.unwrap_or(self.view().now().date_naive() + Days::new(1))
    }

    /// The first moment that does not count any more.
    fn end(&self) -> DateTime<Utc> {
        (self.day() + Days::new(1)).and_time(NaiveTime::MIN).and_utc()
    }

    /// The customers that are reached, where that is not all of the partner.
    fn reached(&self) -> Option<Vec<String>> {
        match self.within {
            Within::Partner(_) => reachable(self.view().caller(), Permission::ReadFleet),
            Within::Customer(_) | Within::Group(_) | Within::Device(_) => None,
        }
    }

    async fn load(&self) -> Result<Counts> {
        let scopes: Vec<Uuid> = match (self.within, self.reached()) {
            (Within::Device(id), _) => {
                let row = self.one(id).await?;
                return Ok(row.map(|row| row.counts()).unwrap_or_default());
            }
            (Within::Partner(_), Some(customers)) => {
                customers.iter().filter_map(|id| Uuid::try_parse(id).ok()).collect()
            }
            (Within::Partner(id) | Within::Customer(id) | Within::Group(id), _) => vec![id],
        };
        let mut tx = self.view().tx().await;
        let rows: Vec<Counts> = sqlx::query_scalar(COUNTS_ON_DAY)
            .bind(self.baseline.row.baseline_id)
            .bind(scopes)
            .bind(self.day())
            .fetch_all(&mut **tx)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(rows.into_iter().fold(Counts::default(), |sum, counts| sum + counts))
    }

    /// How one device stood.
    async fn one(&self, id: Uuid) -> Result<Option<PeriodRow>> {
        let mut tx = self.view().tx().await;
        sqlx::query_as(DEVICE_AT)
            .bind(self.baseline.row.baseline_id)
            .bind(id)
            .bind(self.end())
            .fetch_optional(&mut **tx)
            .await
            .map_err(|error| failed(error.into()))
    }
}

#[Object]
impl BaselineCompliance {
    /// The log position that the answer reflects.
    async fn position(&self) -> Position {
        self.view().position().into()
    }

    /// The day (UTC) at the end of which this is how devices stood; absent for now.
    async fn as_of(&self) -> Option<NaiveDate> {
        self.as_of
    }

    /// What the baseline asked for then; absent where it was not there yet or had been retired.
    async fn version(&self) -> Result<Option<Seen<BaselineVersionRow>>> {
        let mut tx = self.view().tx().await;
        let row: Option<BaselineVersionRow> = sqlx::query_as(VERSION_AT)
            .bind(self.baseline.row.baseline_id)
            .bind(self.end())
            .fetch_optional(&mut **tx)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(row.map(|row| self.view().seen(row)))
    }

    async fn counts(&self) -> Result<ComplianceCounts> {
        Ok(ComplianceCounts::from(&self.load().await?))
    }

    /// The device that was asked for.
    async fn device(&self) -> Result<Option<Seen<PeriodRow>>> {
        let Within::Device(id) = self.within else { return Ok(None) };
        Ok(self.one(id).await?.map(|row| self.view().seen(row)))
    }

    /// Devices one by one, those with one state only if that is asked for.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn devices(
        &self,
        state: Option<ComplianceState>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PeriodRow>> {
        let (now, then, parent) = match self.within {
            Within::Partner(id) => (&DEVICES_OF_PARTNER_NOW, &DEVICES_OF_PARTNER_THEN, id),
            Within::Customer(id) => (&DEVICES_OF_CUSTOMER_NOW, &DEVICES_OF_CUSTOMER_THEN, id),
            Within::Group(id) => (&DEVICES_OF_GROUP_NOW, &DEVICES_OF_GROUP_THEN, id),
            Within::Device(_) => {
                return Err(coded("graphql.input_invalid", "one device is no list; `device` has it"));
            }
        };
        let mut only = vec![
            self.baseline.row.baseline_id.to_string(),
            state.map_or("", name).to_owned(),
            self.end().to_rfc3339_opts(SecondsFormat::Secs, true),
        ];
        match self.reached() {
            Some(customers) if customers.is_empty() => only.push(String::new()),
            reached => only.extend(reached.into_iter().flatten()),
        }
        let list = if self.as_of.is_some() { then } else { now };
        self.view().page(list, parent, Page::new(first, after).only(Some(only))).await
    }

    /// Customers one by one, where the whole partner is asked for; those with a device for which the baseline holds.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn customers(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<CustomerCountsRow>> {
        let Within::Partner(partner_id) = self.within else {
            return Err(coded("graphql.input_invalid", "only the whole partner has customers"));
        };
        let mut only = vec![self.baseline.row.baseline_id.to_string(), self.day().to_string()];
        match self.reached() {
            Some(customers) if customers.is_empty() => only.push(String::new()),
            reached => only.extend(reached.into_iter().flatten()),
        }
        let page = Page::new(first, after).only(Some(only));
        self.view().page(&CUSTOMERS_OF_PARTNER_ON_DAY, partner_id, page).await
    }
}

/// A customer's devices against a baseline.
#[Object(name = "CustomerCompliance")]
impl Seen<CustomerCountsRow> {
    async fn customer(&self) -> Result<Seen<CustomerRow>> {
        self.view.existing(self.row.customer_id).await
    }

    async fn counts(&self) -> ComplianceCounts {
        ComplianceCounts::from(&self.row.counts)
    }
}

/// How a device stands or stood against a baseline.
#[Object(name = "DeviceCompliance")]
impl Seen<PeriodRow> {
    async fn device(&self) -> Result<Seen<DeviceRow>> {
        self.view.existing(self.row.device_id).await
    }

    async fn baseline(&self) -> Result<Seen<BaselineRow>> {
        self.view.existing(self.row.baseline_id).await
    }

    async fn baseline_version(&self) -> i32 {
        int(self.row.baseline_version)
    }

    async fn state(&self) -> ComplianceState {
        self.row.state
    }

    /// Why nobody knows, where that is the state.
    async fn not_assessed(&self) -> Option<NotAssessedReason> {
        self.row.not_assessed
    }

    /// What is missing of what the baseline asks for, and not waived.
    async fn missing(&self) -> PatchCounts {
        PatchCounts::of(&self.row.missing)
    }

    /// What is missing and waived.
    async fn waived(&self) -> i32 {
        int(self.row.waived)
    }

    /// Since when it stood so.
    async fn since(&self) -> DateTime<Utc> {
        self.row.valid_from
    }

    /// Until when; absent while it stands so.
    async fn until(&self) -> Option<DateTime<Utc>> {
        self.row.valid_until
    }

    /// When it was last measured with this result.
    async fn evaluated_at(&self) -> DateTime<Utc> {
        self.row.evaluated_at
    }

    /// The scan that the result rests on.
    async fn scanned_at(&self) -> Option<DateTime<Utc>> {
        self.row.scanned_at
    }
}

#[cfg(test)]
mod tests {
    use super::{ComplianceCounts, Counts};

    #[test]
    fn nothing_assessed_is_never_100_percent() {
        assert_eq!(ComplianceCounts::from(&Counts::default()).percent, None);
    }
}
