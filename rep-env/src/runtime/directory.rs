//! Who the members are, by name and by number, and what they have announced about themselves.
//!
//! It is alive: members come, go, move, and come back under another number, and so may this node. The node says whom there is
//! to know ([`Contact`]); here names, numbers and addresses are found by each other.

use crate::member::{Attributes, Member};
use crate::sync::Mutex;
use rep_node::{Contact, NO_NUMBER};
use rep_vlsn::{Incarnation, NodeId};
use std::collections::BTreeMap;

/// Somebody to be known, as the node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Somebody {
    id: NodeId,
    name: String,
    address: String,
    incarnation: Option<Incarnation>,
    removed: bool,
    /// What the group has recorded of it.
    recorded: Attributes,
}

impl From<Contact> for Somebody {
    fn from(contact: Contact) -> Self {
        let Contact { id, name, address, incarnation, removed, attributes, .. } = contact;
        Somebody { id, name, address, incarnation, removed, recorded: attributes }
    }
}

/// Whom this node knows.
#[derive(Debug)]
pub(crate) struct Directory {
    name: String,
    /// Where the others reach this node, if nothing recorded says so.
    address: String,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    me: NodeId,
    contacts: BTreeMap<NodeId, Somebody>,
    /// What this node announces.
    own: Attributes,
    announced: BTreeMap<NodeId, Attributes>,
}

impl Directory {
    /// Nobody but this node, which has no number yet and announces `own`.
    pub(crate) fn new(name: &str, address: &str, own: Attributes) -> Self {
        let (contacts, announced) = (BTreeMap::new(), BTreeMap::new());
        let known = Mutex::new(Known { me: NO_NUMBER, contacts, own, announced });
        Directory { name: name.to_owned(), address: address.to_owned(), known }
    }

    /// From now on this node has the number `me`.
    pub(crate) fn become_number(&self, me: NodeId) {
        self.known.lock().me = me;
    }

    /// From now on these are all there is to know; what others have announced is forgotten.
    pub(crate) fn know(&self, contacts: impl IntoIterator<Item = impl Into<Somebody>>) {
        let mut known = self.known.lock();
        let Known { contacts: all, announced, .. } = &mut *known;
        let contacts = contacts.into_iter().map(Into::into);
        *all = contacts.map(|contact: Somebody| (contact.id, contact)).collect();
        announced.retain(|id, _| all.contains_key(id));
    }

    /// This node.
    pub(crate) fn me(&self) -> NodeId {
        self.known.lock().me
    }

    /// The number of a member.
    pub(crate) fn id_of(&self, name: &str) -> Option<NodeId> {
        if name == self.name { Some(self.me()) } else { self.named(name) }
    }

    /// The number under which a name is known.
    pub(crate) fn named(&self, name: &str) -> Option<NodeId> {
        self.known.lock().named(name)
    }

    /// Whom somebody is taken for who says to be that directory of that name: that very one, removed or not, or else a
    /// member of that name; and whether it is a member.
    pub(crate) fn caller(&self, name: &str, incarnation: Incarnation) -> Option<(NodeId, bool)> {
        let known = self.known.lock();
        let is_it =
            |contact: &&Somebody| contact.name == name && contact.incarnation == Some(incarnation);
        match known.contacts.values().find(is_it) {
            Some(contact) => Some((contact.id, !contact.removed)),
            None => known.named(name).map(|id| (id, true)),
        }
    }

    /// The name of a member; its number, if it is not known.
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        let known = self.known.lock();
        match known.contacts.get(&id) {
            Some(contact) => contact.name.clone(),
            None if id == known.me => self.name.clone(),
            None => id.to_string(),
        }
    }

    /// Where a member listens.
    pub(crate) fn address_of(&self, id: NodeId) -> Option<String> {
        self.known.lock().contacts.get(&id).map(|contact| contact.address.clone())
    }

    /// All that is known of a member.
    pub(crate) fn member(&self, id: NodeId) -> Option<Member> {
        self.member_in(&self.known.lock(), id)
    }

    /// All members, by number.
    pub(crate) fn all(&self) -> Vec<Member> {
        let known = self.known.lock();
        let living = known.contacts.values().filter(|contact| !contact.removed);
        living.filter_map(|contact| self.member_in(&known, contact.id)).collect()
    }

    fn member_in(&self, known: &Known, id: NodeId) -> Option<Member> {
        let (name, address) = match known.contacts.get(&id) {
            Some(contact) => (&contact.name, &contact.address),
            None if id == known.me => (&self.name, &self.address),
            None => return None,
        };
        Some(Member::new(name, id.get(), address, known.attributes_of(id)))
    }

    /// What this node announces.
    pub(crate) fn own_attributes(&self) -> Attributes {
        self.known.lock().own.clone()
    }

    /// A member announced these.
    pub(crate) fn announced(&self, id: NodeId, attributes: Attributes) {
        let mut known = self.known.lock();
        if known.contacts.contains_key(&id) {
            known.announced.insert(id, attributes);
        }
    }
}

impl Known {
    fn named(&self, name: &str) -> Option<NodeId> {
        let mut living = self.contacts.values().filter(|contact| !contact.removed);
        living.find(|contact| contact.name == name).map(|contact| contact.id)
    }

    /// What it announces, but for the names of which the group has recorded something else.
    fn attributes_of(&self, id: NodeId) -> Attributes {
        let mut attributes = match id == self.me {
            true => self.own.clone(),
            false => self.announced.get(&id).cloned().unwrap_or_default(),
        };
        let recorded = self.contacts.get(&id).map(|contact| &contact.recorded);
        attributes.extend(recorded.into_iter().flatten().map(|(n, v)| (n.clone(), v.clone())));
        attributes
    }
}

#[cfg(test)]
impl Directory {
    /// These are the members, by name and address, as unborn nodes number them.
    pub(crate) fn listing(name: &str, members: &[(&str, &str)]) -> Self {
        let directory = Directory::new(name, "", Attributes::new());
        let mut members = members.to_vec();
        members.sort_unstable();
        let contacts = (1..).map(NodeId::new).zip(members).map(|(id, (name, address))| Somebody {
            id,
            name: name.to_owned(),
            address: address.to_owned(),
            incarnation: None,
            removed: false,
            recorded: Attributes::new(),
        });
        directory.know(contacts);
        directory.become_number(directory.named(name).expect("it is listed"));
        directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Incarnation = Incarnation([1; 16]);
    const NEW: Incarnation = Incarnation([2; 16]);

    fn contact(id: u32, name: &str, incarnation: Incarnation, removed: bool) -> Somebody {
        let (id, address) = (NodeId::new(id), format!("{name}-{id}:1"));
        let (name, incarnation, recorded) = (name.into(), Some(incarnation), Attributes::new());
        Somebody { id, name, address, incarnation, removed, recorded }
    }

    fn number(id: u32) -> NodeId {
        NodeId::new(id)
    }

    #[test]
    fn what_the_group_has_recorded_goes_before_what_a_member_announces() {
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Attributes>()
        };
        let directory = Directory::new("a", "A:1", of(&[("zone", "north"), ("resp", "A:2")]));
        let recorded = of(&[("zone", "south")]);
        let both = [contact(1, "a", OLD, false), contact(2, "b", NEW, false)];
        directory.know(both.map(|contact| Somebody { recorded: recorded.clone(), ..contact }));
        directory.become_number(number(1));
        directory.announced(number(2), of(&[("zone", "east"), ("resp", "B:2")]));
        let found = |id| directory.member(number(id)).unwrap().attributes;
        assert_eq!(found(1), of(&[("zone", "south"), ("resp", "A:2")]));
        assert_eq!(found(2), of(&[("zone", "south"), ("resp", "B:2")]));
        assert_eq!(directory.own_attributes()["zone"], "north", "it goes on announcing its own");
    }

    #[test]
    fn names_numbers_and_addresses_are_found_by_each_other() {
        let directory = Directory::listing("a", &[("b", "B:1"), ("a", "A:1"), ("Z", "Z:1")]);
        assert_eq!((directory.me(), directory.id_of("Z")), (number(2), Some(number(1))));
        assert_eq!(
            (&*directory.name_of(number(3)), directory.address_of(number(3)).as_deref()),
            ("b", Some("B:1"))
        );
        assert_eq!((directory.id_of("c"), directory.member(number(4))), (None, None));
    }

    #[test]
    fn the_last_announcement_counts() {
        let directory = Directory::listing("a", &[("a", "A:1"), ("b", "B:1")]);
        let attributes = Attributes::from([("resp".into(), "R:1".into())]);
        directory.announced(number(2), attributes.clone());
        assert_eq!(directory.member(number(2)).unwrap().attributes, attributes);
        directory.announced(number(2), Attributes::new());
        assert!(directory.all()[1].attributes.is_empty());
        directory.announced(number(9), attributes);
        assert_eq!(directory.known.lock().announced.len(), 1, "of strangers nothing is kept");
    }

    #[test]
    fn a_name_that_came_back_is_the_member_and_its_old_directory_the_one_that_was_removed() {
        let directory = Directory::listing("a", &[("a", "A:1"), ("b", "B:1")]);
        directory.know([
            contact(1, "a", OLD, false),
            contact(2, "b", OLD, true),
            contact(5, "b", NEW, false),
        ]);
        assert_eq!(directory.id_of("b"), Some(number(5)));
        assert_eq!(directory.caller("b", NEW), Some((number(5), true)));
        assert_eq!(directory.caller("b", OLD), Some((number(2), false)));
        assert_eq!(directory.caller("b", Incarnation([3; 16])), Some((number(5), true)));
        assert_eq!(directory.caller("c", NEW), None);
        let all: Vec<u32> = directory.all().iter().map(|member| member.id).collect();
        assert_eq!((all, &*directory.name_of(number(2))), (vec![1, 5], "b"));
    }

    #[test]
    fn a_node_that_nobody_has_numbered_yet_knows_its_own_name_and_place() {
        let own = Attributes::from([("resp".into(), "R:1".into())]);
        let directory = Directory::new("a", "A:1", own.clone());
        let me = directory.member(directory.me()).unwrap();
        assert_eq!((&*me.name, &*me.address, &me.attributes), ("a", "A:1", &own));
        assert_eq!((directory.id_of("a"), directory.all()), (Some(NO_NUMBER), Vec::new()));
        directory.know([contact(3, "a", NEW, false)]);
        directory.become_number(number(3));
        assert_eq!((&*directory.all()[0].address, directory.own_attributes()), ("a-3:1", own));
    }
}
