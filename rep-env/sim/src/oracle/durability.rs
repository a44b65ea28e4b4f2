//! How far an entry has come, and what may be lost of it: I-8 for weaker policies, and cvlsn's share of I-10.
//!
//! A member *holds* an entry once the operating system has it. Such an entry survives the process and not the machine. So a
//! write that a majority holds is in the log of every later master, until power cuts or wipes have taken it from so many that
//! fewer than a majority hold it. The moment to look is a crowning: whoever promised the new term writes nothing of an older
//! one any more, so what holds now held when it promised.

use super::{Checked, Entry, Invariant, Listed, Member, Oracle, Part, Roll, ensure};
use crate::machine::Machine;
use rep_node::{Acks, Durability};
use rep_vlsn::{LogPoint, SyncClass, Term, Vlsn};

/// Who holds an entry as it asked, and whether these are enough.
#[derive(Debug, Default)]
struct Asked {
    need: usize,
    holders: Vec<Machine>,
    held: bool,
}

impl Oracle {
    /// An entry has its place and asks for this.
    pub(crate) fn asked(&mut self, point: LogPoint, durability: Durability) {
        if durability != Durability::default() {
            self.asked.insert((point.vlsn.get(), point.term.get()), durability);
        }
    }

    /// The operating system has the log up to `point`.
    pub(crate) fn written(&mut self, node: Machine, point: LogPoint) {
        let member = self.member_mut(node);
        let upto = point.vlsn.get() as usize;
        // A truncation may have overtaken it.
        if member.log.get(upto.wrapping_sub(1)).is_some_and(|entry| entry.term == point.term) {
            member.written = member.written.max(upto);
        }
    }

    pub(crate) fn lost_count(&self) -> u64 {
        self.lost.len() as u64
    }

    /// Enough members have, or had when they acknowledged it, what the entry asked for.
    pub(super) fn is_held_as_asked(
        &self,
        master: Machine,
        point: LogPoint,
        asked: Durability,
    ) -> Checked {
        let Asked { need, holders, held } = self.holders_as_asked(master, point, asked);
        ensure(held, Invariant::AckedCommitLoss, || {
            format!(
                "{master} counts {point} as held as {asked:?}; so it is at {holders:?} only, {need} are needed"
            )
        })
    }

    /// By any membership that the master had since it wrote the entry; the figures are those of the latest.
    fn holders_as_asked(&self, master: Machine, point: LogPoint, asked: Durability) -> Asked {
        let by = |roll: &&Roll| {
            let need = match asked.acks {
                Acks::None => 1,
                Acks::SimpleMajority => roll.commit(),
                Acks::All => roll.copies().count().max(roll.commit()),
            };
            let held = |machine: &Machine, listed: &Listed| {
                let class = if *machine == master { asked.local } else { asked.replica };
                let (synced, member) = (class == SyncClass::Sync, self.member(*machine));
                member.had(point, synced)
                    || (listed.is(*machine, member.incarnation) && member.has(point, synced))
            };
            // All who hold the data: an arbiter's word is no copy.
            let all = asked.acks == Acks::All;
            let asks = roll.voters().filter(|(_, it)| !all || it.part == Part::Voter);
            let voters = asks.filter(|(_, listed)| held(&listed.machine, listed));
            let holders: Vec<Machine> = voters.map(|(_, listed)| listed.machine).collect();
            let held = holders.contains(&master) && holders.len() >= need;
            Asked { need, holders, held }
        };
        let rolls = self.rolls_from(master, point.vlsn.get());
        let all = rolls.iter().rev().map(by);
        let better = |latest: Asked, other: Asked| if other.held { other } else { latest };
        all.reduce(better).unwrap_or_default()
    }

    /// A write was acknowledged that is not durable yet. That may be told by a master that has been succeeded and does not
    /// know, for it slept: then the next one was crowned without anybody asking for this write, and what fewer than a
    /// majority hold by now has no claim from the beginning.
    pub(super) fn remember_weak(&mut self, point: LogPoint, asked: Durability) {
        let key = (point.vlsn.get(), point.term.get());
        self.weak.insert(key);
        let late = self.has_opened_after(point.term);
        if late && (asked.acks == Acks::None || !self.is_with_most(point)) {
            self.lost.insert(key);
        }
    }

    /// What was acknowledged weakly and fewer than a majority hold any more has no claim from now on.
    pub(super) fn forget_claims_of_the_few(&mut self) {
        let few = |(vlsn, term): &(u64, u64)| {
            let point = LogPoint::new(Term::new(*term), Vlsn::new(*vlsn));
            !self.is_with_most(point)
        };
        let fallen: Vec<(u64, u64)> =
            self.weak.difference(&self.lost).copied().filter(few).collect();
        self.lost.extend(fallen);
    }

    /// Members that hold an entry now, synced or not.
    fn present_at(&self, roll: &Roll, point: LogPoint) -> Vec<Machine> {
        let holds = |listed: &Listed| {
            let member = self.member(listed.machine);
            let present = listed.is(listed.machine, member.incarnation);
            present && !member.damaged && member.has(point, false)
        };
        let voters = roll.voters().map(|(_, listed)| listed);
        voters.filter(holds).map(|listed| listed.machine).collect()
    }

    /// Whether most members hold it, whoever may count.
    fn is_with_most(&self, point: LogPoint) -> bool {
        self.rolls_in_use().all(|roll| self.present_at(roll, point).len() >= roll.commit())
    }

    /// A master is crowned: of what was acknowledged it may lack only what fewer than a majority hold. One that learns of its
    /// crown when others have reigned after it is not asked: its promisers may hold what those have sent them.
    pub(super) fn holds_what_a_majority_holds(&mut self, node: Machine, term: Term) -> Checked {
        if self.has_opened_after(term) {
            return Ok(());
        }
        let log = &self.member(node).log;
        let lacks = |(vlsn, of): &(u64, u64)| {
            *of < term.get() && log.get(*vlsn as usize - 1).is_none_or(|e| e.term.get() != *of)
        };
        // What one master has lacked has lost its claim: another may have spread it again, and a third overrule that.
        let lacking: Vec<(u64, u64)> =
            self.weak.difference(&self.lost).copied().filter(lacks).collect();
        for (vlsn, of) in lacking {
            let point = LogPoint::new(Term::new(of), Vlsn::new(vlsn));
            let roll = self.ruling_or_first(node);
            let holders = self.present_at(roll, point);
            ensure(holders.len() < roll.commit(), Invariant::AckedCommitLoss, || {
                format!(
                    "{node} is master of {term} without {point}, which was acknowledged and which {holders:?} hold"
                )
            })?;
            self.lost.insert((vlsn, of));
        }
        Ok(())
    }

    /// At the end: of what was acknowledged a log lacks only what some master has lacked before.
    pub(super) fn holds_what_nobody_lost(&self, node: Machine) -> Checked {
        let log = &self.member(node).log;
        let holds = |(vlsn, of): &(u64, u64)| {
            log.get(*vlsn as usize - 1).is_some_and(|entry| entry.term.get() == *of)
        };
        let missing = self.weak.difference(&self.lost).find(|point| !holds(point));
        ensure(missing.is_none(), Invariant::AckedCommitLoss, || {
            format!(
                "acknowledged {missing:?} (VLSN, term) is not in the log of {node}; nothing took it"
            )
        })
    }

    /// At the end of a group that is too few: what was durable is where it was, but for what wipes, rot and images took.
    pub(crate) fn still_holds_all_claimed(&self) -> Checked {
        for (at, claim) in self.claims.iter().enumerate() {
            let vlsn = at as u64 + 1;
            let holders = |roll| self.holders(roll, vlsn, claim.term, claim.chain).0;
            let held = self.rolls_in_use().any(|roll| holders(roll).len() >= roll.commit());
            ensure(held, Invariant::AckedCommitLoss, || {
                format!(
                    "entry {vlsn} of {} was durable; only {:?} hold it, and no fault took the rest",
                    claim.term,
                    holders(self.settled_roll())
                )
            })?;
        }
        Ok(())
    }

    /// A node claims that everything up to its cvlsn is acknowledged as it asked.
    pub(super) fn acknowledged(
        &mut self,
        node: Machine,
        cvlsn: u64,
        master_of: Option<Term>,
    ) -> Checked {
        let member = self.member(node);
        let (before, dvlsn, ends) = (member.cvlsn, member.dvlsn, member.log.len() as u64);
        if cvlsn == before {
            return Ok(());
        }
        ensure((dvlsn..=ends).contains(&cvlsn), Invariant::DvlsnTruthful, || {
            format!(
                "{node} claims a cvlsn of {cvlsn}; its dvlsn is {dvlsn}, its log ends at {ends}"
            )
        })?;
        let known = self.cvlsn_max;
        match master_of {
            Some(term) => (before.max(dvlsn)..cvlsn)
                .try_for_each(|at| self.entry_is_acknowledged(node, term, at as usize))?,
            None => ensure(cvlsn <= known.max(dvlsn), Invariant::DvlsnTruthful, || {
                format!("{node} claims a cvlsn of {cvlsn}, no master claimed more than {known}")
            })?,
        }
        self.cvlsn_max = known.max(cvlsn);
        self.member_mut(node).cvlsn = cvlsn;
        Ok(())
    }

    /// A truncation takes nothing that was acknowledged, however weakly, unless some master has lacked it already: only power
    /// cuts and wipes take what many hold, and they do so before the crown of whoever lacks it. A master that has not opened its term
    /// is asked here what it is asked there: it may lack what fewer than a commit quorum hold.
    pub(super) fn cuts_only_what_was_lost(&mut self, node: Machine, kept: usize) -> Checked {
        if self.weak.is_empty() {
            return Ok(());
        }
        let log = self.member(node).log.iter().enumerate().skip(kept);
        let keys = log.map(|(at, entry)| (at as u64 + 1, entry.term.get()));
        let claims = keys.filter(|key| self.weak.contains(key) && !self.lost.contains(key));
        let is_unasked = self.is_a_master_unasked();
        let (fallen, claimed): (Vec<_>, Vec<_>) = claims.partition(|(vlsn, term)| {
            let point = LogPoint::new(Term::new(*term), Vlsn::new(*vlsn));
            let roll = self.ruling_or_first(node);
            is_unasked && self.present_at(roll, point).len() < roll.commit()
        });
        self.lost.extend(fallen);
        let taken = claimed.first();
        ensure(taken.is_none(), Invariant::AckedCommitLoss, || {
            format!(
                "{node} cuts its log after {kept}, and with it {taken:?} (VLSN, term), which was acknowledged and which no master has lacked"
            )
        })
    }

    fn entry_is_acknowledged(&self, node: Machine, term: Term, at: usize) -> Checked {
        let of: Term = self.member(node).log[at].term;
        let point = LogPoint::new(of, Vlsn::new(at as u64 + 1));
        ensure(of == term, Invariant::OldTerm, || {
            format!("{node}, master of {term}, counts {point} as acknowledged")
        })?;
        let asked = self.asked.get(&(point.vlsn.get(), of.get())).copied().unwrap_or_default();
        let Asked { need, holders, held } = self.holders_as_asked(node, point, asked);
        ensure(held, Invariant::DvlsnTruthful, || {
            format!(
                "cvlsn of {node} covers {point}, which {holders:?} hold as it asked; {need} are needed"
            )
        })
    }
}

impl Member {
    /// Takes note of entries that it no longer holds, from `kept` on.
    pub(super) fn lets_go(&mut self, kept: usize) {
        for (at, entry) in self.log.iter().enumerate().take(self.written).skip(kept) {
            let synced = at < self.durable;
            let held = self.held.entry((at as u64 + 1, entry.term.get())).or_default();
            *held |= synced;
        }
    }

    fn entry(&self, point: LogPoint) -> Option<&Entry> {
        let entry = self.log.get((point.vlsn.get() as usize).checked_sub(1)?)?;
        (entry.term == point.term).then_some(entry)
    }

    pub(super) fn has(&self, point: LogPoint, synced: bool) -> bool {
        let upto = if synced { self.durable } else { self.written };
        let held = upto as u64 >= point.vlsn.get() && self.entry(point).is_some();
        held || self.vouches_for(point)
    }

    /// It had the entry, may have said so, and has it no longer.
    fn had(&self, point: LogPoint, synced: bool) -> bool {
        let before = self.held.get(&(point.vlsn.get(), point.term.get()));
        before.is_some_and(|was_synced| *was_synced || !synced)
    }
}
