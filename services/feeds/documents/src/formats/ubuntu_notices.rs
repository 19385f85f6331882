//! A page of Ubuntu's security notices.

use crate::DocumentError;
use crate::head::Head;
use crate::input::Input;
use crate::reading::Reading;

/// Whether a document begins like one.
pub(crate) fn is(_head: &Head) -> bool {
    false
}

pub(crate) fn read(_input: Input<'_>, _reading: &mut Reading) -> Result<(), DocumentError> {
    Err(DocumentError::malformed("not written yet"))
}
