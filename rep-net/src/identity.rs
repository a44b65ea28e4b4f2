//! Who a certificate says that its holder is: a node of a group. Pure.
//!
//! A name that is only announced is a claim. A transport that proves names gives out [`Identity`]s, and here lies what has to agree with
//! them: what a caller announces, whom a dialler means, and who answers. Each is checked before anything else is believed.
//!
//! # How it is written in a certificate
//!
//! As a URI among the subject's alternative names, `rep://GROUP/NODE`. Letters, digits and `-._~` stand for themselves; every other byte
//! of a name (they are UTF-8) is `%` and two hexadecimal digits. A certificate may carry several. The common name, wildcards and names
//! of hosts prove nothing.
//!
//! Somebody who administers a group and is no node of it is `rep://GROUP/@admin/NAME`. No node's name can be written so, so that an authority can be
//! told to sign the one kind and not the other, and readers that know nodes alone take it for nothing. In a Hello it is announced as
//! the node `@admin/NAME`.
//!
//! Where an operator's authority signs only names of hosts, a transport can be told to read `NODE.GROUP.SUFFIX` instead, and
//! `NAME.admin.GROUP.SUFFIX` for an administrator; then nodes, administrators and groups have to be called by what may be one label there,
//! and no group `admin`. So what names an administrator under one suffix names nobody under any other, and the reverse.

use std::fmt::{self, Write};

use crate::error::{CertificateFault, TlsError};
use crate::hello::{Accepted, Hello, NAME_BYTES_MAX, RefuseReason};

/// A node of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    group: String,
    node: String,
}

const SCHEME: &str = "rep://";

/// How the name of an administrator begins, where the name of a node would be.
const ADMIN: &str = "@admin/";

/// Behind an administrator's name where only names of hosts can be had. No group is called so there.
const ADMIN_LABEL: &str = "admin";

impl Identity {
    /// That node of that group.
    pub fn new(group: impl Into<String>, node: impl Into<String>) -> Self {
        Self { group: group.into(), node: node.into() }
    }

    /// Somebody of that name who administers that group, and is no node of it.
    pub fn administrator(group: impl Into<String>, name: &str) -> Self {
        Self::new(group, format!("{ADMIN}{name}"))
    }

    /// The administrator's own name, if a Hello of this node is one of an administrator.
    pub fn administrator_of(node: &str) -> Option<&str> {
        node.strip_prefix(ADMIN).filter(|name| !name.is_empty())
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// As it is written in a certificate: `rep://GROUP/NODE`.
    pub fn to_uri(&self) -> String {
        match Self::administrator_of(&self.node) {
            Some(name) => format!("{SCHEME}{}/{ADMIN}{}", Escaped(&self.group), Escaped(name)),
            None => format!("{SCHEME}{}/{}", Escaped(&self.group), Escaped(&self.node)),
        }
    }

    /// What a URI of a certificate says; none if it says nothing of the kind, or anything more.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let (group, node) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let group = unescape(group)?;
        if let Some(name) = node.strip_prefix(ADMIN) {
            return Some(Self::administrator(group, &unescape(name)?));
        }
        // One meaning, one spelling.
        let node = unescape(node)?;
        Self::administrator_of(&node).is_none().then_some(Self { group, node })
    }

    /// As it is written where only names of hosts can be had: `NODE.GROUP.SUFFIX`, or `NAME.admin.GROUP.SUFFIX`. None if the names
    /// cannot be written so.
    pub fn to_dns(&self, suffix: &str) -> Option<String> {
        let name = match Self::administrator_of(&self.node) {
            Some(name) => format!("{name}.{ADMIN_LABEL}.{}.{suffix}", self.group),
            None => format!("{}.{}.{suffix}", self.node, self.group),
        };
        (Self::from_dns(&name, suffix).as_ref() == Some(self)).then_some(name)
    }

    /// What the name of a host says, under that suffix; none if it says nothing of the kind. Upper case is the same as lower case.
    pub fn from_dns(name: &str, suffix: &str) -> Option<Self> {
        let (name, suffix) = (name.to_ascii_lowercase(), suffix.to_ascii_lowercase());
        let labels: Vec<_> = name.strip_suffix(&suffix)?.strip_suffix('.')?.split('.').collect();
        if !labels.iter().all(|label| is_label(label)) || labels.last() == Some(&ADMIN_LABEL) {
            return None;
        }
        match labels[..] {
            [node, group] => Some(Self::new(group, node)),
            [name, ADMIN_LABEL, group] => Some(Self::administrator(group, name)),
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_uri())
    }
}

/// Whether this Hello may be said to a peer that has proved to be these: one in the group that is meant, and the node that is meant.
pub(crate) fn may_be_told(proved: &[Identity], hello: &Hello) -> Result<(), TlsError> {
    let group = Some(&*hello.group).filter(|group| !group.is_empty());
    agree(proved, group, hello.target.as_deref())
}

/// Whether a peer that has proved to be these is who its answer says.
pub(crate) fn is_who_answered(proved: &[Identity], accepted: &Accepted) -> Result<(), TlsError> {
    agree(proved, Some(&accepted.group), Some(&accepted.node))
}

/// Whether a caller that has proved to be these is who its Hello says, in that group.
pub(crate) fn is_who_called(
    proved: &[Identity],
    group: &str,
    hello: &Hello,
) -> Result<(), RefuseReason> {
    match agree(proved, Some(group), Some(&hello.node)) {
        Ok(()) => Ok(()),
        Err(TlsError::Peer(CertificateFault::OtherGroup { .. })) => {
            Err(RefuseReason::GroupNotProved)
        }
        Err(_) => Err(RefuseReason::NotProved),
    }
}

/// Whether one of them is of that group, and of these one that node; whatever is not given may be any.
fn agree(proved: &[Identity], group: Option<&str>, node: Option<&str>) -> Result<(), TlsError> {
    let found = |identities: &[&Identity]| {
        identities.iter().map(|identity| identity.to_uri()).collect::<Vec<_>>().join(", ")
    };
    let in_group: Vec<_> = proved
        .iter()
        .filter(|identity| group.is_none_or(|group| identity.group == group))
        .collect();
    if in_group.is_empty() {
        return Err(TlsError::Peer(CertificateFault::OtherGroup {
            expected: group.unwrap_or_default().to_owned(),
            found: found(&proved.iter().collect::<Vec<_>>()),
        }));
    }
    match node {
        Some(node) if in_group.iter().all(|identity| identity.node != node) => {
            Err(TlsError::Peer(CertificateFault::OtherNode {
                expected: node.to_owned(),
                found: found(&in_group),
            }))
        }
        Some(_) | None => Ok(()),
    }
}

/// A name with everything escaped that has a meaning of its own in a URI, or none.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if is_plain(byte) { f.write_char(byte.into())? } else { write!(f, "%{byte:02X}")? }
        }
        Ok(())
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The name that was escaped; none if it is no such text, or no name.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            byte if is_plain(byte) => byte,
            _ => return None,
        });
    }
    let name = String::from_utf8(bytes).ok()?;
    (1..=NAME_BYTES_MAX).contains(&name.len()).then_some(name)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_a_uri_is_read_as_it_was() {
        for (group, node, uri) in [
            ("bank", "n1", "rep://bank/n1"),
            ("a/b", "n 1", "rep://a%2Fb/n%201"),
            ("%41", "ö", "rep://%2541/%C3%B6"),
            ("..", "*", "rep://../%2A"),
        ] {
            let identity = Identity::new(group, node);
            assert_eq!(identity.to_uri(), uri);
            assert_eq!(Identity::from_uri(uri), Some(identity));
        }
    }

    #[test]
    fn an_administrator_is_no_node_and_no_node_is_one() {
        let ops = Identity::administrator("bank", "ops 1");
        assert_eq!(ops.to_uri(), "rep://bank/@admin/ops%201");
        assert_eq!(Identity::from_uri("rep://bank/@admin/ops%201"), Some(ops.clone()));
        assert_eq!(Identity::administrator_of(ops.node()), Some("ops 1"));
        for uri in ["rep://bank/%40admin%2Fops", "rep://bank/@admin/", "rep://bank/@admin/a/b"] {
            assert_eq!(Identity::from_uri(uri), None, "{uri}");
        }
        for node in ["ops", "admin/ops", "@admin", "@admin/"] {
            assert_eq!(Identity::administrator_of(node), None, "{node}");
            let node = Identity::new("bank", node);
            assert_eq!(Identity::from_uri(&node.to_uri()), Some(node));
        }
    }

    #[test]
    fn a_uri_that_says_anything_else_proves_nothing() {
        let long = format!("rep://bank/{}", "n".repeat(256));
        for uri in [
            "",
            "rep://",
            "rep://bank",
            "rep://bank/",
            "rep:///n1",
            "rep://bank/n1/",
            "rep://bank/n1/n2",
            "rep://bank/n1?x",
            "rep://bank/n1#x",
            "rep://me@bank/n1",
            "rep://bank:80/n1",
            "rep://bank/*",
            "rep://bank/n%2",
            "rep://bank/n%zz",
            "rep://bank/n%+1",
            "rep://bank/%FF",
            "REP://bank/n1",
            "https://bank/n1",
            &long,
        ] {
            assert_eq!(Identity::from_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn the_name_of_a_host_is_a_node_and_a_group_under_the_suffix_and_nothing_else() {
        let n1 = Some(Identity::new("bank", "n1"));
        assert_eq!(Identity::from_dns("n1.bank.db.example", "db.example"), n1);
        assert_eq!(Identity::from_dns("N1.Bank.DB.example", "db.Example"), n1);
        for name in [
            "bank.db.example",
            "n1.bank.xdb.example",
            "n1.bankdb.example",
            "a.n1.bank.db.example",
            "*.bank.db.example",
            ".bank.db.example",
            "n1..db.example",
            "n1.bank.db.example.",
        ] {
            assert_eq!(Identity::from_dns(name, "db.example"), None, "{name}");
        }
        assert_eq!(Identity::new("bank", "n1").to_dns("x").as_deref(), Some("n1.bank.x"));
        assert_eq!(Identity::new("bank", "n.1").to_dns("x"), None);
        assert_eq!(Identity::new("Bank", "n1").to_dns("x"), None, "it would be read as another");
    }

    #[test]
    fn the_name_of_a_host_may_be_an_administrators_and_is_then_nobodys_else_under_any_suffix() {
        let ops = Identity::administrator("bank", "ops");
        assert_eq!(
            Identity::from_dns("Ops.ADMIN.bank.db.example", "db.example"),
            Some(ops.clone())
        );
        assert_eq!(ops.to_dns("db.example").as_deref(), Some("ops.admin.bank.db.example"));
        for name in [
            "admin.bank.db.example.db.example",
            ".admin.bank.db.example",
            "*.admin.bank.db.example",
            "ops.admins.bank.db.example",
            "ops.1.admin.bank.db.example",
            "ops.admin.db.example",
            "ops.admin.admin.db.example",
        ] {
            assert_eq!(Identity::from_dns(name, "db.example"), None, "{name}");
        }
        // Where the suffixes of two groups lie below each other, too.
        for suffix in ["bank.db.example", "admin.bank.db.example", "example"] {
            assert_eq!(Identity::from_dns("ops.admin.bank.db.example", suffix), None, "{suffix}");
        }
        // A node may be called like the label, and is no administrator.
        let node = Identity::new("bank", "admin");
        assert_eq!(Identity::from_dns("admin.bank.x", "x"), Some(node));
        for unwritable in [
            Identity::new("admin", "ops"),
            Identity::administrator("admin", "ops"),
            Identity::administrator("bank", "ops.1"),
            Identity::administrator("bank", "Ops"),
            Identity::new("bank", "@admin"),
        ] {
            assert_eq!(unwritable.to_dns("x"), None, "{unwritable}");
        }
    }
}
