//! A copy of the state is put in place, before anything else of a directory is looked at.

use crate::disk::{Home, Unopened};
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::World;
use rep_node::rep_stream::restore::{InstallError, Staging, install};
use rep_store::{Databases, StateMachine, StoreError};
use rep_vlsn::{Beginning, DurableCell, LogConfig, LogPoint, begin_with};

/// What came of it.
struct Installed {
    /// The log has begun at this point: the copy is in place, whatever comes after.
    begun: Option<LogPoint>,
    rejected: Option<String>,
    outcome: Result<(), Unopened>,
}

impl World {
    /// I-28: a copy that was durable is in place after this, or the attempt was interrupted.
    pub(super) fn install(&mut self, id: Machine, config: &LogConfig) -> Result<(), Unopened> {
        let Installed { begun, rejected, outcome } = self.process(id).home.install(config);
        if let Some(why) = &rejected {
            self.rejects(id, why);
        }
        if let Some(point) = begun {
            self.counts.restored += 1;
            self.note(id, &[78, point.vlsn.get()], || format!("n{} begins at {point}", id.get()));
            let process = self.process_mut(id);
            (process.whole, process.restored) = (None, Some(point));
            let checked = self.oracle.restored(id, point);
            self.check(checked);
        }
        self.process_mut(id).chunk_rots = false;
        let lost = self.process(id).whole.filter(|_| outcome.is_ok());
        let checked = ensure(lost.is_none(), Invariant::RestoreAtomic, || {
            format!("{id} had a whole copy of {lost:?}, and opens without it")
        });
        self.check(checked);
        outcome
    }

    /// A chunk is not what it was: because the disk was told to fail.
    fn rejects(&mut self, id: Machine, why: &str) {
        self.counts.copies_rejected += 1;
        self.note(id, &[79], || format!("n{} gives its copy up: {why}", id.get()));
        let process = self.process(id);
        let excused = process.ails.is_some() || process.whole.is_none() || process.chunk_rots;
        let checked = ensure(excused, Invariant::RestoreAtomic, || {
            format!("{id} finds its whole copy rotten, and nobody touched it: {why}")
        });
        self.check(checked);
        self.process_mut(id).whole = None;
    }

    /// I-15 for a state that was copied: it is what the group had at that point.
    pub(super) fn is_the_groups_state(&mut self, id: Machine, store: &Databases) {
        if self.process(id).restored.is_none() {
            return;
        }
        let (applied, digest) = (store.applied(), store.digest().ok().map(|digest| digest.0));
        let checked = self.oracle.applied(id, applied, digest);
        self.check(checked);
    }
}

impl Home {
    /// As the runtime does it.
    fn install(&self, config: &LogConfig) -> Installed {
        let (mut begun, mut rejected) = (None, None);
        let outcome = self.try_install(config, &mut begun, &mut rejected);
        let died = self.disk.crashed();
        let outcome = outcome.map_err(|why| if died { Unopened::Crashed } else { why });
        Installed { begun, rejected, outcome: if died { Err(Unopened::Crashed) } else { outcome } }
    }

    fn try_install(
        &self,
        config: &LogConfig,
        begun: &mut Option<LogPoint>,
        rejected: &mut Option<String>,
    ) -> Result<(), Unopened> {
        let other = |why: String| Unopened::Other(why);
        let mut staging =
            Staging::open(self.disk.clone()).map_err(|error| other(error.to_string()))?;
        let store_past = |past: &[u8]| {
            let (mut cell, _) = DurableCell::open(self.disk.clone(), "past")?;
            cell.store(past)
        };
        let installed = install(
            &mut staging,
            Databases::memory_in(&self.store).applied(),
            |chunks| {
                let failed = |error: &dyn std::fmt::Display| error.to_string();
                let mut chunks = chunks.map(|chunk| {
                    chunk.map_err(|error| StoreError::SourceFailed { reason: failed(&error) })
                });
                let mut store = Databases::memory_in(&self.store);
                store.install(&mut chunks).map_err(|error| other(error.to_string()))
            },
            |past| store_past(past).map_err(|error| self.explain_cell(&error)),
            |bytes| {
                let beginning = Beginning::decode(bytes.to_vec().into());
                let beginning = beginning.map_err(|error| other(error.to_string()))?;
                begin_with(&self.disk, config, &beginning)
                    .map_err(|error| self.explain_log(&error))?;
                *begun = Some(beginning.point());
                Ok(())
            },
        );
        match installed {
            Ok(_) => Ok(()),
            Err(InstallError::GivenUp(error)) => {
                *rejected = Some(error.to_string());
                Ok(())
            }
            Err(InstallError::Past(why) | InstallError::State(why) | InstallError::Log(why)) => {
                Err(why)
            }
            Err(error) => Err(other(format!("{error:?}"))),
        }
    }
}
