//! Where the decisions about a patch are kept: one stream for each scope.

use contracts::approvals::ApprovalScope;
use kernel::{PatchId, StreamId};

/// The stream of a patch's approval in a scope.
pub(crate) fn approval_stream(patch_id: PatchId, scope: ApprovalScope) -> StreamId {
    let name = match scope {
        ApprovalScope::Partner { partner_id } => format!("approval/partner/{partner_id}"),
        ApprovalScope::Customer { customer_id } => format!("approval/{customer_id}"),
        ApprovalScope::Group { group_id, .. } => format!("approval/group/{group_id}"),
        ApprovalScope::Device { device_id, .. } => format!("approval/device/{device_id}"),
    };
    StreamId::derived(patch_id.0, &name)
}
