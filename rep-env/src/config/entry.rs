//! How a node comes to belong to a group: it founds one with those listed, or alone, or is admitted to one.

use super::check_name;
use crate::error::Error;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

/// What was said of it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) members: Vec<String>,
    pub(super) bootstrap: bool,
    pub(super) join: Option<Vec<String>>,
}

/// What that comes to.
#[derive(Debug)]
pub(super) struct Entered {
    /// Those who found the group, this node among them; nobody if it is to be admitted.
    pub(super) members: BTreeMap<String, String>,
    pub(super) join: Option<Vec<String>>,
    /// Where the others reach this node.
    pub(super) own: String,
}

/// Where this node is, as far as was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'c> {
    pub(super) advertise: Option<&'c str>,
    pub(super) listen: Option<&'c str>,
    pub(super) listener: Option<&'c TcpListener>,
}

impl Entry {
    pub(super) fn check(&self, name: &str, place: Place<'_>) -> Result<Entered, Error> {
        let ways = [!self.members.is_empty(), self.bootstrap, self.join.is_some()];
        match (ways.into_iter().filter(|said| *said).count(), &self.join) {
            (1, Some(helpers)) => join(helpers, place),
            (1, None) if self.bootstrap => {
                let own = place.own("bootstrap")?;
                let members = BTreeMap::from([(name.to_owned(), own.clone())]);
                Ok(Entered { members, join: None, own })
            }
            (1, None) => listed(&self.members, name, place.advertise),
            (0, _) => {
                let problem = "missing; list those who found the group, this node too, or say bootstrap, or whom to join";
                Err(Error::config("members", problem))
            }
            (_, Some(_)) => Err(Error::config(
                "join",
                "who joins a group neither founds one nor lists its members",
            )),
            (_, None) => {
                Err(Error::config("bootstrap", "who founds a group alone lists no members"))
            }
        }
    }
}

fn join(helpers: &[String], place: Place<'_>) -> Result<Entered, Error> {
    let helpers: Vec<String> =
        helpers.iter().filter(|helper| !helper.is_empty()).cloned().collect();
    if let Some(wrong) = helpers.iter().find(|helper| helper.contains('=')) {
        let problem = format!("{wrong:?} is no address: members are named by where they listen");
        return Err(Error::config("join", problem));
    }
    let own = place.own("join")?;
    Ok(Entered { members: BTreeMap::new(), join: Some(helpers), own })
}

fn listed(members: &[String], name: &str, advertise: Option<&str>) -> Result<Entered, Error> {
    let members = parse_members(members)?;
    let own = members.get(name).cloned().ok_or_else(|| {
        let problem =
            format!("this node, {name:?}, is not among them; list every member, itself too");
        Error::config("members", problem)
    })?;
    if advertise.is_some_and(|advertised| advertised != own) {
        let problem = format!("differs from this node's address among the members, {own}");
        return Err(Error::config("advertise", problem));
    }
    Ok(Entered { members, join: None, own })
}

impl Place<'_> {
    /// Where others are to reach a node that no list has an address of.
    fn own(self, way: &str) -> Result<String, Error> {
        let said = self.advertise.or(self.listen).map(str::to_owned);
        let bound = || Some(self.listener?.local_addr().ok()?.to_string());
        let own = said.or_else(bound).ok_or_else(|| {
            Error::config("listen", format!("missing; {way} does not say where this node is"))
        })?;
        match check_reachable(&own) {
            Ok(()) => Ok(own),
            Err(why) => Err(Error::config("advertise", format!("{why}; advertise one that does"))),
        }
    }
}

/// Whether an address can say where one node is. Every host that dials an unspecified one (`0.0.0.0`) reaches itself.
///
/// # Errors
///
/// Why it cannot, in words.
pub(crate) fn check_reachable(address: &str) -> Result<(), String> {
    let numbers = address.parse::<SocketAddr>();
    let is_any = numbers.is_ok_and(|address| address.ip().to_canonical().is_unspecified());
    match is_any || address.starts_with(':') || address.ends_with(":0") {
        true => Err(format!("{address} tells nobody where this node is, host and port")),
        false => Ok(()),
    }
}

fn parse_members(members: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut parsed = BTreeMap::new();
    for member in members {
        let malformed = || Error::config("members", format!("{member:?} is not name=address"));
        let (name, address) = member.split_once('=').ok_or_else(malformed)?;
        check_name("members", name)?;
        if address.is_empty() {
            return Err(malformed());
        }
        // Nobody dials a group of one; whoever joins it later is refused such a place of its own.
        if members.len() > 1 {
            check_reachable(address).map_err(|why| {
                let problem = format!("{name}: {why}; list it by one that the others can dial");
                Error::config("members", problem)
            })?;
        }
        if parsed.insert(name.to_owned(), address.to_owned()).is_some() {
            return Err(Error::config("members", format!("{name:?} is listed twice")));
        }
    }
    Ok(parsed)
}
