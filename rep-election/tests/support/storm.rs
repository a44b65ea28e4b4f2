//! One random schedule.

use crate::world::{Weather, World, ms, node};
use rep_vlsn::NodeId;

/// Some seconds of faults drawn from the seed, then calm, in which a master must be found.
pub(crate) fn storm(size: u32, founded: bool, seed: u64) -> World {
    let mut world =
        World::new(size, founded, Weather::FOUL, seed.wrapping_mul(0x5851_f42d_4c95_7f2d) + 1);
    let mut wiped = 0;
    for _ in 0..60 {
        let id = node(world.dice.roll(1, u64::from(size)) as u32);
        let other = node(world.dice.roll(1, u64::from(size)) as u32);
        let running = world.nodes[&id].core.is_some();
        match world.dice.roll(0, 11) {
            0 | 1 if running => {
                let unseen = world.dice.chance(300);
                world.crash(id, unseen);
            }
            2 if !running && founded && wiped * 2 + 2 < size => {
                wiped += 1;
                world.wipe(id);
                world.start(id);
            }
            2..=5 if !running => world.start(id),
            6 => drop(world.cut.insert((id, other))),
            7 => isolate(&mut world, id),
            8 => world.cut.clear(),
            9 if running => world.nodes.get_mut(&id).unwrap().mute = true,
            10 => world.nodes.values_mut().for_each(|node| node.mute = false),
            11 if running && world.dice.chance(100) => {
                world.nodes.get_mut(&id).unwrap().poisoned = true;
            }
            _ => {}
        }
        let span = ms(world.dice.roll(1, 400));
        world.run_for(span);
    }
    clear_up(&mut world);
    world
}

/// Something goes wrong, somewhere; or is put right again.
pub(crate) fn fault(world: &mut World) {
    let ids: Vec<NodeId> = world.nodes.keys().copied().collect();
    let mut any = || ids[world.dice.roll(0, ids.len() as u64 - 1) as usize];
    let (id, other) = (any(), any());
    let running = world.nodes[&id].core.is_some();
    match world.dice.roll(0, 9) {
        0..=2 if running => {
            let unseen = world.dice.chance(300);
            world.crash(id, unseen);
        }
        0..=4 if !running => world.start(id),
        5 => drop(world.cut.insert((id, other))),
        6 => isolate(world, id),
        7 => world.cut.clear(),
        8 if running => world.nodes.get_mut(&id).unwrap().mute = true,
        9 => world.nodes.values_mut().for_each(|node| node.mute = false),
        _ => {}
    }
}

pub(crate) fn isolate(world: &mut World, id: NodeId) {
    let others: Vec<NodeId> = world.nodes.keys().copied().filter(|other| *other != id).collect();
    for other in others {
        world.cut.extend([(id, other), (other, id)]);
    }
}

/// After the faults end, a master serves within a few election timeouts.
pub(crate) fn clear_up(world: &mut World) {
    world.cut.clear();
    world.weather = Weather::FAIR;
    let ids: Vec<NodeId> = world.nodes.keys().copied().collect();
    for id in ids {
        world.nodes.get_mut(&id).unwrap().mute = false;
        if world.nodes[&id].poisoned {
            world.crash(id, false);
        }
        if world.nodes[&id].core.is_none() {
            world.start(id);
        }
    }
    world.run_for(ms(100));
    world.run_until(ms(10 * 600), World::is_served);
    world.run_for(ms(2_000));
    assert!(world.is_served(), "and it stays");
}

/// A node cut off for a while and back again does not disturb the master.
pub(crate) fn isolated_and_back() {
    let mut world = World::new(3, true, Weather::FAIR, 7);
    world.run_until(ms(2_000), World::is_served);
    let (term, master) = world.master().unwrap();
    let lonely = *world.nodes.keys().find(|id| **id != master).unwrap();
    isolate(&mut world, lonely);
    world.run_for(ms(3_000));
    world.cut.clear();
    world.run_for(ms(3_000));
    assert_eq!(world.master(), Some((term, master)), "one election, no more");
    assert_eq!(world.nodes[&lonely].core.as_ref().unwrap().fence().term, term);
}

/// A node that has lost the link to its master alone, while others hear it, unseats nobody.
pub(crate) fn cut_off_from_the_master_alone() {
    let mut world = World::new(3, true, Weather::FAIR, 7);
    world.run_until(ms(2_000), World::is_served);
    let (term, master) = world.master().unwrap();
    let lonely = *world.nodes.keys().find(|id| **id != master).unwrap();
    world.cut.extend([(master, lonely), (lonely, master)]);
    world.run_for(ms(5_000));
    assert_eq!(world.master(), Some((term, master)), "one election, no more");
}
