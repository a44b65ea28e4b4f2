//! One random schedule in which the membership changes as well: members are added, promoted, removed, and quorums get
//! other sizes, while the weather is foul and masters come and go.

use crate::storm::{clear_up, fault, isolate};
use crate::world::{Weather, World, incarnation, ms, node};
use rep_election::{Electorate, Voter};
use rep_vlsn::{GroupId, LogPoint, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What became of the changes in one schedule.
#[derive(Clone, Copy, Debug, Default)]
#[allow(dead_code)]
pub(crate) struct Changes {
    pub(crate) logged: usize,
    pub(crate) durable: usize,
    /// Logged by a master, and gone from every log since.
    pub(crate) rolled_back: usize,
}

/// Some seconds of faults and changes drawn from the seed, then calm, in which a master must be found.
pub(crate) fn churn(voters: u32, spares: u32, seed: u64) -> Changes {
    let seed = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) + 1;
    let mut world = World::new(voters, true, Weather::FOUL, seed);
    for number in voters + 1..=voters + spares {
        world.spare(node(number));
    }
    let mut removed = BTreeSet::new();
    let mut seen = BTreeSet::new();
    world.run_until(ms(10_000), World::is_served);
    let trouble = world.dice.roll(200, 800);
    for _ in 0..60 {
        if world.dice.chance(trouble) {
            fault(&mut world);
        }
        if world.dice.chance(300) {
            // A new master's first moments are the worst ones for a change.
            run_until_crowned(&mut world);
        }
        if let Some((_, master)) = world.master() {
            for _ in 0..world.dice.roll(0, 3) {
                ask_for_a_change(&mut world, &mut removed);
                let on_its_way = ms(world.dice.roll(1, 30));
                world.run_for(on_its_way);
            }
            part_in_the_middle(&mut world, master);
        }
        let span = ms(world.dice.roll(1, 200));
        world.run_for(span);
        seen.extend(memberships(&world));
    }
    clear_up(&mut world);
    let durable: BTreeSet<LogPoint> = world
        .committed
        .values()
        .filter_map(|(_, entry)| entry.membership.as_ref().map(|electorate| electorate.at))
        .collect();
    let held = memberships(&world);
    Changes {
        logged: seen.len(),
        durable: durable.len(),
        rolled_back: seen.difference(&held).count(),
    }
}

fn run_until_crowned(world: &mut World) {
    let crowns = world.crowns.len();
    for _ in 0..200 {
        if world.crowns.len() > crowns {
            return;
        }
        world.run_for(ms(5));
    }
}

/// Where the memberships stand that some node holds, but for the one that founded the group.
fn memberships(world: &World) -> BTreeSet<LogPoint> {
    let logs = world.nodes.values().flat_map(|node| node.log.iter().skip(1));
    logs.filter_map(|entry| entry.membership.as_ref().map(|electorate| electorate.at)).collect()
}

/// An operator has an idea. Whether it is a good one is not his concern: `World::change` refuses the others.
fn ask_for_a_change(world: &mut World, removed: &mut BTreeSet<NodeId>) {
    let Some((_, master)) = world.master() else { return };
    let now = world.nodes[&master].electorate().clone();
    let ids: Vec<NodeId> = world.nodes.keys().copied().collect();
    let any = ids[world.dice.roll(0, ids.len() as u64 - 1) as usize];
    let (mut voters, mut learners) = (now.voters.clone(), now.learners.clone());
    match world.dice.roll(0, 9) {
        0..=3 if !now.lists(any) && !removed.contains(&any) => {
            learners.insert(any, incarnation(any));
        }
        4..=6 => promote(world, &mut voters, &mut learners),
        7 if any != master => {
            voters.remove(&any);
            learners.remove(&any);
        }
        8 => return resize(world, &now),
        9 => {
            // Everything at once, as nobody should.
            let others = ids.iter().filter(|id| **id != master);
            let dropped: Vec<NodeId> = others.copied().filter(|_| world.dice.chance(500)).collect();
            voters.retain(|id, _| !dropped.contains(id));
            promote(world, &mut voters, &mut learners);
        }
        _ => return,
    }
    let gone: Vec<NodeId> =
        now.members().filter(|id| !voters.contains_key(id) && !learners.contains_key(id)).collect();
    let group = now.group.unwrap();
    let to = majority(group, voters).with_learners(learners);
    if world.change(|_| to) {
        removed.extend(gone);
    }
}

/// A change that has come to some and not to others is what this is about.
fn part_in_the_middle(world: &mut World, master: NodeId) {
    match world.dice.roll(0, 9) {
        0..=2 => isolate(world, master),
        3 if world.nodes[&master].core.is_some() => world.crash(master, false),
        _ => {}
    }
}

fn majority(group: GroupId, voters: BTreeMap<NodeId, Voter>) -> Electorate {
    Electorate::majority(group, LogPoint::NULL, voters)
}

fn promote(
    world: &World,
    voters: &mut BTreeMap<NodeId, Voter>,
    learners: &mut BTreeMap<NodeId, rep_vlsn::Incarnation>,
) {
    let ready: Vec<NodeId> =
        learners.keys().copied().filter(|id| world.has_caught_up(*id)).collect();
    for id in ready {
        voters.extend(learners.remove(&id).map(|incarnation| (id, Voter::known(incarnation))));
    }
}

fn resize(world: &mut World, now: &Electorate) {
    let count = now.voters.len() as u64;
    let mut size = || world.dice.roll(1, count) as usize;
    let (election, commit) = (size(), size());
    let (group, voters) = (now.group.unwrap(), now.voters.clone());
    if let Ok(to) = Electorate::flexible(group, LogPoint::NULL, voters, election, commit) {
        let to = to.with_learners(now.learners.clone());
        world.change(|_| to);
    }
}
