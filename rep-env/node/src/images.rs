//! Members that come back with an older image of their directory.
//!
//! Such a one has acknowledged, and may have promised, what it does not know of any more. Who remembers is the master that has counted more
//! of it than it holds: it takes nothing from it, and tells it as soon as a commit quorum without it has confirmed the reign and those who are here could elect. Then
//! it falls silent for good, and its member comes back as somebody new (decision 28). While the reign needs it, it is not told:
//! a group that cannot do without it would be without a master.

use crate::links::Slot;
use crate::message::{Message, TurnedAway};
use crate::node::Node;
use crate::output::HaltReason;
use rep_fsm::{Role, Signal};
use rep_vlsn::{Incarnation, LogPoint, NodeId, mutant, sometimes};
use std::collections::BTreeMap;
use std::time::Duration;

impl Node {
    /// A member's log ends at `last`. Whether that is less than this master has counted of that incarnation: then it is refused.
    pub(crate) fn is_refused_image(&mut self, now: Duration, peer: NodeId, last: LogPoint) -> bool {
        let Some(reign) = &mut self.reign else { return false };
        let Some(fed) = reign.fed.get(&peer) else { return false };
        let Err(image) = reign.acks.reconnected(peer, fed.incarnation, last) else {
            reign.images.remove(&peer);
            return false;
        };
        self.refused_by(peer, image.to_string());
        self.fed_lost(peer);
        self.drop_link(peer, Slot::Fed);
        self.tell_image(now, peer, image.acked);
        true
    }

    /// A member ends behind what was `counted` of it.
    fn tell_image(&mut self, now: Duration, peer: NodeId, counted: LogPoint) {
        let stands = self.reign.as_mut().is_some_and(|reign| reign.stands_without(peer, now))
            && (self.elect_without(peer, now) || mutant!("image-leaves-no-electors"));
        let open = self.links.get(peer, Slot::Peer).copied();
        let Some(open) = open.filter(|_| stands || mutant!("image-told-in-haste")) else { return };
        let incarnation = open.incarnation;
        self.send(open.link, Message::TurnedAway(TurnedAway::Image { incarnation, counted }));
    }

    /// Whether those who are here are an election quorum without `image`: quorums chosen by hand may make it easier to reign than to be elected, and
    /// whoever falls silent promises nothing any more.
    fn elect_without(&self, image: NodeId, now: Duration) -> bool {
        let Some(reign) = &self.reign else { return false };
        let sound = |id: NodeId| id != image && !reign.images.contains_key(&id);
        let here = |id: NodeId| id == self.config.me || self.hears(now, id);
        let voters = self.electorate.voters.iter().filter(|(id, _)| sound(**id) && here(**id));
        let known = voters.filter_map(|(id, voter)| Some((*id, voter.incarnation?)));
        self.electorate.is_election_quorum(&known.collect::<BTreeMap<NodeId, Incarnation>>())
    }

    /// A member says that it has counted more of this log than it holds. Masters alone count, and nothing of a later term than this node knows.
    pub(crate) fn is_image(&mut self, by: NodeId, counted: LogPoint) {
        if !self.follows(by) || counted.term > self.term() {
            return;
        }
        let ends = self.log.last();
        // The word may come late: to a master that was elected since, or to a log that has it all by now.
        if self.is_over() || self.reign.is_some() || ends >= counted {
            return;
        }
        sometimes!(true, "node-found-itself-an-image");
        self.unfollow();
        if matches!(self.role(), Role::Replica | Role::Candidate) {
            self.because("an older image of its directory");
            self.step_role(Signal::PlacementDeselected);
            self.observe();
        }
        self.halt(HaltReason::OlderImage { by, counted, ends });
    }
}
