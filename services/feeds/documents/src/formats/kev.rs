//! CISA's list of known exploited vulnerabilities, as JSON or CSV.

use crate::head::Head;
use crate::input::Input;
use crate::reading::Reading;
use crate::{DocumentError, Format};

/// Whether a document begins like one.
pub(crate) fn is_json(_head: &Head) -> bool {
    false
}

/// Whether a document begins like one.
pub(crate) fn is_csv(_head: &Head) -> bool {
    false
}

pub(crate) fn read(_format: Format, _input: Input<'_>, _reading: &mut Reading) -> Result<(), DocumentError> {
    Err(DocumentError::malformed("not written yet"))
}
