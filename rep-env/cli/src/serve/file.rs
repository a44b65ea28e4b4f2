//! A configuration file as keys and values, each with its line.

use super::values::Raw;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file that cannot be read as TOML, or a value that no key takes.
#[derive(Debug)]
pub(crate) struct FileError {
    line: usize,
    problem: String,
}

impl FileError {
    pub(crate) fn at(self, path: &Path) -> anyhow::Error {
        anyhow::anyhow!("{}:{}: {}", path.display(), self.line, self.problem)
    }
}

/// Everything that the file says: key, value, line. Names of attributes follow a dot.
pub(crate) fn entries(text: &str) -> Result<Vec<(String, Raw, usize)>, FileError> {
    let table = DeTable::parse(text).map_err(|error| FileError {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        problem: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(text, key.span().start);
        let name = key.get_ref();
        match value.get_ref() {
            DeValue::Table(attributes) if name == "attribute" => {
                for (key, value) in attributes {
                    let line = line_of(text, key.span().start);
                    entries.push((format!("{name}.{}", key.get_ref()), raw(text, value)?, line));
                }
            }
            _ => entries.push((name.to_string(), raw(text, value)?, line)),
        }
    }
    Ok(entries)
}

fn raw(text: &str, value: &Spanned<DeValue<'_>>) -> Result<Raw, FileError> {
    let wrong = |value: &Spanned<DeValue<'_>>| FileError {
        line: line_of(text, value.span().start),
        problem: format!("no option takes {}", article(value.get_ref().type_str())),
    };
    let string = |value: &Spanned<DeValue<'_>>| {
        value.get_ref().as_str().map(str::to_owned).ok_or_else(|| wrong(value))
    };
    match value.get_ref() {
        DeValue::String(text) => Ok(Raw::Text(text.to_string())),
        DeValue::Boolean(said) => Ok(Raw::Switch(*said)),
        DeValue::Integer(count) => {
            let digits = count.as_str().trim_start_matches('+');
            let count = i64::from_str_radix(digits, count.radix());
            count.map(Raw::Integer).map_err(|_| wrong(value))
        }
        DeValue::Array(array) => array.iter().map(string).collect::<Result<_, _>>().map(Raw::List),
        DeValue::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| string(value).map(|text| (key.get_ref().to_string(), text)));
            pairs.collect::<Result<_, _>>().map(Raw::Pairs)
        }
        DeValue::Float(_) | DeValue::Datetime(_) => Err(wrong(value)),
    }
}

fn article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name} here", if vowel { "an" } else { "a" })
}

/// The line of a place in a text, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_with_its_key_and_line() {
        let text = "group = 'bank'\n\nallow_plaintext = true\nsegment_bytes = 0x100000\n\
                    members = ['a=h:1', 'b=h:2']\n[attribute]\nzone = 'north'\n";
        let mut found = entries(text).unwrap();
        found.sort_by_key(|(_, _, line)| *line);
        let expected = [
            ("group", Raw::Text("bank".into()), 1),
            ("allow_plaintext", Raw::Switch(true), 3),
            ("segment_bytes", Raw::Integer(1 << 20), 4),
            ("members", Raw::List(vec!["a=h:1".into(), "b=h:2".into()]), 5),
            ("attribute.zone", Raw::Text("north".into()), 7),
        ];
        assert_eq!(found, expected.map(|(key, raw, line)| (key.to_owned(), raw, line)));
    }

    #[test]
    fn what_is_no_file_of_ours_is_told_with_its_line() {
        for (text, line) in
            [("a = 1\nb = \n", 2), ("a = 'x'\na = 'y'", 2), ("\n\nx = 1.5", 3), ("m = [1]", 1)]
        {
            let error = entries(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {}", error.problem);
        }
    }
}
