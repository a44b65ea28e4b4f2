//! How old the files of a log are when it is opened: a restart makes none of them younger, and what is kept for others has a bound in time.

use rep_vlsn::Vlsn;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// For how long each file of the log in `home` has been begun, by its first entry: since the file before it was written last, by the clock of
/// this machine. A time to come is now. What the system does not tell is left out.
pub(super) fn file_ages(home: &Path) -> Vec<(Vlsn, Duration)> {
    let Ok(files) = fs::read_dir(home.join("log")) else { return Vec::new() };
    let mut found: Vec<(u64, SystemTime)> = files.filter_map(|file| seen(&file.ok()?)).collect();
    found.sort_unstable();
    let age = |written: &SystemTime| written.elapsed().unwrap_or_default();
    let pairs = found.iter().zip(found.iter().skip(1));
    pairs.map(|((_, full), (first, _))| (Vlsn::new(*first), age(full))).collect()
}

/// The first entry of a file of a log, and when it was written last.
fn seen(file: &fs::DirEntry) -> Option<(u64, SystemTime)> {
    let first = file.file_name().to_str()?.strip_suffix(".seg")?.parse().ok()?;
    Some((first, file.metadata().ok()?.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_old_as_the_last_write_to_the_one_before_it() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        fs::create_dir(&log).unwrap();
        let day = Duration::from_secs(24 * 3600);
        let file = |name: &str, at: SystemTime| {
            fs::File::create(log.join(name)).unwrap().set_modified(at).unwrap();
        };
        let now = SystemTime::now();
        file("00000000000000000008.seg", now - day);
        file("00000000000000000001.seg", now - 2 * day);
        file("00000000000000000020.seg", now + day);
        file("00000000000000000030.seg", now);
        file("index", now);
        let ages = file_ages(home.path());
        let firsts: Vec<u64> = ages.iter().map(|(first, _)| first.get()).collect();
        assert_eq!(firsts, [8, 20, 30]);
        assert!((2 * day..3 * day).contains(&ages[0].1) && (day..2 * day).contains(&ages[1].1));
        assert_eq!(ages[2].1, Duration::ZERO);
        assert!(file_ages(&log).is_empty());
    }
}
