//! What the head of the log said that is still needed when it is gone.
//!
//! Two things: who belongs to the group, which its first entry says and nothing after it has to repeat; and which terms
//! there were, for who comes with the token of an entry that nobody holds any more. Both are small, and stand in the
//! cell `past` before a file of the log is removed. So a directory either still has the head or has this.

use crate::error::OpenError;
use crate::membership::{FirstMember, Member, Membership};
use bytes::Bytes;
use rep_vlsn::{GroupId, History, LogPoint, Term, TermStart, Vlsn};
use serde::{Deserialize, Serialize};

/// Version of the encoded past.
const VERSION: u8 = 2;
/// The version that knew only members as they were founded.
const FIRST_VERSION: u8 = 1;
/// The newest terms of the past that are remembered: with the members they fit into a cell.
const TERMS_MAX: usize = 512;
/// As many as the first version remembered.
const FIRST_TERMS_MAX: usize = 1024;

/// What is remembered of entries that may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) membership: Membership,
    /// The terms that began before the first entry that this is not about.
    pub(crate) history: History,
}

#[derive(Serialize, Deserialize)]
struct Written {
    membership: Vec<u8>,
    terms: Vec<TermStart>,
}

#[derive(Deserialize)]
struct FirstWritten {
    group: GroupId,
    at: LogPoint,
    members: Vec<FirstMember>,
    terms: Vec<TermStart>,
}

impl Past {
    /// What has to be remembered once the entries before `before` are gone: `earlier` has it of those that are gone
    /// already, `log` of the others.
    pub(crate) fn before(
        before: Vlsn,
        membership: &Membership,
        earlier: Option<&Past>,
        log: &History,
    ) -> Past {
        let earlier = earlier.map_or(&[][..], |past| past.history.starts());
        let newer = log.starts().iter().copied();
        let mut terms: Vec<TermStart> = earlier.to_vec();
        let last = terms.last().map_or(Term::ZERO, |start| start.term);
        terms.extend(newer.filter(|start| start.term > last && start.start < before));
        let history = newest(terms).expect("two histories of one log are one");
        Past { membership: membership.clone(), history }
    }

    /// The value of the cell.
    pub(crate) fn encode(&self) -> Bytes {
        let membership = self.membership.encode().to_vec();
        let written = Written { membership, terms: self.history.starts().to_vec() };
        let mut value = vec![VERSION];
        value.extend(postcard::to_stdvec(&written).expect("plain data is encodable"));
        value.into()
    }

    /// What the cell holds. A log that begins at its first entry can do without, and its cell may be empty.
    pub(crate) fn recovered(value: Option<&Bytes>, first: Vlsn) -> Result<Option<Past>, OpenError> {
        let no_past = |why: String| OpenError::NoPast { first, why };
        match value.filter(|value| !value.is_empty()) {
            Some(value) => Past::decode(value).map(Some).map_err(no_past),
            None if first > Vlsn::FIRST => Err(no_past("it was never stored to".to_owned())),
            None => Ok(None),
        }
    }

    fn decode(value: &[u8]) -> Result<Past, String> {
        let (membership, terms) = match value.split_first() {
            Some((&VERSION, body)) => {
                let Written { membership, terms } = read(body)?;
                (Membership::decode(&membership)?, terms)
            }
            Some((&FIRST_VERSION, body)) => read::<FirstWritten>(body)?.understood()?,
            Some((version, _)) => return Err(format!("version {version} is not known here")),
            None => unreachable!("an empty value was told apart"),
        };
        if terms.len() > FIRST_TERMS_MAX {
            return Err("more terms than are remembered".to_owned());
        }
        let history = History::from_starts(terms).map_err(|error| error.to_string())?;
        Ok(Past { membership, history })
    }
}

impl Membership {
    /// Who belonged to the group by the value of a cell `past`, if that can be read.
    pub fn remembered(past: &[u8]) -> Option<Membership> {
        let read = |past| Past::decode(past).ok();
        Some(past).filter(|past| !past.is_empty()).and_then(read).map(|past| past.membership)
    }
}

impl FirstWritten {
    fn understood(self) -> Result<(Membership, Vec<TermStart>), String> {
        let FirstWritten { group, at, members, terms } = self;
        let members = members.into_iter().map(Member::from).collect();
        let membership = Membership { at, ..Membership::founding(group, members) };
        membership.check().map(|()| (membership, terms))
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}

fn newest(mut terms: Vec<TermStart>) -> Result<History, rep_vlsn::HistoryError> {
    terms.drain(..terms.len().saturating_sub(TERMS_MAX));
    History::from_starts(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::MemberType;
    use rep_vlsn::{Incarnation, NodeId};

    fn start(term: u64, start: u64) -> TermStart {
        TermStart { term: Term::new(term), start: Vlsn::new(start), node: NodeId::new(1) }
    }

    fn membership() -> Membership {
        let member = Member {
            id: NodeId::new(1),
            name: "n1".into(),
            incarnation: Incarnation([7; 16]),
            address: "a:1".into(),
            kind: MemberType::Electable,
            priority: 0,
            attributes: Default::default(),
        };
        let at = LogPoint::new(Term::new(1), Vlsn::FIRST);
        Membership { at, ..Membership::founding(GroupId([9; 16]), vec![member]) }
    }

    fn history(starts: &[(u64, u64)]) -> History {
        let starts = starts.iter().map(|(term, at)| start(*term, *at)).collect();
        History::from_starts(starts).unwrap()
    }

    #[test]
    fn each_cleaning_adds_the_terms_that_it_takes() {
        let first =
            Past::before(Vlsn::new(20), &membership(), None, &history(&[(1, 1), (3, 12), (4, 20)]));
        assert_eq!(first.history, history(&[(1, 1), (3, 12)]));
        let rest = history(&[(3, 12), (4, 20), (7, 31)]);
        let second = Past::before(Vlsn::new(40), &membership(), Some(&first), &rest);
        assert_eq!(second.history, history(&[(1, 1), (3, 12), (4, 20), (7, 31)]));
    }

    #[test]
    fn the_cell_says_what_it_was_told_and_what_is_damaged_is_no_past() {
        let past = Past::before(Vlsn::new(9), &membership(), None, &history(&[(1, 1), (2, 5)]));
        let value = past.encode();
        let read =
            |value: &[u8]| Past::recovered(Some(&Bytes::copy_from_slice(value)), Vlsn::new(9));
        assert_eq!(read(&value).unwrap(), Some(past));
        let empty = Past::recovered(Some(&Bytes::new()), Vlsn::FIRST);
        assert_eq!(empty.unwrap(), None, "it was made before there was anything to say");
        for length in 0..value.len() {
            assert!(matches!(read(&value[..length]), Err(OpenError::NoPast { .. })), "{length}");
        }
        assert!(read(&[9, 0, 0]).unwrap_err().to_string().contains("version 9"));
    }

    #[test]
    fn a_log_without_its_head_needs_a_past() {
        assert_eq!(Past::recovered(None, Vlsn::FIRST).unwrap(), None);
        assert!(Past::recovered(None, Vlsn::new(2)).is_err());
    }

    #[test]
    fn only_the_newest_terms_are_remembered() {
        let many: Vec<(u64, u64)> = (1..=TERMS_MAX as u64 + 5).map(|term| (term, term)).collect();
        let past = Past::before(Vlsn::new(9_999), &membership(), None, &history(&many));
        assert_eq!(past.history.starts().len(), TERMS_MAX);
        assert_eq!(past.history.starts()[0], start(6, 6));
        assert!(past.encode().len() < rep_vlsn::CELL_BYTES_MAX);
    }
}
