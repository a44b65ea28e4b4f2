//! A member of the group, as callers meet it: in redirects, in events, in status.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes that a node's attributes may take, names and values together.
pub const ATTRIBUTES_BYTES_MAX: usize = 1024;

/// Names and values that a node announces to the other members, such as where its other ports are.
pub type Attributes = BTreeMap<String, String>;

/// A member: its name, where it is, and what it announced about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Its name, unique in the group.
    pub name: String,
    /// Its number in the group.
    pub id: u32,
    /// Where the other members reach it.
    pub address: String,
    /// What it announced when it last connected to this node, and before that what the group has recorded of it.
    pub attributes: Attributes,
}

impl Member {
    pub(crate) fn new(name: &str, id: u32, address: &str, attributes: Attributes) -> Self {
        Self { name: name.to_owned(), id, address: address.to_owned(), attributes }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

/// The bytes that these attributes count as.
pub(crate) fn attributes_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value.len()).sum()
}
