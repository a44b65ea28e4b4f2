//! Where the group sets out: what three shipped nodes make of three empty disks when nothing goes wrong.

use crate::bounds::Start;
use crate::disk::Kept;
use crate::making::Making;
use crate::member::{FOUNDED, MEMBERS};
use crate::model::{Action, Group, What};
use crate::world::{World, member_at};
use rep_node::Fence;
use rep_vlsn::{Draft, Kind, LogPoint, NodeId, Record, Term};
use stateright::Model;

/// Steps that a founding takes at most.
const STEPS_MAX: usize = 1000;

/// The world in which exploring begins, each member started on what its disk held, and the highest term so far.
pub(crate) fn set_out(group: &Group, start: Start) -> (World, u64) {
    let kept = found(group);
    let term = kept[0].fence.term.get();
    let (kept, term) = match start {
        Start::Founded => (kept, term),
        Start::Ahead => (go_ahead(kept, 0), term + 1),
        Start::Parted => (go_ahead(go_ahead(kept, 0), 1), term + 2),
    };
    let mut index = 0;
    let members = kept.map(|kept| {
        index += 1;
        group.atlas.start(member_at(index - 1), kept)
    });
    (group.world_of(members), term)
}

/// The first member founds the group, in weather in which everything arrives and every disk is quick.
fn found(group: &Group) -> [Kept; MEMBERS] {
    let blank = || Kept { fence: Fence::default(), log: Vec::new() };
    let members = [0, 1, 2].map(|index| group.atlas.start(member_at(index), blank()));
    let mut world = group.world_of(members);
    world = step(group, &world, prompt(What::Wait { member: 0 })).expect("it stands");
    for _ in 0..STEPS_MAX {
        match next_of_all(group, &world) {
            Some(next) => world = next,
            None => break,
        }
    }
    let kept = world.members.map(|state| group.atlas.member(state).disk.after_power_cut(0));
    assert!(kept.iter().all(|kept| kept.log.len() == FOUNDED), "{kept:?}");
    kept
}

fn next_of_all(group: &Group, world: &World) -> Option<World> {
    let mut actions = Vec::new();
    group.actions(world, &mut actions);
    let lets_time_pass = |action: &Action| {
        matches!(
            action.what,
            What::Wait { .. } | What::Write { .. } | What::PowerCut { .. } | What::Break { .. }
        )
    };
    let prompt = actions.into_iter().filter(|action| !lets_time_pass(action));
    prompt.into_iter().find_map(|action| step(group, world, action))
}

fn prompt(what: What) -> Action {
    Action { what, sticks: false }
}

fn step(group: &Group, world: &World, action: Action) -> Option<World> {
    let mut making = Making::of(group, world);
    making.act(action);
    making.finish()
}

/// A term in which that member was promised by the one after it, was crowned, wrote its first entry on its own disk, and
/// was cut off.
fn go_ahead(mut kept: [Kept; MEMBERS], master: usize) -> [Kept; MEMBERS] {
    let terms = kept.iter().map(|kept| kept.fence.term);
    let term = terms.max().expect("there are members").next();
    let fence = Fence { term, promised_to: Some(member_at(master)) };
    for promiser in [master, (master + 1) % MEMBERS] {
        kept[promiser].fence = fence;
    }
    let last = kept[master].log.last().expect("a group was founded");
    let opened = opening(last, member_at(master), term);
    kept[master].log.push(opened);
    kept
}

/// A term's first entry, as its master writes it. (What it carries besides is not looked at.)
fn opening(last: &Record, me: NodeId, term: Term) -> Record {
    let point = LogPoint::new(term, last.point().vlsn.next());
    Draft::opening(Kind::TermStart, me, &[0; 16]).stamp(point, last.header_crc(), 0)
}
