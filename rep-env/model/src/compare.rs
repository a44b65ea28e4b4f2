//! Do the shortcuts hide anything? Both ways are gone, and what the rules look at has to be the same.

use crate::bounds::Bounds;
use crate::model::Group;
use crate::world::{Past, World};
use rep_vlsn::{LogPoint, NodeId};
use stateright::Model;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// What was seen with the shortcuts and without.
#[derive(Debug)]
pub struct Comparison {
    /// Worlds, with the shortcuts and without.
    pub worlds: [usize; 2],
    /// Views, with the shortcuts and without.
    pub views: [usize; 2],
    /// A view that only one of them had.
    pub difference: Option<String>,
}

/// What can be told of a world by its members' fences, logs, watermarks and reigns, and by its past. Which entries are on
/// which disk is left out: a slow disk that is not lost is what the shortcuts leave out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct View {
    members: Vec<MemberView>,
    past: Past,
    written: u8,
    crashes: u8,
    breaks: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MemberView {
    fence: u64,
    promised_to: Option<NodeId>,
    reigns: Option<u64>,
    log: Vec<(LogPoint, u32)>,
    dvlsn: usize,
}

/// Explores everything within the bounds with the shortcuts and without.
pub fn compare(bounds: Bounds) -> Comparison {
    let (short_worlds, short) = views(Bounds { every_order: false, ..bounds });
    let (long_worlds, long) = views(bounds.every_order());
    let difference = short.symmetric_difference(&long).next();
    let whose = |view| if long.contains(view) { "without" } else { "with" };
    Comparison {
        worlds: [short_worlds, long_worlds],
        views: [short.len(), long.len()],
        difference: difference.map(|view| format!("only {} shortcuts: {view:?}", whose(view))),
    }
}

/// How many worlds there are, and what can be seen in them.
fn views(bounds: Bounds) -> (usize, HashSet<View>) {
    let group = Group::new(bounds);
    let (mut known, mut views, mut actions) = (HashSet::new(), HashSet::new(), Vec::new());
    let mut waiting = group.init_states();
    known.extend(waiting.iter().map(fingerprint));
    while let Some(world) = waiting.pop() {
        views.insert(View::of(&group, &world));
        group.actions(&world, &mut actions);
        let next = actions.drain(..).filter_map(|action| group.next_state(&world, action));
        waiting.extend(next.filter(|next| known.insert(fingerprint(next))));
    }
    (known.len(), views)
}

/// By what a world is remembered.
fn fingerprint(world: &World) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(world)
}

impl View {
    fn of(group: &Group, world: &World) -> View {
        let members = group.sights(world).into_iter().map(|sight| MemberView {
            fence: sight.durable_fence,
            promised_to: sight.promised_to,
            reigns: sight.reigns,
            log: sight.log.iter().map(|entry| (entry.point, entry.crc)).collect(),
            dvlsn: sight.dvlsn,
        });
        let World { past, written, crashes, breaks, .. } = *world;
        View { members: members.collect(), past, written, crashes, breaks }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { worlds: [short, long], views, difference } = self;
        write!(f, "{short} worlds with shortcuts, {long} without; ")?;
        match difference {
            None => write!(f, "{} views in both", views[0]),
            Some(difference) => write!(f, "{} and {} views: {difference}", views[0], views[1]),
        }
    }
}
