//! A log under random use on a disk that crashes, beside the plain list that it has to agree with.

use super::{Maker, Rng, entries, try_open, try_open_whole};
use rep_vlsn::{Epoch, LogError, LogPoint, MemDisk, Opened, Record, Term, Vlsn};
use std::ops::RangeInclusive;

pub(crate) struct World {
    pub(crate) disk: MemDisk,
    pub(crate) rng: Rng,
    maker: Maker,
    /// The highest term ever used: a cut entry is followed by one of a higher term.
    term: u64,
    opened: Option<Opened<MemDisk>>,
    /// Everything staged and not cut, cleaned or not: entry n at n - 1.
    log: Vec<Record>,
    /// What a sync has vouched for.
    synced: usize,
    /// A truncation that has begun and not returned: to this many entries.
    cutting: Option<usize>,
    first: RangeInclusive<u64>,
    epoch: Epoch,
    reopened: usize,
    /// Entries that no opening had to read.
    pub(crate) told: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let disk = MemDisk::new();
        World {
            opened: None,
            disk,
            rng: Rng(seed),
            maker: Maker::new(),
            term: 0,
            log: Vec::new(),
            synced: 0,
            cutting: None,
            first: 1..=1,
            epoch: Epoch(0),
            reopened: 0,
            told: 0,
        }
    }

    /// One random step. An error is a crash: see [`World::crash`].
    pub(crate) fn step(&mut self) -> Result<(), LogError> {
        if self.opened.is_none() {
            let Some(opened) = self.open() else {
                return Err(LogError::Poisoned);
            };
            self.check(opened);
        }
        match self.rng.below(20) {
            0..=8 => self.append(),
            9..=13 => self.sync(),
            14 => {
                self.append_staged();
                self.truncate()
            }
            15 => self.truncate(),
            16 => self.clean(),
            17 => self.close(),
            _ => {
                self.append()?;
                self.sync()
            }
        }
    }

    /// Ends the process where it stands, cuts the power or not, and opens again, itself perhaps interrupted.
    pub(crate) fn crash(&mut self) {
        self.opened = None;
        self.lose();
        if self.rng.below(2) == 0 {
            self.disk.crash_after_ops(1 + self.rng.below(12));
            if let Some(opened) = self.open() {
                self.check(opened);
                self.opened = None;
            }
            self.lose();
        }
        let opened = self.open().unwrap();
        self.check(opened);
        let before = self.log.len();
        // All of it is synced now: no crash takes anything more.
        self.opened = None;
        self.lose();
        let opened = self.open().unwrap();
        self.check(opened);
        assert_eq!(self.log.len(), before, "opening twice gives the same log");
    }

    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }

    /// Opens the log as the index file has it, which must be as it is without one. `None` if the disk crashed under it.
    fn open(&mut self) -> Option<Opened<MemDisk>> {
        let whole = try_open_whole(&self.disk.image()).unwrap();
        let opened = match try_open(&self.disk) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(self.disk.crashed(), "only a crash keeps a log from opening: {error}");
                return None;
            }
        };
        if self.disk.crashed() {
            return None;
        }
        assert_eq!(opened.view, whole.view);
        assert_eq!((opened.group, opened.marks), (whole.group, whole.marks));
        assert_eq!(opened.report.torn_at, whole.report.torn_at);
        assert_eq!(opened.report.entries, whole.report.entries);
        assert!(opened.report.bytes <= whole.report.bytes);
        self.told += opened.report.told;
        Some(opened)
    }

    fn lose(&mut self) {
        let World { disk, rng, .. } = self;
        if rng.below(4) == 0 {
            disk.kill();
        } else {
            disk.power_cut(&mut || rng.next());
        }
    }

    /// The log holds a prefix of what was staged, and everything that a sync vouched for, or is as it was to be cut.
    fn check(&mut self, opened: Opened<MemDisk>) {
        let found = entries(&opened);
        let first = opened.view.first().get();
        assert!(self.first.contains(&first), "first {first} is not in {:?}", self.first);
        let last = opened.view.last().vlsn.get() as usize;
        let cut = self.cutting == Some(last);
        assert!(last >= self.synced || cut, "{last} of {} synced entries", self.synced);
        assert!(last <= self.log.len(), "entries {last} came from nowhere");
        assert_eq!(found, self.log[first as usize - 1..last]);
        if opened.view.is_empty() {
            assert_eq!(opened.view.last(), LogPoint::NULL);
        }
        let marks = opened.marks.map_or(Vlsn::NULL, |mark| mark.synced);
        assert!(marks.get() as usize <= last, "no mark claims what is not there");
        self.log.truncate(last);
        self.synced = last;
        self.cutting = None;
        self.first = first..=first;
        self.epoch = opened.view.epoch();
        self.maker = Maker { last: opened.view.last(), last_crc: opened.view.last_crc() };
        self.opened = Some(opened);
        self.reopened += 1;
    }

    fn opened(&mut self) -> &mut Opened<MemDisk> {
        self.opened.as_mut().unwrap()
    }

    fn append_staged(&mut self) {
        for _ in 0..1 + self.rng.below(5) {
            let cut_before = self.maker.last.term.get() < self.term;
            let record = if cut_before || self.maker.last.vlsn.is_null() {
                self.maker.open_term(self.term + 1, 1 + self.rng.below(3) as u32)
            } else {
                self.maker.next(&mut self.rng)
            };
            self.term = self.term.max(record.point().term.get());
            self.opened().tail.stage(std::slice::from_ref(&record));
            self.log.push(record);
        }
    }

    fn append(&mut self) -> Result<(), LogError> {
        self.append_staged();
        let dvlsn = Vlsn::new(self.synced as u64 / 2);
        while self.opened().writer.write_group(dvlsn)?.is_some() {}
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        let synced = self.opened().writer.sync()?;
        assert_eq!(synced.epoch, self.epoch);
        let vlsn = synced.point.vlsn.get() as usize;
        assert!(vlsn >= self.synced);
        if let Some(record) = vlsn.checked_sub(1).map(|at| &self.log[at]) {
            assert_eq!(record.point(), synced.point);
        }
        self.synced = vlsn;
        if self.rng.below(4) > 0 {
            self.opened().writer.write_ahead()?;
        }
        Ok(())
    }

    fn truncate(&mut self) -> Result<(), LogError> {
        let (first, last) = (*self.first.end(), self.log.len() as u64);
        let lowest = if first == 1 { 0 } else { first };
        if lowest > last {
            return Ok(());
        }
        let back = if self.rng.below(3) == 0 {
            self.rng.below(last - lowest + 1)
        } else {
            self.rng.below(4)
        };
        let keep = last.saturating_sub(back).max(lowest);
        let point =
            (keep as usize).checked_sub(1).map_or(LogPoint::NULL, |at| self.log[at].point());
        self.epoch = self.epoch.next();
        self.cutting = Some(keep as usize);
        let (old, epoch) = (self.opened().tail.epoch(), self.epoch);
        self.opened().tail.truncate(point, epoch);
        if self.rng.below(2) == 0 {
            // The writer has not heard of it yet: what it does now belongs to the epoch before.
            assert_eq!(self.opened().writer.write_group(Vlsn::NULL)?, None);
            assert_eq!(self.opened().writer.sync()?.epoch, old);
        }
        let truncated = self.opened().writer.truncate(point, epoch)?;
        self.cutting = None;
        self.log.truncate(keep as usize);
        self.synced = keep as usize;
        assert_eq!((truncated.point, truncated.epoch), (point, epoch));
        let crc = self.log.last().map_or(0, Record::header_crc);
        assert_eq!(truncated.last_crc, crc);
        self.maker = Maker { last: point, last_crc: crc };
        self.reads_agree();
        Ok(())
    }

    fn clean(&mut self) -> Result<(), LogError> {
        let before = *self.first.end() + self.rng.below(30);
        self.first = *self.first.start()..=before.max(*self.first.end());
        let first = self.opened().writer.clean(Vlsn::new(before))?.get();
        assert!(self.first.contains(&first));
        self.first = first..=first;
        self.reads_agree();
        Ok(())
    }

    /// Either the log is closed in order, or the process just ends with everything written.
    fn close(&mut self) -> Result<(), LogError> {
        while self.opened().writer.write_group(Vlsn::NULL)?.is_some() {}
        self.sync()?;
        let opened = self.opened.take().unwrap();
        opened.tail.close();
        if self.rng.below(2) == 0 {
            opened.writer.close(Vlsn::new(self.synced as u64))?;
            let opened = try_open(&self.disk);
            if let Ok(opened) = &opened {
                let synced = opened.marks.map_or(Vlsn::NULL, |mark| mark.synced);
                assert_eq!(opened.report.torn_at, None);
                assert!(synced <= opened.view.last().vlsn);
            }
        }
        Ok(())
    }

    pub(crate) fn reads_agree(&mut self) {
        // A failure to write the index is no failure of the step, but nothing can be read after it here.
        if self.opened.is_none() || self.disk.crashed() {
            return;
        }
        let (first, epoch, last) = (*self.first.end() as usize, self.epoch, self.maker.last);
        let found = super::all(&self.opened().reader, last, epoch);
        assert_eq!(found, self.log[(first - 1).min(self.log.len())..]);
        assert!(last.term <= Term::new(self.term));
    }
}
