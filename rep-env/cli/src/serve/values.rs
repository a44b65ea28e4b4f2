//! Values as they are written: durations like `250ms`, sizes like `16MiB`.

use super::keys::Key;
use rep_env::config::{OptionKind, Setting};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A value before it is known what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    Integer(i64),
    Switch(bool),
    List(Vec<String>),
    Pairs(BTreeMap<String, String>),
}

impl From<&str> for Raw {
    fn from(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }
}

/// The value as `key` takes it; else what is wrong with it.
pub(crate) fn convert(key: &Key, raw: Raw) -> Result<Setting, String> {
    match (key.kind, raw) {
        (OptionKind::Time { .. }, Raw::Text(text)) => duration(&text).map(Setting::Time),
        (OptionKind::Bytes { .. }, Raw::Text(text)) => bytes(&text).map(Setting::Bytes),
        (OptionKind::Bytes { .. }, Raw::Integer(count)) => {
            u64::try_from(count).map(Setting::Bytes).map_err(|_| "is below nothing".to_owned())
        }
        (OptionKind::Number { .. }, Raw::Integer(count)) => {
            u32::try_from(count).map(Setting::Number).map_err(|_| out_of_range(count))
        }
        (OptionKind::Number { .. }, Raw::Text(text)) => {
            text.parse().map(Setting::Number).map_err(|_| out_of_range(&text))
        }
        (OptionKind::Text { .. } | OptionKind::Pairs, Raw::Text(text)) => Ok(Setting::Text(text)),
        (OptionKind::Switch, Raw::Switch(said)) => Ok(Setting::Switch(said)),
        (OptionKind::Switch, Raw::Text(text)) => match &*text {
            "true" => Ok(Setting::Switch(true)),
            "false" => Ok(Setting::Switch(false)),
            _ => Err(format!("{text:?} is neither true nor false")),
        },
        (OptionKind::List, Raw::List(list)) => Ok(Setting::List(list)),
        (OptionKind::List, Raw::Text(text)) => {
            Ok(Setting::List(text.split(',').map(|item| item.trim().to_owned()).collect()))
        }
        (OptionKind::List, Raw::Pairs(pairs)) => {
            let list = pairs.into_iter().map(|(name, text)| format!("{name}={text}"));
            Ok(Setting::List(list.collect()))
        }
        (kind, raw) => Err(format!("takes {}, and {raw} is none", expected(kind))),
    }
}

fn out_of_range(said: impl Display) -> String {
    format!("{said} is no number from 0 to {}", u32::MAX)
}

fn expected(kind: OptionKind) -> &'static str {
    match kind {
        OptionKind::Time { .. } => "a duration with its unit, as in \"250ms\"",
        OptionKind::Bytes { .. } => "a size, as in \"16MiB\"",
        OptionKind::Number { .. } => "a number",
        OptionKind::Switch => "true or false",
        OptionKind::List => "a list of texts",
        OptionKind::Text { .. } | OptionKind::Pairs => "a text in quotes",
        _ => "what only code can give",
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is no duration, as \"250ms\" or \"5s\" is: {error}"))
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size, as \"65536\" or \"16MiB\" is");
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    let count: u64 = count.parse().map_err(|_| wrong())?;
    count.checked_mul(1 << shift).ok_or_else(wrong)
}

impl Display for Raw {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Text(text) => write!(f, "{text:?}"),
            Raw::Integer(count) => write!(f, "{count}"),
            Raw::Switch(said) => write!(f, "{said}"),
            Raw::List(_) => f.write_str("a list"),
            Raw::Pairs(_) => f.write_str("a table"),
        }
    }
}

/// A value as a file would say it.
pub(crate) struct Toml<'s>(pub(crate) &'s Setting);

impl Display for Toml<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Setting::Time(time) => {
                write!(f, "\"{}\"", humantime::format_duration(*time))
            }
            Setting::Number(number) => write!(f, "{number}"),
            Setting::Bytes(bytes) => write!(f, "{bytes}"),
            Setting::Switch(said) => write!(f, "{said}"),
            Setting::Text(text) => quoted(f, text),
            Setting::List(list) => {
                f.write_str("[")?;
                for (at, text) in list.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    quoted(f, text)?;
                }
                f.write_str("]")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// A key as a file would say it: what an attribute is called may be anything.
pub(crate) struct TomlKey<'s>(pub(crate) &'s str);

impl Display for TomlKey<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        match self.0.split_once('.') {
            Some((table, name)) if !name.chars().all(is_bare) => {
                write!(f, "{table}.")?;
                quoted(f, name)
            }
            Some(_) | None => f.write_str(self.0),
        }
    }
}

/// A basic string: the file format knows the same escapes but for control characters.
fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            letter if letter.is_control() => write!(f, "\\u{:04X}", u32::from(letter))?,
            letter => write!(f, "{letter}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::super::keys::find;
    use super::*;

    fn read(name: &str, text: &str) -> Result<Setting, String> {
        convert(&find(name).unwrap(), text.into())
    }

    #[test]
    fn amounts_are_read_with_their_units() {
        let ms = |count| Ok(Setting::Time(Duration::from_millis(count)));
        assert_eq!(read("heartbeat", "250ms"), ms(250));
        assert_eq!(read("heartbeat", "1m 5s"), ms(65_000));
        assert_eq!(read("heartbeat", "100 ms"), ms(100));
        assert_eq!(read("segment_bytes", "16MiB"), Ok(Setting::Bytes(16 << 20)));
        assert_eq!(read("segment_bytes", "3 GiB"), Ok(Setting::Bytes(3 << 30)));
        assert_eq!(read("segment_bytes", "65536"), Ok(Setting::Bytes(65_536)));
        for (name, text) in [
            ("heartbeat", "250"),
            ("heartbeat", "fast"),
            ("segment_bytes", "16MB"),
            ("segment_bytes", "-1"),
            ("segment_bytes", "99999999999TiB"),
            ("priority", "-1"),
            ("priority", "4294967296"),
            ("allow_plaintext", "yes"),
        ] {
            assert!(read(name, text).unwrap_err().contains(text), "{name} {text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for (name, text) in [
            ("heartbeat", "1500ms"),
            ("priority", "7"),
            ("segment_bytes", "1MiB"),
            ("members", "a=b:1,c=d:2"),
        ] {
            let value = read(name, text).unwrap();
            let line = format!("{name} = {}", Toml(&value));
            let (key, raw, _) = super::super::file::entries(&line).unwrap().remove(0);
            assert_eq!(convert(&find(&key).unwrap(), raw), Ok(value), "{line}");
        }
        let odd = Setting::Text("a \"b\" \\ \u{7}".to_owned());
        let line = format!("home = {}", Toml(&odd));
        let (_, raw, _) = super::super::file::entries(&line).unwrap().remove(0);
        assert_eq!(convert(&find("home").unwrap(), raw), Ok(odd));
    }

    /// `--print-config` said the attribute `a.b` as a key in a table of a table, and `a b` as none at all: its file was refused.
    #[test]
    fn an_attribute_of_any_name_is_printed_as_a_key_that_is_read_back() {
        for name in ["zone", "a.b", "a b", "a\"b\\", "\u{7}", "=", "ä"] {
            let key = format!("attribute.{name}");
            let line = format!("{} = \"x\"", TomlKey(&key));
            let found = super::super::file::entries(&line).unwrap_or_else(|_| panic!("{line}"));
            assert_eq!(found, [(key, Raw::Text("x".to_owned()), 1)], "{line}");
        }
        assert_eq!(TomlKey("attribute.zone-1").to_string(), "attribute.zone-1");
    }
}
