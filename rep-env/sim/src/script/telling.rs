//! What a script is shown: where members stand, and what they have told.

use super::{Stage, Told};
use crate::machine::Machine;
use crate::process::Life;
use rep_node::{Event, Member, MemberType, Membership};
use rep_vlsn::Vlsn;

impl Stage {
    pub(super) fn state(&self) -> String {
        let mut lines: Vec<String> =
            self.world.ids().into_iter().map(|id| self.standing(id)).collect();
        lines.sort();
        lines.concat()
    }

    fn standing(&self, id: Machine) -> String {
        let name = self.name_of(id);
        let process = self.world.process(id);
        let Some(live) = &process.live else {
            return match &process.life {
                Life::Broken(why) => format!("{name}: stays out, {why}\n"),
                Life::Up | Life::Down => format!("{name}: down\n"),
                Life::Spare => format!("{name}: spare\n"),
            };
        };
        let node = &live.node;
        let master = node.master().map_or("nobody".into(), |master| self.named_by(id, master));
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
        let me = live.me;
        let mut lines: Vec<String> = Vec::new();
        for member in status.members {
            let who = self.named_by(id, member.id);
            match (member.id == me, member.synced) {
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
        let told: String = events.iter().map(|event| self.in_words(id, event)).collect();
        Ok(if told.is_empty() { "none\n".into() } else { told })
    }

    fn in_words(&self, id: Machine, event: &Event) -> String {
        match event {
            Event::State { old, new, reason, .. } => format!("{old:?} -> {new:?}: {reason}\n"),
            Event::Crowned { term } => format!("crowned in {term}\n"),
            Event::TermOver { term } => format!("{term} is over\n"),
            Event::Founded { .. } => "belongs to a group\n".into(),
            Event::RolledBack { dropped } => {
                format!("rolled back {}..={}\n", dropped.start(), dropped.end())
            }
            Event::Refused { by, reason } => {
                format!("refused by {}: {reason}\n", self.named_by(id, *by))
            }
            Event::NeedsRestore { source_first } => {
                format!("needs a restore: the source begins at {source_first}\n")
            }
            // Of the first entry the founding has told.
            Event::Membership { membership, .. } if membership.at.vlsn == Vlsn::FIRST => {
                String::new()
            }
            Event::Membership { membership, why } => {
                format!("{why}: {}\n", self.listed(membership))
            }
            Event::LogFailed { why } => format!("log failed: {why}\n"),
            other => format!("{other:?}\n"),
        }
    }

    /// Who belongs, as a node has it.
    pub(super) fn members(&mut self, name: &str) -> Told {
        let id = self.node(name)?;
        let Some(live) = self.world.live_mut(id) else { return Ok("down\n".into()) };
        let membership = live.node.membership().cloned();
        Ok(membership.map_or("none\n".into(), |membership| self.listed(&membership) + "\n"))
    }

    fn listed(&self, membership: &Membership) -> String {
        let listed = |member: &Member| {
            let name = Machine::named(&member.name).map(|machine| self.name_of(machine));
            let name = name.unwrap_or_else(|| member.name.clone());
            match member.kind {
                MemberType::Electable => name,
                kind => format!("{name} ({kind})"),
            }
        };
        membership.members.values().map(listed).collect::<Vec<_>>().join(", ")
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
