//! What a script is shown: where members stand, and what they have told.

use super::{Stage, Told};
use crate::process::Life;
use rep_node::Event;
use rep_vlsn::NodeId;

impl Stage {
    pub(super) fn state(&self) -> String {
        let mut lines: Vec<String> =
            self.world.ids().into_iter().map(|id| self.standing(id)).collect();
        lines.sort();
        lines.concat()
    }

    fn standing(&self, id: NodeId) -> String {
        let name = self.name_of(id);
        let process = self.world.process(id);
        let Some(live) = &process.live else {
            return match &process.life {
                Life::Broken(why) => format!("{name}: stays out, {why}\n"),
                Life::Up | Life::Down => format!("{name}: down\n"),
            };
        };
        let node = &live.node;
        let master = node.master().map_or("nobody".into(), |master| self.name_of(master));
        let (state, term, last) = (node.state(), node.term(), node.log().last());
        let (dvlsn, applied) = (node.dvlsn(), node.applied());
        format!(
            "{name}: {state:?} under {master} in {term}; log {last}, dvlsn {dvlsn}, applied {applied}\n"
        )
    }

    pub(super) fn progress(&mut self, name: &str) -> Told {
        let id = self.node(name)?;
        let now = self.world.now;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let status = live.node.status(live.clock.local(now));
        let mut lines: Vec<String> = Vec::new();
        for member in status.members {
            let who = self.name_of(member.id);
            match (member.id == id, member.synced) {
                (true, _) => lines.push(format!("{who}: synced up to {}\n", status.synced)),
                (false, Some(synced)) => lines.push(format!("{who}: synced up to {synced}\n")),
                (false, None) => {}
            }
        }
        lines.sort();
        Ok(lines.concat())
    }

    pub(super) fn events(&mut self, name: &str) -> Told {
        let id = self.node(name)?;
        let events = self.world.told_by(id);
        let told: String = events.iter().map(|event| self.in_words(event)).collect();
        Ok(if told.is_empty() { "none\n".into() } else { told })
    }

    fn in_words(&self, event: &Event) -> String {
        match event {
            Event::State { old, new, reason, .. } => format!("{old:?} -> {new:?}: {reason}\n"),
            Event::Crowned { term } => format!("crowned in {term}\n"),
            Event::TermOver { term } => format!("{term} is over\n"),
            Event::Founded { .. } => "belongs to a group\n".into(),
            Event::RolledBack { dropped } => {
                format!("rolled back {}..={}\n", dropped.start(), dropped.end())
            }
            Event::Refused { by, reason } => {
                format!("refused by {}: {reason}\n", self.name_of(*by))
            }
            Event::NeedsRestore { source_first } => {
                format!("needs a restore: the source begins at {source_first}\n")
            }
            Event::LogFailed { why } => format!("log failed: {why}\n"),
            other => format!("{other:?}\n"),
        }
    }

    pub(super) fn problems(&mut self, name: &str) -> Told {
        let id = self.node(name)?;
        let now = self.world.now;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let problems = live.node.status(live.clock.local(now)).problems;
        let told: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        Ok(if told.is_empty() { "none\n".into() } else { told })
    }
}
