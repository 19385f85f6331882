//! Counts of devices by state and of their missing patches by severity.

use crate::words::ComplianceState;
use std::ops::{Add, AddAssign, Neg};

/// Devices by state (four), missing patches by severity (six), waived ones.
const PLACES: usize = 11;

/// Where the severities begin.
const SEVERITIES: usize = 4;

/// Where the waived ones stand.
const WAIVED: usize = 10;

/// How many of each. Kept as one array, so that sums are sums of arrays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts([i64; PLACES]);

impl Counts {
    /// One device.
    pub(super) fn one(state: ComplianceState, missing: &[i64], waived: i64) -> Self {
        let mut counts = Self::default();
        if let Some(devices) = counts.0.get_mut(place(state)) {
            *devices = 1;
        }
        for (count, missing) in counts.0.iter_mut().skip(SEVERITIES).zip(missing) {
            *count = *missing;
        }
        counts.0[WAIVED] = waived;
        counts
    }

    /// Devices in a state.
    pub(crate) fn devices(&self, state: ComplianceState) -> i64 {
        self.0.get(place(state)).copied().unwrap_or(0)
    }

    /// Missing patches from critical to unknown.
    pub(crate) fn missing(&self) -> &[i64] {
        &self.0[SEVERITIES..WAIVED]
    }

    /// Missing and waived patches.
    pub(crate) fn waived(&self) -> i64 {
        self.0[WAIVED]
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    pub(super) fn as_slice(&self) -> &[i64] {
        &self.0
    }
}

fn place(state: ComplianceState) -> usize {
    match state {
        ComplianceState::Compliant => 0,
        ComplianceState::NonCompliant => 1,
        ComplianceState::PendingReboot => 2,
        ComplianceState::NotAssessed => 3,
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
    }
}

impl Add for Counts {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Neg for Counts {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.map(|count| -count))
    }
}

impl sqlx::Type<sqlx::Postgres> for Counts {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <Vec<i64> as sqlx::Type<sqlx::Postgres>>::type_info()
    }
}

impl<'r> sqlx::Decode<'r, sqlx::Postgres> for Counts {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        let counts = <Vec<i64> as sqlx::Decode<'r, sqlx::Postgres>>::decode(value)?;
        let counts = counts.try_into().map_err(|counts: Vec<i64>| {
            format!("{} counts are not as many as they should be", counts.len())
        })?;
        Ok(Self(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::{ComplianceState, Counts};

    #[test]
    fn what_comes_and_goes_leaves_nothing() {
        let one = Counts::one(ComplianceState::NonCompliant, &[1, 0, 2, 0, 0, 0], 3);
        assert_eq!((one.devices(ComplianceState::NonCompliant), one.waived()), (1, 3));
        assert_eq!(one.missing(), [1, 0, 2, 0, 0, 0]);
        assert!((one + -one).is_zero());
    }
}
