//! `rep certs`: a certificate authority for one group, in one directory.
//!
//! Members of a group trust one authority, and nobody else: who holds a certificate of it is the member that the certificate
//! names. So there is no password to share, and a member that moves or dies takes no secret of the group with it. The directory
//! holds
//!
//! - `ca.pem`: the authorities that are trusted, the one that signs first. Every member needs it; it is no secret.
//! - `ca.key`: the key of the one that signs. It belongs on no member's machine.
//! - `NODE.pem`: a member's certificate and its key, in one file, so that a renewal replaces both at once. A secret of that member.
//! - `@NAME.pem`: the same of an administrator: members answer nobody else's questions, and take nobody else's orders.
//! - `revoked.pem`: what is trusted no more although it has not expired (a CRL of each authority). Every member needs it, if it exists.

mod authority;
mod dates;
mod files;
mod revoked;
mod show;

use crate::print::print;
use anyhow::Context;
use authority::Authority;
use files::{Access, Directory};
use rep_env::net::Identity;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// Something is wrong with the directory, or with what was asked.
const CANNOT: u8 = 2;
/// What a member's certificate is good for, in days.
const NODE_DAYS: u32 = 365;
/// What an authority is good for, in days.
const AUTHORITY_DAYS: u32 = 3650;

/// Make and look after the certificates of a group. Exit code: 0 done, 2 it could not be done; of `show`: 1 something has
/// expired or will within 30 days
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the group's authority
    #[arg(long, global = true, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an authority for a group
    Init {
        /// The group's name
        #[arg(long)]
        group: String,
        /// How long it is good for
        #[arg(long, default_value_t = AUTHORITY_DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Make a certificate and a key for a member, or for an administrator
    Issue {
        #[command(flatten)]
        named: Named,
        /// For somebody who administers the group and is no member of it: questions are answered to these alone, and orders taken
        #[arg(long)]
        admin: bool,
    },
    /// Replace the certificate and the key of a member, or the authority
    #[command(group(clap::ArgGroup::new("what").required(true).args(["node", "ca"])))]
    Renew {
        /// The member's name
        node: Option<String>,
        /// Make another authority, and go on trusting the old ones beside it
        #[arg(long)]
        ca: bool,
        /// From now on trust the newest authority alone: once every member has a certificate of it
        #[arg(long, requires = "ca")]
        drop_old: bool,
        /// How long it is good for: 365 days for a member, 3650 for an authority
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
        /// A DNS name to put into the certificate, besides the member's own
        #[arg(long, value_name = "NAME", conflicts_with = "ca")]
        dns: Vec<String>,
        /// Name it as NODE.GROUP.SUFFIX, too, for members that go by names of hosts (--tls-dns-suffix)
        #[arg(long, value_name = "SUFFIX", conflicts_with = "ca")]
        dns_suffix: Option<String>,
    },
    /// Have a member's certificate trusted no more: its key is in wrong hands, or the member has left
    Revoke {
        /// The member's name
        node: String,
    },
    /// Say what is in the directory, or in these files, and for how long it is good
    Show(show::Args),
}

#[derive(Clone, Debug, clap::Args)]
struct Named {
    /// The member's name, as in `--members`
    node: String,
    /// How long it is good for
    #[arg(long, default_value_t = NODE_DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// A DNS name to put into the certificate, besides the member's own
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// Name it as NODE.GROUP.SUFFIX, too (an administrator as NAME.admin.GROUP.SUFFIX), for members that go by names of hosts (--tls-dns-suffix)
    #[arg(long, value_name = "SUFFIX")]
    dns_suffix: Option<String>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let told = carry_out(args, SystemTime::now());
    let printed = told.and_then(|(told, code)| {
        print(&told)?;
        Ok(ExitCode::from(code))
    });
    printed.unwrap_or_else(|error| {
        eprintln!("rep: {error:#}");
        ExitCode::from(CANNOT)
    })
}

/// Does it; gives back what is to be told, and the exit code.
fn carry_out(args: &Args, now: SystemTime) -> anyhow::Result<(String, u8)> {
    let dir = Directory::new(&args.dir);
    let told = match &args.command {
        Command::Init { group, days } => init(&dir, group, *days, now)?,
        Command::Issue { named, admin: false } => issue(&dir, named, now, Access::New)?,
        Command::Issue { named, admin: true } => {
            let node = Identity::administrator("", &named.node).node().to_owned();
            issue(&dir, &Named { node, ..named.clone() }, now, Access::New)?
        }
        Command::Renew { drop_old: true, .. } => drop_old(&dir, now)?,
        Command::Renew { ca: true, days, .. } => {
            renew_authority(&dir, days.unwrap_or(AUTHORITY_DAYS), now)?
        }
        Command::Renew { node, days, dns, dns_suffix, .. } => {
            let node = node.clone().expect("clap has asked for it");
            let (dns, dns_suffix) = (dns.clone(), dns_suffix.clone());
            let named = Named { node, days: days.unwrap_or(NODE_DAYS), dns, dns_suffix };
            issue(&dir, &named, now, Access::Replace)?
        }
        Command::Revoke { node } => revoke(&dir, node, now)?,
        Command::Show(args) => return show::run(args, &dir, now),
    };
    Ok((told, 0))
}

/// An authority and a certificate of each of these members, in a directory that is made for it.
pub(crate) fn make_all(dir: &Path, group: &str, nodes: &[String]) -> anyhow::Result<()> {
    let (dir, now) = (Directory::new(dir), SystemTime::now());
    init(&dir, group, AUTHORITY_DAYS, now)?;
    for node in nodes {
        let named =
            Named { node: node.clone(), days: NODE_DAYS, dns: Vec::new(), dns_suffix: None };
        issue(&dir, &named, now, Access::New)?;
    }
    Ok(())
}

/// The authorities that are trusted, in that directory.
pub(crate) fn authorities(dir: &Path) -> PathBuf {
    dir.join(files::CA)
}

/// A member's certificate and key, in that directory.
pub(crate) fn identity(dir: &Path, node: &str) -> PathBuf {
    dir.join(files::of_node(node))
}

fn init(dir: &Directory, group: &str, days: u32, now: SystemTime) -> anyhow::Result<String> {
    let authority = Authority::make(group, days, now)?;
    dir.create()?;
    dir.write_secret(files::CA_KEY, &authority.key_pem(), Access::New)?;
    dir.write_public(files::CA, authority.pem(), Access::New)?;
    Ok(format!(
        "made an authority for group {group}: {} (for every member) and {} (keep it off their machines)\nnext: rep certs issue NODE for each member, and rep certs issue --admin NAME for whoever asks them (rep status) and orders\n",
        dir.path(files::CA).display(),
        dir.path(files::CA_KEY).display()
    ))
}

fn issue(
    dir: &Directory,
    named: &Named,
    now: SystemTime,
    access: Access,
) -> anyhow::Result<String> {
    let authority = Authority::open(dir)?;
    let made = authority.issue(&named.node, &hosts(authority.group(), named)?, named.days, now)?;
    let file = files::of_node(&named.node);
    if matches!(access, Access::Replace) {
        dir.expect(&file, "issue it first: rep certs issue")?;
    }
    dir.write_secret(&file, &made, access)?;
    let path = dir.path(&file);
    let mut told = format!("{}: certificate and key of {}\n", path.display(), named.node);
    if matches!(access, Access::Replace) {
        told += "next: give it to the member and send that SIGHUP; the old one stays good until it expires\n";
    } else if Identity::administrator_of(&named.node).is_some() {
        tell_ask(&mut told, dir, named)?;
    } else {
        tell_serve(&mut told, dir, authority.group(), named)?;
    }
    Ok(told)
}

/// The names of hosts that it is to have: those that were asked for, and the one that says who it is.
fn hosts(group: &str, named: &Named) -> anyhow::Result<Vec<String>> {
    let mut hosts = named.dns.clone();
    if let Some(suffix) = &named.dns_suffix {
        let name = Identity::new(group, &*named.node).to_dns(suffix).with_context(|| {
            format!(
                "{} of group {group} cannot be named under {suffix}: both have to be one label of a name of a host in lower case, and no group is called admin there",
                named.node
            )
        })?;
        hosts.push(name);
    }
    Ok(hosts)
}

/// What a command that asks a member has to be told to use it.
fn tell_ask(told: &mut String, dir: &Directory, named: &Named) -> std::fmt::Result {
    write!(told, "next: rep status HOST:PORT")?;
    tell_trust(told, dir, named)?;
    writeln!(told, "; renew and revoke know it as {}", named.node)
}

fn tell_trust(told: &mut String, dir: &Directory, named: &Named) -> std::fmt::Result {
    write!(
        told,
        " --tls-ca {} --tls-identity {}",
        dir.path(files::CA).display(),
        dir.path(&files::of_node(&named.node)).display()
    )?;
    match &named.dns_suffix {
        Some(suffix) => write!(told, " --tls-dns-suffix {suffix}"),
        None => Ok(()),
    }
}

/// What `rep serve` has to be told to use it.
fn tell_serve(told: &mut String, dir: &Directory, group: &str, named: &Named) -> std::fmt::Result {
    write!(told, "next: rep serve --group {group} --name {}", named.node)?;
    tell_trust(told, dir, named)?;
    if dir.holds(files::REVOKED) {
        write!(told, " --tls-revoked {}", dir.path(files::REVOKED).display())?;
    }
    writeln!(told, " ...")
}

fn renew_authority(dir: &Directory, days: u32, now: SystemTime) -> anyhow::Result<String> {
    let old = Authority::open(dir)?;
    let new = Authority::make(old.group(), days, now)?;
    // The bundle first: whoever stops here has an authority too many in it, and the old one goes on signing.
    let bundle = format!("{}{}", new.pem(), dir.read(files::CA)?);
    dir.write_public(files::CA, &bundle, Access::Replace)?;
    dir.write_secret(files::CA_KEY, &new.key_pem(), Access::Replace)?;
    Ok(format!(
        "another authority signs from now on, and the old ones are still trusted\nnext: give {} to every member, then rep certs renew each of them, then rep certs renew --ca --drop-old\n",
        dir.path(files::CA).display()
    ))
}

fn drop_old(dir: &Directory, now: SystemTime) -> anyhow::Result<String> {
    let authority = Authority::open(dir)?;
    dir.write_public(files::CA, authority.pem(), Access::Replace)?;
    if dir.holds(files::REVOKED) {
        let kept = revoked::only_of(&dir.read(files::REVOKED)?, &authority, now)?;
        dir.write_public(files::REVOKED, &kept, Access::Replace)?;
    }
    Ok(format!(
        "the newest authority alone is trusted\nnext: give {} to every member\n",
        dir.path(files::CA).display()
    ))
}

fn revoke(dir: &Directory, node: &str, now: SystemTime) -> anyhow::Result<String> {
    let authority = Authority::open(dir)?;
    let file = files::of_node(node);
    dir.expect(&file, "there is nothing of that name to revoke")?;
    let serial = authority.serial_of_own(&dir.read(&file)?)?;
    let before = if dir.holds(files::REVOKED) { dir.read(files::REVOKED)? } else { String::new() };
    let lists = revoked::with(&before, &authority, &serial, now)?;
    dir.write_public(files::REVOKED, &lists, Access::Replace)?;
    Ok(format!(
        "{node} is trusted no more by whoever has the list\nnext: give {} to every member (--tls-revoked), and send each SIGHUP\n",
        dir.path(files::REVOKED).display()
    ))
}

#[cfg(test)]
mod tests;
