//! Whole groups as text: commands, and what comes of them.
//!
//! A script is read by people first: each command is followed by `----` and what it printed, and a test compares that
//! with what it prints today. Nothing in a script's world is left to chance but ties, which its seed decides.
//!
//! | command | what it does |
//! |---|---|
//! | `group 3` | a world of three members, none of them running |
//! | `group 3 1` | the same with a spare machine, and wiped members come back by themselves |
//! | `recruit n4` | a spare machine, or one that was removed, is started to join |
//! | `remove n1 n3` | n1 is asked to remove n3; tells what became of it |
//! | `members n1` | who belongs, as a member has it |
//! | `flags n3 n1,n2,n3,n4` | what a member's flags list from its next start on |
//! | `start n1 n2` | starts processes |
//! | `run 500ms` | lets time pass |
//! | `await master` | until there is a master that runs, and tells who; `await master 50ms`: not longer |
//! | `await converged` | until all logs and states are equal |
//! | `name old master` | calls the present master `old` from now on; `name a other`: a member that has no such name yet |
//! | `write n1 k=v` | a transaction at n1, committed; tells its outcome when it is known |
//! | `write n1 k=v nosync/nosync/majority` | as it asks: `sync`, `write` or `nosync` here and at replicas, `all`, `majority` or `none` |
//! | `log n1 k=v` | the same, without waiting; `outcome k=v`: what its caller has been told by now |
//! | `read n1 k` | a linearizable read; `look n1 k`: whatever is applied there |
//! | `crash n1 kill` | ends a process: `kill`, or `powercut` for its machine, and what it had not synced is gone |
//! | `wipe n1` | empties the directory of a process that is down |
//! | `image n1`, `restore n1` | takes a copy of its directory; puts it back, under a process that is down |
//! | `pause n1`, `resume n1` | SIGSTOP and SIGCONT |
//! | `disk n1 hangs` | nothing that its disk was asked for is finished; `disk n1 heals`; `disk n1 300ms`: each sync takes so long |
//! | `cut n1->n2`, `mend n1->n2` | one direction of the network |
//! | `isolate n1`, `heal` | all directions of a member; mends everything |
//! | `state` | where every member stands |
//! | `progress n1` | what a master knows of its replicas' disks |
//! | `events n1` | what the member has told its application since it was last asked |
//! | `problems n1` | what the member says is wrong |

mod calls;
mod telling;

use crate::machine::Machine;
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::trace::Detail;
use crate::world::World;
use rep_node::{Acks, Durability, Request};
use rep_vlsn::{NodeId, SyncClass};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Runs a script and gives it back with what its commands print today.
///
/// # Errors
///
/// A line that is no command, in words.
pub fn run_script(text: &str) -> Result<String, String> {
    let mut stage = Stage::new(3);
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let printed = stage.command(line)?;
        let _ = write!(out, "{line}\n----\n{printed}");
        if lines.next_if(|next| *next == "----").is_some() {
            while lines.next_if(|next| !next.trim().is_empty()).is_some() {}
        }
        if let Some(violation) = &stage.world.failure {
            return Err(format!("{line}: {violation}"));
        }
    }
    Ok(out)
}

/// Patience of one command.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a command prints, or why it is none.
type Told = Result<String, String>;

#[derive(Debug)]
struct Stage {
    world: World,
    /// What the script calls its members besides `n1`, `n2`, ...
    names: BTreeMap<String, Machine>,
    /// The calls of `log`, by what they write.
    logged: BTreeMap<String, Request>,
}

impl Stage {
    fn new(nodes: u32) -> Self {
        Stage::of(Swarm::calm(nodes))
    }

    fn with_spares(nodes: u32, spares: u32) -> Self {
        let mut swarm = Swarm::calm(nodes);
        (swarm.members.spares, swarm.members.join) = (spares, true);
        Stage::of(swarm)
    }

    fn of(swarm: Swarm) -> Self {
        let mut world = World::new(1, swarm, Detail::Hash);
        world.listen();
        Stage { world, names: BTreeMap::new(), logged: BTreeMap::new() }
    }

    fn command(&mut self, line: &str) -> Told {
        let words: Vec<&str> = line.split_whitespace().collect();
        let unknown = || format!("{line:?} is no command");
        let told = match words[..] {
            ["group", count] => {
                *self = Stage::new(count.parse().map_err(|_| unknown())?);
                done()
            }
            ["group", count, spares] => {
                let spares = spares.parse().map_err(|_| unknown())?;
                *self = Stage::with_spares(count.parse().map_err(|_| unknown())?, spares);
                done()
            }
            ["remove", name, whom] => self.remove(name, whom),
            ["quorums", name, election, commit] => {
                let size = |size: &str| size.parse().map_err(|_| unknown());
                self.quorums(name, (size(election)?, size(commit)?))
            }
            ["members", name] => self.members(name),
            ["run", time] => {
                self.world.run_for(duration(time).ok_or_else(unknown)?);
                done()
            }
            ["name", name, who] => self.call(name, who).ok_or_else(unknown)?,
            ["await", "master"] => self.await_master(PATIENCE),
            ["await", "master", time] => self.await_master(duration(time).ok_or_else(unknown)?),
            ["await", "converged"] => self.await_converged(),
            ["write", name, pair] => self.write(name, pair, Durability::default()),
            ["write", name, pair, how] => {
                self.write(name, pair, durability(how).ok_or_else(unknown)?)
            }
            ["log", name, pair] => self.log(name, pair, Durability::default()),
            ["log", name, pair, how] => self.log(name, pair, durability(how).ok_or_else(unknown)?),
            ["outcome", pair] => self.outcome_of(pair),
            ["read", name, key] => self.read(name, key),
            ["look", name, key] => self.look(name, key),
            ["state"] => Ok(self.state()),
            ["progress", name] => self.progress(name),
            ["events", name] => self.events(name),
            ["problems", name] => self.problems(name),
            _ => return self.trouble(&words).unwrap_or_else(|| Err(unknown())),
        };
        told.map_err(|why| format!("{line}: {why}"))
    }

    /// The commands that break things and mend them.
    fn trouble(&mut self, words: &[&str]) -> Option<Told> {
        Some(match *words {
            ["start", ref names @ ..] => self.each(names, World::start),
            ["pause", ref names @ ..] => self.each(names, World::pause),
            ["resume", ref names @ ..] => self.each(names, World::resume),
            ["isolate", ref names @ ..] => self.each(names, World::isolate),
            ["recruit", ref names @ ..] => self.each(names, World::recruit),
            ["wipe", ref names @ ..] => self.each(names, World::wipe),
            ["crash", name, "kill"] => self.each(&[name], |world, id| world.crash(id, Crash::Kill)),
            ["crash", name, "powercut"] => self.each(&[name], World::lose_power),
            ["image", name] => self.each(&[name], World::take_image),
            ["restore", name] => self.each(&[name], World::put_image_back),
            ["disk", name, "hangs"] => self.each(&[name], World::hang_disk),
            ["disk", name, "heals"] => self.each(&[name], World::free_disk),
            ["disk", name, time] => {
                let time = duration(time)?;
                self.each(&[name], |world, id| world.process_mut(id).sync_takes = Some(time))
            }
            ["flags", name, listed] => self.each(&[name], |world, id| {
                world.process_mut(id).flags = Some(listed.split(',').map(str::to_owned).collect());
            }),
            ["cut", arrow] => self.along(arrow, |world, from, to| world.cut_for(from, to, None)),
            ["mend", arrow] => self.along(arrow, World::mend),
            ["heal"] => {
                let coming = self.world.network.heal(self.world.now);
                self.world.net_coming(coming);
                done()
            }
            _ => return None,
        })
    }

    // ---- who is meant

    fn call(&mut self, name: &str, who: &str) -> Option<Told> {
        let unnamed = |id: &Machine| !self.names.values().any(|named| named == id);
        let id = match who {
            "master" => self.world.master(),
            "other" => self.world.ids().into_iter().find(unnamed),
            _ => return None,
        };
        let Some(id) = id else { return Some(Ok("nobody\n".into())) };
        self.names.insert(name.to_owned(), id);
        Some(done())
    }

    /// What the script calls a member: by its part in the story, so that a story stays true whoever plays it.
    fn name_of(&self, id: Machine) -> String {
        let named = self.names.iter().find(|(_, named)| **named == id);
        named.map_or_else(|| format!("n{}", id.get()), |(name, _)| name.clone())
    }

    /// The same, of whom a node speaks of by a number.
    fn named_by(&self, at: Machine, number: NodeId) -> String {
        let machine = self.world.machine_of(at, number);
        machine.map_or_else(|| format!("member {}", number.get()), |machine| self.name_of(machine))
    }

    fn node(&self, name: &str) -> Result<Machine, String> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        Machine::named(name)
            .filter(|id| self.world.ids().contains(id))
            .ok_or_else(|| format!("{name} is no member"))
    }

    fn each(&mut self, names: &[&str], act: impl Fn(&mut World, Machine)) -> Told {
        for name in names {
            let id = self.node(name)?;
            act(&mut self.world, id);
        }
        done()
    }

    fn along(&mut self, arrow: &str, act: impl Fn(&mut World, Machine, Machine)) -> Told {
        let (from, to) = arrow.split_once("->").ok_or("a direction is a->b")?;
        let (from, to) = (self.node(from)?, self.node(to)?);
        act(&mut self.world, from, to);
        done()
    }

    // ---- waiting

    fn await_master(&mut self, patience: Duration) -> Told {
        self.world.run_until(patience, |world| world.running_master().is_some());
        let Some(id) = self.world.running_master() else { return Ok("nobody\n".into()) };
        let name = self.name_of(id);
        let live = self.world.live_mut(id).expect("a master runs");
        Ok(format!("{name} is master of {}\n", live.node.term()))
    }

    fn await_converged(&mut self) -> Told {
        let converged = self.world.run_until(PATIENCE, World::has_converged);
        if !converged {
            return Ok("not converged\n".into());
        }
        let checked = self.world.all_agree();
        self.world.check(checked);
        Ok("converged\n".into())
    }
}

fn done() -> Told {
    Ok("ok\n".into())
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn durability(text: &str) -> Option<Durability> {
    let [local, replica, acks] = text.split('/').collect::<Vec<_>>().try_into().ok()?;
    let acks = match acks {
        "all" => Acks::All,
        "majority" => Acks::SimpleMajority,
        "none" => Acks::None,
        _ => return None,
    };
    let class = |word| match word {
        "sync" => Some(SyncClass::Sync),
        "write" => Some(SyncClass::WriteNoSync),
        "nosync" => Some(SyncClass::NoSync),
        _ => None,
    };
    Some(Durability::default().local(class(local)?).replica(class(replica)?).acks(acks))
}
