//! What must hold, checked from outside.
//!
//! The oracle is told what each node does (entries staged, synced, cut; promises and acknowledgements
//! leaving; watermarks claimed) and keeps its own picture of every log, with its own digests and its own
//! arithmetic. It shares no code with the protocol, so that a mistake there is not made here too.
//!
//! `elections` watches terms and promises, `logs` the entries, `lives` what a log is after a crash, `images` what is left of it after an
//! older copy was put back, `cleaning` what may be removed of it, `copies` what it begins with when a state was copied, `durability` how far an
//! entry has come and what may be lost of it, `answers` what clients were told,
//! `sights` what they were shown.

mod answers;
mod cleaning;
mod copies;
mod durability;
mod elections;
mod images;
mod invariant;
mod lives;
mod logs;
mod sights;

pub(crate) use invariant::{Checked, ensure};
pub use invariant::{Class, Invariant, Violation};

pub(crate) use answers::Answer;
use bytes::Bytes;
pub(crate) use cleaning::Needs;
use elections::Elections;
use images::Forgotten;
pub(crate) use logs::{Noted, Watermark};
use rep_node::Durability;
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term};
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
    /// Its machine lost power since it last came up.
    power_lost: bool,
    /// How many of the first it was allowed to remove.
    cleaned: usize,
    /// What it held when an older image took its place: the image may begin behind entries that were removed.
    before_image: Vec<Entry>,
    /// How many of them the last durable local mark vouches for.
    pub(crate) marked: usize,
    /// The highest dvlsn that a durable local mark tells.
    noted: u64,
    /// The highest point that it has acknowledged in this incarnation (a truncation lowers it).
    pub(crate) acked: usize,
    /// What a legal fault took: still counts as having been held.
    pub(crate) lost: Vec<Entry>,
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
    pub(crate) members: BTreeMap<NodeId, Member>,
    founding: BTreeMap<NodeId, Incarnation>,
    elections: Elections,
    /// (VLSN, term) to chain digest, over all logs.
    entries: BTreeMap<(u64, u64), u64>,
    claims: Vec<Claim>,
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
    pub(crate) fn new(nodes: u32) -> Self {
        let members = (1..=nodes).map(|id| (NodeId::new(id), Member::default())).collect();
        Oracle {
            members,
            founding: BTreeMap::new(),
            elections: Elections::default(),
            entries: BTreeMap::new(),
            claims: Vec::new(),
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

    /// The group exists: these are the incarnations that count.
    pub(crate) fn founded(&mut self, members: BTreeMap<NodeId, Incarnation>) {
        if self.founding.is_empty() {
            self.founding = members;
        }
    }

    /// Highest VLSN claimed to be durable by anyone.
    pub(crate) fn committed(&self) -> u64 {
        self.claims.len() as u64
    }

    /// How many entries of a member's log are below its mark and durable in the group: nothing will ever cut them.
    pub(crate) fn settled(&self, node: NodeId) -> u64 {
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

    pub(crate) fn member(&self, node: NodeId) -> &Member {
        &self.members[&node]
    }

    /// Whether the member is the one that the group was founded with.
    pub(crate) fn counts(&self, node: NodeId) -> bool {
        let incarnation = self.members[&node].incarnation;
        self.founding.get(&node).is_none_or(|recorded| *recorded == incarnation)
    }

    fn member_mut(&mut self, node: NodeId) -> &mut Member {
        self.members.get_mut(&node).expect("only members are reported")
    }

    /// Of those with whom the group was founded.
    fn majority(&self) -> usize {
        let voters =
            if self.founding.is_empty() { self.members.len() } else { self.founding.len() };
        voters / 2 + 1
    }

    /// Members of the group that durably hold the entry, and wiped or foreign ones that do.
    fn holders(&self, vlsn: u64, term: Term, chain: u64) -> (Vec<NodeId>, Vec<NodeId>) {
        let holds = |entries: &[Entry]| {
            let at = entries.get(vlsn as usize - 1);
            at.is_some_and(|entry| entry.term == term && entry.chain == chain)
        };
        let gone = |member: &Member| member.gone.contains(&(vlsn, chain));
        let mut voters = Vec::new();
        let mut others = Vec::new();
        for (node, member) in &self.members {
            let here = member.durable as u64 >= vlsn && holds(&member.log);
            if (here && self.counts(*node)) || holds(&member.lost) || gone(member) {
                voters.push(*node);
            } else if here {
                others.push(*node);
            }
        }
        (voters, others)
    }
}
