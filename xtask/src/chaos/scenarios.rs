//! What can be played: the whole programme in one table.

use super::faults::{clocks, disks, partitions, processes};
use super::links::Weather;
use super::scene::Scene;

/// A kind of fault, done again and again to a group under load.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) story: &'static str,
    pub(super) nodes: usize,
    /// How often, if nothing else is asked for.
    pub(super) rounds: u64,
    /// How many rounds one group lives through. Its disks are small, and it keeps its whole log.
    pub(super) rounds_a_group: u64,
    pub(super) weather: Weather,
    /// The nodes run under a clock that can be turned.
    pub(super) fakes_time: bool,
    pub(super) play: fn(&mut Scene<'_>) -> anyhow::Result<()>,
}

/// Three nodes and a quiet network.
const PLAIN: Scenario = Scenario {
    name: "",
    story: "",
    nodes: 3,
    rounds: 50,
    rounds_a_group: 50,
    weather: Weather::CALM,
    fakes_time: false,
    play: |_| Ok(()),
};

/// As many as may be on a machine of two cores: enough for every shape.
const FIVE: Scenario = Scenario { nodes: 5, ..PLAIN };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill",
        story: "SIGKILL of the master, of a replica, of all at once",
        rounds: 200,
        play: processes::kill,
        ..PLAIN
    },
    Scenario {
        name: "power",
        story: "the power of the master, of a replica, of all at once: what was not synced is gone",
        rounds: 300,
        play: processes::power,
        ..PLAIN
    },
    Scenario {
        name: "pause",
        story: "SIGSTOP for half an election timeout, one, two and ten, then SIGCONT",
        play: processes::pause,
        ..PLAIN
    },
    Scenario {
        name: "crash-at-call",
        story: "SIGKILL at the n-th write, sync, rename or unlink of a thread, for n from 1 on: master, replica, opening",
        rounds: 150,
        play: processes::crash_at_call,
        ..PLAIN
    },
    Scenario { name: "isolate", story: "one node is cut off", play: partitions::isolate, ..FIVE },
    Scenario {
        name: "halves",
        story: "two nodes on one side, three on the other",
        play: partitions::halves,
        ..FIVE
    },
    Scenario {
        name: "chain",
        story: "each node sees only its two neighbours",
        play: partitions::chain,
        ..FIVE
    },
    Scenario {
        name: "bridge",
        story: "two halves, and one node that sees all",
        play: partitions::bridge,
        ..FIVE
    },
    Scenario {
        name: "deaf",
        story: "one node is heard and hears nothing",
        play: partitions::deaf,
        ..FIVE
    },
    Scenario {
        name: "mute",
        story: "one node hears and is not heard",
        play: partitions::mute,
        ..FIVE
    },
    Scenario { name: "pair", story: "one link of many is cut", play: partitions::pair, ..FIVE },
    Scenario {
        name: "flap",
        story: "one node comes and goes at the pace of elections",
        rounds: 12,
        play: partitions::flap,
        ..PLAIN
    },
    Scenario {
        name: "cut-long",
        story: "one node is cut off for 3, 7 and 14 seconds",
        rounds: 6,
        play: partitions::cut_long,
        ..PLAIN
    },
    Scenario {
        name: "storm",
        story: "any of these, while packets are late, lost, doubled and out of order",
        rounds: 40,
        weather: Weather::STORM,
        play: partitions::storm,
        ..PLAIN
    },
    Scenario {
        name: "disk-full",
        story: "no room is left, of the master and of a replica; later there is room again",
        rounds: 12,
        rounds_a_group: 6,
        play: disks::full,
        ..PLAIN
    },
    Scenario {
        name: "failed-sync",
        story: "one sync says EIO and the next ones that all is well",
        rounds: 20,
        play: disks::failed_sync,
        ..PLAIN
    },
    Scenario {
        name: "disk-gone",
        story: "a disk says EIO to everything, under a process that goes on",
        rounds: 12,
        play: disks::gone,
        ..PLAIN
    },
    Scenario {
        name: "disk-hangs",
        story: "the disk of the master, of a replica, of all, stands still for 1, 3 and 8 seconds; disk_stall is 5",
        rounds: 12,
        play: disks::hang,
        ..PLAIN
    },
    Scenario {
        name: "clock",
        story: "wall clocks jump by a second, an hour and ten years, both ways",
        rounds: 30,
        fakes_time: true,
        play: clocks::jump,
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_no_group_is_larger_than_the_machine() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        for scenario in SCENARIOS {
            assert!((3..=5).contains(&scenario.nodes), "{}", scenario.name);
            assert!(scenario.rounds > 0 && scenario.rounds_a_group > 0, "{}", scenario.name);
        }
    }
}
