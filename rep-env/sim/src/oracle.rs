//! What must hold, checked from outside.
//!
//! The oracle is told what each node does (entries staged, synced, cut; promises and acknowledgements
//! leaving; watermarks claimed) and keeps its own picture of every log, with its own digests and its own
//! arithmetic. It shares no code with the protocol, so that a mistake there is not made here too.
//!
//! `elections` watches terms and promises, `logs` the entries, `lives` what a log is after a crash, `images` what is left of it after an
//! older copy was put back, `cleaning` what may be removed of it, `copies` what it begins with when a state was copied, `durability` how far an
//! entry has come and what may be lost of it, `answers` what clients were told,
//! `sights` what they were shown, `members` and `roll` who belongs and how many of them it takes, `vouching` what an arbiter's word counts for,
//! `designated` who goes on alone, `shipping` what has left for good.

mod answers;
mod cleaning;
mod copies;
mod designated;
mod durability;
mod elections;
mod images;
mod invariant;
mod lives;
mod logs;
mod members;
mod relaying;
mod roll;
mod shipping;
mod sights;
mod vouching;

pub(crate) use invariant::{Checked, ensure};
pub use invariant::{Class, Invariant, Violation};

use crate::machine::Machine;
pub(crate) use answers::Answer;
use bytes::Bytes;
pub(crate) use cleaning::{LogBound, Needs};
use elections::{Elections, Run};
use images::Forgotten;
pub(crate) use logs::{Noted, Watermark};
use rep_node::Durability;
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term};
pub(crate) use roll::{Listed, Part, Roll};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One entry as the oracle knows it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    /// Over this entry and all before it.
    pub(crate) chain: u64,
    pub(crate) bytes: Bytes,
}

/// What the oracle knows of one member.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) incarnation: Incarnation,
    /// Entries from VLSN 1 on, as staged in this run.
    pub(crate) log: Vec<Entry>,
    /// How many of them are on disk.
    pub(crate) durable: usize,
    /// How many of them the operating system has: these survive the process.
    pub(crate) written: usize,
    /// Entries that it held and lost, by (VLSN, term), and whether they were synced: it may have acknowledged them.
    held: BTreeMap<(u64, u64), bool>,
    /// The entries that it vouches for, as an arbiter: up to the point that its disk holds.
    vouched: Vec<Entry>,
    /// Its machine lost power since it last came up.
    power_lost: bool,
    /// How many of the first it was allowed to remove.
    cleaned: usize,
    /// It has kept what the head of its log said of the group, or was about to.
    keeps_head: bool,
    /// What it held when an older image took its place: the image may begin behind entries that were removed.
    before_image: Vec<Entry>,
    /// How many of them the last durable local mark vouches for.
    pub(crate) marked: usize,
    /// The highest dvlsn that a durable local mark tells.
    noted: u64,
    /// The highest point that it has acknowledged in this incarnation (a truncation lowers it).
    pub(crate) acked: usize,
    /// What a legal fault took: still counts as having been held. The same of directories that were here before.
    pub(crate) lost: Vec<Entry>,
    former: BTreeMap<Incarnation, Vec<Entry>>,
    /// What it had when older images took its place, by VLSN and chain: a master may have counted it, and it stands in nobody's
    /// way any more.
    gone: BTreeSet<(u64, u64)>,
    /// It came back with an older image, and does not know what it had said since.
    forgotten: Option<Forgotten>,
    /// Its disk was damaged: it is out of the game until wiped.
    pub(crate) damaged: bool,
    /// Something on its disk that is no entry wore: it may be refused its directory, or not.
    worn: bool,
    /// The newest entry that was damaged.
    rotten: u64,
    dvlsn: u64,
    cvlsn: u64,
    applied: u64,
}

/// An entry that some node has claimed to be durable in the group.
#[derive(Clone, Debug)]
struct Claim {
    term: Term,
    chain: u64,
    /// The lowest term in which it was claimed.
    in_term: Term,
}

/// Everything that the oracle knows.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) members: BTreeMap<Machine, Member>,
    /// Every entry that names the members, by (VLSN, term); and who counts before there is one.
    rolls: BTreeMap<(u64, u64), Roll>,
    listed: Roll,
    /// Such entries that enough disks held when one of these was lost: a master that has ended since may have told so.
    once_durable: BTreeSet<LogPoint>,
    /// Such an entry that a node has made and not yet put out.
    pub(crate) coming: Option<(Machine, Roll)>,
    elections: Elections,
    /// (VLSN, term) to chain digest, over all logs.
    entries: BTreeMap<(u64, u64), u64>,
    claims: Vec<Claim>,
    /// How many there were, and since when.
    claimed_at: Vec<(Duration, usize)>,
    /// The logs up to each point for which an arbiter was asked to vouch, by (VLSN, term).
    asked_to_vouch: BTreeMap<(u64, u64), Vec<Entry>>,
    /// What entries asked for, where that is not the default.
    asked: BTreeMap<(u64, u64), Durability>,
    /// Acknowledged writes that nobody had claimed to be durable then, and those of them that some master lacked.
    weak: BTreeSet<(u64, u64)>,
    lost: BTreeSet<(u64, u64)>,
    /// The highest cvlsn that a master has claimed.
    cvlsn_max: u64,
    /// State digest at each applied VLSN.
    states: BTreeMap<u64, [u8; 16]>,
    /// Highest acknowledged write so far, and per term when the first was.
    acked: Vec<LogPoint>,
    acked_max: u64,
    /// What it was, and since when.
    acked_at: Vec<(Duration, u64)>,
    first_ack: BTreeMap<Term, Duration>,
    /// The highest VLSN up to which anybody was shown a state.
    shown: u64,
    /// Why nothing is promised any more, if an image that nobody remembers has cost something.
    pub(crate) gave_up: Option<String>,
}

impl Oracle {
    /// A world of so many machines, of which the first `listed` found a group.
    pub(crate) fn new(listed: u32, machines: u32) -> Self {
        let members = (1..=machines).map(|id| (Machine::new(id), Member::default())).collect();
        Oracle {
            members,
            rolls: BTreeMap::new(),
            listed: Roll::listed(listed),
            coming: None,
            elections: Elections::default(),
            entries: BTreeMap::new(),
            claims: Vec::new(),
            once_durable: BTreeSet::new(),
            claimed_at: Vec::new(),
            asked_to_vouch: BTreeMap::new(),
            asked: BTreeMap::new(),
            weak: BTreeSet::new(),
            lost: BTreeSet::new(),
            cvlsn_max: 0,
            states: BTreeMap::new(),
            acked: Vec::new(),
            acked_max: 0,
            acked_at: Vec::new(),
            first_ack: BTreeMap::new(),
            shown: 0,
            gave_up: None,
        }
    }

    /// Highest VLSN claimed to be durable by anyone.
    pub(crate) fn committed(&self) -> u64 {
        self.claims.len() as u64
    }

    /// How many entries of a member's log are below its mark and durable in the group: nothing will ever cut them.
    pub(crate) fn settled(&self, node: Machine) -> u64 {
        let member = self.member(node);
        let most = member.marked.min(self.claims.len()).min(member.log.len());
        let same = |at: &usize| member.log[*at].chain == self.claims[*at].chain;
        (0..most).rev().find(same).map_or(0, |at| at as u64 + 1)
    }

    /// The term of entry `vlsn`, if someone has claimed it to be durable.
    pub(crate) fn claimed_term(&self, vlsn: u64) -> Option<Term> {
        self.claims.get((vlsn as usize).checked_sub(1)?).map(|claim| claim.term)
    }

    pub(crate) fn acked_max(&self) -> u64 {
        self.acked_max
    }

    pub(crate) fn member(&self, node: Machine) -> &Member {
        &self.members[&node]
    }

    fn member_mut(&mut self, node: Machine) -> &mut Member {
        self.members.get_mut(&node).expect("only members are reported")
    }

    /// Voters that durably hold the entry, and whoever else does.
    fn holders(
        &self,
        roll: &Roll,
        vlsn: u64,
        term: Term,
        chain: u64,
    ) -> (Vec<Machine>, Vec<Machine>) {
        let holds = |(_, listed): &(NodeId, Listed)| self.holds_as(listed, vlsn, term, chain);
        let voters: Vec<Machine> =
            roll.voters().filter(holds).map(|(_, listed)| listed.machine).collect();
        let here = |(node, member): &(&Machine, &Member)| {
            !voters.contains(node) && member.holds(vlsn, term, chain)
        };
        let others = self.members.iter().filter(here).map(|(node, _)| *node).collect();
        (voters, others)
    }

    /// Whether a member, as it is listed, durably holds the entry, or held it until a legal fault took it.
    fn holds_as(&self, listed: &Listed, vlsn: u64, term: Term, chain: u64) -> bool {
        let Some(member) = self.members.get(&listed.machine) else { return false };
        let former = listed.incarnation.and_then(|it| member.former.get(&it));
        let present = listed.is(listed.machine, member.incarnation);
        let is = |log: &Vec<Entry>| is_in(log, vlsn, term, chain);
        (present && (member.holds(vlsn, term, chain) || is(&member.lost)))
            || former.is_some_and(is)
            || member.gone.contains(&(vlsn, chain))
    }
}

impl Member {
    fn holds(&self, vlsn: u64, term: Term, chain: u64) -> bool {
        (self.durable as u64 >= vlsn && is_in(&self.log, vlsn, term, chain))
            || is_in(&self.vouched, vlsn, term, chain)
    }
}

fn is_in(log: &[Entry], vlsn: u64, term: Term, chain: u64) -> bool {
    let entry = log.get(vlsn as usize - 1);
    entry.is_some_and(|entry| entry.term == term && entry.chain == chain)
}
