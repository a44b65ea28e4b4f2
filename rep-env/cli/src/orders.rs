//! `rep transfer-master` and `rep shutdown-group`: what an operator orders of a whole group, at whichever member is asked.

use crate::print::print;
use crate::trust::Trust;
use anyhow::bail;
use rep_env::Error;
use rep_env::admin::AdminClient;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Members that may send us on to another, before we think that they do not know.
const SENT_ON_MAX: u32 = 3;

/// Hand the mastership over to another member, without a write lost or an election waited for.
#[derive(Debug, clap::Args)]
pub(crate) struct TransferArgs {
    /// Where any member listens for the others; one that is not the master sends on to it
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Who may be master; again for several, of whom the first to be caught up becomes it [default: any voter]
    #[arg(long = "to", value_name = "NAME")]
    targets: Vec<String>,
    /// Give up after so many seconds; the master then stays what it is
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Take the place of another transfer that is under way
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    trust: Trust,
}

/// Stop every member of the group, the master last, once all of them hold the same.
#[derive(Debug, clap::Args)]
pub(crate) struct ShutdownArgs {
    /// Where any member listens for the others; one that is not the master sends on to it
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Wait so many seconds for members to catch up, then leave behind who has not
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(flatten)]
    trust: Trust,
}

pub(crate) fn transfer(args: &TransferArgs) -> anyhow::Result<ExitCode> {
    let timeout = Duration::from_secs(args.timeout);
    let master = at_the_master(&args.trust, &args.address, |client| {
        client.transfer_master(&args.targets, timeout, args.force)
    })?;
    print(&format!("the master is {} at {}\n", master.name, master.address))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn shut_down(args: &ShutdownArgs) -> anyhow::Result<ExitCode> {
    let timeout = Duration::from_secs(args.timeout);
    let left_behind =
        at_the_master(&args.trust, &args.address, |client| client.shutdown_group(timeout))?;
    print(&match &left_behind[..] {
        [] => "the group is shut down; all members hold the same\n".to_owned(),
        names => format!("the group is shut down; left behind: {}\n", names.join(", ")),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Asks at `address`, and wherever it is sent on to from there.
pub(crate) fn at_the_master<T>(
    trust: &Trust,
    address: &str,
    order: impl Fn(&AdminClient) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let mut address = address.to_owned();
    for _ in 0..=SENT_ON_MAX {
        match order(&trust.connect(&address, PATIENCE)?) {
            Err(Error::NotMaster { master: Some(master) }) => address = master.address,
            other => return Ok(other?),
        }
    }
    bail!("the members send on to each other: no master holds still; try again in a moment")
}
