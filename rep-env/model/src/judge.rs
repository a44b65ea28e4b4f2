//! What must hold of a world, and what must have been seen in one, or the model shows nothing.

use crate::atlas::Sight;
use crate::bounds::Bounds;
use crate::letters::{LetterId, Letters};
use crate::member::{FOUNDED, MEMBERS};
use crate::model::Group;
use crate::rules::Rule;
use crate::world::{Note, Past, Place, World};
use rep_node::{ElectionMessage, Message};
use rep_vlsn::{LogPoint, NodeId, Term};
use stateright::Property;

/// Copies that are a commit quorum.
const COMMIT_QUORUM: usize = MEMBERS / 2 + 1;

/// A member was crowned.
pub(crate) fn crowned(past: &mut Past, member: usize, term: Term) {
    let crowned = &mut past.crowned[term.get() as usize];
    let number = member as u8 + 1;
    if *crowned != 0 && *crowned != number {
        past.broken.note(Rule::OneMaster);
    }
    *crowned = number;
}

/// A client was told that its write is committed.
pub(crate) fn committed(past: &mut Past, point: LogPoint) {
    past.committed = past.committed.max(Place::of(point));
}

/// Whether the letter is a promise of a term that was promised to another before. To solicit a term is to promise it to
/// oneself.
pub(crate) fn is_second_promise(letter: LetterId, mail: &[LetterId], letters: &Letters) -> bool {
    let Some((who, term, to)) = promise_in(letter, letters) else { return false };
    let others = mail.iter().filter_map(|letter| promise_in(*letter, letters));
    others.into_iter().any(|other| (other.0, other.1) == (who, term) && other.2 != to)
}

fn promise_in(letter: LetterId, letters: &Letters) -> Option<(NodeId, Term, NodeId)> {
    let letter = letters.letter(letter);
    match &letter.message {
        Message::Election(ElectionMessage::Promise(promise)) => {
            Some((letter.from, promise.term, letter.to))
        }
        Message::Election(ElectionMessage::Solicit(ask)) => {
            Some((letter.from, ask.term, letter.from))
        }
        _ => None,
    }
}

/// Looks at a new world: what is called durable in it is remembered, and what must hold is checked.
pub(crate) fn judge(world: &mut World, sights: &[&Sight; MEMBERS]) {
    let past = &mut world.past;
    for sight in sights {
        note_durable(past, sight);
    }
    if !sights.iter().all(|sight| is_durable(sight.durable(), sights)) {
        past.broken.note(Rule::DurableIsTrue);
    }
    if !past.durable.iter().all(|place| is_durable(place.point(), sights)) {
        past.broken.note(Rule::DurableIsTrue);
    }
    if !is_durable(past.committed.point(), sights) {
        past.broken.note(Rule::NothingLost);
    }
    for sight in sights {
        judge_reign(past, sight);
    }
    for one in 0..MEMBERS {
        for other in one + 1..MEMBERS {
            if !do_agree(sights[one], sights[other]) {
                past.broken.note(Rule::LogsAgree);
            }
        }
    }
}

fn note_durable(past: &mut Past, sight: &Sight) {
    let Some(term) = sight.reigns else { return };
    let (durable, place) = (&mut past.durable[term as usize], Place::of(sight.durable()));
    if place < *durable {
        past.broken.note(Rule::DurableRises);
    }
    *durable = place.max(*durable);
}

/// Whether a commit quorum has the entry on its disks. What was founded is not asked about.
fn is_durable(point: LogPoint, sights: &[&Sight; MEMBERS]) -> bool {
    point.vlsn.get() as usize <= FOUNDED
        || sights.iter().filter(|sight| sight.keeps(point)).count() >= COMMIT_QUORUM
}

fn judge_reign(past: &mut Past, sight: &Sight) {
    let Some(term) = sight.reigns else { return };
    let earlier = &past.durable[..term as usize];
    if !earlier.iter().all(|place| sight.holds(place.point())) {
        past.broken.note(Rule::Complete);
    }
    let committed = past.committed.point();
    if committed.term.get() < term && !sight.holds(committed) {
        past.broken.note(Rule::NothingLost);
    }
}

/// Two logs that share a LogPoint are the same up to it.
fn do_agree(one: &Sight, other: &Sight) -> bool {
    let (one, other) = (&one.log, &other.log);
    let shared = one.iter().zip(other).rposition(|(a, b)| a.point == b.point);
    shared.is_none_or(|last| one[..=last] == other[..=last])
}

macro_rules! always {
    ($($rule:ident),* $(,)?) => {
        vec![$(Property::always(Rule::$rule.words(), |_, world: &World| {
            !world.past.broken.has(Rule::$rule)
        })),*]
    };
}

/// What must hold, and what has to be seen once within these bounds, or it was not looked at.
pub(crate) fn properties(bounds: &Bounds) -> Vec<Property<Group>> {
    let mut all = always!(
        OneMaster,
        Complete,
        LogsAgree,
        DurableIsTrue,
        DurableRises,
        OnePromise,
        PromiseOnDisk,
        AckOnDisk,
        NothingLost,
        NobodyHalts,
    );
    all.push(Property::sometimes("a master reigns in the last term", |group, world| {
        sees(group, world, |sight| sight.reigns == Some(group.term_max))
    }));
    if bounds.terms > 1 {
        all.extend(of_terms());
    }
    if bounds.entries > 0 {
        all.extend(of_entries());
    }
    if bounds.crashes > 0 {
        all.extend(of_crashes(bounds.slow_fences));
    }
    all
}

fn sees(group: &Group, world: &World, what: impl Fn(&Sight) -> bool) -> bool {
    group.sights(world).into_iter().any(what)
}

fn of_terms() -> Vec<Property<Group>> {
    vec![
        Property::sometimes(
            "two masters reign at once, in different terms",
            |group: &Group, world| {
                group.sights(world).iter().filter(|sight| sight.reigns.is_some()).count() > 1
            },
        ),
        Property::sometimes("an entry is rolled back", |_, world: &World| {
            world.note == Note::RolledBack
        }),
    ]
}

fn of_entries() -> Vec<Property<Group>> {
    vec![
        Property::sometimes("a client's entry becomes durable", |group, world| {
            sees(group, world, Sight::calls_data_durable)
        }),
        Property::sometimes("a client is told that its write is committed", |_, world: &World| {
            !world.past.committed.is_null()
        }),
    ]
}

fn of_crashes(slow_fences: bool) -> Vec<Property<Group>> {
    let mut all = vec![Property::sometimes(
        "a power cut takes an entry that was not durable",
        |_: &Group, world: &World| world.note == Note::LostEntries,
    )];
    if slow_fences {
        all.push(Property::sometimes(
            "a power cut takes a fence that was on its way",
            |_, world: &World| world.note == Note::LostFence,
        ));
    }
    all
}
