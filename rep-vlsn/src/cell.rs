//! A small record that is there or known to be lost, never silently forgotten.
//!
//! A node promises, and must remember the promise through any crash. One bit of rot must not make it
//! forget either: a node that forgets a promise makes it twice. So the record lies in two slots, and
//! [`DurableCell::store`] writes the one, syncs, writes the other, syncs, and only then returns.
//!
//! Why that is enough. At any moment at most one slot is being written, and the other is whole. If a
//! crash tears the first slot, the second still has the predecessor, and the new value was never
//! reported as stored. If it tears the second, the first has the new value. Once `store` has returned both
//! slots hold the value, so whichever *one* of them rots, the other still tells it: a slot that does not
//! verify never stands for a value that only it held. (Two slots written in turns, one sync each, would be
//! cheaper and would not do: a rotten newest slot looks just like a torn write of a value that was never
//! acknowledged, and the cell would fall back to the older promise.) Both slots damaged is [`CellError::Damaged`].
//!
//! The file is made under another name, filled, synced, and renamed. So a cell file that exists has been
//! whole once, and one with nothing readable in it, even an empty one, is damaged and not fresh.
//!
//! ```text
//!  0  magic      8 bytes  "repcell1"
//!  8  sequence   u64      counts the stores; both slots of a settled cell have the same
//! 16  length     u32      bytes of the value, at most 64 KiB
//! 20  CRC        u32      CRC32C of the cell's name, bytes 0..20, and the value
//! 24  value
//! ```
//! All little-endian. The second slot begins at byte 69,632. Both have their room from the beginning, so that a full disk
//! keeps no value out.

use crate::disk::{Disk, DiskFile, parent};
use crate::error::{CellError, During};
use crate::mutant;
use crate::record::{u32_at, u64_at};
use bytes::{BufMut, Bytes, BytesMut};

/// The longest value of a cell, in bytes (64 KiB).
pub const CELL_BYTES_MAX: usize = 64 << 10;
/// Where the second slot begins: a slot's room, in whole pages.
const SLOT_BYTES: u64 = 68 << 10;
const HEADER_BYTES: usize = 24;
const MAGIC: [u8; 8] = *b"repcell1";

/// A durable record of up to 64 KiB, replaced as a whole. One owner.
#[derive(Debug)]
pub struct DurableCell<D: Disk> {
    disk: D,
    name: String,
    /// `None` until the first store makes the file.
    file: Option<D::File>,
    sequence: u64,
    poisoned: bool,
}

/// What the file of a cell holds, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CellState {
    /// Whether there is a file: the cell was stored to.
    pub exists: bool,
    /// What the newest slot that can be read says.
    pub value: Option<Bytes>,
    /// Of each slot that can be read, which store it is from.
    pub slots: [Option<u64>; 2],
}

impl CellState {
    /// Whether the cell was stored to, and nothing of it can be read.
    pub fn is_damaged(&self) -> bool {
        self.exists && self.value.is_none()
    }

    /// The value; `None` if the cell was never stored to.
    pub(crate) fn settled(self, name: &str) -> Result<Option<Bytes>, CellError> {
        match self.is_damaged() {
            true => Err(CellError::Damaged { name: name.to_owned() }),
            false => Ok(self.value),
        }
    }
}

/// Reads the cell `name` and leaves it as it is, where [`DurableCell::open`] mends it.
pub(crate) fn peek<D: Disk>(disk: &D, name: &str) -> Result<CellState, CellError> {
    let Some(file) = disk.open(name).during("open")? else {
        return Ok(CellState { exists: false, value: None, slots: [None; 2] });
    };
    let slots = [read_slot(&file, name, 0)?, read_slot(&file, name, 1)?];
    let sequences = slots.each_ref().map(|slot| slot.as_ref().map(|slot| slot.sequence));
    let newest = slots.into_iter().flatten().max_by_key(|slot| slot.sequence);
    Ok(CellState { exists: true, value: newest.map(|slot| slot.value), slots: sequences })
}

/// What a slot says, if it verifies.
struct Slot {
    sequence: u64,
    value: Bytes,
}

impl<D: Disk> DurableCell<D> {
    /// Opens the cell `name` and tells what it holds; `None` if it was never stored to. The value told
    /// is in both slots and durable: a slot that was torn or damaged has been written again.
    ///
    /// # Errors
    ///
    /// [`CellError::Damaged`] if the file exists and neither slot can be read.
    pub fn open(disk: D, name: &str) -> Result<(DurableCell<D>, Option<Bytes>), CellError> {
        let file = disk.open(name).during("open")?;
        let mut cell =
            DurableCell { disk, name: name.to_owned(), file, sequence: 0, poisoned: false };
        let value = cell.recover()?;
        Ok((cell, value))
    }

    /// Replaces the value. On return it is durable, twice.
    ///
    /// # Errors
    ///
    /// [`CellError::TooLong`] changes nothing. After any other error nobody knows which value the
    /// disk holds, and the cell is poisoned.
    pub fn store(&mut self, value: &[u8]) -> Result<(), CellError> {
        if self.poisoned {
            return Err(CellError::Poisoned { name: self.name.clone() });
        }
        if value.len() > CELL_BYTES_MAX {
            return Err(CellError::TooLong { bytes: value.len(), max: CELL_BYTES_MAX });
        }
        let result = self.write(value);
        self.poisoned = result.is_err();
        result
    }

    fn write(&mut self, value: &[u8]) -> Result<(), CellError> {
        // Nobody stores so often: whoever wrote that slot was no cell.
        let damaged = || CellError::Damaged { name: self.name.clone() };
        let sequence = self.sequence.checked_add(1).ok_or_else(damaged)?;
        let slot = encode_slot(&self.name, sequence, value);
        match &self.file {
            Some(file) => write_both(file, &slot, sequence)?,
            None => self.file = Some(self.make(&slot, sequence)?),
        }
        self.sequence = sequence;
        Ok(())
    }

    /// The first store: the file gets its name only when both of its slots are durable.
    fn make(&self, slot: &[u8], sequence: u64) -> Result<D::File, CellError> {
        let making = format!("{}.new", self.name);
        if self.disk.open(&making).during("open")?.is_some() {
            self.disk.remove(&making).during("remove what a crash left")?;
        }
        let file = self.disk.create(&making).during("create")?;
        // Whatever is stored later has its place, also on a full disk.
        file.allocate(2 * SLOT_BYTES).during("allocate")?;
        write_both(&file, slot, sequence)?;
        self.disk.rename(&making, &self.name).during("rename")?;
        self.disk.sync_dir(parent(&self.name)).during("sync directory")?;
        Ok(file)
    }

    fn recover(&mut self) -> Result<Option<Bytes>, CellError> {
        let Some(file) = &self.file else { return Ok(None) };
        let slots = [read_slot(file, &self.name, 0)?, read_slot(file, &self.name, 1)?];
        let settled = match &slots {
            [Some(one), Some(other)] => one.sequence == other.sequence,
            [_, _] => false,
        };
        let newest = slots.into_iter().flatten().max_by_key(|slot| slot.sequence);
        let Some(Slot { sequence, value }) = newest else {
            if mutant!("vlsn-damaged-cell-is-new") {
                return Ok(None);
            }
            return Err(CellError::Damaged { name: self.name.clone() });
        };
        if settled {
            // A killed process may have left both slots unsynced, and its file without a durable name.
            file.sync().during("sync")?;
            self.disk.sync_dir(parent(&self.name)).during("sync directory")?;
        } else {
            self.mend(file, sequence, &value)?;
        }
        self.sequence = sequence;
        Ok(Some(value))
    }

    /// Makes the slot that has the value durable before it touches the other one, and then writes the one that has it
    /// too: a sync that failed may have left it in memory, clean to the kernel and not on the disk. The next store begins
    /// with the other slot, and if a crash tears that, this one has to tell the value.
    fn mend(&self, file: &D::File, sequence: u64, value: &[u8]) -> Result<(), CellError> {
        file.sync().during("sync")?;
        let slot = encode_slot(&self.name, sequence, value);
        let first = read_slot(file, &self.name, 0)?;
        let lacking = u64::from(first.is_some_and(|slot| slot.sequence == sequence));
        write_slot(file, lacking, &slot)?;
        if !mutant!("vlsn-mend-trusts-memory") {
            write_slot(file, 1 - lacking, &slot)?;
        }
        Ok(self.disk.sync_dir(parent(&self.name)).during("sync directory")?)
    }
}

/// Both slots, one after the other. The order alternates, so that both wear alike.
fn write_both<F: DiskFile>(file: &F, slot: &[u8], sequence: u64) -> Result<(), CellError> {
    write_slot(file, sequence % 2, slot)?;
    write_slot(file, 1 - sequence % 2, slot)
}

fn write_slot<F: DiskFile>(file: &F, index: u64, slot: &[u8]) -> Result<(), CellError> {
    file.write_at(index * SLOT_BYTES, slot).during("write")?;
    if mutant!("vlsn-skip-cell-sync") {
        return Ok(());
    }
    Ok(file.sync().during("sync")?)
}

fn read_slot<F: DiskFile>(file: &F, name: &str, index: u64) -> Result<Option<Slot>, CellError> {
    let mut header = [0; HEADER_BYTES];
    let got = file.read_at(index * SLOT_BYTES, &mut header).during("read")?;
    let length = u32_at(&header, 16) as usize;
    if got < HEADER_BYTES || header[..8] != MAGIC || length > CELL_BYTES_MAX {
        return Ok(None);
    }
    let mut value = vec![0; length];
    let got = file.read_at(index * SLOT_BYTES + HEADER_BYTES as u64, &mut value).during("read")?;
    let whole = got == length && crc_of(name, &header[..20], &value) == u32_at(&header, 20);
    Ok(whole.then(|| Slot { sequence: u64_at(&header, 8), value: value.into() }))
}

/// The bytes of a slot of the cell `name`.
pub(crate) fn encode_slot(name: &str, sequence: u64, value: &[u8]) -> Bytes {
    let mut slot = BytesMut::with_capacity(HEADER_BYTES + value.len());
    slot.put_slice(&MAGIC);
    slot.put_u64_le(sequence);
    slot.put_u32_le(value.len() as u32);
    let crc = crc_of(name, &slot, value);
    slot.put_u32_le(crc);
    slot.put_slice(value);
    slot.freeze()
}

fn crc_of(name: &str, head: &[u8], value: &[u8]) -> u32 {
    let crc = crc32c::crc32c(name.as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, head), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::mem::MemDisk;

    /// A fuzzer forged a slot that had been stored to almost as often as one can count, and the next store overflowed.
    #[test]
    fn who_counts_to_the_end_is_no_cell() {
        for (sequence, stores) in [(u64::MAX - 1, 1), (u64::MAX, 0)] {
            let disk = MemDisk::new();
            let file = disk.create("promise").unwrap();
            for slot in [0, 1] {
                write_slot(&file, slot, &encode_slot("promise", sequence, b"forged")).unwrap();
            }
            let (mut cell, value) = DurableCell::open(disk, "promise").unwrap();
            assert_eq!(value.as_deref(), Some(&b"forged"[..]));
            (0..stores).for_each(|_| cell.store(b"next").unwrap());
            assert!(matches!(cell.store(b"one more"), Err(CellError::Damaged { .. })));
            assert!(matches!(cell.store(b"and again"), Err(CellError::Poisoned { .. })));
        }
    }
}
