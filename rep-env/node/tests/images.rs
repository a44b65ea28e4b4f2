//! A member whose directory was replaced by an older copy of itself.

#[path = "harness/group.rs"]
mod harness;
#[path = "harness/images.rs"]
mod images;

use harness::Group;
use rep_node::{Link, Message, NodeState, Service, TurnedAway};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};

#[test]
fn an_older_image_that_its_master_remembers_falls_silent() {
    images::an_older_image_that_its_master_remembers_falls_silent();
}

#[test]
fn what_an_earlier_connection_said_makes_nobody_an_image() {
    images::what_an_earlier_connection_said_makes_nobody_an_image();
}

#[test]
fn an_older_image_does_not_keep_its_master() {
    images::an_older_image_does_not_keep_its_master();
}

#[test]
fn an_older_image_that_only_a_copy_could_help_is_found_out_too() {
    images::an_older_image_that_only_a_copy_could_help_is_found_out_too();
}

#[test]
fn an_older_image_that_no_election_can_do_without_is_not_told() {
    images::an_older_image_that_no_election_can_do_without_is_not_told();
}

#[test]
fn the_word_is_taken_by_whom_it_is_true_of_alone() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let master = group.master().unwrap();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    let [replica, other] = others[..] else { panic!("{others:?}") };
    group.run_until("both follow", |group| {
        others.iter().all(|id| group.node(*id).state() == NodeState::Replica)
    });
    let me = |id: NodeId| group.machines[&id].incarnation;
    let counted = group.node(master).log().last();
    let more = LogPoint::new(counted.term, Vlsn::new(counted.vlsn.get() + 9));
    let to_come = LogPoint::new(Term::new(99), more.vlsn);
    let cases = [
        ((master, replica), Incarnation([9; 16]), more, "of another directory"),
        ((master, replica), me(replica), counted, "it has all of that"),
        ((master, replica), me(replica), to_come, "nobody has counted that yet"),
        ((other, replica), me(replica), more, "who is no master counts nothing"),
        ((replica, master), me(master), more, "it reigns"),
    ];
    for ((from, to), incarnation, counted, why) in cases {
        let link: Link = group.peer_link(to, from);
        assert_eq!(link.service, Service::Peer);
        let word = Message::TurnedAway(TurnedAway::Image { incarnation, counted });
        group.act(to, |node, now| node.handle_message(now, link, word).unwrap());
        assert_eq!(group.machines[&to].halted, None, "{why}");
    }
}
