//! Who the members are, by name and by number, and what they have announced about themselves.

use crate::member::{Attributes, Member};
use crate::sync::Mutex;
use rep_vlsn::NodeId;
use std::collections::BTreeMap;

/// The listed members, numbered from 1 in byte order of their names, as every node numbers them.
#[derive(Debug)]
pub(crate) struct Directory {
    me: NodeId,
    members: BTreeMap<NodeId, (String, String)>,
    attributes: Mutex<BTreeMap<NodeId, Attributes>>,
}

impl Directory {
    /// `members` are names and addresses; `name`, which is one of them, is this node and announces `own`.
    pub(crate) fn new(name: &str, members: &BTreeMap<String, String>, own: Attributes) -> Self {
        let members: BTreeMap<NodeId, (String, String)> = (1..)
            .map(NodeId::new)
            .zip(members.iter().map(|(name, address)| (name.clone(), address.clone())))
            .collect();
        let me = members.iter().find(|(_, member)| member.0 == name).map(|(id, _)| *id);
        let me = me.expect("the configuration lists this node");
        Directory { me, members, attributes: Mutex::new(BTreeMap::from([(me, own)])) }
    }

    /// This node.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// The number of a member.
    pub(crate) fn id_of(&self, name: &str) -> Option<NodeId> {
        self.members.iter().find(|(_, member)| member.0 == name).map(|(id, _)| *id)
    }

    /// The name of a member; its number, if it is not listed.
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        self.members.get(&id).map_or_else(|| id.to_string(), |member| member.0.clone())
    }

    /// Where a member listens.
    pub(crate) fn address_of(&self, id: NodeId) -> Option<&str> {
        self.members.get(&id).map(|member| &*member.1)
    }

    /// All that is known of a member.
    pub(crate) fn member(&self, id: NodeId) -> Option<Member> {
        let (name, address) = self.members.get(&id)?;
        Some(Member::new(name, id.get(), address, self.attributes_of(id)))
    }

    /// All members, by number.
    pub(crate) fn all(&self) -> Vec<Member> {
        self.members.keys().filter_map(|id| self.member(*id)).collect()
    }

    /// What a member last announced.
    pub(crate) fn attributes_of(&self, id: NodeId) -> Attributes {
        self.attributes.lock().get(&id).cloned().unwrap_or_default()
    }

    /// A member announced these.
    pub(crate) fn announced(&self, id: NodeId, attributes: Attributes) {
        self.attributes.lock().insert(id, attributes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_numbered_in_byte_order_of_their_names() {
        let listed = [("b", "B:1"), ("a", "A:1"), ("Z", "Z:1")];
        let members =
            listed.into_iter().map(|(name, at)| (name.to_owned(), at.to_owned())).collect();
        let directory = Directory::new("a", &members, Attributes::new());
        assert_eq!((directory.me(), directory.id_of("Z")), (NodeId::new(2), Some(NodeId::new(1))));
        assert_eq!(
            (&*directory.name_of(NodeId::new(3)), directory.address_of(NodeId::new(3))),
            ("b", Some("B:1"))
        );
        assert_eq!((directory.id_of("c"), directory.member(NodeId::new(4))), (None, None));
    }

    #[test]
    fn the_last_announcement_counts() {
        let members = BTreeMap::from([("a".to_owned(), "A:1".to_owned())]);
        let directory =
            Directory::new("a", &members, Attributes::from([("resp".into(), "R:1".into())]));
        assert_eq!(directory.member(NodeId::new(1)).unwrap().attributes["resp"], "R:1");
        directory.announced(NodeId::new(1), Attributes::new());
        assert!(directory.all()[0].attributes.is_empty());
    }
}
