//! How a group begins, and how a directory recognises the group that it belongs to.
//!
//! A directory without a founding entry is *unborn*. Unborn nodes elect a founder only when every listed member
//! takes part and is unborn too; from the founding entry on, majorities rule and the log's metadata wins over flags.

use crate::config::{NodeConfig, Seed};
use crate::error::{OpenError, PeerError};
use crate::membership::{Member, Membership};
use crate::past::Past;
use rep_election::{Electorate, Voter};
use rep_vlsn::{Batch, Incarnation, Kind, LogPoint, NodeId, Record, Vlsn};
use std::collections::BTreeMap;

/// The voters before a group exists: everybody listed, of whom only this node's own incarnation is known.
pub(crate) fn unborn_electorate(config: &NodeConfig) -> Electorate {
    let voters = config.members.keys().map(|id| {
        let me = *id == config.me;
        (*id, if me { Voter::known(config.incarnation) } else { Voter::unknown() })
    });
    Electorate::founding(voters.collect())
}

/// The members that the founder records: those listed, with the incarnations that promised.
pub(crate) fn founding_members(
    config: &NodeConfig,
    promisers: &BTreeMap<NodeId, Incarnation>,
) -> Vec<Member> {
    let member = |(id, seed): (&NodeId, &Seed)| Member {
        id: *id,
        name: seed.name.clone(),
        incarnation: *promisers.get(id).expect("founding takes every listed member"),
        address: seed.address.clone(),
    };
    config.members.iter().map(member).collect()
}

/// The members as the directory records them: in the founding entry, or where the head of the log is gone, beside it.
pub(crate) fn recorded_membership(
    founding: Option<&Record>,
    past: Option<&Past>,
) -> Result<Option<Membership>, OpenError> {
    match founding {
        Some(record) => {
            let read = Membership::from_record(record);
            read.map(Some).map_err(|why| OpenError::NoFounding { why })
        }
        None => Ok(past.map(|past| past.membership.clone())),
    }
}

/// Compares what was recorded with the flags.
pub(crate) fn own_membership(
    config: &NodeConfig,
    recorded: Option<Membership>,
) -> Result<Option<Membership>, OpenError> {
    let Some(membership) = recorded else { return Ok(None) };
    match difference(config, &membership) {
        Some(difference) => Err(OpenError::MembersDiffer { difference }),
        None => own_directory(config, &membership).map(|()| Some(membership)),
    }
}

fn own_directory(config: &NodeConfig, membership: &Membership) -> Result<(), OpenError> {
    let (recorded, ours) = (membership.members[&config.me].incarnation, config.incarnation);
    if recorded == ours { Ok(()) } else { Err(OpenError::OtherIncarnation { recorded, ours }) }
}

fn difference(config: &NodeConfig, membership: &Membership) -> Option<String> {
    let recorded = membership.members.keys().chain(config.members.keys());
    recorded.copied().find_map(|id| match (membership.members.get(&id), config.members.get(&id)) {
        (Some(member), Some(seed)) if member.name == seed.name => None,
        (Some(member), Some(seed)) => {
            Some(format!("member {id} is recorded as {}, listed as {}", member.name, seed.name))
        }
        (Some(member), None) => Some(format!("{} is recorded and not listed", member.name)),
        (None, Some(seed)) => Some(format!("{} is listed and not recorded", seed.name)),
        (None, None) => None,
    })
}

/// What a batch tells of the group's founding: entry 1, and only entry 1, may found it.
pub(crate) fn founding_in(batch: &Batch) -> Result<Option<Membership>, PeerError> {
    let mut found = None;
    for record in batch.records() {
        if record.header().kind != Kind::GroupFounded {
            continue;
        }
        if record.point().vlsn != Vlsn::FIRST {
            return Err(PeerError::Founding(format!("entry {} is not the first", record.point())));
        }
        found = Some(Membership::from_record(record).map_err(PeerError::Founding)?);
    }
    if batch.first() == Vlsn::FIRST && found.is_none() {
        return Err(PeerError::Founding(format!(
            "entry {} founds no group",
            LogPoint::NULL.vlsn.next()
        )));
    }
    Ok(found)
}
