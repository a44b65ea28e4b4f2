//! What histories are about: values that a store was given and gave back.

use std::fmt;
use std::sync::Arc;

/// A value as JSON knows it, as far as its equality is beyond doubt: no fractions, no structures.
///
/// Values of two kinds are never equal: `1` is not `"1"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number that fits 64 bits, with a sign or without.
    Integer(i128),
    /// Text.
    Text(Arc<str>),
}

impl Value {
    /// The empty text.
    pub fn empty() -> Self {
        Value::Text("".into())
    }

    /// Text.
    pub fn text(text: &str) -> Self {
        Value::Text(text.into())
    }

    /// What the value says: nothing for null, a number's decimal digits.
    pub(crate) fn digits(&self) -> Arc<str> {
        match self {
            Value::Null => "".into(),
            Value::Bool(value) => value.to_string().into(),
            Value::Integer(value) => value.to_string().into(),
            Value::Text(text) => text.clone(),
        }
    }

    /// This value's text with the other's behind it.
    pub(crate) fn extended(&self, with: &Value) -> Value {
        let text = match self {
            Value::Text(text) => [&**text, &*with.digits()].concat(),
            other => [&*other.digits(), &*with.digits()].concat(),
        };
        Value::Text(text.into())
    }

    /// Bytes of memory beyond the value itself.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Null | Value::Bool(_) | Value::Integer(_) => 0,
        }
    }
}

/// As JSON.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => formatter.write_str("null"),
            Value::Bool(value) => write!(formatter, "{value}"),
            Value::Integer(value) => write!(formatter, "{value}"),
            Value::Text(text) => quoted(formatter, text),
        }
    }
}

fn quoted(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => formatter.write_str("\\\"")?,
            '\\' => formatter.write_str("\\\\")?,
            '\n' => formatter.write_str("\\n")?,
            control if control < ' ' => write!(formatter, "\\u{:04x}", u32::from(control))?,
            other => write!(formatter, "{other}")?,
        }
    }
    formatter.write_str("\"")
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Integer(value.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_never_equal() {
        assert_ne!(Value::from(1), Value::from("1"));
        assert_ne!(Value::Null, Value::empty());
        assert_ne!(Value::Bool(false), Value::from(0));
    }

    #[test]
    fn a_value_is_shown_as_json() {
        assert_eq!(Value::from("a\"\\\n\u{1}é").to_string(), r#""a\"\\\n\u0001é""#);
        assert_eq!(Value::from(-7).to_string(), "-7");
    }

    #[test]
    fn what_is_appended_to_is_text_afterwards() {
        assert_eq!(Value::Null.extended(&Value::from("x")), Value::from("x"));
        assert_eq!(Value::from(4).extended(&Value::from(2)), Value::from("42"));
    }
}
