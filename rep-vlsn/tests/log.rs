//! The log from outside: what is appended is read, whatever happened in between.

mod common;

use bytes::Bytes;
use common::{GROUP, Maker, Rng, all, entries, reopen, tiny, try_open, write};
use rep_vlsn::{
    Batch, Epoch, GroupId, LogConfig, LogError, LogPoint, MemDisk, OpenError, ReadError, Term,
    Vlsn, open,
};

#[test]
fn a_log_reads_back_what_was_appended_across_segments_and_openings() {
    let disk = MemDisk::new();
    let mut maker = Maker::new();
    let mut rng = Rng(1);
    let mut written = Vec::new();
    for _ in 0..5 {
        let mut opened = reopen(&disk);
        assert_eq!(entries(&opened), written);
        for _ in 0..7 {
            let group: Vec<_> = (0..rng.below(6)).map(|_| maker.next(&mut rng)).collect();
            write(&mut opened.writer, &opened.tail, &group);
            written.extend(group);
            let synced = opened.writer.sync().unwrap();
            assert_eq!(synced.point, maker.last);
            assert_eq!(all(&opened.reader, maker.last, synced.epoch), written);
        }
        opened.writer.close(Vlsn::new(3)).unwrap();
    }
    let opened = reopen(&disk);
    assert_eq!(opened.group, Some(GROUP));
    assert_eq!(opened.marks.unwrap().dvlsn, Vlsn::new(3));
    assert_eq!(opened.marks.unwrap().synced, maker.last.vlsn);
    assert_eq!(opened.report.torn_at, None);
    assert!(opened.report.segments > 3);
    assert_eq!(opened.report.entries, written.len() as u64);
}
