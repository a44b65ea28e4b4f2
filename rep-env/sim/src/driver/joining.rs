//! A directory that is no member's asks to be admitted, and becomes one that is.
//!
//! As the runtime does it: it asks one helper after the other, goes where it is sent, and asks again until somebody admits it. Question and
//! answer travel like everything else: late, or never. What it is told it keeps in the cell `place`, and then it is opened again.

use crate::disk::PLACE;
use crate::faults::End;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::process::Crash;
use crate::workload::CHANGES_FROM;
use crate::world::{Event, World};
use bytes::Bytes;
use rep_node::{
    Change, ChangeRequest, Changed, MemberType, Membership, Newcomer, NotChanged, Request,
};
use rep_vlsn::{DurableCell, Incarnation};
use std::time::Duration;

/// Numbers of questions begin here, apart from those of other changes.
const QUESTIONS_FROM: u64 = CHANGES_FROM << 1;

/// Who asks to be admitted, and whom next.
#[derive(Debug)]
pub(crate) struct Joining {
    helpers: Vec<Machine>,
    next: usize,
    /// Where somebody has sent it.
    sent_to: Option<Machine>,
    /// How often it has asked.
    asked: u64,
}

impl Joining {
    /// Whether somebody like that is asked, sooner or later.
    pub(crate) fn asks_any(&self, is_such: impl Fn(Machine) -> bool) -> bool {
        self.helpers.iter().chain(&self.sent_to).any(|helper| is_such(*helper))
    }
}

/// A question on its way, or at the one who is to answer it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    from: Machine,
    run: u64,
    incarnation: Incarnation,
}

/// What somebody is told who asked to be admitted.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Admitted(Box<Membership>),
    Ask(Machine),
    /// Its directory was a member's that was removed.
    WasRemoved,
    No,
}

impl World {
    /// An output.
    pub(super) fn joins(&mut self, id: Machine, helpers: &[String]) {
        if !self.swarm.members.join {
            return;
        }
        self.note(id, &[90], || format!("n{} asks to be admitted", id.get()));
        let helpers = helpers.iter().filter_map(|address| Machine::named(address)).collect();
        let Some(live) = self.live_mut(id) else { return };
        live.joining = Some(Joining { helpers, next: 0, sent_to: None, asked: 0 });
        self.ask_later(id, Duration::ZERO);
    }

    fn ask_later(&mut self, id: Machine, after: Duration) {
        let after = after + self.question_delay();
        let run = self.process(id).run;
        let Some(joining) = self.live_mut(id).and_then(|live| live.joining.as_mut()) else {
            return;
        };
        joining.asked += 1;
        let asked = joining.asked;
        self.schedule.push(self.now + after, Event::JoinAsks { id, run, asked });
    }

    fn question_delay(&mut self) -> Duration {
        Duration::from_nanos(self.rngs.members.latency_ns(self.swarm.net.delay.as_nanos() as u64))
    }

    /// Whether something between the two is lost on its way.
    fn is_lost(&mut self, from: Machine, to: Machine) -> bool {
        let lost = self.faults.on && self.rngs.members.chance(self.swarm.net.drop);
        lost || self.network.is_cut(from, to)
    }

    /// The next helper is asked; if nothing comes of it, the one after.
    pub(crate) fn join_asks(&mut self, id: Machine, asked: u64) {
        let incarnation = self.process(id).incarnation;
        let question = Question { from: id, run: self.process(id).run, incarnation };
        let Some(joining) = self.live_mut(id).and_then(|live| live.joining.as_mut()) else {
            return;
        };
        if joining.asked != asked || joining.helpers.is_empty() {
            return;
        }
        joining.next += 1;
        let helper = joining.helpers[joining.next % joining.helpers.len()];
        let to = joining.sent_to.take().unwrap_or(helper);
        self.counts.questions += 1;
        self.ask_later(id, self.swarm.election_timeout);
        if !self.is_lost(id, to) {
            let after = self.question_delay();
            self.schedule.push(self.now + after, Event::JoinAsked { to, question });
        }
    }

    /// Somebody is asked to admit a directory.
    pub(crate) fn join_asked(&mut self, to: Machine, question: Question) {
        let (now, patience) = (self.now, self.swarm.election_timeout * 4);
        self.questions += 1;
        let request = Request(QUESTIONS_FROM + self.questions);
        let paused = self.process(to).paused;
        let Some(live) = self.live_mut(to).filter(|live| !paused && !live.makes_way) else {
            return;
        };
        let deadline = live.clock.local(now) + patience;
        live.questions.insert(request, question);
        let newcomer = Newcomer {
            name: question.from.to_string(),
            incarnation: question.incarnation,
            address: question.from.address(),
            kind: self.swarm.kind_of(question.from),
            priority: 1,
        };
        let change = ChangeRequest::new(request, Change::Add(newcomer), deadline);
        self.change(to, change);
    }

    /// What became of a question.
    pub(crate) fn answers(&mut self, by: Machine, question: Question, outcome: Changed) {
        let told = match outcome {
            Ok(membership) => Told::Admitted(Box::new(membership)),
            Err(NotChanged::NotMaster { master: Some(master) }) => {
                self.machine_of(by, master).map_or(Told::No, Told::Ask)
            }
            Err(NotChanged::WasRemoved) => Told::WasRemoved,
            Err(_) => Told::No,
        };
        if !self.is_lost(by, question.from) {
            let (after, Question { from, run, .. }) = (self.question_delay(), question);
            self.schedule.push(self.now + after, Event::JoinTold { id: from, run, told });
        }
    }

    pub(crate) fn join_told(&mut self, id: Machine, told: Told) {
        let Some(joining) = self.live_mut(id).and_then(|live| live.joining.as_mut()) else {
            return;
        };
        match told {
            Told::Ask(machine) => {
                joining.sent_to = Some(machine);
                self.ask_later(id, Duration::ZERO);
            }
            Told::No => {}
            Told::WasRemoved => {
                self.live_mut(id).into_iter().for_each(|live| live.turned_down = true);
            }
            Told::Admitted(membership) => {
                let at = membership.at;
                self.note(id, &[91, at.vlsn.get()], || {
                    format!("n{} is admitted, by {at}", id.get())
                });
                let ours =
                    self.step(id, |node, now| node.handle_admitted(now, &membership).is_ok());
                let checked = ensure(ours != Some(false), Invariant::ErrorHonesty, || {
                    format!(
                        "{id} is told that it was admitted, by a membership that does not name it"
                    )
                });
                self.check(checked);
            }
        }
    }

    /// An output: from here on the member does nothing until it is opened again.
    pub(super) fn takes_place(&mut self, id: Machine, place: Bytes) {
        let run = self.process(id).run;
        let after = self.disk_latency(id, self.swarm.disk.sync) * 2;
        let Some(live) = self.live_mut(id) else { return };
        live.makes_way = true;
        live.joining = None;
        live.place = Some(place);
        self.schedule.push(self.now + after, Event::PlaceStored { id, run });
    }

    /// An output: nothing waits for it.
    pub(super) fn keeps_place(&mut self, id: Machine, place: &Bytes) {
        let disk = self.process(id).home.disk.clone();
        let opened = DurableCell::open(disk, PLACE);
        let stored = opened.and_then(|(mut cell, _)| cell.store(place));
        if stored.is_err() && self.process(id).home.disk.crashed() {
            let (end, back) = self.tear_of(id);
            self.end_and_back(id, end, back);
        }
    }

    /// Its place is durable, and it is opened again.
    pub(crate) fn place_stored(&mut self, id: Machine) {
        let disk = self.process(id).home.disk.clone();
        let Some(place) = self.live_mut(id).and_then(|live| live.place.take()) else { return };
        let opened = DurableCell::open(disk, PLACE);
        let stored = opened.and_then(|(mut cell, _)| cell.store(&place));
        let stored = stored.map_err(|error| error.to_string());
        if let Err(why) = self.unless_crashed(id, stored) {
            if self.process(id).home.disk.crashed() {
                let (end, back) = self.tear_of(id);
                return self.end_and_back(id, end, back);
            }
            let excused = self.process(id).ails.is_some() || self.oracle.is_spoilt(id);
            let checked = ensure(excused, Invariant::ErrorHonesty, || {
                format!("{id} cannot keep its place on its sound disk: {why}")
            });
            self.check(checked);
        }
        self.counts.admitted += 1;
        let kind = self.swarm.kind_of(id);
        self.counts.secondaries += u64::from(kind == MemberType::Secondary);
        self.counts.monitors += u64::from(kind == MemberType::Monitor);
        self.end_process(id, End { how: Crash::Kill, fate: 0, silent: false });
        self.start(id);
    }
}
