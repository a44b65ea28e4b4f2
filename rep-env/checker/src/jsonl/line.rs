//! One line of JSON, as plain fields.

use crate::value::Value;
use serde_core::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The fields of a line, each as it was given. Fields of other names are nobody's concern.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) process: Option<Given>,
    pub(super) kind: Option<Given>,
    pub(super) op: Option<Given>,
    pub(super) key: Option<Given>,
    pub(super) value: Option<Given>,
    pub(super) time_ns: Option<Given>,
}

/// A value before anybody has asked whether it makes sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    One(Value),
    Pair(Value, Value),
    /// What its equality cannot be told of.
    Fraction(f64),
    /// A list of another length than two, or of lists.
    List,
    Object,
}

impl Line {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let line = deserializer.deserialize_map(LineVisitor).map_err(told)?;
        deserializer.end().map_err(told)?;
        Ok(line)
    }
}

/// The reason without "at line 1": which line it is, is known better.
fn told(error: serde_json::Error) -> String {
    let text = error.to_string();
    let column = error.column();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => format!("{reason} (column {column})"),
        None => text,
    }
}

impl Given {
    /// What kind of value it is, for a complaint.
    pub(super) fn kind(&self) -> String {
        match self {
            Given::One(value) => value.to_string(),
            Given::Pair(..) => "a list of two".to_owned(),
            Given::Fraction(number) => format!("{number}, which is no whole number of 64 bits"),
            Given::List => "a list".to_owned(),
            Given::Object => "an object".to_owned(),
        }
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
        let mut line = Line::default();
        while let Some(name) = map.next_key::<String>()? {
            let field = match &*name {
                "process" => &mut line.process,
                "type" => &mut line.kind,
                "op" => &mut line.op,
                "key" => &mut line.key,
                "value" => &mut line.value,
                "time_ns" => &mut line.time_ns,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if field.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format!("the field {name:?} stands there twice")));
            }
        }
        Ok(line)
    }
}

struct GivenVisitor;

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::One(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Given, E> {
        Ok(Given::One(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given, E> {
        Ok(Given::One(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given, E> {
        Ok(Given::One(Value::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given, E> {
        Ok(Given::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Given, E> {
        Ok(Given::One(Value::text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
        let first: Option<Given> = list.next_element()?;
        let second: Option<Given> = list.next_element()?;
        let mut more = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(match (first, second, more) {
            (Some(Given::One(first)), Some(Given::One(second)), false) => {
                Given::Pair(first, second)
            }
            _ => Given::List,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_or_said_to_be_none() {
        let value = |text: &str| {
            let line = format!("{{\"value\":{text}}}");
            Line::parse(line.as_bytes()).unwrap().value.unwrap()
        };
        let integer = |value: i128| Given::One(Value::Integer(value));
        assert_eq!(value("18446744073709551615"), integer(u64::MAX.into()));
        assert_eq!(value("-9223372036854775808"), integer(i64::MIN.into()));
        assert!(matches!(value("18446744073709551616"), Given::Fraction(_)));
        assert!(matches!(value("1.0"), Given::Fraction(_)));
        assert_eq!(value("[1,null]"), Given::Pair(Value::from(1), Value::Null));
        assert_eq!((value("[1,2,3]"), value("[[1],2]")), (Given::List, Given::List));
    }

    #[test]
    fn a_line_is_one_object_and_no_field_stands_twice() {
        assert!(Line::parse(b" {\"index\": [{}], \"op\": \"read\"} \r\n").is_ok());
        for bad in [&b"{}{}"[..], b"[]", b"{\"op\":1,\"op\":1}", b"{", b"\xff", b"null", b"{} x"] {
            let told = Line::parse(bad).unwrap_err();
            assert!(!told.contains("at line"), "{told}");
        }
    }
}
