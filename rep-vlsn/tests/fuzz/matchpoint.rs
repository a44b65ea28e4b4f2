//! Where two logs part. Of two logs that grew as logs of one group do, the answer is the end of their common beginning;
//! of any two lists it is a point that both hold, or none.

use crate::kit::Input;
use rep_vlsn::{History, LogPoint, Matchpoint, NodeId, Term, TermStart, Vlsn};

/// Entries of one log.
const ENTRIES_MAX: usize = 300;
const STARTS_MAX: usize = 40;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    if input.is() { grown(&mut input) } else { arbitrary(&mut input) }
}

/// A log as the list of its entries' terms, and who opened which.
#[derive(Clone, Default)]
struct Log {
    terms: Vec<u64>,
    /// The first entry still held, counted from 0.
    cleaned: usize,
}

/// Two members of one group: terms are opened, entries copied, tails cut, heads cleaned away.
fn grown(input: &mut Input<'_>) {
    let mut logs = [Log::default(), Log::default()];
    let mut term = 0;
    while !input.is_empty() {
        let step = input.byte();
        let (me, other) = (usize::from(step & 1), usize::from(!step & 1));
        let count = usize::from(input.byte() % 16);
        match step >> 1 & 3 {
            0 => {
                // Whoever opens a term appends at least its opening.
                term += 1 + u64::from(step >> 4 & 1);
                append(&mut logs[me], term, count + 1);
            }
            1 => match logs[me].terms.last() {
                // Only whoever opened the newest term may add to it.
                Some(&newest) if newest == term => append(&mut logs[me], term, count),
                Some(_) | None => {}
            },
            2 => copy(&mut logs, me, other, count),
            _ => {
                let log = &mut logs[me];
                log.cleaned = log.terms.len().min(log.cleaned + count);
            }
        }
        // The other log never grows in a term that it did not see opened: it copies, or opens its own.
        if logs[other].terms.last() == Some(&term) && logs[me].terms.last() == Some(&term) {
            term += 1;
        }
    }
    let common = logs[0].terms.iter().zip(&logs[1].terms).take_while(|(a, b)| a == b).count();
    let expected = point(&logs[0].terms, common);
    let [mine, theirs] = logs.each_ref().map(history);
    let [last, their_last] = logs.each_ref().map(|log| Vlsn::new(log.terms.len() as u64));
    let found = mine.matchpoint(last, &theirs, their_last).expect("one group's logs");
    assert_eq!(theirs.matchpoint(their_last, &mine, last), Ok(found), "either side says the same");
    let held = logs.iter().all(|log| log.cleaned < common.max(1));
    match found {
        Matchpoint::At(at) => assert_eq!(at, expected),
        Matchpoint::Unknown => assert!(!held, "{expected} lies in both"),
    }
}

fn append(log: &mut Log, term: u64, count: usize) {
    let count = count.min(ENTRIES_MAX - log.terms.len().min(ENTRIES_MAX));
    log.terms.extend(std::iter::repeat_n(term, count));
}

/// One member follows the other: it cuts what the other does not hold, and takes some of what it does.
fn copy(logs: &mut [Log; 2], me: usize, other: usize, count: usize) {
    let theirs = logs[other].terms.clone();
    let mine = &mut logs[me];
    let common = mine.terms.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let newer = theirs.last() >= mine.terms.last();
    if newer && common >= mine.cleaned {
        mine.terms.truncate(common);
        mine.terms.extend(theirs.iter().skip(common).take(count));
    }
}

fn history(log: &Log) -> History {
    let mut history = History::new();
    for (at, &term) in log.terms.iter().enumerate() {
        if at == 0 || log.terms[at - 1] != term {
            let start = Vlsn::new(at as u64 + 1);
            let node = NodeId::new(1 + (term % 5) as u32);
            history.push(TermStart { term: Term::new(term), start, node }).expect("they increase");
        }
    }
    history.clean(Vlsn::new(log.cleaned as u64 + 1));
    history
}

fn point(terms: &[u64], entries: usize) -> LogPoint {
    match entries.checked_sub(1) {
        Some(at) => LogPoint::new(Term::new(terms[at]), Vlsn::new(entries as u64)),
        None => LogPoint::NULL,
    }
}

/// Two lists from anywhere: what a peer may send.
fn arbitrary(input: &mut Input<'_>) {
    let [mine, theirs] = [starts(input), starts(input)].map(History::from_starts);
    let (last, their_last) = (Vlsn::new(input.number()), Vlsn::new(input.number()));
    let (Ok(mine), Ok(theirs)) = (mine, theirs) else { return };
    assert_eq!((mine.check(), theirs.check()), (Ok(()), Ok(())));
    let found = mine.matchpoint(last, &theirs, their_last);
    let swapped = theirs.matchpoint(their_last, &mine, last);
    assert_eq!(found.is_ok(), swapped.is_ok());
    let Ok(found) = found else { return };
    assert_eq!(swapped, Ok(found));
    if let Matchpoint::At(at) = found
        && at != LogPoint::NULL
    {
        assert!(at.vlsn <= last.min(their_last));
        for history in [&mine, &theirs] {
            assert_eq!(history.term_at(at.vlsn), Some(at.term));
        }
    }
    let mut cut = mine.clone();
    cut.truncate(last);
    assert!(cut.starts().iter().all(|start| start.start <= last));
    assert_eq!(cut.term_at(last), mine.term_at(last));
}

fn starts(input: &mut Input<'_>) -> Vec<TermStart> {
    let count = input.below(STARTS_MAX);
    let is_sum = input.is();
    let (mut term, mut start) = (0_u64, 0_u64);
    let mut starts = Vec::new();
    for _ in 0..count {
        let (more, further) = (input.number(), input.number());
        (term, start) = match is_sum {
            true => (term.saturating_add(more), start.saturating_add(further)),
            false => (more, further),
        };
        let node = NodeId::new(1 + u32::from(input.byte() % 3));
        starts.push(TermStart { term: Term::new(term), start: Vlsn::new(start), node });
    }
    starts
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let opens = |me: u8, count: u8| [me, count];
    let appends = |me: u8, count: u8| [2 | me, count];
    let copies = |me: u8, count: u8| [4 | me, count];
    let cleans = |me: u8, count: u8| [6 | me, count];
    let story = |steps: &[[u8; 2]]| [&[1], steps.concat().as_slice()].concat();
    vec![
        story(&[opens(0, 5), copies(1, 4), appends(0, 3), opens(1, 2), opens(0, 1)]),
        story(&[opens(0, 9), copies(1, 9), cleans(0, 4), opens(1, 2), copies(0, 9), cleans(1, 12)]),
        story(&[opens(0, 2), opens(1, 3), copies(0, 2), opens(0, 1), copies(1, 15)]),
        vec![0, 3, 1, 1, 1, 0, 2, 9, 1, 1, 5, 2, 2, 1, 1, 1, 0, 3, 8, 1, 40, 30],
        vec![0, 2, 0, 1, 1, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 254, 9, 1, 1, 0, 254, 0, 254, 1],
    ]
}
