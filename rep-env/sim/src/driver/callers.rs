//! What the node tells its callers, and what it says has happened.

use crate::faults::Moment;
use crate::history::Asked;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::World;
use rep_node::{Outcome, Request};
use rep_vlsn::LogPoint;

impl World {
    pub(crate) fn staged(&mut self, id: Machine, request: Request, point: LogPoint) {
        self.note(id, &[40, request.0, point.vlsn.get()], || {
            format!("n{} stages call {} at {point}", id.get(), request.0)
        });
        if let Some(live) = self.live_mut(id) {
            live.front.staged(request, point.vlsn);
        }
        if let Some(Asked::Write(durability)) =
            self.history.calls.get(&request).map(|call| &call.what)
        {
            self.oracle.asked(point, *durability);
        }
        self.history.staged(request, point);
    }

    pub(crate) fn resolve(&mut self, id: Machine, request: Request, outcome: Outcome) {
        let code = u64::from(matches!(outcome, Outcome::Committed { .. }));
        self.note(id, &[41, request.0, code], || {
            format!("n{} resolves call {}: {outcome:?}", id.get(), request.0)
        });
        let known = self.live_mut(id).is_some_and(|live| live.open_calls.remove(&request));
        let checked = ensure(known, Invariant::ErrorHonesty, || {
            format!("{id} resolves call {} twice, or unasked", request.0)
        });
        self.check(checked);
        let committed = matches!(outcome, Outcome::Committed { .. });
        self.answer(id, request, outcome);
        if committed {
            self.spring(id, Moment::Acknowledged);
        }
    }

    pub(crate) fn heard(&mut self, id: Machine, event: rep_node::Event) {
        self.note(id, &[42], || format!("n{}: {event:?}", id.get()));
        self.hear(id, &event);
        match event {
            rep_node::Event::TermOver { .. } => {
                if let Some(live) = self.live_mut(id) {
                    live.front.term_over();
                }
            }
            rep_node::Event::RolledBack { dropped } => {
                let cut = self.live_mut(id).and_then(|live| live.dropped.take());
                let checked = self.oracle.rollback_told(id, &dropped, cut);
                self.check(checked);
            }
            rep_node::Event::NeedsRestore { .. } => self.strand(id),
            rep_node::Event::Crowned { .. } => self.counts.elections += 1,
            _ => {}
        }
    }
}
