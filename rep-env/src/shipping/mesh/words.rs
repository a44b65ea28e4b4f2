//! What a sink and a store say to each other, and how it looks as a frame.
//!
//! ```text
//! 0  tag       u8
//! 1  version   u8   1
//! 2  reserved  6    0
//! 8  number    u64  an answer has its question's
//! 16 body
//! ```
//!
//! | tag | from | body |
//! |---|---|---|
//! | 1 Where | sink | group (16), shard u32 |
//! | 2 Take | sink | a segment |
//! | 16 Has | store | term u64, vlsn u64 of the last entry that it has durably; zeros if it has none |
//! | 17 Gap | store | the same: it lacks what lies between that and the segment |
//! | 18 Refused | store | why, in UTF-8, cut after 1024 bytes |
//!
//! All little-endian.

use crate::shipping::segments::ShardId;
use bytes::{BufMut, Bytes, BytesMut};
use rep_vlsn::{GroupId, LogPoint, Term, Vlsn};

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 16;
const WHERE: u8 = 1;
const TAKE: u8 = 2;
const HAS: u8 = 16;
const GAP: u8 = 17;
const REFUSED: u8 = 18;
/// Bytes of a reason.
const WHY_BYTES_MAX: usize = 1024;

/// What a sink asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Where do you stand?
    Where { group: GroupId, shard: ShardId },
    /// Take this segment, as it is encoded.
    Take(Bytes),
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its last entry is this one.
    Has(LogPoint),
    /// Its last entry is this one, and the segment does not follow it.
    Gap(LogPoint),
    /// It took nothing, for this reason.
    Refused(String),
}

impl Question {
    pub(super) fn encode(&self, number: u64) -> Bytes {
        match self {
            Question::Where { group, shard } => {
                frame(WHERE, number, &[&group.0, &shard.0.to_le_bytes()])
            }
            Question::Take(segment) => frame(TAKE, number, &[segment]),
        }
    }

    /// Its number, and the question.
    pub(super) fn decode(mut frame: Bytes) -> Result<(u64, Question), &'static str> {
        let (tag, number) = prefix(&frame)?;
        let body = frame.split_off(PREFIX_BYTES);
        let question = match tag {
            WHERE => {
                let (group, shard) = body.split_at_checked(16).ok_or("a short question")?;
                let group = GroupId(group.try_into().map_err(|_| "a short question")?);
                let shard = shard.try_into().map_err(|_| "a question of another length")?;
                Question::Where { group, shard: ShardId(u32::from_le_bytes(shard)) }
            }
            TAKE => Question::Take(body),
            _ => return Err("an unknown question"),
        };
        Ok((number, question))
    }
}

impl Answer {
    pub(super) fn encode(&self, number: u64) -> Bytes {
        let at = |tag, point: &LogPoint| {
            let (term, vlsn) = (point.term.get().to_le_bytes(), point.vlsn.get().to_le_bytes());
            frame(tag, number, &[&term, &vlsn])
        };
        match self {
            Answer::Has(last) => at(HAS, last),
            Answer::Gap(last) => at(GAP, last),
            Answer::Refused(why) => {
                // Where that cuts a character, its reader shows that one was cut.
                frame(REFUSED, number, &[&why.as_bytes()[..why.len().min(WHY_BYTES_MAX)]])
            }
        }
    }

    /// Its question's number, and the answer.
    pub(super) fn decode(frame: &[u8]) -> Result<(u64, Answer), &'static str> {
        let (tag, number) = prefix(frame)?;
        let body = &frame[PREFIX_BYTES..];
        let answer = match tag {
            HAS => Answer::Has(point(body)?),
            GAP => Answer::Gap(point(body)?),
            REFUSED if body.len() <= WHY_BYTES_MAX => {
                Answer::Refused(String::from_utf8_lossy(body).into_owned())
            }
            REFUSED => return Err("a reason that is too long"),
            _ => return Err("an unknown answer"),
        };
        Ok((number, answer))
    }
}

fn frame(tag: u8, number: u64, parts: &[&[u8]]) -> Bytes {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + bytes);
    out.put_slice(&[tag, VERSION, 0, 0, 0, 0, 0, 0]);
    out.put_u64_le(number);
    parts.iter().for_each(|part| out.put_slice(part));
    out.freeze()
}

fn prefix(frame: &[u8]) -> Result<(u8, u64), &'static str> {
    let prefix = frame.get(..PREFIX_BYTES).ok_or("a frame that is too short")?;
    if prefix[1..8] != [VERSION, 0, 0, 0, 0, 0, 0] {
        return Err("a frame of another version");
    }
    Ok((prefix[0], u64::from_le_bytes(prefix[8..].try_into().expect("eight bytes are left"))))
}

fn point(body: &[u8]) -> Result<LogPoint, &'static str> {
    let body: [u8; 16] = body.try_into().map_err(|_| "a place of another length")?;
    let (term, vlsn) = body.split_at(8);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight of sixteen"));
    Ok(LogPoint::new(Term::new(number(term)), Vlsn::new(number(vlsn))))
}
