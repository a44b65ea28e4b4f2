//! A quorum is forced in a directory, as the product's command does it (decision 26): the fence, then word that it was begun, then the
//! entries, then word that it is done.

use super::{Home, IDENTITY, PAST, PROMISE, Unopened, memberships};
use crate::machine::Machine;
use rep_node::{Fence, Forced, Remains};
use rep_vlsn::{
    DurableCell, Incarnation, LogConfig, LogError, LogPoint, MemDisk, Opened, Vlsn, open,
};
use std::fmt::Display;

/// The cell that holds the fence of a forcing that was begun; empty once it is done.
const FORCING: &str = "forcing";

impl Home {
    /// Whether a forcing was begun and is not done: such a directory is not opened.
    pub(crate) fn is_half_forced(&self) -> Result<bool, Unopened> {
        match self.disk.contents(FORCING) {
            None => Ok(false),
            Some(_) => Ok(self.cell(FORCING)?.1.is_some_and(|begun| !begun.is_empty())),
        }
    }

    /// Forces the quorum of these survivors, or ends what was begun; what is to be written is told as soon as it is known.
    pub(crate) fn force(
        &self,
        id: Machine,
        survivors: &[String],
        config: LogConfig,
        plan: &mut Option<Forced>,
    ) -> Result<(), Unopened> {
        let (mut promise, fence) = self.cell(PROMISE)?;
        let (mut forcing, begun) = self.cell(FORCING)?;
        let begun = begun.filter(|begun| !begun.is_empty());
        let begun = begun.map(|begun| Fence::decode(&begun)).transpose().map_err(other)?;
        let log = open(self.disk.clone(), config).map_err(|error| self.explain_log(&error))?;
        let fence = fence.map(|fence| Fence::decode(&fence)).transpose().map_err(other)?;
        let remains = self.remains(id, fence.unwrap_or_default(), (&log, begun.is_some()))?;
        if begun.is_none_or(|begun| !remains.has_forced(begun)) {
            let forced = remains.force(survivors, false).map_err(other)?;
            let forced = plan.insert(forced);
            let fence = forced.fence.encode();
            promise.store(&fence).map_err(|error| self.explain_cell(&error))?;
            forcing.store(&fence).map_err(|error| self.explain_cell(&error))?;
            append(log, forced).map_err(|error| self.explain_write(&error))?;
        }
        forcing.store(b"").map_err(|error| self.explain_cell(&error))
    }

    fn remains(
        &self,
        id: Machine,
        fence: Fence,
        (log, begun): (&Opened<MemDisk>, bool),
    ) -> Result<Remains, Unopened> {
        let identity = self.cell(IDENTITY)?.1.unwrap_or_default();
        let identity = <[u8; 16]>::try_from(&identity[..]).map_err(other)?;
        let past = self.cell(PAST)?.1;
        let membership = Remains::membership(log.view.first(), &memberships(log), past.as_ref());
        let membership = membership.map_err(other)?.ok_or_else(|| other("there is no group"))?;
        let (name, incarnation, last) = (id.to_string(), Incarnation(identity), log.view.last());
        Ok(Remains { name, incarnation, fence, last, membership, begun })
    }

    fn cell(&self, name: &str) -> Result<(DurableCell<MemDisk>, Option<bytes::Bytes>), Unopened> {
        DurableCell::open(self.disk.clone(), name).map_err(|error| self.explain_cell(&error))
    }

    fn explain_write(&self, error: &LogError) -> Unopened {
        if self.disk.crashed() { Unopened::Crashed } else { other(error) }
    }

    /// The last entry of the log, as its next opening finds it.
    pub(crate) fn ends_at(&self, config: LogConfig) -> Result<LogPoint, Unopened> {
        let log = open(self.disk.image(), config).map_err(|error| self.explain_log(&error))?;
        Ok(log.view.last())
    }
}

fn append(log: Opened<MemDisk>, forced: &Forced) -> Result<(), LogError> {
    let Opened { mut writer, tail, view, marks, .. } = log;
    let dvlsn = marks.map_or(Vlsn::NULL, |mark| mark.dvlsn);
    writer.set_group(forced.membership.group)?;
    tail.stage(&forced.records(view.last_crc(), 0));
    while writer.write_group(dvlsn)?.is_some() {}
    writer.sync()?;
    writer.close(dvlsn)
}

fn other(why: impl Display) -> Unopened {
    Unopened::Other(why.to_string())
}
