//! One random life of a group whose members come and go, one of them perhaps an arbiter, or designated, and secondaries that are
//! fed by whoever can: machines end and come back, networks part, disks
//! are slow. Whatever happens, a term has one master, and what was acknowledged is there in the end.

use crate::harness::Group;
use rep_node::{
    Change, Event, FeedFrom, HaltReason, MemberType, NO_NUMBER, Newcomer, Outcome, Quorums, Request,
};
use rep_vlsn::{LogPoint, NodeId, Term};
use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// A generator of Marsaglia's ("Xorshift RNGs", 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn one_of(&mut self, ids: &[NodeId]) -> Option<NodeId> {
        (!ids.is_empty()).then(|| ids[self.roll(ids.len() as u64) as usize])
    }
}

pub(crate) struct Churn {
    group: Group,
    dice: Dice,
    written: Vec<(NodeId, Request, String)>,
    joined: u32,
}

impl Churn {
    pub(crate) fn new(seed: u64) -> Churn {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let names = ["n1", "n2", "n3"];
        let mut group = Group::new(&names[..2 + dice.roll(2) as usize]);
        group.feed_from = if dice.roll(4) > 0 { FeedFrom::Replica } else { FeedFrom::Master };
        group.start_all();
        group.run_until("a master", |group| group.master().is_some());
        Churn { group, dice, written: Vec::new(), joined: 0 }
    }

    /// So many things happen; then everybody comes back, and a write is acknowledged.
    pub(crate) fn live(mut self, steps: u32) {
        match self.dice.roll(5) {
            0 => {}
            1 | 2 => self.designate(),
            _ => self.join(MemberType::Arbiter),
        }
        for _ in 0..steps {
            self.step();
            let span = Duration::from_millis(self.dice.roll(400));
            self.group.run_for(span);
            self.one_master_a_term();
        }
        self.everybody_comes_back();
        self.nothing_acknowledged_is_lost();
        self.every_copy_is_the_masters();
    }

    fn step(&mut self) {
        let ids = self.group.ids();
        let (up, down): (Vec<NodeId>, Vec<NodeId>) =
            ids.iter().partition(|id| self.group.machines[id].node.is_some());
        match self.dice.roll(21) {
            0 | 1 => {
                if let Some(id) = self.dice.one_of(&up) {
                    self.group.crash(id);
                }
            }
            2 => {
                if let Some(id) = self.dice.one_of(&up) {
                    self.group.kill(id);
                }
            }
            3..=5 => {
                if let Some(id) = self.dice.one_of(&down) {
                    self.group.start(id);
                }
            }
            6 | 7 => {
                if let (Some(a), Some(b)) = (self.dice.one_of(&ids), self.dice.one_of(&ids)) {
                    self.group.cut(a, b);
                }
            }
            8..=10 => self.group.heal(),
            11 => {
                if let Some(id) = self.dice.one_of(&ids) {
                    self.group.machines.get_mut(&id).unwrap().hold_syncs = true;
                }
            }
            12 | 13 => self.group.release_disks(),
            14 if self.joined < 4 => {
                let kind = match self.dice.roll(6) {
                    0 => MemberType::Arbiter,
                    1 | 2 => MemberType::Secondary,
                    _ => MemberType::Electable,
                };
                self.join(kind);
            }
            15 => self.remove(&ids),
            16 => self.designate(),
            _ => self.write(),
        }
    }

    fn write(&mut self) {
        let Some(master) = self.group.master() else { return };
        for _ in 0..=self.dice.roll(3) {
            let payload = format!("w{}", self.written.len());
            let durability = rep_node::Durability::default();
            let request = self.group.propose_with(master, &payload, durability, PATIENCE);
            self.written.push((master, request, payload));
        }
    }

    fn join(&mut self, kind: MemberType) {
        let Some(master) = self.group.master() else { return };
        self.joined += 1;
        let name = format!("x{}", self.joined);
        let machine = self.group.directory(name.clone(), true);
        let newcomer = Newcomer { kind, ..self.group.newcomer(&name, machine.incarnation) };
        let request = self.group.change_within(master, Change::Add(newcomer), PATIENCE, false);
        self.group.run_for(PATIENCE);
        if let Some(Ok(made)) = self.group.changed.get(&request).cloned() {
            self.group.machines.insert(NO_NUMBER, machine);
            self.group.start(NO_NUMBER);
            self.group.take_place(NO_NUMBER, &made);
        }
    }

    /// As often as not nobody, so that another one can be.
    fn designate(&mut self) {
        let ids = self.group.ids();
        let (Some(master), Some(id)) = (self.group.master(), self.dice.one_of(&ids)) else {
            return;
        };
        let quorums = match self.dice.roll(2) {
            0 => Quorums::Majority,
            _ => Quorums::Designated(id),
        };
        self.group.change_within(master, Change::Quorums(quorums), PATIENCE, false);
    }

    fn remove(&mut self, ids: &[NodeId]) {
        if let (Some(master), Some(id)) = (self.group.master(), self.dice.one_of(ids)) {
            self.group.change_within(master, Change::Remove { id }, PATIENCE, false);
        }
    }

    fn one_master_a_term(&self) {
        let mut crowned: BTreeMap<Term, NodeId> = BTreeMap::new();
        for (id, machine) in &self.group.machines {
            for event in &machine.events {
                if let Event::Crowned { term } = event {
                    let other = crowned.insert(*term, *id);
                    assert!(other.is_none_or(|other| other == *id), "{term}: {id} and {other:?}");
                }
            }
        }
    }

    fn everybody_comes_back(&mut self) {
        self.group.heal();
        self.group.release_disks();
        for id in self.group.ids() {
            if self.group.machines[&id].node.is_none() {
                self.group.start(id);
            }
        }
        self.group.run_until("a master", |group| group.master().is_some());
        self.group.run_for(PATIENCE * 2);
        let master = self.group.the_master();
        let request = self.group.propose(master, "last");
        self.group.run_until("a write is acknowledged", |group| {
            matches!(group.outcome(master, request), Some(Outcome::Committed { .. }))
        });
    }

    fn nothing_acknowledged_is_lost(&self) {
        let master = self.group.the_master();
        let records = &self.group.machines[&master].records;
        let held = |point: LogPoint| {
            records.get(point.vlsn.get() as usize - 1).filter(|record| record.point() == point)
        };
        for (at, request, payload) in &self.written {
            if let Some(Outcome::Committed { point }) = self.group.outcome(*at, *request) {
                let found = held(*point).map(|record| record.payload());
                assert_eq!(found.as_deref(), Some(payload.as_bytes()), "{payload} at {point}");
            }
        }
    }

    /// Nobody was made to take back what was durable, and whoever feeds whom, all get the same.
    fn every_copy_is_the_masters(&mut self) {
        let master = self.group.the_master();
        for (id, machine) in &self.group.machines {
            let breach = matches!(machine.halted, Some(HaltReason::Breach { .. }));
            assert!(!breach, "{id}: {:?}", machine.halted);
        }
        let members = self.group.membership(master).members.values();
        // Of one whose admission was not heard there is no machine.
        let lives = |id: &NodeId| self.group.machines.contains_key(id);
        let copies = members.filter(|it| it.kind == MemberType::Secondary).map(|it| it.id);
        let copies = copies.filter(lives);
        for id in copies.collect::<Vec<_>>() {
            self.group.run_until("a secondary has all of it", |group| {
                let machine = &group.machines[&id];
                machine.records.last() == group.machines[&master].records.last()
            });
        }
    }
}
