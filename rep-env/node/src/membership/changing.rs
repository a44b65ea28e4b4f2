//! How a master changes who belongs.
//!
//! One change at a time. The master appends it only when its own term has begun durably (so that everything before it is), and when the
//! change before is durable; those asked for meanwhile wait, in a bounded queue, each until its deadline. A change is an entry like any
//! other: it rules from the moment it is in the log, and whoever asked is told when it is durable.
//!
//! | a request is | ends by |
//! |---|---|
//! | waiting | its turn; its deadline; the end of the reign |
//! | logged | its entry is durable, or another one is in its place; its deadline |
//!
//! A learner becomes electable by a change that nobody has to ask for: the master of the day makes it as soon as the learner has caught up.

use super::change::{Change, ChangeRequest, Changed, Newcomer, NotChanged};
use super::joining::NO_NUMBER;
use super::{
    ATTRIBUTES_BYTES_MAX, Attributes, MEMBERS_MAX, MEMBERSHIP_BYTES_MAX, Member, MemberType,
    Membership, NAME_BYTES_MAX, Quorums, Removed, fit,
};
use crate::durability::Durability;
use crate::node::Node;
use crate::output::{Output, Request};
use core::net::SocketAddr;
use rep_election::{Electorate, quorum};
use rep_vlsn::{LogPoint, NodeId, Vlsn, mutant, sometimes};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Changes that may wait.
const WAITING_MAX: usize = 16;
/// Of an entry that says who belongs: where members tell each other of it, its place stands in front.
const ENTRY_BYTES_MAX: usize = MEMBERSHIP_BYTES_MAX - 32;
/// Election timeouts in which a member has to have been silent, on every link, before another directory takes its place.
const SILENT_FOR: u32 = 4;

/// What is under way at this node.
#[derive(Debug, Default)]
pub(crate) struct Changing {
    waiting: VecDeque<Waiting>,
    logged: Option<Logged>,
    /// How learners are catching up.
    rounds: BTreeMap<NodeId, Round>,
    /// Why a learner that has caught up is none the less not made electable.
    held_back: Option<(NodeId, NotChanged)>,
}

/// A change that was asked for and has no entry.
#[derive(Debug)]
struct Waiting {
    asked: ChangeRequest,
    /// The member whose place is to be taken was removed already.
    half_made: bool,
}

/// A change that has its entry.
#[derive(Debug)]
struct Logged {
    at: LogPoint,
    /// Who waits for it; nobody for one that the master made by itself.
    request: Option<(Request, Duration)>,
    made: Membership,
    /// What comes after it: who takes the place of the member removed.
    then: Option<ChangeRequest>,
}

impl Logged {
    /// Who waits for it, or for what comes after it, and until when.
    fn awaited(&self) -> Option<(Request, Duration)> {
        self.request.or(self.then.as_ref().map(|then| (then.request, then.deadline)))
    }
}

/// A learner has caught up when it has synced `until` within an election timeout of the moment when that was the last entry. See Ongaro,
/// "Consensus: Bridging Theory and Practice" (2014), 4.2.1.
#[derive(Clone, Copy, Debug)]
struct Round {
    since: Duration,
    until: Vlsn,
}

/// What a change comes to.
enum Step {
    /// It is so already.
    Done,
    Make(Membership),
    /// First somebody has to go.
    First(Membership),
}

impl Node {
    /// Asks for a change of who belongs; answered by [`Output::MembershipChanged`], once.
    pub fn change_membership(&mut self, now: Duration, change: ChangeRequest) {
        self.clock = now;
        if let Some(admitted) = self.admitted_already(&change.change).cloned() {
            return self.changed(change.request, Ok(admitted));
        }
        let refusal = match () {
            () if self.is_over() => Some(NotChanged::Closed),
            () if self.reign.is_none() => Some(NotChanged::NotMaster { master: self.master() }),
            () if self.changing.waiting.len() >= WAITING_MAX => Some(NotChanged::Busy),
            () => None,
        };
        if let Some(why) = refusal {
            return self.changed(change.request, Err(why));
        }
        self.changing.waiting.push_back(Waiting { asked: change, half_made: false });
        self.settle(now);
    }

    /// The membership that has whoever asks to be admitted, if this node is not the master and knows one that is durable. The answer may have been
    /// lost on its way, and without that voter there may be no master who could give it again.
    fn admitted_already(&self, change: &Change) -> Option<&Membership> {
        let Change::Add(newcomer) = change else { return None };
        let names = |it: &&Membership| it.of_incarnation(newcomer.incarnation).is_some();
        let durable = self.in_force.durable(self.dvlsn()).into_iter().chain(&self.hearsay);
        let latest = durable.max_by_key(|it| it.at).filter(names);
        latest.filter(|_| !self.is_over() && self.reign.is_none())
    }

    /// One that was half made is told so, whatever became of the other half.
    fn not_changed(&mut self, waiting: &Waiting, why: NotChanged) {
        let why = match waiting.half_made {
            true => NotChanged::HalfMade { why: why.to_string() },
            false => why,
        };
        self.changed(waiting.asked.request, Err(why));
    }

    fn changed(&mut self, request: Request, outcome: Changed) {
        self.output(Output::MembershipChanged { request, outcome });
    }

    /// Takes changes as far as they go now. Whether anything was appended.
    pub(crate) fn advance_changes(&mut self, now: Duration) -> bool {
        self.settle_logged(now);
        self.expire_waiting(now);
        if !self.may_change() {
            return false;
        }
        while let Some(waiting) = self.changing.waiting.pop_front() {
            match self.judge(now, &waiting.asked) {
                Err(why) => self.not_changed(&waiting, why),
                Ok(Step::Done) => {
                    let ruling = self.membership().cloned().ok_or(NotChanged::Closed);
                    self.changed(waiting.asked.request, ruling);
                }
                Ok(Step::Make(next)) => {
                    let who = Some((waiting.asked.request, waiting.asked.deadline));
                    self.log_change(now, next, who, None);
                    return true;
                }
                Ok(Step::First(next)) => {
                    self.log_change(now, next, None, Some(waiting.asked));
                    return true;
                }
            }
        }
        self.promote_who_caught_up(now)
    }

    /// Whether this node may append a change: its term has begun, and no change is on its way.
    fn may_change(&self) -> bool {
        let dvlsn = self.dvlsn();
        let Some(reign) = &self.reign else { return false };
        let begun = reign.is_begun(dvlsn)
            || (mutant!("members-change-before-term-start") && reign.has_opened());
        let settled = self.membership().is_some_and(|ruling| ruling.at.vlsn <= dvlsn);
        let alone = self.changing.logged.is_none() && settled;
        begun
            && (alone || mutant!("members-two-changes-in-flight"))
            && !self.truncating
            && self.log_failed.is_none()
            && !self.drains()
    }

    fn log_change(
        &mut self,
        now: Duration,
        next: Membership,
        request: Option<(Request, Duration)>,
        then: Option<ChangeRequest>,
    ) {
        let all_durable = self.log.last().vlsn <= self.dvlsn();
        let Some(reign) = &mut self.reign else { return };
        let term = reign.term;
        reign.expect_progress(now, all_durable);
        let record = self.stamp_after(now, None, term, next.draft());
        let at = record.point();
        self.watermarks.appended(at.vlsn, at.vlsn, Durability::SYNC_MAJORITY);
        self.append(now, vec![record]);
        let made = Membership { at, ..next };
        self.changing.logged = Some(Logged { at, request, made: made.clone(), then });
        self.learn_membership(made, "changed by its master");
        self.own_copy_moved(now);
    }

    /// What became of the change that has its entry.
    fn settle_logged(&mut self, now: Duration) {
        let Some(logged) = &self.changing.logged else { return };
        let at = logged.at;
        let late = logged.awaited().is_some_and(|(_, deadline)| deadline <= now);
        let outcome = match self.log.term_at(at.vlsn) {
            _ if at.vlsn > self.dvlsn() && !late && self.is_under_way(at) => return,
            Some(term) if at.vlsn <= self.dvlsn() && term == at.term => Ok(logged.made.clone()),
            Some(_) if at.vlsn <= self.dvlsn() => Err(NotChanged::RolledBack),
            _ => Err(NotChanged::Unknown),
        };
        let Some(Logged { request, then, .. }) = self.changing.logged.take() else { return };
        if let Some((request, _)) = request {
            self.changed(request, outcome.clone());
        }
        match (then, outcome) {
            (Some(asked), Ok(_)) => {
                self.changing.waiting.push_front(Waiting { asked, half_made: true });
            }
            (Some(then), Err(why)) => self.changed(then.request, Err(why)),
            (None, _) => {}
        }
    }

    /// Whether it can still become durable by this node's doing, or there is a caller who waits for what becomes of it.
    fn is_under_way(&self, at: LogPoint) -> bool {
        let logged = self.changing.logged.as_ref();
        let waits = logged.is_some_and(|logged| logged.awaited().is_some());
        waits || self.reign.as_ref().is_some_and(|reign| reign.term == at.term)
    }

    fn expire_waiting(&mut self, now: Duration) {
        if self.changing.waiting.is_empty() {
            return;
        }
        let (master, reigns) = (self.master(), self.reign.is_some());
        let why = |it: &Waiting| match () {
            () if !reigns => Some(NotChanged::NotMaster { master }),
            () if it.asked.deadline <= now => Some(NotChanged::Expired),
            () => None,
        };
        for waiting in std::mem::take(&mut self.changing.waiting) {
            match why(&waiting) {
                Some(why) => self.not_changed(&waiting, why),
                None => self.changing.waiting.push_back(waiting),
            }
        }
    }

    /// The node has ended: everybody is told.
    pub(crate) fn give_changes_up(&mut self) {
        let Changing { waiting, logged, .. } = std::mem::take(&mut self.changing);
        for waiting in waiting {
            self.not_changed(&waiting, NotChanged::Closed);
        }
        let Some(Logged { request, then, .. }) = logged else { return };
        if let Some((request, _)) = request {
            self.changed(request, Err(NotChanged::Unknown));
        }
        if let Some(then) = then {
            self.changed(then.request, Err(NotChanged::Unknown));
        }
    }

    pub(crate) fn changing_next_timeout(&self) -> Option<(Duration, &'static str)> {
        let waiting = self.changing.waiting.iter().map(|waiting| waiting.asked.deadline);
        let logged = self.changing.logged.as_ref().and_then(Logged::awaited);
        let deadlines = waiting.chain(logged.map(|(_, deadline)| deadline));
        deadlines.min().map(|at| (at, "change of the membership"))
    }

    // ---- what may be changed ----

    fn judge(&self, now: Duration, asked: &ChangeRequest) -> Result<Step, NotChanged> {
        let ruling = self.membership().ok_or(NotChanged::NotMaster { master: None })?;
        let step = match &asked.change {
            Change::Add(newcomer) => self.judge_add(now, ruling, newcomer)?,
            Change::Remove { id } => Step::Make(self.judge_remove(ruling, *id)?),
            Change::Update { id, address, priority, attributes } => {
                update(ruling, *id, address.as_ref(), *priority, attributes)?
            }
            Change::Quorums(quorums) => quorums_of(ruling, *quorums),
        };
        match &step {
            Step::Done => {}
            Step::Make(next) | Step::First(next) => self.judge_next(now, next, asked.force)?,
        }
        Ok(step)
    }

    fn judge_add(
        &self,
        now: Duration,
        ruling: &Membership,
        newcomer: &Newcomer,
    ) -> Result<Step, NotChanged> {
        check_newcomer(newcomer)?;
        match ruling.named(&newcomer.name) {
            Some(member) if member.incarnation == newcomer.incarnation => Ok(Step::Done),
            Some(member) if self.may_run(now, member) => {
                Err(NotChanged::LiveTwin { name: newcomer.name.clone() })
            }
            Some(member) => {
                // Nobody goes for somebody who cannot come.
                let without = ruling.without(member.id);
                admit(&without, newcomer).map(|_| Step::First(without))
            }
            None => admit(ruling, newcomer).map(Step::Make),
        }
    }

    /// Whether a member may be running: it was heard lately, on whichever link, or this node has not listened for long enough.
    fn may_run(&self, now: Duration, member: &Member) -> bool {
        let since = now.saturating_sub(self.config.timing.election_timeout * SILENT_FOR);
        let listens = self.reign.as_ref().is_some_and(|reign| reign.crowned <= since);
        let heard = self.links.was_heard(member.id, member.incarnation, since);
        member.id == self.config.me || heard || !listens
    }

    fn judge_remove(&self, ruling: &Membership, id: NodeId) -> Result<Membership, NotChanged> {
        match () {
            () if !ruling.members.contains_key(&id) => Err(NotChanged::UnknownMember { id }),
            () if id == self.config.me => Err(NotChanged::IsMaster),
            () => Ok(ruling.without(id)),
        }
    }

    /// Whether the group can go from how it is now to `next`: quorums meet, and the voters that are live suffice.
    fn judge_next(&self, now: Duration, next: &Membership, force: bool) -> Result<(), NotChanged> {
        next.check().map_err(|why| NotChanged::Apart { why })?;
        if next.bytes() > ENTRY_BYTES_MAX {
            let what = format!("who belongs would take more than {ENTRY_BYTES_MAX} bytes to say");
            return Err(NotChanged::Invalid { what });
        }
        let (old, new) = (&self.electorate, next.electorate());
        self.judge_quorums(next)?;
        let same = old.voters == new.voters
            && (old.election_need, old.commit_need) == (new.election_need, new.commit_need);
        let (live, needed) = (self.live_of(now, &new), new.commit_need.max(new.election_need));
        if same || force || live >= needed {
            return Ok(());
        }
        Err(NotChanged::LosesQuorum { live, needed })
    }

    fn judge_quorums(&self, next: &Membership) -> Result<(), NotChanged> {
        let met = quorum::meet(&self.electorate, &next.electorate());
        met.map_err(|error| NotChanged::Apart { why: error.to_string() })
    }

    /// How many voters of `electorate` would acknowledge a write made now.
    fn live_of(&self, now: Duration, electorate: &Electorate) -> usize {
        electorate.voters.keys().filter(|id| self.is_live(now, **id)).count()
    }

    // ---- learners ----

    /// A learner that holds all there is becomes electable.
    fn promote_who_caught_up(&mut self, now: Duration) -> bool {
        self.changing.held_back = None;
        if self.electorate.learners.is_empty() {
            return false;
        }
        let Some(ruling) = self.membership() else { return false };
        let learners = ruling.members.values().filter(|member| member.kind == MemberType::Learner);
        let learners: Vec<NodeId> = learners.map(|member| member.id).collect();
        self.changing.rounds.retain(|id, _| learners.contains(id));
        for id in learners {
            if !self.is_live(now, id) {
                self.changing.rounds.remove(&id);
                continue;
            }
            if !self.has_caught_up(now, id) && !mutant!("members-promote-before-caught-up") {
                continue;
            }
            let Some(next) = self.membership().and_then(|ruling| promoted(ruling, id)) else {
                continue;
            };
            match self.judge_next(now, &next, false) {
                Ok(()) => {
                    sometimes!(true, "node-promoted-a-learner");
                    self.changing.rounds.remove(&id);
                    self.log_change(now, next, None, None);
                    return true;
                }
                Err(why) => self.changing.held_back = Some((id, why)),
            }
        }
        false
    }

    fn has_caught_up(&mut self, now: Duration, id: NodeId) -> bool {
        let last = self.log.last().vlsn;
        let synced = self.reign.as_ref().map_or(Vlsn::NULL, |reign| reign.acks.points(id).0.vlsn);
        let round = self.changing.rounds.entry(id).or_insert(Round { since: now, until: last });
        if synced < round.until {
            return false;
        }
        let quick = now.saturating_sub(round.since) <= self.config.timing.election_timeout;
        *round = Round { since: now, until: last };
        quick
    }

    /// In words: what is being changed.
    pub(crate) fn change_under_way(&self) -> Option<String> {
        let waiting = self.changing.waiting.len();
        match &self.changing.logged {
            Some(logged) => Some(format!("a change at entry {} becomes durable", logged.at)),
            None if waiting > 0 => Some(format!("{waiting} changes wait")),
            None => self.changing.held_back.as_ref().map(|(id, why)| {
                format!("{} has caught up and gets no vote: {why}", self.name_of(*id))
            }),
        }
    }
}

fn check_newcomer(newcomer: &Newcomer) -> Result<(), NotChanged> {
    let invalid = |what: String| Err(NotChanged::Invalid { what });
    let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
    match newcomer.kind {
        MemberType::Electable
        | MemberType::Secondary
        | MemberType::Arbiter
        | MemberType::Monitor => {}
        MemberType::Learner => {
            return invalid("a learner is what an electable member begins as".into());
        }
    }
    if fits(&newcomer.name) && fits(&newcomer.address) {
        return Ok(());
    }
    invalid(format!("a name and an address have 1 to {NAME_BYTES_MAX} bytes"))
}

/// Whether `address` can be that of `name`, and is no other member's. Of two members of one address one is never reached, or is taken for the
/// other; and of changes that wait together each was asked for when the other was not made.
fn check_address(ruling: &Membership, name: &str, address: &str) -> Result<(), NotChanged> {
    let invalid = |what| Err(NotChanged::Invalid { what });
    let other = ruling.members.values().find(|it| it.address == address && it.name != name);
    let other = other.filter(|_| !mutant!("members-share-an-address"));
    match other {
        _ if is_nowhere(address) => {
            invalid(format!("{address} tells nobody where {name} is, host and port"))
        }
        Some(other) => invalid(format!("{} is at {address} already", other.name)),
        None => Ok(()),
    }
}

/// Whether it is no place: every host that dials an unspecified one (`0.0.0.0`) reaches itself.
fn is_nowhere(address: &str) -> bool {
    let numbers = address.parse::<SocketAddr>();
    let is_any = numbers.is_ok_and(|numbers| numbers.ip().to_canonical().is_unspecified());
    is_any || address.starts_with(':') || address.ends_with(":0")
}

/// The same with one member more, if that can be; and if it is to vote, if it can.
fn admit(ruling: &Membership, newcomer: &Newcomer) -> Result<Membership, NotChanged> {
    let removed = |it: &Removed| it.incarnation == newcomer.incarnation;
    match () {
        () if ruling.removed.iter().any(removed)
            || ruling.of_incarnation(newcomer.incarnation).is_some() =>
        {
            Err(NotChanged::WasRemoved)
        }
        () if ruling.members.len() >= MEMBERS_MAX || ruling.next_id == NO_NUMBER => {
            Err(NotChanged::TooMany)
        }
        () => {
            check_address(ruling, &newcomer.name, &newcomer.address)?;
            let (next, id) = with(ruling, newcomer);
            let voting = match newcomer.kind {
                MemberType::Electable => promoted(&next, id).unwrap_or_else(|| next.clone()),
                _ => next.clone(),
            };
            // The one that it follows may be the half of a change, which nobody has looked at.
            let apart = |why: String| NotChanged::Apart { why };
            ruling.check().and_then(|()| voting.check()).map_err(apart)?;
            let met = quorum::meet(&ruling.electorate(), &voting.electorate());
            met.map_err(|error| NotChanged::Apart { why: error.to_string() })?;
            Ok(next)
        }
    }
}

/// The same with one member more.
fn with(ruling: &Membership, newcomer: &Newcomer) -> (Membership, NodeId) {
    let mut next = ruling.clone();
    let Newcomer { name, incarnation, address, kind, priority } = newcomer.clone();
    let id = match mutant!("members-id-reused") {
        true => NodeId::new(ruling.members.keys().next_back().map_or(1, |id| id.get() + 1)),
        false => ruling.next_id,
    };
    let kind = if kind == MemberType::Electable { MemberType::Learner } else { kind };
    next.next_id = NodeId::new(id.get() + 1);
    let attributes = Attributes::new();
    let member = Member { id, name, incarnation, address, kind, priority, attributes };
    next.members.insert(id, member);
    (next, id)
}

fn promoted(ruling: &Membership, id: NodeId) -> Option<Membership> {
    let mut next = ruling.clone();
    next.members.get_mut(&id)?.kind = MemberType::Electable;
    Some(next)
}

fn update(
    ruling: &Membership,
    id: NodeId,
    address: Option<&String>,
    priority: Option<u32>,
    attributes: &BTreeMap<String, Option<String>>,
) -> Result<Step, NotChanged> {
    let fits = |address: &String| (1..=NAME_BYTES_MAX).contains(&address.len());
    if !address.is_none_or(fits) {
        let what = format!("an address has 1 to {NAME_BYTES_MAX} bytes");
        return Err(NotChanged::Invalid { what });
    }
    let mut next = ruling.clone();
    let Some(member) = next.members.get_mut(&id) else {
        return Err(NotChanged::UnknownMember { id });
    };
    if let Some(address) = address.filter(|address| **address != member.address) {
        check_address(ruling, &member.name, address)?;
        member.address.clone_from(address);
    }
    member.priority = priority.unwrap_or(member.priority);
    for (name, value) in attributes {
        match value {
            Some(value) => member.attributes.insert(name.clone(), value.clone()),
            None => member.attributes.remove(name),
        };
    }
    if !fit(&member.attributes) {
        let what = format!("attributes take {ATTRIBUTES_BYTES_MAX} bytes at most");
        return Err(NotChanged::Invalid { what });
    }
    Ok(if next == *ruling { Step::Done } else { Step::Make(next) })
}

fn quorums_of(ruling: &Membership, quorums: Quorums) -> Step {
    match ruling.quorums == quorums {
        true => Step::Done,
        false => Step::Make(Membership { quorums, ..ruling.clone() }),
    }
}
