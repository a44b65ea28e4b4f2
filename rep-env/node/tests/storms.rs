//! Random weather over groups of pure nodes: crashes with power cuts, cuts of links, held disks, writes all the
//! while. The simulator does this with every fault; this is the quick look that needs nothing but this crate.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use proptest::prelude::*;
use rep_node::{NodeState, Outcome, Request};
use rep_vlsn::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Weather {
    Write(u32),
    Crash(u32),
    Start(u32),
    Cut(u32, u32),
    Heal,
    Hold(u32),
    Wait(u16),
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        6 => (1..=3u32).prop_map(Weather::Write),
        2 => (1..=3u32).prop_map(Weather::Crash),
        3 => (1..=3u32).prop_map(Weather::Start),
        2 => (1..=3u32, 1..=3u32).prop_map(|(a, b)| Weather::Cut(a, b)),
        2 => Just(Weather::Heal),
        1 => (1..=3u32).prop_map(Weather::Hold),
        5 => (1..900u16).prop_map(Weather::Wait),
    ]
}

struct Storm {
    group: Group,
    written: BTreeMap<(NodeId, Request), String>,
    count: u32,
}

impl Storm {
    fn act(&mut self, weather: &Weather) {
        match *weather {
            Weather::Write(n) => self.write(NodeId::new(n)),
            Weather::Crash(n) => self.group.crash(NodeId::new(n)),
            Weather::Start(n) => {
                let id = NodeId::new(n);
                if self.group.machines[&id].node.is_none() {
                    self.group.start(id);
                }
            }
            Weather::Cut(a, b) if a != b => self.group.cut(NodeId::new(a), NodeId::new(b)),
            Weather::Cut(..) => {}
            Weather::Heal => self.group.heal(),
            Weather::Hold(n) => {
                self.group.machines.get_mut(&NodeId::new(n)).unwrap().hold_log = true
            }
            Weather::Wait(ms) => self.group.run_for(Duration::from_millis(ms.into())),
        }
        self.one_master_a_term();
    }

    fn write(&mut self, id: NodeId) {
        let masters = self.group.machines[&id].node.as_ref().map(|node| node.state());
        if masters == Some(NodeState::Master) {
            self.count += 1;
            let payload = format!("write {}", self.count);
            let request = self.group.propose(id, &payload);
            self.written.insert((id, request), payload);
        }
    }

    fn one_master_a_term(&self) {
        let mut masters = BTreeMap::new();
        for id in self.group.ids() {
            let Some(node) = &self.group.machines[&id].node else { continue };
            if node.state() == NodeState::Master {
                assert_eq!(masters.insert(node.term(), id), None, "one master a term");
            }
            assert_eq!(self.group.machines[&id].halted, None, "nobody halts");
        }
    }

    fn calm(&mut self) {
        self.group.heal();
        self.group.release_disks();
        for id in self.group.ids() {
            if self.group.machines[&id].node.is_none() {
                self.group.start(id);
            }
        }
        self.group.run_until("a master and all in sync", |group| {
            let Some(master) = group.master() else { return false };
            group.ids().into_iter().all(|id| {
                let node = group.node(id);
                node.applied() == group.node(master).log().last() && node.applied().vlsn.get() > 1
            })
        });
    }

    fn nothing_acknowledged_is_lost(&self) {
        for (key, payload) in &self.written {
            let outcome = self.group.outcomes.get(key);
            for id in self.group.ids() {
                let held = self.group.payloads(id).contains(payload);
                match outcome {
                    Some(Outcome::Committed { .. }) => assert!(held, "{payload} is lost at {id}"),
                    Some(Outcome::RolledBack { .. } | Outcome::TermOver { .. }) => {
                        assert!(!held, "{payload} failed and is at {id}");
                    }
                    _ => {}
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_acknowledged_is_lost_in_any_weather(
        storm in prop::collection::vec(weather(), 1..80)
    ) {
        let mut group = Group::new(&["n1", "n2", "n3"]);
        group.start_all();
        group.run_until("a first master", |group| group.master().is_some());
        let mut state = Storm { group, written: BTreeMap::new(), count: 0 };
        storm.iter().for_each(|weather| state.act(weather));
        state.calm();
        state.nothing_acknowledged_is_lost();
    }
}
