//! The scalar `Position`.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// A place in the log of all events, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) kernel::Position);

#[Scalar(name = "Position")]
impl ScalarType for Position {
    fn parse(value: Value) -> InputValueResult<Self> {
        // A client without 64-bit numbers may send a text.
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            Value::Null
            | Value::Boolean(_)
            | Value::Enum(_)
            | Value::List(_)
            | Value::Object(_)
            | Value::Binary(_) => None,
        };
        match number {
            Some(number) if number >= 0 => Ok(Self(kernel::Position(number))),
            Some(_) | None => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0.0)
    }
}

impl From<kernel::Position> for Position {
    fn from(position: kernel::Position) -> Self {
        Self(position)
    }
}
