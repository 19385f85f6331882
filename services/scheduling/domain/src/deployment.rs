//! The intent to bring approved patches to a frozen set of devices now.

use contracts::scheduling::{DeploymentEvent, DeploymentPlanned, RebootPolicy};
use kernel::{Aggregate, CustomerId, DeploymentId, DeviceId, PatchId, Refused};

/// Devices of one deployment: each becomes a stream of its own in one transaction.
pub const DEVICES_MAX: usize = 1_000;
/// Patches of one deployment: a year of every advisory of a distribution is near 600.
pub const PATCHES_MAX: usize = 1_000;
/// Characters of a deployment's name: fits one line of a table.
pub const NAME_CHARS_MAX: usize = 200;

/// A wish about a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Plans it. Devices and patches are taken down sorted and once each.
    Plan {
        /// The deployment.
        deployment_id: DeploymentId,
        /// Its customer.
        customer_id: CustomerId,
        /// Display name.
        name: String,
        /// Devices.
        device_ids: Vec<DeviceId>,
        /// Patches; empty means all that are approved.
        patch_ids: Vec<PatchId>,
        /// When to restart.
        reboot_policy: RebootPolicy,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name is empty or too long.
    #[error("a deployment's name has 1 to {NAME_CHARS_MAX} characters, this one has {chars}")]
    NameInvalid {
        /// Characters without surrounding space.
        chars: usize,
    },
    /// No device, or too many.
    #[error("a deployment has 1 to {DEVICES_MAX} devices, this one has {count}")]
    DeviceCount {
        /// Distinct devices.
        count: usize,
    },
    /// Too many patches.
    #[error("a deployment has at most {PATCHES_MAX} patches, this one has {count}")]
    PatchCount {
        /// Distinct patches.
        count: usize,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NameInvalid { .. } => "scheduling.name_invalid",
            Self::DeviceCount { .. } => "scheduling.device_count",
            Self::PatchCount { .. } => "scheduling.patch_count",
        }
    }
}

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing happened yet.
    #[default]
    NotPlanned,
    /// Its run has been started with it.
    Planned,
}

/// The consistency unit.
#[derive(Debug)]
pub enum Deployment {}

impl Aggregate for Deployment {
    const STREAM: &'static str = "scheduling.deployment";
    type State = State;
    type Command = Command;
    type Event = DeploymentEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<DeploymentEvent>, Refusal> {
        let Command::Plan { deployment_id, customer_id, name, mut device_ids, mut patch_ids, reboot_policy } =
            command;
        match state {
            State::Planned => return Ok(vec![]),
            State::NotPlanned => {}
        }
        let name = name.trim().to_owned();
        device_ids.sort_unstable();
        device_ids.dedup();
        patch_ids.sort_unstable();
        patch_ids.dedup();
        let chars = name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&chars) {
            return Err(Refusal::NameInvalid { chars });
        }
        if !(1..=DEVICES_MAX).contains(&device_ids.len()) {
            return Err(Refusal::DeviceCount { count: device_ids.len() });
        }
        if patch_ids.len() > PATCHES_MAX {
            return Err(Refusal::PatchCount { count: patch_ids.len() });
        }
        Ok(vec![
            DeploymentPlanned { deployment_id, customer_id, name, device_ids, patch_ids, reboot_policy }
                .into(),
        ])
    }

    fn evolve(_: State, event: &DeploymentEvent) -> State {
        match event {
            DeploymentEvent::DeploymentPlanned(_) => State::Planned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, DEVICES_MAX, Deployment, NAME_CHARS_MAX, PATCHES_MAX, Refusal};
    use contracts::scheduling::{DeploymentPlanned, RebootPolicy};
    use kernel::{CustomerId, DeploymentId, DeviceId, PatchId};
    use scenario::given;
    use uuid::Uuid;

    const DEPLOYMENT: DeploymentId = DeploymentId(Uuid::from_u128(1));
    const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(2));

    fn plan(
        name: &str,
        devices: impl IntoIterator<Item = u128>,
        patches: impl IntoIterator<Item = u128>,
    ) -> Command {
        Command::Plan {
            deployment_id: DEPLOYMENT,
            customer_id: CUSTOMER,
            name: name.to_owned(),
            device_ids: devices.into_iter().map(|n| DeviceId(Uuid::from_u128(n))).collect(),
            patch_ids: patches.into_iter().map(|n| PatchId(Uuid::from_u128(n))).collect(),
            reboot_policy: RebootPolicy::Never,
        }
    }

    #[test]
    fn devices_and_patches_are_frozen_sorted_and_once_each() {
        given::<Deployment>([]).when(plan(" Friday ", [8, 7, 8], [5, 5])).then([DeploymentPlanned {
            deployment_id: DEPLOYMENT,
            customer_id: CUSTOMER,
            name: "Friday".to_owned(),
            device_ids: vec![DeviceId(Uuid::from_u128(7)), DeviceId(Uuid::from_u128(8))],
            patch_ids: vec![PatchId(Uuid::from_u128(5))],
            reboot_policy: RebootPolicy::Never,
        }
        .into()]);
    }

    #[test]
    fn a_name_is_neither_empty_nor_endless() {
        given::<Deployment>([]).when(plan(" ", [7], [])).then_refused(&Refusal::NameInvalid { chars: 0 });
        given::<Deployment>([])
            .when(plan(&"é".repeat(NAME_CHARS_MAX + 1), [7], []))
            .then_refused(&Refusal::NameInvalid { chars: NAME_CHARS_MAX + 1 });
    }

    #[test]
    fn a_deployment_needs_a_device_and_has_a_limit() {
        given::<Deployment>([]).when(plan("x", [], [])).then_refused(&Refusal::DeviceCount { count: 0 });
        given::<Deployment>([])
            .when(plan("x", 0..=DEVICES_MAX as u128, []))
            .then_refused(&Refusal::DeviceCount { count: DEVICES_MAX + 1 });
        given::<Deployment>([])
            .when(plan("x", [1], 0..=PATCHES_MAX as u128))
            .then_refused(&Refusal::PatchCount { count: PATCHES_MAX + 1 });
    }
}
