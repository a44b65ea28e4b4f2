//! A process begins: its directory is opened, judged, and given to a node.

use super::{Life, Live, names};
use crate::clock::Clock;
use crate::disk::{self, Found, Unopened};
use crate::driver::{CHUNK_BYTES_MIN, Pace, Shipping};
use crate::faults::End;
use crate::front::Front;
use crate::machine::{Contacts, Machine};
use crate::oracle::{Invariant, Noted, Violation, ensure};
use crate::trace::digest;
use crate::world::{Event, World};
use rep_node::{
    ApplyPlan, FeedFrom, Membership, NO_NUMBER, Node, NodeConfig, Recovered, Seed, number_members,
};
use rep_store::{Databases, StateMachine};
use rep_vlsn::{GroupId, Incarnation, MemDisk, Opened, SyncPlan, Vlsn};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// So many bytes are applied between two checkpoints of a store at most.
pub(crate) const CHECKPOINT_BYTES: u64 = 2 << 10;

fn listed(name: &str) -> Seed {
    let address = Machine::named(name).map_or_else(|| name.to_owned(), Machine::address);
    Seed { name: name.to_owned(), address }
}

impl World {
    /// Starts a process that is not running.
    pub(crate) fn start(&mut self, id: Machine) {
        let process = self.process(id);
        if process.life != Life::Down {
            return;
        }
        let home = process.home.clone();
        let fresh = Incarnation(self.mint());
        let config = disk::log_config(&self.swarm.disk);
        let found = self.install(id, &config).and_then(|()| home.open(config, fresh));
        let process = self.process_mut(id);
        process.run += 1;
        process.powered = true;
        let run = process.run;
        self.note(id, &[1, run], || format!("n{id} starts, run {run}", id = id.get()));
        match found {
            Ok(found) => self.boot(id, found),
            Err(Unopened::Crashed) => self.boot_crashed(id),
            Err(Unopened::Damaged(why)) => self.boot_refused(id, why),
            Err(Unopened::Other(_)) if self.process(id).ails.is_some() => self.boot_later(id),
            Err(Unopened::Other(why)) => self.fail(Violation {
                invariant: Invariant::ErrorHonesty,
                what: format!("{id} cannot open its directory: {why}"),
            }),
        }
    }

    fn boot_crashed(&mut self, id: Machine) {
        let (end, back) = self.tear_of(id);
        let disk = self.process(id).home.disk.clone();
        disk.power_cut(&mut end.fates());
        self.oracle.stopped(id, false);
        let back = back.unwrap_or(self.swarm.process.away);
        self.schedule.push(self.now + back, Event::Restart { id });
    }

    /// The disk fails, or has no space, even while the directory is opened.
    fn boot_later(&mut self, id: Machine) {
        let back = self.process(id).ails.unwrap_or(self.swarm.process.away);
        self.schedule.push(self.now + back, Event::Restart { id });
    }

    /// How a process ends whose disk lost power under it.
    pub(crate) fn tear_of(&mut self, id: Machine) -> (End, Option<Duration>) {
        let torn = self.process_mut(id).torn.take();
        torn.expect("a disk dies in the middle of an operation only if that was ordered")
    }

    fn boot_refused(&mut self, id: Machine, why: String) {
        self.note(id, &[2], || format!("n{} stays out: {why}", id.get()));
        if !self.oracle.is_spoilt(id) {
            let what = format!("{id} finds damage that nobody did: {why}");
            self.fail(Violation { invariant: Invariant::CorruptionIsNotACrash, what });
        }
        self.oracle.damaged(id);
        self.process_mut(id).life = Life::Broken(why);
        self.calls_for_a_cure(id);
    }

    fn boot(&mut self, id: Machine, found: Found) {
        let Found { incarnation, promise, fence, vouched, past, past_value, place, log, entries } =
            found;
        self.process_mut(id).incarnation = incarnation;
        self.oracle.born(id, incarnation);
        // What can be opened has been mended.
        let process = self.process_mut(id);
        process.worn.clear();
        process.cure = None;
        process.lost_marks = false;
        self.oracle.begins(id, log.view.first());
        if self.oracle.member(id).damaged {
            if !self.oracle.is_vouched_for(id) {
                return self
                    .oracle
                    .give_up(|| format!("{id} lost what a cut had left without a mark"));
            }
            let what = format!("{id} opens a directory that is damaged");
            return self.fail(Violation { invariant: Invariant::CorruptionIsNotACrash, what });
        }
        let mut store = Databases::memory_in(&self.process(id).home.store)
            .with_chunk_bytes_min(CHUNK_BYTES_MIN);
        let (applied, mark_dvlsn) =
            (store.applied(), log.marks.map_or(Vlsn::NULL, |mark| mark.dvlsn));
        let dvlsn = applied.vlsn.max(mark_dvlsn).min(log.view.last().vlsn);
        let checked = self.oracle.fence_opened(id, fence.term, fence.promised_to);
        self.check(checked);
        let checked = self.oracle.vouch_opened(id, vouched);
        self.check(checked);
        self.applies_nothing_again(id, &mut store, &entries);
        self.stays_mended(id, &log);
        let checked = self.oracle.recovered(id, log.view.first(), entries, (applied.vlsn, dvlsn));
        self.check(checked);
        self.is_the_groups_state(id, &store);
        let placed_in =
            place.as_ref().and_then(|place| Some(Membership::decode(place).ok()?.group));
        let recovered = Recovered {
            fence,
            memberships: disk::memberships(&log),
            past: past_value,
            place,
            log: log.view.clone(),
            applied,
            mark_dvlsn,
            vouched,
        };
        let mut config = self.node_config(id);
        let clock = Clock::starting(self.now, self.drift());
        let number = recovered.number(&id.to_string(), config.incarnation, &config.members);
        let made = number.and_then(|number| {
            config.me = number;
            Node::new(config, recovered, Duration::ZERO).map(|node| (number, node))
        });
        let (me, node) = match made {
            Ok(made) => made,
            Err(error) if self.process(id).flags.is_some() => {
                self.process_mut(id).life = Life::Broken(error.to_string());
                return;
            }
            Err(error) => {
                let what = format!("{id} refuses its own directory: {error}");
                return self.fail(Violation { invariant: Invariant::ErrorHonesty, what });
            }
        };
        let plan = ApplyPlan::new(CHECKPOINT_BYTES, self.swarm.election_timeout * 2);
        let live = Live {
            front: Front::new(store.reader(), node.admission(Duration::ZERO)),
            me,
            contacts: Contacts::of(node.contacts()),
            node,
            writer: log.writer,
            reader: log.reader,
            tail: log.tail,
            promise,
            words: VecDeque::new(),
            promise_busy: false,
            log_busy: false,
            syncs: SyncPlan::new(self.swarm.heartbeat, 32 << 20),
            unsynced_since: None,
            free_since: self.now,
            mark: Noted::default(),
            cut: None,
            past,
            keeping: None,
            cleaning: None,
            taking: None,
            giving: BTreeMap::new(),
            kept: Vec::new(),
            shipping: Shipping::default(),
            makes_way: false,
            waits_for_space: false,
            late_reader: None,
            pace: Pace::default(),
            dropped: None,
            store,
            apply: None,
            plan,
            lane: VecDeque::new(),
            heard: BTreeMap::new(),
            open_calls: BTreeSet::new(),
            wishes: BTreeMap::new(),
            changes: BTreeMap::new(),
            questions: BTreeMap::new(),
            joining: None,
            place: None,
            placed_in,
            removed: false,
            turned_down: false,
            clock,
            wake: None,
            crash_in: None,
            backlog: 0,
        };
        let process = self.process_mut(id);
        process.live = Some(Box::new(live));
        process.life = Life::Up;
        self.seat_passenger(id);
        self.begins_to_ship(id);
        self.drain(id);
    }

    /// I-16: an opening removes what lies behind a torn tail. Another one, whatever comes between, finds nothing more to cut.
    fn stays_mended(&mut self, id: Machine, log: &Opened<MemDisk>) {
        if log.report.torn_at.is_none() {
            return;
        }
        let config = disk::log_config(&self.swarm.disk);
        let again = rep_vlsn::open(self.process(id).home.disk.image(), config);
        let cut = again.map(|again| again.report.torn_at).map_err(|error| error.to_string());
        let checked = ensure(cut == Ok(None), Invariant::CorruptionIsNotACrash, || {
            format!("{id} has cut a torn tail, and would cut again: {cut:?}")
        });
        self.check(checked);
    }

    fn node_config(&mut self, id: Machine) -> NodeConfig {
        let group = GroupId(self.mint());
        let seed = digest(self.process(id).run, &id.get().to_le_bytes()) ^ self.seed;
        let names_listed = self.process(id).flags.clone();
        let names_listed = match self.process(id).joins {
            true => Vec::new(),
            false => names_listed.unwrap_or_else(|| names(self.swarm.nodes)),
        };
        let members =
            number_members(&names_listed.iter().map(|name| listed(name)).collect::<Vec<_>>());
        let incarnation = self.process(id).incarnation;
        let mut config = NodeConfig::new("sim", NO_NUMBER, incarnation, members, group, seed);
        if self.process(id).joins {
            let others = self.ids().into_iter().filter(|other| *other != id);
            config.joining = others.map(Machine::address).collect();
        }
        // Wall clocks differ, and step between two runs: nothing may hang on them.
        config.epoch_ms = digest(seed, b"wall clock") % 2_000_000_000_000;
        let timing = &mut config.timing;
        timing.heartbeat = self.swarm.heartbeat;
        timing.election_timeout = self.swarm.election_timeout;
        timing.round_timeout = self.swarm.heartbeat * 2;
        timing.disk_stall = self.swarm.election_timeout * 8;
        timing.redial_min = self.swarm.heartbeat / 5;
        timing.redial_max = self.swarm.heartbeat * 5;
        if self.swarm.members.relays {
            config.feed_from = FeedFrom::Replica;
        }
        config.restored = self.process_mut(id).restored.take();
        config.retention.bytes = self.swarm.disk.retention_bytes;
        config.retention.age = self.swarm.disk.retention_age;
        config.unsynced_bytes_max = self.swarm.disk.unsynced_bytes_max;
        config.window_bytes = self.swarm.disk.tail_bytes.max(2 << 10);
        config.batch_bytes = self.swarm.disk.tail_bytes.clamp(256, 4 << 10);
        config
    }

    fn drift(&mut self) -> i64 {
        let most = self.swarm.process.drift_ppm;
        self.rngs.jitter.below(2 * most + 1) as i64 - most as i64
    }
}
