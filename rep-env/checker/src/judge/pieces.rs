//! Texts that were put together of pieces, taken apart again.

use crate::kv::KvOp;
use crate::list::ListOp;
use crate::operation::Operation;
use crate::value::Value;
use std::collections::BTreeMap;

/// Stands for what nobody appended.
const FOREIGN: u32 = u32::MAX;

/// Texts that were read may have as many pieces together, each counted as often as it was read.
const PIECES_MAX: usize = 16_000_000;

/// The history as one of a list of pieces, if it says the same: only appends and reads; each piece appended once; none
/// empty; and none the beginning of another, so that a text can be put together in one way only.
pub(super) fn as_list(history: &[Operation<KvOp>]) -> Option<Vec<Operation<ListOp<u32>>>> {
    let pieces = Pieces::of(history)?;
    let longest =
        history.iter().filter_map(|operation| read(&operation.what)).max_by_key(|text| text.len());
    let longest = pieces.take_apart(longest.unwrap_or(""));
    let mut left = PIECES_MAX;
    let mut list = Vec::with_capacity(history.len());
    for operation in history {
        let what = match &operation.what {
            KvOp::Append(piece) => ListOp::Append(pieces.number(piece)?),
            KvOp::Read(Value::Text(text)) => ListOp::Read(pieces.numbers(text, &longest)),
            // The object always holds text, so nothing else is ever read of it.
            KvOp::Read(_) => ListOp::Read(vec![FOREIGN]),
            KvOp::Write(_) | KvOp::Cas { .. } | KvOp::CasFailed { .. } => return None,
        };
        if let ListOp::Read(pieces) = &what {
            left = left.checked_sub(pieces.len())?;
        }
        let Operation { invoked, returned, .. } = *operation;
        list.push(Operation { invoked, returned, what });
    }
    Some(list)
}

fn read(op: &KvOp) -> Option<&str> {
    match op {
        KvOp::Read(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// All that was appended, in the order of texts.
struct Pieces<'a>(BTreeMap<&'a str, u32>);

/// A text as pieces, and where each of them ends.
#[derive(Default)]
struct Apart<'a> {
    text: &'a str,
    numbers: Vec<u32>,
    ends: Vec<usize>,
}

impl<'a> Pieces<'a> {
    fn of(history: &'a [Operation<KvOp>]) -> Option<Self> {
        let mut pieces = BTreeMap::new();
        for (number, operation) in (0..FOREIGN).zip(history) {
            match &operation.what {
                KvOp::Append(Value::Text(piece)) if !piece.is_empty() => {
                    if pieces.insert(&**piece, number).is_some() {
                        return None;
                    }
                }
                KvOp::Read(_) => (),
                _ => return None,
            }
        }
        // In the order of texts, a beginning stands right before what it begins.
        let mut pairs = pieces.keys().zip(pieces.keys().skip(1));
        let ambiguous = pairs.any(|(one, next)| next.starts_with(one));
        (!ambiguous).then_some(Self(pieces))
    }

    fn number(&self, piece: &Value) -> Option<u32> {
        match piece {
            Value::Text(piece) => self.0.get(&**piece).copied(),
            Value::Null | Value::Bool(_) | Value::Integer(_) => None,
        }
    }

    /// The text as numbers. Most texts begin the longest one, and need not be taken apart.
    fn numbers(&self, text: &str, longest: &Apart<'_>) -> Vec<u32> {
        let count = match text {
            "" => Some(0),
            _ => longest.ends.binary_search(&text.len()).ok().map(|at| at + 1),
        };
        match count.filter(|_| longest.text.starts_with(text)) {
            Some(count) => longest.numbers[..count].to_vec(),
            None => self.take_apart(text).numbers,
        }
    }

    /// Takes a text apart, up to what nobody appended.
    fn take_apart<'t>(&self, text: &'t str) -> Apart<'t> {
        let mut apart = Apart { text, ..Apart::default() };
        let mut rest = text;
        while !rest.is_empty() {
            // Of pieces that do not begin each other, only the last one up to the rest can begin it.
            let piece =
                self.0.range(..=rest).next_back().filter(|(piece, _)| rest.starts_with(**piece));
            let (length, number) =
                piece.map_or((rest.len(), FOREIGN), |(piece, number)| (piece.len(), *number));
            rest = &rest[length..];
            apart.numbers.push(number);
            apart.ends.push(text.len() - rest.len());
        }
        apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(piece: &str) -> Operation<KvOp> {
        Operation::done(1, 2, KvOp::Append(Value::text(piece)))
    }

    fn apart(pieces: &[&str], text: Value) -> Option<Vec<u32>> {
        let mut history: Vec<_> = pieces.iter().map(|piece| append(piece)).collect();
        history.push(Operation::done(3, 4, KvOp::Read(text)));
        let list = as_list(&history)?;
        match &list.last()?.what {
            ListOp::Read(numbers) => Some(numbers.clone()),
            ListOp::Append(_) => None,
        }
    }

    #[test]
    fn a_text_is_taken_apart_in_the_one_way_that_there_is() {
        let pieces = ["ab", "b", "ac", "é"];
        assert_eq!(apart(&pieces, "bacéab".into()), Some(vec![1, 2, 3, 0]));
        assert_eq!(apart(&pieces, "".into()), Some(vec![]));
        assert_eq!(apart(&pieces, "bax".into()), Some(vec![1, FOREIGN]));
        assert_eq!(apart(&pieces, Value::Null), Some(vec![FOREIGN]));
    }

    #[test]
    fn what_could_be_taken_apart_in_two_ways_is_left_to_the_search() {
        assert_eq!(apart(&["a", "ab"], "ab".into()), None);
        assert_eq!(apart(&["a", "a"], "a".into()), None);
        assert_eq!(apart(&["a", ""], "a".into()), None);
    }
}
