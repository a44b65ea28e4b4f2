//! One core, alone with the test: every message is put in and every output taken out by hand.

use rep_election::message::{Name, PreGrant, PreSolicit, Promise, Refuse, Solicit};
use rep_election::{
    Election, ElectionConfig, Electorate, Fence, Message, Output, PeerError, Promiser, Reason,
    Sender, Standing, Voter,
};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn id(number: u32) -> NodeId {
    NodeId::new(number)
}

pub(crate) const fn term(number: u64) -> Term {
    Term::new(number)
}

pub(crate) const fn at(term: u64, vlsn: u64) -> LogPoint {
    LogPoint::new(Term::new(term), Vlsn::new(vlsn))
}

pub(crate) fn incarnation(number: u32) -> Incarnation {
    Incarnation([number as u8; 16])
}

pub(crate) fn from(number: u32) -> Sender {
    Sender { id: id(number), incarnation: incarnation(number) }
}

pub(crate) fn wiped(number: u32) -> Sender {
    Sender { id: id(number), incarnation: Incarnation([200; 16]) }
}

pub(crate) fn born(size: u32) -> Electorate {
    let voters = (1..=size).map(|number| (id(number), Voter::known(incarnation(number))));
    Electorate::majority(GroupId([9; 16]), at(1, 1), voters.collect())
}

pub(crate) fn unborn(size: u32) -> Electorate {
    Electorate::founding((1..=size).map(|number| (id(number), Voter::unknown())).collect())
}

pub(crate) struct Solo {
    pub(crate) core: Election,
    pub(crate) now: Duration,
    pub(crate) electorate: Electorate,
    pub(crate) rank: LogPoint,
    pub(crate) nameable: bool,
    pub(crate) reaches: bool,
    pub(crate) goes_alone: bool,
}

impl Solo {
    /// Node `me` of three, founded, at term 1, with the log at 1.5. Nothing was heard yet.
    pub(crate) fn new(me: u32) -> Solo {
        Solo::of(me, born(3), Fence { term: term(1), promised_to: None })
    }

    pub(crate) fn of(me: u32, electorate: Electorate, durable: Fence) -> Solo {
        let config = ElectionConfig::new(id(me), incarnation(me), u64::from(me));
        let rank = if electorate.is_born() { at(1, 5) } else { LogPoint::NULL };
        let core = Election::new(config, durable, ms(0));
        let (nameable, reaches, goes_alone) = (true, true, false);
        Solo { core, now: ms(0), electorate, rank, nameable, reaches, goes_alone }
    }

    pub(crate) fn call<R>(
        &mut self,
        act: impl FnOnce(&mut Election, Duration, &Standing<'_>) -> R,
    ) -> R {
        let standing = Standing {
            rank: self.rank,
            nameable: self.nameable,
            priority: 0,
            electorate: &self.electorate,
            reaches_commit_quorum: self.reaches,
            round_trips: &BTreeMap::new(),
            goes_alone: self.goes_alone,
        };
        let result = act(&mut self.core, self.now, &standing);
        self.core.invariants();
        result
    }

    pub(crate) fn give(&mut self, from: Sender, message: Message) -> Result<(), PeerError> {
        self.call(|core, now, standing| core.handle_message(now, from, message, standing))
    }

    /// Gives a message and takes what comes out of it, with every fence persisted at once.
    pub(crate) fn ask(&mut self, from: Sender, message: Message) -> Vec<Output> {
        self.give(from, message).expect("the message is sound");
        self.settle()
    }

    /// Takes what is there, without touching the disk.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    pub(crate) fn persist(&mut self, fence: Fence) {
        self.call(|core, now, standing| core.handle_persisted(now, fence, standing));
    }

    /// Takes everything, persisting each fence.
    pub(crate) fn settle(&mut self) -> Vec<Output> {
        let mut all = Vec::new();
        while let Some(output) = self.core.poll_output() {
            if let Output::Persist(fence) = output {
                self.persist(fence);
            }
            all.push(output);
        }
        all
    }

    pub(crate) fn hear(&mut self, of: u64, master: u32) {
        self.call(|core, now, _| core.hear_master(now, term(of), id(master), true)).unwrap();
    }

    /// Jumps to the next timeout.
    pub(crate) fn jump(&mut self) -> &'static str {
        let (at, why) = self.core.next_timeout().expect("something is waited for");
        self.now = self.now.max(at);
        self.call(|core, now, standing| core.handle_timeout(now, standing));
        why
    }

    /// Waits until it asks for pre-votes; returns the term that it asks for.
    pub(crate) fn until_asking(&mut self) -> Term {
        for _ in 0..10 {
            self.jump();
            if let Some(ask) = pre_solicits(&self.take()).first() {
                return ask.term;
            }
        }
        panic!("it never asks");
    }

    /// Waits until it asks, has it granted by `granter`, and persists its fence.
    pub(crate) fn until_soliciting(&mut self, granters: &[u32]) -> Term {
        let asked = self.until_asking();
        for granter in granters {
            let grant = self.grant(asked);
            self.give(from(*granter), grant).unwrap();
        }
        let out = self.settle();
        assert!(!solicits(&out).is_empty(), "granted, and soliciting: {out:?}");
        asked
    }

    pub(crate) fn pre_solicit(&self, of: u64) -> Message {
        self.pre_solicit_at(of, self.rank)
    }

    pub(crate) fn pre_solicit_at(&self, of: u64, rank: LogPoint) -> Message {
        let electorate = self.electorate.clone();
        let fence = term(of - 1);
        Message::PreSolicit(PreSolicit { term: term(of), fence, rank, priority: 0, electorate })
    }

    /// A pre-vote granted by one that stands where we do.
    pub(crate) fn grant(&self, of: Term) -> Message {
        grant_in(of, self.rank, self.electorate.clone())
    }

    pub(crate) fn solicit(&self, of: u64) -> Message {
        solicit_in(of, self.rank, self.electorate.clone())
    }

    pub(crate) fn promise(&self, of: Term, rank: LogPoint) -> Promise {
        Promise {
            term: of,
            rank,
            nameable: true,
            electorate: self.electorate.clone(),
            priority: 0,
            round_trips: BTreeMap::new(),
            reaches_commit_quorum: true,
        }
    }

    /// A Name by the given promisers, all of them at our own rank.
    pub(crate) fn name(&self, of: u64, winner: u32, promisers: &[u32]) -> Message {
        let promiser = |number: &u32| Promiser {
            id: id(*number),
            incarnation: incarnation(*number),
            rank: self.rank,
        };
        let promisers = promisers.iter().map(promiser).collect();
        Message::Name(Name { term: term(of), winner: id(winner), promisers })
    }
}

pub(crate) fn grant_in(of: Term, rank: LogPoint, electorate: Electorate) -> Message {
    Message::PreGrant(PreGrant { term: of, rank, electorate })
}

pub(crate) fn solicit_in(of: u64, rank: LogPoint, electorate: Electorate) -> Message {
    Message::Solicit(Solicit { term: term(of), rank, electorate, transfer: false })
}

pub(crate) fn refuse(of: Term, pre_vote: bool, fence: u64, reason: Reason) -> Message {
    Message::Refuse(Refuse { term: of, pre_vote, fence: term(fence), reason })
}

pub(crate) fn sent(outputs: &[Output]) -> Vec<(u32, &Message)> {
    let sends = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message } => Some((to.get(), message)),
        _ => None,
    });
    sends.collect()
}

pub(crate) fn granted(outputs: &[Output]) -> bool {
    sent(outputs).iter().any(|(_, message)| matches!(message, Message::PreGrant(_)))
}

pub(crate) fn promised(outputs: &[Output]) -> Option<(u32, &Promise)> {
    sent(outputs).into_iter().find_map(|(to, message)| match message {
        Message::Promise(promise) => Some((to, promise)),
        _ => None,
    })
}

pub(crate) fn refused(outputs: &[Output]) -> Option<Reason> {
    sent(outputs).into_iter().find_map(|(_, message)| match message {
        Message::Refuse(refusal) => Some(refusal.reason),
        _ => None,
    })
}

pub(crate) fn named(outputs: &[Output]) -> Option<u32> {
    sent(outputs).into_iter().find_map(|(_, message)| match message {
        Message::Name(name) => Some(name.winner.get()),
        _ => None,
    })
}

pub(crate) fn pre_solicits(outputs: &[Output]) -> Vec<PreSolicit> {
    let asks = sent(outputs).into_iter().filter_map(|(_, message)| match message {
        Message::PreSolicit(ask) => Some(ask.clone()),
        _ => None,
    });
    asks.collect()
}

pub(crate) fn solicits(outputs: &[Output]) -> Vec<Solicit> {
    let asks = sent(outputs).into_iter().filter_map(|(_, message)| match message {
        Message::Solicit(ask) => Some(ask.clone()),
        _ => None,
    });
    asks.collect()
}

pub(crate) fn crowned(outputs: &[Output]) -> Option<Term> {
    outputs.iter().find_map(|output| match output {
        Output::Crown { term, .. } => Some(*term),
        _ => None,
    })
}

pub(crate) fn declined(outputs: &[Output]) -> Option<rep_election::output::Declined> {
    outputs.iter().find_map(|output| match output {
        Output::Event(rep_election::Event::CrownDeclined { reason, .. }) => Some(*reason),
        _ => None,
    })
}
