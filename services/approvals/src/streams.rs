//! Where the decisions about a patch are kept: one stream for each scope.

use contracts::approvals::ApprovalScope;
use kernel::{PatchId, StreamId};

/// The stream of a patch's approval in a scope.
pub(crate) fn approval_stream(patch_id: PatchId, scope: ApprovalScope) -> StreamId {
    let name = match scope {
        ApprovalScope::Partner { partner_id } => format!("approval/partner/{}", partner_id.0),
        ApprovalScope::Customer { customer_id } => format!("approval/{}", customer_id.0),
        ApprovalScope::Group { customer_id, group_id } => {
            format!("approval/{}/group/{}", customer_id.0, group_id.0)
        }
        ApprovalScope::Device { customer_id, device_id } => {
            format!("approval/{}/device/{}", customer_id.0, device_id.0)
        }
    };
    StreamId::derived(patch_id.0, &name)
}
