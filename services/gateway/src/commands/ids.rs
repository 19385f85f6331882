//! Ids in inputs: read, checked for their kind, and remembered for the question whose they are.

use super::UserError;
use crate::schema::global_id::{GlobalId, Kind};
use async_graphql::ID;
use uuid::Uuid;

/// An id that the input gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) field: String,
    pub(crate) id: GlobalId,
}

/// The ids of one input.
#[derive(Default)]
pub(crate) struct Ids {
    given: Vec<Given>,
    errors: Vec<UserError>,
}

impl Ids {
    /// The id in a field; notes a user error where it is none of this kind.
    pub(crate) fn one<T: From<Uuid>>(&mut self, field: &str, kind: Kind, id: &ID) -> Option<T> {
        match GlobalId::read(id) {
            Some(id) if id.kind == kind => {
                self.given.push(Given { field: field.to_owned(), id });
                Some(T::from(id.id))
            }
            Some(_) | None => {
                let message = format!("{:?} is not a {} id", shortened(id), kind.words());
                self.errors.push(UserError::new("graphql.id_invalid", message).at(field));
                None
            }
        }
    }

    /// The id in a field that may be absent: the outer none says that it is wrong, the inner that there is none.
    #[expect(clippy::option_option, reason = "all three cases are needed")]
    pub(crate) fn some<T: From<Uuid>>(
        &mut self,
        field: &str,
        kind: Kind,
        id: Option<&ID>,
    ) -> Option<Option<T>> {
        match id {
            Some(id) => self.one(field, kind, id).map(Some),
            None => Some(None),
        }
    }

    /// The ids in a list.
    pub(crate) fn all<T: From<Uuid>>(&mut self, field: &str, kind: Kind, ids: &[ID]) -> Option<Vec<T>> {
        // Every one is read, so that every wrong one is told.
        let read: Vec<Option<T>> = ids
            .iter()
            .enumerate()
            .map(|(index, id)| self.one(&format!("{field}.{index}"), kind, id))
            .collect();
        read.into_iter().collect()
    }

    /// Refuses a value for a reason of its own.
    pub(crate) fn refuse(&mut self, error: UserError) {
        self.errors.push(error);
    }

    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    pub(crate) fn into_errors(self) -> Vec<UserError> {
        self.errors
    }
}

/// A wrong id as it may be repeated in a message.
fn shortened(id: &str) -> String {
    id.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::Ids;
    use crate::schema::global_id::{Kind, global};
    use kernel::DeviceId;
    use uuid::Uuid;

    #[test]
    fn an_id_of_another_kind_is_refused_with_its_field() {
        let mut ids = Ids::default();
        let customer = global(Kind::Customer, Uuid::nil());
        let device = global(Kind::Device, Uuid::nil());
        let read: Option<Vec<DeviceId>> = ids.all("deviceIds", Kind::Device, &[device, customer]);
        assert_eq!(read, None);
        assert_eq!(ids.given().len(), 1);
        let errors = ids.into_errors();
        assert_eq!(errors[0].field.as_deref(), Some("deviceIds.1"));
        assert_eq!(errors[0].code, "graphql.id_invalid");
    }
}
