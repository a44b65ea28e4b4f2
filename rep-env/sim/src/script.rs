//! Whole groups as text: commands, and what comes of them.
//!
//! A script is read by people first: each command is followed by `----` and what it printed, and a test compares that
//! with what it prints today. Nothing in a script's world is left to chance but ties, which its seed decides.
//!
//! | command | what it does |
//! |---|---|
//! | `group 3` | a world of three members, none of them running |
//! | `start n1 n2` | starts processes |
//! | `run 500ms` | lets time pass |
//! | `await master` | until there is a master, and tells who; `await converged`: until all logs and states are equal |
//! | `name old master` | calls the present master `old` from now on; `name a other`: a member that has no such name yet |
//! | `write n1 k=v` | a transaction at n1, committed; tells its outcome when it is known |
//! | `log n1 k=v` | the same, without waiting for the outcome |
//! | `read n1 k` | a linearizable read; `look n1 k`: whatever is applied there |
//! | `crash n1 kill` | ends a process: `kill`, or `powercut` for its machine |
//! | `wipe n1` | empties the directory of a process that is down |
//! | `pause n1`, `resume n1` | SIGSTOP and SIGCONT |
//! | `cut n1->n2`, `isolate n1`, `heal` | cuts a direction, a member; mends everything |
//! | `state` | where every running member stands |
//! | `problems n1` | what the member says is wrong |

use crate::history::{Asked, Call};
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::trace::Detail;
use crate::workload::{Asking, database};
use crate::world::World;
use rep_node::{Outcome, ReadKind, Request};
use rep_vlsn::NodeId;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Runs a script and gives it back with what its commands print today.
///
/// # Errors
///
/// A line that is no command, in words.
pub fn run_script(text: &str) -> Result<String, String> {
    let mut stage =
        Stage { world: World::new(1, Swarm::calm(3), Detail::Hash), names: BTreeMap::new() };
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

#[derive(Debug)]
struct Stage {
    world: World,
    /// What the script calls its members besides `n1`, `n2`, ...
    names: BTreeMap<String, NodeId>,
}

impl Stage {
    fn command(&mut self, line: &str) -> Result<String, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let unknown = || format!("{line:?} is no command");
        let (&verb, rest) = words.split_first().ok_or_else(unknown)?;
        match (verb, rest) {
            ("group", [count]) => {
                let count = count.parse().map_err(|_| unknown())?;
                self.world = World::new(1, Swarm::calm(count), Detail::Hash);
                Ok("ok\n".into())
            }
            ("start", names) => self.each(names, |world, id| world.start(id)),
            ("pause", names) => self.each(names, |world, id| world.pause(id)),
            ("resume", names) => self.each(names, |world, id| world.resume(id)),
            ("isolate", names) => self.each(names, |world, id| world.isolate(id)),
            ("wipe", names) => self.each(names, |world, id| world.wipe(id)),
            ("crash", [name, how]) => {
                let how = match *how {
                    "kill" => Crash::Kill,
                    "powercut" => Crash::PowerCut,
                    _ => return Err(unknown()),
                };
                self.each(&[name], |world, id| world.crash(id, how))
            }
            ("run", [time]) => {
                self.world.run_for(duration(time).ok_or_else(unknown)?);
                Ok("ok\n".into())
            }
            ("name", [name, "master"]) => {
                let master = self.world.master();
                Ok(self.call(name, master))
            }
            ("name", [name, "other"]) => {
                let unnamed = |id: &NodeId| !self.names.values().any(|named| named == id);
                let other = self.world.ids().into_iter().find(unnamed);
                Ok(self.call(name, other))
            }
            ("await", ["master"]) => Ok(self.await_master()),
            ("await", ["converged"]) => Ok(self.await_converged()),
            ("write", [name, pair]) => self.write(name, pair, true),
            ("log", [name, pair]) => self.write(name, pair, false),
            ("read", [name, key]) => self.read(name, key),
            ("look", [name, key]) => self.look(name, key),
            ("cut", [arrow]) => {
                let (from, to) = arrow.split_once("->").ok_or_else(unknown)?;
                let (from, to) = (self.node(from)?, self.node(to)?);
                self.world.cut_until(from, to, None);
                Ok("ok\n".into())
            }
            ("heal", []) => {
                let coming = self.world.network.heal(self.world.now);
                self.world.net_coming(coming);
                Ok("ok\n".into())
            }
            ("state", []) => Ok(self.state()),
            ("problems", [name]) => self.problems(name),
            _ => Err(unknown()),
        }
    }

    fn call(&mut self, name: &str, id: Option<NodeId>) -> String {
        let Some(id) = id else { return "nobody\n".into() };
        self.names.insert(name.to_owned(), id);
        "ok\n".into()
    }

    /// What the script calls a member: by its part in the story, so that a story stays true whoever plays it.
    fn name_of(&self, id: NodeId) -> String {
        let named = self.names.iter().find(|(_, named)| **named == id);
        named.map_or_else(|| format!("n{}", id.get()), |(name, _)| name.clone())
    }

    fn node(&self, name: &str) -> Result<NodeId, String> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        let id = name.strip_prefix('n').and_then(|n| n.parse().ok()).and_then(NodeId::checked);
        id.filter(|id| self.world.ids().contains(id)).ok_or_else(|| format!("{name} is no member"))
    }

    fn each(&mut self, names: &[&str], act: impl Fn(&mut World, NodeId)) -> Result<String, String> {
        for name in names {
            let id = self.node(name)?;
            act(&mut self.world, id);
        }
        Ok("ok\n".into())
    }

    fn await_master(&mut self) -> String {
        self.world.run_until(PATIENCE, |world| world.master().is_some());
        match self.world.master() {
            Some(id) => {
                let name = self.name_of(id);
                let live = self.world.live_mut(id).expect("a master runs");
                format!("{name} is master of {}\n", live.node.term())
            }
            None => "no master\n".into(),
        }
    }

    fn await_converged(&mut self) -> String {
        let converged = self.world.run_until(PATIENCE, World::has_converged);
        if !converged {
            return "not converged\n".into();
        }
        let checked = self.world.all_agree();
        self.world.check(checked);
        "converged\n".into()
    }

    fn write(&mut self, name: &str, pair: &str, wait: bool) -> Result<String, String> {
        let id = self.node(name)?;
        let (key, value) = pair.split_once('=').ok_or("a write is key=value")?;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let Some(term) = live.front.open_to_writes() else {
            let master = live.front.admission.master;
            let hint =
                master.map_or(String::new(), |master| format!("; {} is", self.name_of(master)));
            return Ok(format!("refused: {name} is not master{hint}\n"));
        };
        if wait && !live.front.admits(term) {
            let (live_now, needed) = (live.front.admission.live, live.front.admission.needed);
            return Ok(format!("refused: {live_now} of {needed} voters are live\n"));
        }
        let request = self.world.write_at(id, key, value.as_bytes(), PATIENCE / 3)?;
        if !wait {
            self.world.run_for(Duration::from_millis(10));
            let at = self.world.history.point_of(request);
            return Ok(at.map_or("not logged\n".into(), |at| format!("logged at {at}\n")));
        }
        Ok(self.outcome(request))
    }

    fn outcome(&mut self, request: Request) -> String {
        self.world.run_until(PATIENCE, |world| !world.history.calls.contains_key(&request));
        match self.world.history.outcomes.get(&request) {
            Some(Outcome::Committed { point }) => format!("committed at {point}\n"),
            Some(Outcome::Read { at }) => format!("may read at {at}\n"),
            Some(Outcome::Unknown { acked_by, needed, .. }) => {
                format!("unknown: {} of {needed} hold it\n", acked_by.len())
            }
            Some(Outcome::NotMaster { master }) => {
                let hint =
                    master.map_or(String::new(), |master| format!("; {} is", self.name_of(master)));
                format!("refused: not master{hint}\n")
            }
            Some(other) => format!("{other:?}\n"),
            None => "no outcome\n".into(),
        }
    }

    fn read(&mut self, name: &str, key: &str) -> Result<String, String> {
        let id = self.node(name)?;
        let (now, floor) = (self.world.now, self.world.oracle.acked_max());
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let (term, deadline) = (live.front.admission.term, live.clock.local(now) + PATIENCE / 3);
        let what = Asked::Linearizable { key: key.to_owned(), floor };
        let call = Call { client: None, node: id, term, begun: now, what };
        let request = self.world.history.begin(call, None);
        let kind = ReadKind::Linearizable;
        self.world.ask(id, request, Asking::Read { request, kind, deadline });
        let said = self.outcome(request);
        if said.starts_with("may read") { self.look(name, key) } else { Ok(said) }
    }

    fn look(&mut self, name: &str, key: &str) -> Result<String, String> {
        let id = self.node(name)?;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let view = live.front.reader.view().map_err(|error| error.to_string())?;
        let value = view.get(&database(), key.as_bytes()).map_err(|error| error.to_string())?;
        let shown =
            value.map_or("nothing".into(), |value| String::from_utf8_lossy(&value).into_owned());
        Ok(format!("{key} = {shown}\n"))
    }

    fn state(&self) -> String {
        let mut lines: Vec<String> =
            self.world.ids().into_iter().map(|id| self.standing(id)).collect();
        lines.sort();
        lines.concat()
    }

    fn standing(&self, id: NodeId) -> String {
        let name = self.name_of(id);
        let Some(live) = &self.world.process(id).live else { return format!("{name}: down\n") };
        let node = &live.node;
        let master = node.master().map_or("nobody".into(), |master| self.name_of(master));
        let (state, term, last) = (node.state(), node.term(), node.log().last());
        let (dvlsn, applied) = (node.dvlsn(), node.applied());
        format!(
            "{name}: {state:?} under {master} in {term}; log {last}, dvlsn {dvlsn}, applied {applied}\n"
        )
    }

    fn problems(&mut self, name: &str) -> Result<String, String> {
        let id = self.node(name)?;
        let now = self.world.now;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let problems = live.node.status(live.clock.local(now)).problems;
        let told: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        Ok(if told.is_empty() { "none\n".into() } else { told })
    }
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
