//! What a script asks of a group: writes and reads, and what their callers are told.

use super::{PATIENCE, Stage, Told};
use crate::history::{Asked, Call};
use crate::machine::Machine;
use crate::workload::{Asking, database_of};
use rep_node::{Change, Durability, Outcome, Quorums, ReadKind, Request};
use rep_vlsn::LogPoint;
use std::time::Duration;

/// A caller of `log` looks after so long whether its entry has its place.
const MOMENT: Duration = Duration::from_millis(10);

impl Stage {
    pub(super) fn write(&mut self, name: &str, pair: &str, how: Durability) -> Told {
        let id = self.node(name)?;
        if let Some(live) = self.world.live_mut(id) {
            let admission = &live.front.admission;
            let queued = live.queued_bytes();
            if admission.writable && !live.front.admits(admission.term, how.acks, queued) {
                let (live_now, needed) = (admission.live, admission.need(how.acks));
                return Ok(format!("refused: {live_now} of {needed} voters are live\n"));
            }
        }
        match self.begin(name, pair, how)? {
            Ok(request) => Ok(self.outcome(request)),
            Err(refused) => Ok(refused),
        }
    }

    /// As a write, without waiting, and whether or not anybody would acknowledge it.
    pub(super) fn log(&mut self, name: &str, pair: &str, how: Durability) -> Told {
        let request = match self.begin(name, pair, how)? {
            Ok(request) => request,
            Err(refused) => return Ok(refused),
        };
        self.logged.insert(pair.to_owned(), request);
        self.world.run_for(MOMENT);
        let at = self.world.history.point_of(request);
        Ok(at.map_or("not logged\n".into(), |at| format!("logged at {at}\n")))
    }

    fn begin(
        &mut self,
        name: &str,
        pair: &str,
        how: Durability,
    ) -> Result<Result<Request, String>, String> {
        let id = self.node(name)?;
        let (key, value) = pair.split_once('=').ok_or("a write is key=value")?;
        let Some(live) = self.world.live_mut(id) else { return Ok(Err("down\n".into())) };
        if live.front.open_to_writes().is_none() {
            let master = live.front.admission.master;
            let hint = master
                .map_or(String::new(), |master| format!("; {} is", self.named_by(id, master)));
            return Ok(Err(format!("refused: {name} is not master{hint}\n")));
        }
        self.world.write_at(id, (key, value.as_bytes()), how, PATIENCE / 3).map(Ok)
    }

    pub(super) fn outcome_of(&mut self, pair: &str) -> Told {
        let request = *self.logged.get(pair).ok_or("nothing of the kind was logged")?;
        match self.world.history.calls.contains_key(&request) {
            true => Ok("waits\n".into()),
            false => Ok(self.told(request)),
        }
    }

    fn outcome(&mut self, request: Request) -> String {
        self.world.run_until(PATIENCE, |world| !world.history.calls.contains_key(&request));
        self.told(request)
    }

    fn told(&self, request: Request) -> String {
        let Some((by, outcome)) = self.world.history.outcomes.get(&request) else {
            return "no outcome: its process is gone\n".into();
        };
        match outcome {
            Outcome::Committed { point } => format!("committed at {point}\n"),
            Outcome::Read { at } => format!("may read at {at}\n"),
            Outcome::RolledBack { point } => format!("{point} was rolled back\n"),
            Outcome::Unknown { acked_by, needed, .. } => {
                format!("unknown: {} of {needed} hold it\n", acked_by.len())
            }
            Outcome::NotMaster { master } => {
                let hint = master
                    .map_or(String::new(), |master| format!("; {} is", self.named_by(*by, master)));
                format!("refused: not master{hint}\n")
            }
            Outcome::ReadTimeout => "not in time\n".into(),
            other => format!("{other:?}\n"),
        }
    }

    pub(super) fn remove(&mut self, name: &str, whom: &str) -> Told {
        let (id, whom) = (self.node(name)?, self.node(whom)?);
        let Some(number) = self.world.number_of(id, whom) else { return Ok("not known\n".into()) };
        self.change(id, Change::Remove { id: number })
    }

    pub(super) fn quorums(&mut self, name: &str, (election, commit): (usize, usize)) -> Told {
        let id = self.node(name)?;
        self.change(id, Change::Quorums(Quorums::Sizes { election, commit }))
    }

    fn change(&mut self, id: Machine, change: Change) -> Told {
        let Some(request) = self.world.order(id, change, false) else {
            return Ok("down\n".into());
        };
        self.world.run_until(PATIENCE, |world| world.told_of_changes.contains_key(&request));
        Ok(match self.world.told_of_changes.get(&request) {
            Some(Ok(at)) => format!("made at {at}\n"),
            Some(Err(why)) => format!("not made: {why}\n"),
            None => "no answer\n".into(),
        })
    }

    pub(super) fn read(&mut self, name: &str, key: &str) -> Told {
        let id = self.node(name)?;
        let (now, floor) = (self.world.now, self.world.oracle.acked_max());
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let (term, deadline) = (live.front.admission.term, live.clock.local(now) + PATIENCE / 3);
        let what = Asked::Linearizable { key: key.to_owned(), floor };
        let call = Call { client: None, node: id, term, begun: now, known: LogPoint::NULL, what };
        let request = self.world.history.begin(call, None);
        let kind = ReadKind::Linearizable;
        self.world.ask(id, request, Asking::Read { request, kind, deadline });
        let said = self.outcome(request);
        if said.starts_with("may read") { self.look(name, key) } else { Ok(said) }
    }

    pub(super) fn look(&mut self, name: &str, key: &str) -> Told {
        let id = self.node(name)?;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let view = live.front.reader.view().map_err(|error| error.to_string())?;
        let value =
            view.get(&database_of(key), key.as_bytes()).map_err(|error| error.to_string())?;
        let shown =
            value.map_or("nothing".into(), |value| String::from_utf8_lossy(&value).into_owned());
        Ok(format!("{key} = {shown}\n"))
    }
}
