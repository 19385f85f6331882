//! Hard blocks: a partner keeps a patch from all of its customers, whatever they decide.

use kernel::{PartnerId, PatchId, UserId};

events! {
    /// Facts of a partner's hard block of one patch.
    BlockEvent in "approvals" {
        /// The patch is kept from every device of the partner's customers.
        PatchBlocked = 1 {
            /// The patch.
            patch_id: PatchId,
            /// The partner.
            partner_id: PartnerId,
            /// Who.
            blocked_by: UserId,
            /// Why.
            comment: String,
        },
        /// The patch is as it was decided again.
        PatchUnblocked = 1 {
            /// The patch.
            patch_id: PatchId,
            /// The partner.
            partner_id: PartnerId,
            /// Who.
            unblocked_by: UserId,
            /// Why.
            comment: String,
        },
    }
}

commands! {
    Approvals {
        /// Keeps a patch from all customers of the caller's partner.
        BlockPatch -> (), needs BlockPatches {
            /// The patch.
            patch_id: PatchId,
            /// Why, 1 to 2,000 characters.
            comment: String,
        }
        /// Ends the block of a patch.
        UnblockPatch -> (), needs BlockPatches {
            /// The patch.
            patch_id: PatchId,
            /// Why, 1 to 2,000 characters.
            comment: String,
        }
    }
}
