//! A member whose directory was replaced by an older copy of itself.

#[path = "harness/group.rs"]
mod harness;
#[path = "harness/images.rs"]
mod images;

use harness::Group;
use rep_node::{Link, Message, Service, TurnedAway};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};

#[test]
fn an_older_image_that_its_master_remembers_falls_silent() {
    images::an_older_image_that_its_master_remembers_falls_silent();
}

#[test]
fn an_older_image_does_not_keep_its_master() {
    images::an_older_image_does_not_keep_its_master();
}

#[test]
fn the_word_is_taken_by_whom_it_is_true_of_alone() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let master = group.master().unwrap();
    let replica = group.ids().into_iter().find(|id| *id != master).unwrap();
    let me = |group: &Group, id: NodeId| group.machines[&id].incarnation;
    let counted = group.node(master).log().last();
    let beyond = LogPoint::new(Term::new(99), Vlsn::new(99));
    let cases = [
        (replica, Incarnation([9; 16]), beyond, "of another directory"),
        (replica, me(&group, replica), counted, "it has all of that"),
        (master, me(&group, master), beyond, "it reigns"),
    ];
    for (to, incarnation, counted, why) in cases {
        let from = if to == master { replica } else { master };
        let link: Link = group.peer_link(to, from);
        assert_eq!(link.service, Service::Peer);
        let word = Message::TurnedAway(TurnedAway::Image { incarnation, counted });
        group.act(to, |node, now| node.handle_message(now, link, word).unwrap());
        assert_eq!(group.machines[&to].halted, None, "{why}");
    }
}
