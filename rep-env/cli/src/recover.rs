//! `rep recover`: one directory that is left of a group whose quorum is gone for good is made the group.

use crate::print::print;
use crate::trust::Trust;
use rep_env::Error;
use rep_env::recover::{Findings, Order, Recorded, examine, force_quorum};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// For each member that is to be cast out. Whoever has a master to tell of answers at once.
const PATIENCE: Duration = Duration::from_secs(3);
/// It was not done.
const NOT_DONE: u8 = 1;

/// Go on from one member's home directory, when so many members are gone for good that the others can elect nobody. Nothing is
/// done without --yes: what would be lost, and who would be cast out, is printed first. See docs/recover.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The home directory of a member that does not run: of those that are left, the one whose log ends last
    dir: PathBuf,
    /// To be said, because that is what is done: a quorum is not asked, it is made
    #[arg(long, required = true)]
    force_quorum: bool,
    /// Who is to be left of the group, the member of this directory among them; again for each [default: that member alone]
    #[arg(long = "survivor", value_name = "NAME")]
    survivors: Vec<String>,
    /// Do it, and do not only say what would be done
    #[arg(long)]
    yes: bool,
    /// Also if a survivor is a learner or a secondary, whose copy nobody ever waited for
    #[arg(long)]
    even_without_a_vote: bool,
    /// Also if another member answers and says that it has a master, or cannot be asked: its group may then go on beside this one
    #[arg(long)]
    even_though_a_master_answers: bool,
    #[command(flatten)]
    trust: Trust,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let order = Order::alone().survivors(args.survivors.clone());
    let order = if args.even_without_a_vote { order.even_without_a_vote() } else { order };
    let found = examine(&args.dir, &order)?;
    print(&Told(&found).to_string())?;
    if !all_gone(args, &found)? && !args.even_though_a_master_answers {
        eprintln!(
            "rep: nothing was changed: the group may be at work; stop it for good, or say --even-though-a-master-answers"
        );
        return Ok(ExitCode::from(NOT_DONE));
    }
    if !args.yes {
        eprintln!("rep: nothing was changed: say --yes to have it done");
        return Ok(ExitCode::from(NOT_DONE));
    }
    force_quorum(&args.dir, &order)?;
    print(
        "done     start the survivors as before; destroy the directories of those who were cast out\n",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Asks every other member, and prints what came of it; false if one has a master, or may have one.
fn all_gone(args: &Args, found: &Findings) -> anyhow::Result<bool> {
    let mut gone = true;
    let others = found.cast_out.iter().chain(&found.survivors);
    for member in others.filter(|member| member.name != found.name) {
        let answer = ask(&args.trust, member, found);
        gone &= matches!(answer, Answer::None | Answer::NoMaster);
        let Recorded { name, address, .. } = member;
        print(&match answer {
            Answer::None => format!("asked    {name}: nobody answers at {address}\n"),
            Answer::NoMaster => {
                format!("asked    {name} answers at {address} and has no master: stop it first\n")
            }
            Answer::Master(master) => format!("ALIVE    {name} has a master: {master}\n"),
            Answer::Unclear(why) => format!("UNCLEAR  {name} cannot be asked: {why}\n"),
        })?;
    }
    Ok(gone)
}

/// What a member said that should be gone, or at least without a master.
enum Answer {
    None,
    NoMaster,
    Master(String),
    Unclear(String),
}

fn ask(trust: &Trust, member: &Recorded, found: &Findings) -> Answer {
    let client = trust.connect(&member.address, PATIENCE);
    let report = match client.and_then(|client| Ok(client.status(PATIENCE)?)) {
        Ok(report) => report,
        Err(error) => {
            return match error.downcast_ref() {
                Some(Error::Admin { unreachable: true, .. }) => Answer::None,
                _ => Answer::Unclear(format!("{error:#}")),
            };
        }
    };
    match report.master {
        Some(master) if report.group == Some(found.group.to_string()) => {
            Answer::Master(master.to_string())
        }
        _ => Answer::NoMaster,
    }
}

/// What was found, and what follows from it, for whoever has to decide.
struct Told<'f>(&'f Findings);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Findings { group_name, group, name, last, known_durable, survivors, cast_out, .. } =
            self.0;
        writeln!(f, "group    {group_name}, {group}; it stays that group, and its tokens count")?;
        writeln!(f, "from     the directory of {name}, whose log ends with entry {last}")?;
        if self.0.torn {
            writeln!(f, "         behind it lies what was never synced, which will be cut")?;
        }
        if let Some(why) = &self.0.disowned {
            writeln!(f, "         {why}: what it had acknowledged may be missing")?;
        }
        match self.0.applied {
            Some(applied) => writeln!(f, "store    it has applied {applied}")?,
            None => {
                writeln!(f, "store    none that could be asked; it is built again from the log")?
            }
        }
        write!(f, "durable  entries up to {known_durable} are known to have been")?;
        match last.vlsn > *known_durable {
            true => writeln!(f, "; those up to {} may have been, and are kept", last.vlsn)?,
            false => writeln!(f)?,
        }
        writeln!(
            f,
            "LOST     whatever the others acknowledged and this directory does not hold: nothing here can tell whether there was any"
        )?;
        each(f, "stays", survivors)?;
        each(f, "CAST OUT", cast_out)?;
        if !cast_out.is_empty() {
            writeln!(
                f,
                "NEVER    do this while one of those may be at work, or may come to be: clients would write to two groups under one identity, \
                 and when the two meet, those who were cast out stop, and what they have acknowledged is gone"
            )?;
        }
        if self.0.begun {
            writeln!(f, "begun    an earlier order was not brought to its end; this one will be")?;
        }
        match self.0.term {
            Some(term) => writeln!(f, "term     {}, which nobody has had", term.get()),
            None => writeln!(f, "term     all is written already, and only its end is to be noted"),
        }
    }
}

fn each(f: &mut Formatter<'_>, what: &str, members: &[Recorded]) -> fmt::Result {
    members.iter().try_for_each(|member| {
        let Recorded { id, name, address, kind, .. } = member;
        writeln!(f, "{what:<8} {name} (number {}, {kind}) at {address}", id.get())
    })
}
