//! Whom a directory that was given up can ask to be admitted: whoever its flags name, and whoever belonged by what of it can be read.

use crate::config::RepConfig;
use crate::runtime::home::{PAST_CELL, PLACE_CELL};
use rep_node::{Member, Membership};
use rep_vlsn::disk::Disk;
use rep_vlsn::{Seen, Vlsn, inspect_cell, walk};

/// As many are kept, and no more.
const HELPERS_MAX: usize = 64;

/// The other members' addresses; none if nobody else is known, or nobody else has a copy of what is to be set aside.
pub(super) fn of<D: Disk>(disk: &D, config: &RepConfig) -> Vec<String> {
    let mut helpers = flagged(config);
    let known = memberships(disk).max_by_key(|membership| membership.at);
    let members = known.map(|membership| membership.members.into_values());
    let others: Option<Vec<Member>> =
        members.map(|members| members.filter(|member| member.name != config.name).collect());
    if others.as_ref().is_some_and(|others| !others.iter().any(|other| other.kind.is_copy())) {
        return Vec::new();
    }
    for member in others.into_iter().flatten() {
        if member.address != config.advertise && !helpers.contains(&member.address) {
            helpers.push(member.address);
        }
    }
    helpers.truncate(HELPERS_MAX);
    helpers
}

/// Those whom the flags name.
pub(super) fn flagged(config: &RepConfig) -> Vec<String> {
    let listed = config.members.iter().filter(|(name, _)| **name != config.name);
    let listed = listed.map(|(_, address)| address);
    let all = listed.chain(config.join.iter().flatten());
    all.filter(|address| **address != config.advertise).cloned().collect()
}

/// Every membership that can be read, durable or not: whom to ask, it may say in either case.
fn memberships<D: Disk>(disk: &D) -> impl Iterator<Item = Membership> {
    let cell = |name| inspect_cell(disk, name).ok().and_then(|cell| cell.value);
    let told = cell(PLACE_CELL).and_then(|place| Membership::decode(&place).ok());
    let remembered = cell(PAST_CELL).and_then(|past| Membership::remembered(&past));
    told.into_iter().chain(remembered).chain(logged(disk))
}

/// Those in the log, of every file from its beginning to its end or to what is damaged.
fn logged<D: Disk>(disk: &D) -> Vec<Membership> {
    let names = disk.list("log").unwrap_or_default();
    let firsts = names.iter().filter_map(|name| name.strip_suffix(".seg")?.parse().ok());
    let mut seen_to = Vlsn::NULL;
    let mut found = Vec::new();
    for first in firsts.map(Vlsn::new) {
        if first <= seen_to {
            continue;
        }
        for seen in walk(disk, first).into_iter().flatten().map_while(Result::ok) {
            let Seen::Entry(record, _) = seen else { continue };
            seen_to = record.point().vlsn;
            if record.header().kind.says_members() {
                found.extend(Membership::from_record(&record));
            }
        }
    }
    found
}
