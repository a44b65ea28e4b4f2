//! An arbiter: a member that votes and holds no data, so that two copies of it are enough of a group.
//!
//! While so few data members are here that they are no commit quorum, or make nothing durable, the master asks the arbiter to vouch for its log up to an entry
//! that it has itself synced. The arbiter writes that point down, durably, and answers. The point counts as one more vote in the commit quorum, and as nothing else: it is no
//! copy. In elections the arbiter ranks by it, so that nobody below it wins with the arbiter's vote (decision 27).
//!
//! | at the master | at the arbiter |
//! |---|---|
//! | a data member is away, and there is more to vouch for: `Vouch` | from the master of its fence's term, above its point: writes it down |
//! | `Vouched`: counts | written: `Vouched`, if the term is still that of its fence |

use crate::error::PeerError;
use crate::links::{Link, Open, Slot};
use crate::membership::MemberType;
use crate::message::Message;
use crate::node::Node;
use crate::output::Output;
use rep_vlsn::{LogPoint, NodeId, Term, mutant, sometimes};
use std::time::Duration;

/// What an arbiter has vouched for.
#[derive(Debug, Default)]
pub(crate) struct Vouching {
    /// On its disk.
    durable: LogPoint,
    /// On its way there, and for whom.
    writing: Option<(LogPoint, Link)>,
    /// What comes after that.
    next: Option<(LogPoint, Link)>,
}

impl Vouching {
    pub(crate) fn new(durable: LogPoint) -> Self {
        Vouching { durable, ..Vouching::default() }
    }

    /// By what the arbiter ranks: what it may have said that it vouches for.
    pub(crate) fn rank(&self) -> LogPoint {
        self.durable
    }
}

impl Node {
    /// Whether this node is an arbiter, by what it was told of the group.
    pub(crate) fn is_arbiter(&self) -> bool {
        self.kind_without_log() == Some(MemberType::Arbiter)
    }

    /// Whether this node is a member that holds no data.
    pub(crate) fn lacks_data(&self) -> bool {
        self.kind_without_log().is_some_and(|kind| !kind.holds_data())
    }

    /// What this node is by what it was told. One that has a log holds the data.
    pub(crate) fn kind_without_log(&self) -> Option<MemberType> {
        let told = self.hearsay.as_ref().filter(|_| self.membership().is_none());
        told.and_then(|it| it.members.get(&self.config.me)).map(|member| member.kind)
    }

    /// Whether somebody holds the data, or is to.
    pub(crate) fn holds_data(&self, id: NodeId) -> bool {
        self.kind_of(id).is_none_or(MemberType::holds_data)
    }

    /// What somebody is, as far as this node knows.
    pub(crate) fn kind_of(&self, id: NodeId) -> Option<MemberType> {
        // Whose removal is not durable is what it was: it may be so again.
        let known = self.in_force.oldest_first().filter_map(|it| it.members.get(&id)).last();
        let told = || self.hearsay.as_ref().and_then(|it| it.members.get(&id));
        known.or_else(told).map(|member| member.kind)
    }

    /// Another electorate rules: who of it holds the data, and who does not.
    pub(crate) fn tell_copies_apart(&mut self) {
        let voters = self.electorate.voters.keys().copied();
        let (copies, arbiters) = voters.partition::<Vec<_>, _>(|id| self.holds_data(*id));
        (self.copies, self.arbiter) = (copies, arbiters.first().copied());
    }

    // ---- the master's part

    /// Whether the data members that are here are too few to make anything durable, or have shown that they do not. One that is here may
    /// be about to begin its stream: after each change of master all are.
    pub(crate) fn lacks_copies(&self, now: Duration) -> bool {
        let here = |id: &&NodeId| self.is_live(now, **id) || self.hears(now, **id);
        let here = self.copies.iter().filter(here).count();
        let leans = self.reign.as_ref().is_some_and(|reign| reign.leans);
        here < self.electorate.commit_need || leans || mutant!("arbiter-vouches-beside-a-copy")
    }

    /// Whether nothing becomes durable although enough copies are here: a disk hangs, or a copy is being given. Until the copies have again all that is.
    fn see_whether_it_leans(&mut self, now: Duration) {
        let waits = self.log.last().vlsn > self.dvlsn();
        let dvlsn = self.dvlsn();
        let (patience, need) = (self.config.timing.election_timeout, self.electorate.commit_need);
        let Some(reign) = &mut self.reign else { return };
        let late = waits && reign.without_progress(now) >= patience;
        let behind = reign.acks.durable(self.copies.iter().copied(), need) < dvlsn;
        reign.leans = late || (reign.leans && behind);
    }

    /// Asks the arbiter to vouch for what its vote makes durable: what is synced here, and where it takes more than one copy, at as many but one
    /// as it takes. More than that would only keep others from being elected.
    pub(crate) fn ask_the_arbiter(&mut self, now: Duration) {
        let Some(arbiter) = self.arbiter else { return };
        let Some(open) = self.links.get(arbiter, Slot::Peer).copied() else { return };
        let synced = match mutant!("arbiter-vouches-for-the-unsynced") {
            true => self.log.last(),
            false => self.synced_by_all_but_one(),
        };
        self.see_whether_it_leans(now);
        let Some(reign) = &self.reign else { return };
        let known = reign.acks.points(arbiter).0.max(reign.vouch_asked);
        let needed = synced.term == reign.term && synced > known && self.is_member(&open);
        if needed && self.lacks_copies(now) {
            let term = reign.term;
            if let Some(reign) = &mut self.reign {
                reign.vouch_asked = synced;
            }
            self.send(open.link, Message::Vouch { term, point: synced });
        }
    }

    fn synced_by_all_but_one(&self) -> LogPoint {
        let Some(reign) = &self.reign else { return LogPoint::NULL };
        let others = self.electorate.commit_need.saturating_sub(1).max(1);
        let held = reign.acks.durable(self.copies.iter().copied(), others);
        self.log.point_at(held.min(self.log.synced())).unwrap_or(LogPoint::NULL)
    }

    /// The arbiter has written down what it was asked to vouch for.
    pub(crate) fn vouched(
        &mut self,
        now: Duration,
        open: &Open,
        term: Term,
        point: LogPoint,
    ) -> Result<(), PeerError> {
        let is_arbiter = self.arbiter == Some(open.link.peer);
        let reigns = self.reign.as_ref().is_some_and(|reign| reign.term == term);
        if !is_arbiter || !reigns || !self.is_member(open) {
            return Ok(());
        }
        // Durable by others, applied, and cleaned away: a late word of what nobody asks for any more.
        if point.vlsn < self.log.first() {
            return Ok(());
        }
        if point.vlsn > self.log.synced() || !self.log.contains(point) {
            return Err(PeerError::Malformed("vouches for what it was never asked for"));
        }
        sometimes!(true, "node-an-arbiter-vouched");
        if let Some(reign) = &mut self.reign {
            reign.acks.observe(open.link.peer, open.incarnation, point, point);
        }
        self.count_acks(now);
        Ok(())
    }

    // ---- the arbiter's part

    /// The master asks this arbiter to vouch for its log.
    pub(crate) fn vouch_asked(&mut self, open: &Open, term: Term, point: LogPoint) {
        let follows = self.following.as_ref();
        let is_master = follows.is_some_and(|it| it.master == open.link.peer && it.term == term);
        let fenced = term == self.term() && self.durable_fence().term == term;
        if !self.is_arbiter() || !is_master || !fenced || point.term != term {
            return;
        }
        self.vouching.next = Some((point, open.link));
        self.write_vouch();
    }

    /// One at a time; of those that come meanwhile the last is enough. The cell never goes back: a question that comes late, or again, may ask for
    /// less than what is there by then.
    fn write_vouch(&mut self) {
        if self.vouching.writing.is_some() {
            return;
        }
        let Some((point, link)) = self.vouching.next.take() else { return };
        if point <= self.vouching.durable && !mutant!("arbiter-vouch-goes-back") {
            return self.say_vouched(link, self.vouching.durable);
        }
        self.vouching.writing = Some((point, link));
        self.output(Output::PersistVouch(point));
    }

    /// What this arbiter vouches for is on its disk.
    pub(crate) fn vouch_kept(&mut self, point: LogPoint) {
        self.vouching.durable = self.vouching.durable.max(point);
        if let Some((_, link)) = self.vouching.writing.take() {
            self.say_vouched(link, point);
        }
        self.write_vouch();
    }

    /// Below its fence it says nothing: whoever reigns there is told by others.
    fn say_vouched(&mut self, link: Link, point: LogPoint) {
        let term = point.term;
        if term == self.term() || mutant!("arbiter-vouches-below-its-fence") {
            self.send(link, Message::Vouched { term, point });
        }
    }
}
