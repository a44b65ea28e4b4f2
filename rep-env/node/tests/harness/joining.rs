#![allow(dead_code, reason = "each test binary uses its part of the harness")]
//! Directories that are admitted, as their drivers would have it done.

use super::harness::Group;
use rep_node::{
    Change, ChangeRequest, Changed, MemberType, Membership, NO_NUMBER, Newcomer, NodeState, Request,
};
use rep_vlsn::{Incarnation, NodeId};
use std::time::Duration;

impl Group {
    /// A group of the first of these, which the others have not joined yet.
    pub(crate) fn founded_by(name: &str) -> Group {
        let mut group = Group::new(&[name]);
        group.start_all();
        group.run_until("a master of one", |group| group.master().is_some());
        group
    }

    pub(crate) fn the_master(&self) -> NodeId {
        self.master().expect("there is a master")
    }

    pub(crate) fn membership(&self, id: NodeId) -> &Membership {
        self.node(id).membership().expect("belongs to a group")
    }

    /// The number of the member of that name, as `id` knows it.
    pub(crate) fn number_of(&self, id: NodeId, name: &str) -> Option<NodeId> {
        self.membership(id).named(name).map(|member| member.id)
    }

    pub(crate) fn change(&mut self, id: NodeId, change: Change) -> Request {
        self.change_within(id, change, Duration::from_secs(5), false)
    }

    pub(crate) fn change_within(
        &mut self,
        id: NodeId,
        change: Change,
        patience: Duration,
        force: bool,
    ) -> Request {
        self.next += 1;
        let request = Request(self.next);
        let deadline = self.now + patience;
        let asked = ChangeRequest::new(request, change, deadline).forced(force);
        self.act(id, |node, now| node.change_membership(now, asked));
        request
    }

    /// What became of a change at the master of the day.
    pub(crate) fn changed(&mut self, change: Change) -> Changed {
        let master = self.the_master();
        let request = self.change(master, change);
        self.run_until("a change ends", |group| group.changed.contains_key(&request));
        self.changed[&request].clone()
    }

    pub(crate) fn newcomer(&self, name: &str, incarnation: Incarnation) -> Newcomer {
        Newcomer {
            name: name.to_owned(),
            incarnation,
            address: format!("{name}:1"),
            kind: MemberType::Electable,
            priority: 0,
        }
    }

    /// A new directory of that name joins, as that; its number.
    pub(crate) fn join_as(&mut self, name: &str, kind: MemberType) -> NodeId {
        let machine = self.directory(name.to_owned(), true);
        let incarnation = machine.incarnation;
        self.machines.insert(NO_NUMBER, machine);
        self.start(NO_NUMBER);
        assert!(self.machines[&NO_NUMBER].asks, "it asks to be admitted");
        let newcomer = Newcomer { kind, ..self.newcomer(name, incarnation) };
        let made = self.changed(Change::Add(newcomer)).expect("it is admitted");
        self.take_place(NO_NUMBER, &made)
    }

    pub(crate) fn join(&mut self, name: &str) -> NodeId {
        let id = self.join_as(name, MemberType::Electable);
        self.run_until("the learner is promoted", |group| group.votes(id));
        id
    }

    /// A directory was admitted: it goes on under its number.
    pub(crate) fn take_place(&mut self, id: NodeId, made: &Membership) -> NodeId {
        self.act(id, |node, now| node.handle_admitted(now, made).expect("it is named"));
        let place = self.machines.get_mut(&id).unwrap().takes_place.take();
        let place = place.expect("another node is to go on");
        self.end(id, 0);
        let mut machine = self.machines.remove(&id).unwrap();
        (machine.place, machine.joining) = (Some(place), true);
        let number = made.of_incarnation(machine.incarnation).unwrap().id;
        self.machines.insert(number, machine);
        self.start(number);
        number
    }

    /// Whether every running member says that `id` votes.
    pub(crate) fn votes(&self, id: NodeId) -> bool {
        let running: Vec<_> = self.machines.values().filter_map(|it| it.node.as_ref()).collect();
        running.iter().all(|node| {
            node.membership()
                .and_then(|it| it.members.get(&id))
                .is_some_and(|member| member.kind == MemberType::Electable)
        })
    }

    /// All of these follow, but for the master.
    pub(crate) fn in_sync(&self) -> bool {
        let mut running = self.machines.values().filter_map(|machine| machine.node.as_ref());
        running.all(|node| matches!(node.state(), NodeState::Master | NodeState::Replica))
    }
}
