//! How a group begins, and how a directory recognises the group that it belongs to.
//!
//! A directory without a founding entry is *unborn*. Unborn nodes elect a founder only when every listed member
//! takes part and is unborn too; from the founding entry on, majorities rule and the log's metadata wins over flags.

use crate::config::{NodeConfig, Seed};
use crate::error::{OpenError, PeerError};
use crate::membership::{Attributes, Member, MemberType, Membership};
use rep_election::{Electorate, Voter};
use rep_vlsn::{Batch, Incarnation, Kind, LogPoint, NodeId, Vlsn};
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
        kind: MemberType::Electable,
        priority: 0,
        attributes: Attributes::new(),
    };
    config.members.iter().map(member).collect()
}

/// Whether flags, identity and log speak of one and the same member.
pub(crate) fn check_place<'a>(
    config: &NodeConfig,
    mut known: impl Iterator<Item = &'a Membership>,
    told: Option<&'a Membership>,
) -> Result<(), OpenError> {
    let (me, ours) = (config.me, config.incarnation);
    let Some(ruling) = known.next() else {
        let listed = config.members.contains_key(&me) || !config.joining.is_empty();
        return if listed || told.is_some() { Ok(()) } else { Err(OpenError::NotListed { me }) };
    };
    // Once the membership was changed, flags that list the founders say nothing any more.
    let first = ruling.at.vlsn == Vlsn::FIRST && !config.members.is_empty();
    if let Some(difference) = difference(config, ruling).filter(|_| first) {
        return Err(OpenError::MembersDiffer { difference });
    }
    let mut all = [ruling].into_iter().chain(known).chain(told);
    if all.any(|membership| membership.admits(me, ours)) {
        return Ok(());
    }
    match ruling.members.get(&me) {
        Some(Member { incarnation, .. }) => {
            Err(OpenError::OtherIncarnation { recorded: *incarnation, ours })
        }
        None => Err(OpenError::NotListed { me }),
    }
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

/// What a batch tells of who belongs: entry 1, and only entry 1, founds the group.
pub(crate) fn memberships_in(batch: &Batch) -> Result<Vec<Membership>, PeerError> {
    let mut found = Vec::new();
    for record in batch.records() {
        match record.header().kind {
            Kind::GroupFounded if record.point().vlsn != Vlsn::FIRST => {
                let why = format!("entry {} is not the first", record.point());
                return Err(PeerError::Founding(why));
            }
            Kind::GroupFounded => {
                found.push(Membership::from_record(record).map_err(PeerError::Founding)?);
            }
            Kind::Membership => {
                found.push(Membership::from_record(record).map_err(PeerError::Membership)?);
            }
            _ => {}
        }
    }
    if batch.first() == Vlsn::FIRST && found.first().is_none_or(|it| it.at.vlsn != Vlsn::FIRST) {
        return Err(PeerError::Founding(format!(
            "entry {} founds no group",
            LogPoint::NULL.vlsn.next()
        )));
    }
    Ok(found)
}
