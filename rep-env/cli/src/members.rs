//! Who belongs to a group, and how an operator changes that: `rep members`, `add`, `remove`, `update-member`, `set-quorums`.

mod stages;

use crate::orders::{PATIENCE, at_the_master};
use crate::print::print;
use crate::trust::Trust;
use anyhow::bail;
use rep_env::admin::{AdminClient, StatusReport};
use rep_env::{
    Error, GroupMember, Member, MemberType, MemberUpdate, Membership, NewMember, NodeId, Quorums,
};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often somebody who waits for a learner looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What every one of these is told.
#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// Where any member listens for the others; one that is not the master sends on to it
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(flatten)]
    trust: Trust,
}

/// List who belongs to a group.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Where any member listens for the others
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
}

/// Make a running node a member of a group, and wait until it has caught up.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    at: At,
    /// Where the node listens that is to be a member; it was started with --join
    #[arg(value_name = "NEW_HOST:PORT")]
    new: String,
    /// Refuse a node that is called otherwise
    #[arg(long)]
    name: Option<String>,
    /// What it is to be: electable, secondary, arbiter or monitor [default: as it was started]
    #[arg(long = "type", value_name = "TYPE", value_parser = member_type)]
    kind: Option<MemberType>,
    /// How much it is preferred as master, among equals [default: as it was started]
    #[arg(long)]
    priority: Option<u32>,
    /// Do not wait until it has caught up: it goes on by itself
    #[arg(long)]
    no_wait: bool,
}

/// Remove a member: its directory is not admitted again, its name may be.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    at: At,
    /// Who; not the master, which hands its mastership over first
    #[arg(value_name = "NAME")]
    name: String,
    /// Although the voters that are live are too few without it
    #[arg(long)]
    force: bool,
}

/// Record where a member listens from now on, how much it is preferred as master, or what is to be known of it.
#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    at: At,
    /// Who
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it listens from now on; it is started again with --listen there
    #[arg(long = "address", value_name = "HOST:PORT")]
    new_address: Option<String>,
    /// How much it is preferred as master, among equals
    #[arg(long)]
    priority: Option<u32>,
    /// What is to be known of it, whatever it announces under that name; again for each
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Under that name what it announces is to be known again; again for each
    #[arg(long, value_name = "NAME")]
    no_attribute: Vec<String>,
}

/// Set how many voters promise a master, and sync an entry before it is durable.
#[derive(Debug, clap::Args)]
pub(crate) struct QuorumsArgs {
    #[command(flatten)]
    at: At,
    /// More than half, for both
    #[arg(long, conflicts_with_all = ["election", "commit", "designated"], required_unless_present_any = ["election", "commit", "designated"])]
    majority: bool,
    /// Of two members that hold the data, this one goes on alone when the other is lost, and nobody is elected without it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["election", "commit"])]
    designated: Option<String>,
    /// So many promises make a master
    #[arg(long, value_name = "VOTERS", requires = "commit")]
    election: Option<usize>,
    /// So many synced copies make an entry durable
    #[arg(long, value_name = "VOTERS", requires = "election")]
    commit: Option<usize>,
    /// Although the voters that are live are too few for it
    #[arg(long)]
    force: bool,
}

fn attribute(said: &str) -> Result<(String, String), String> {
    match said.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is NAME=VALUE".to_owned()),
    }
}

fn member_type(name: &str) -> Result<MemberType, String> {
    MemberType::named(name)
        .ok_or_else(|| "it is neither electable nor secondary nor arbiter nor monitor".to_owned())
}

impl At {
    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn order<T>(
        &self,
        order: impl Fn(&AdminClient) -> Result<T, rep_env::Error>,
    ) -> anyhow::Result<T> {
        at_the_master(&self.trust, &self.address, order)
    }

    fn membership(&self) -> anyhow::Result<Membership> {
        Ok(self.trust.connect(&self.address, PATIENCE)?.membership(PATIENCE)?)
    }
}

pub(crate) fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let membership = args.trust.connect(&args.address, PATIENCE)?.membership(PATIENCE)?;
    print(&match args.json {
        true => serde_json::to_string(&membership)? + "\n",
        false => membership.members.iter().map(|member| line(member) + "\n").collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn line(member: &GroupMember) -> String {
    let GroupMember { name, id, address, kind, priority, attributes, .. } = member;
    let recorded: String =
        attributes.iter().map(|(name, value)| format!(", {name}={value}")).collect();
    format!("{name} at {address}: {kind}, number {id}, priority {priority}{recorded}")
}

pub(crate) fn add(args: &AddArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut new = NewMember::at(&args.new);
    (new.name, new.kind, new.priority) = (args.name.clone(), args.kind, args.priority);
    eprintln!("asking the node at {} who it is", args.new);
    let member = args.at.order(|client| client.add_member(&new, args.at.timeout()))?;
    let name = &member.name;
    if member.kind == MemberType::Learner {
        print(&format!("{name} is a learner, number {}\n", member.id))?;
    }
    if args.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let mut told = stages::Told::default();
    loop {
        let now = args.at.membership()?.members.into_iter().find(|it| it.id == member.id);
        match now {
            None => bail!("{name} was removed again"),
            Some(member) if member.kind != MemberType::Learner => {
                if told.anything() {
                    eprintln!("{name} has caught up, and is promoted");
                }
                print(&format!("{}\n", line(&member)))?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(_) if began.elapsed() >= args.at.timeout() => bail!(
                "{name} is a learner still, and goes on by itself: rep members {} tells, rep remove {0} {name} gives up",
                args.at.address
            ),
            Some(_) => {
                told.tell(args, (name, member.id));
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }
}

pub(crate) fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let RemoveArgs { at, name, force } = args;
    at.order(|client| client.remove_member(name, at.timeout(), *force))?;
    print(&format!("{name} is removed\n"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn update(args: &UpdateArgs) -> anyhow::Result<ExitCode> {
    let UpdateArgs { at, name, new_address, priority, attributes, no_attribute } = args;
    let mut update = MemberUpdate::default();
    (update.address, update.priority) = (new_address.clone(), *priority);
    for name in no_attribute {
        update = update.without_attribute(name);
    }
    for (name, value) in attributes {
        update = update.attribute(name, value);
    }
    if update == MemberUpdate::default() {
        bail!("nothing to record: give --address, --priority, --attribute or --no-attribute");
    }
    let made = at.order(|client| client.update_member(name, update.clone(), at.timeout()))?;
    print(&made.named(name).map(|member| line(member) + "\n").unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn set_quorums(args: &QuorumsArgs) -> anyhow::Result<ExitCode> {
    let at = &args.at;
    let quorums = at.order(|client| {
        let quorums = quorums_of(args, client)?;
        client.set_quorums(quorums, at.timeout(), args.force).map(|_| quorums)
    })?;
    print(&match quorums {
        Quorums::Majority => "more than half of the voters, for both\n".to_owned(),
        Quorums::Sizes { election, commit } => {
            format!("{election} promises make a master, {commit} copies make an entry durable\n")
        }
        Quorums::Designated(_) => format!(
            "{} goes on alone when the other one is lost, and nobody is elected without it\n",
            args.designated.as_deref().unwrap_or_default()
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is asked for, in the words of whoever is asked.
fn quorums_of(args: &QuorumsArgs, client: &AdminClient) -> Result<Quorums, Error> {
    Ok(match (&args.designated, args.election, args.commit) {
        (Some(name), _, _) => {
            let number = number_of(&client.membership(PATIENCE)?, name);
            Quorums::Designated(match number {
                Some(number) => number,
                None => return Err(nobody(name, client.status(PATIENCE)?)),
            })
        }
        (None, Some(election), Some(commit)) => Quorums::Sizes { election, commit },
        (None, _, _) => Quorums::Majority,
    })
}

fn number_of(membership: &Membership, name: &str) -> Option<NodeId> {
    membership.named(name).map(|member| NodeId::new(member.id))
}

/// Who follows may not have heard of a new member yet, and sends on to the master, which has.
fn nobody(name: &str, asked: StatusReport) -> Error {
    unless_sent_on(name, asked.me.id, asked.master)
}

fn unless_sent_on(name: &str, asked: u32, master: Option<Member>) -> Error {
    match master {
        Some(master) if master.id == asked => {
            Error::Invalid { what: format!("{name:?} is no member") }
        }
        master => Error::NotMaster { master },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_alone_says_that_there_is_no_such_member() {
        let text = r#"{"name":"n1","id":1,"address":"h:1","attributes":{}}"#;
        let master: Member = serde_json::from_str(text).unwrap();
        let at = |asked| unless_sent_on("n4", asked, Some(master.clone()));
        assert!(matches!(at(1), Error::Invalid { .. }));
        assert_eq!(at(2), Error::NotMaster { master: Some(master.clone()) });
        assert_eq!(unless_sent_on("n4", 2, None), Error::NotMaster { master: None });
    }
}
