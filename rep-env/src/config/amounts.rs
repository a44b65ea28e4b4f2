//! How long things may take and how much memory they may, each written down once.
//!
//! A row below is the only place in which such an option stands: its field, its default, its bounds, the check of them,
//! its documentation and its line in `docs/options.md` all come from it, and so cannot differ.

use super::options::{OptionInfo, OptionKind};
use crate::error::Error;
use std::time::Duration;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The upper bound of every time: each is added to a clock somewhere, and by then it is too late to say no.
const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

#[expect(non_snake_case, reason = "units are spelled as everywhere else")]
const fn KiB(count: u64) -> u64 {
    count << 10
}

#[expect(non_snake_case, reason = "units are spelled as everywhere else")]
const fn MiB(count: u64) -> u64 {
    count << 20
}

#[expect(non_snake_case, reason = "units are spelled as everywhere else")]
const fn GiB(count: u64) -> u64 {
    count << 30
}

macro_rules! amounts {
    (
        $(#[$about:meta])*
        $group:ident, $table:ident: $kind:ident of $amount:ty;
        $(
            $(#[doc = $effect:literal])+
            $option:ident = $default:literal $unit:ident,
                $min:literal $min_unit:ident ..= $max:literal $max_unit:ident;
        )+
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $group {
            $(
                $(#[doc = $effect])+
                #[doc = concat!(
                    " Default ", $default, " ", stringify!($unit), "; ", $min, " ", stringify!($min_unit), " to ",
                    $max, " ", stringify!($max_unit), "."
                )]
                pub $option: $amount,
            )+
        }

        impl Default for $group {
            fn default() -> Self {
                $group { $($option: $unit($default),)+ }
            }
        }

        impl $group {
            /// The value of the option of that name.
            fn get(&self, option: &str) -> Option<$amount> {
                match option {
                    $(stringify!($option) => Some(self.$option),)+
                    _ => None,
                }
            }

            /// Where the value of the option of that name is kept.
            pub(super) fn slot(&mut self, option: &str) -> Option<&mut $amount> {
                match option {
                    $(stringify!($option) => Some(&mut self.$option),)+
                    _ => None,
                }
            }
        }

        pub(super) static $table: &[OptionInfo] = &[$(OptionInfo {
            name: stringify!($option),
            effect: concat!($($effect),+),
            kind: OptionKind::$kind {
                default: $unit($default),
                min: $min_unit($min),
                max: $max_unit($max),
            },
        },)+];
    };
}

amounts! {
    /// How long things may take. Start from the default and change fields.
    Timing, TIMING: Time of Duration;

    /// A master sends a heartbeat at least this often. All members should agree.
    heartbeat = 100 ms, 1 ms..=3650 days;
    /// Silence of the master after which the others elect another, plus 0 to 50 %. All members should agree.
    election_timeout = 600 ms, 3 ms..=3650 days;
    /// How long one round of promises waits.
    round_timeout = 200 ms, 1 ms..=3650 days;
    /// A master whose writes do not become durable for this long gives up its place.
    disk_stall = 5 s, 1 ms..=3650 days;
    /// How long an entry that asked for no sync waits for one, at each member: what a power cut of all may cost.
    sync_interval = 100 ms, 0 s..=3650 days;
    /// The first pause before a lost connection is dialled again.
    redial_min = 20 ms, 1 ms..=3650 days;
    /// The longest such pause.
    redial_max = 500 ms, 1 ms..=3650 days;
    /// How long one dial may take.
    dial_timeout = 1 s, 1 ms..=3650 days;
    /// How long a commit waits for enough live members before it is refused.
    replicas_wait = 600 ms, 0 s..=3650 days;
    /// How long a commit waits for room in a budget before it is refused.
    busy_wait = 1 s, 0 s..=3650 days;
    /// How long a logged commit waits for acknowledgements before its outcome counts as unknown.
    ack_timeout = 5 s, 1 ms..=3650 days;
    /// How long a read waits to be servable as asked.
    read_timeout = 5 s, 1 ms..=3650 days;
    /// How long `begin` waits for its turn.
    begin_timeout = 10 s, 0 s..=3650 days;
    /// How long a transaction may hold the turn; the next in line takes it then.
    txn_timeout = 10 s, 1 ms..=3650 days;
    /// How long `close` waits for the threads.
    close_timeout = 10 s, 1 ms..=3650 days;
    /// How old what the store would lose in a crash may become before it is made durable.
    checkpoint_interval = 5 s, 1 ms..=3650 days;
    /// How long a full file of the log is kept for a member that may still need it.
    log_retention = 7 days, 0 s..=3650 days;
    /// For how long a master slows its writers down for a member that was given a copy and falls behind again, before it is left
    /// behind; an entry is let in every 500 ms all the same. 0 for not at all.
    straggler_patience = 600 s, 0 s..=3650 days;
    /// How long the other end of a copy may do nothing before another source is asked.
    restore_timeout = 10 s, 1 ms..=3650 days;
    /// How often what has become durable is shipped to a sink.
    ship_interval = 1 s, 1 ms..=3650 days;
}

amounts! {
    /// How much memory things may take. Start from the default and change fields.
    Limits, LIMITS: Bytes of u64;

    /// Entries that are queued or wait for this node's disk.
    unsynced_bytes_max = 64 MiB, 1 MiB..=1024 GiB;
    /// Write sets that are committed and not yet applied here.
    overlay_bytes_max = 64 MiB, 1 MiB..=1024 GiB;
    /// The newest records, kept for replicas and the store.
    tail_bytes_max = 16 MiB, 64 KiB..=1024 GiB;
    /// Frames that wait to be sent to one member; more mean that it does not read, and the connection is given up.
    outgoing_bytes_max = 16 MiB, 4 KiB..=1024 GiB;
    /// Applied bytes after which the store is made durable.
    checkpoint_bytes = 64 MiB, 64 KiB..=1024 GiB;
    /// Length of one file of the log.
    segment_bytes = 64 MiB, 1 MiB..=1024 GiB;
    /// What the log leaves free of the disk, for promises and the store: with less than that a full file has no successor, and
    /// the node writes nothing more until there is space.
    disk_reserve_bytes = 256 MiB, 1 MiB..=1048576 GiB;
    /// How much of the log is kept for members that may still need it: files beyond that go as soon as the store does not need
    /// them, and a member that is further behind needs a copy of the state. So much is also kept for a sink that is shipped to.
    log_retention_bytes = 4 GiB, 1 MiB..=1024 GiB;
    /// Memory for pages of the store's file (redb; other stores have bounds of their own), at most half of it for pages that are to
    /// be written. The operating system caches the file besides, as memory allows.
    store_cache_bytes = 32 MiB, 1 MiB..=1024 GiB;
    /// Bytes a second of each copy of its state that a member gives to one which is too far behind, at most.
    restore_bytes_per_s = 64 MiB, 64 KiB..=1024 GiB;
    /// Bytes a second at which a member reads its log again, to find what has rotted before somebody needs it; 0 for not at all.
    scrub_bytes_per_s = 1 MiB, 0 KiB..=1024 GiB;
}

/// An option that is at least a multiple of another one: (option, times, other).
pub(super) const RELATIONS: &[(&str, u32, &str)] = &[
    ("election_timeout", 3, "heartbeat"),
    ("disk_stall", 2, "sync_interval"),
    ("redial_max", 1, "redial_min"),
];

/// Refuses what is out of its bounds, by name.
pub(super) fn check(timing: &Timing, limits: &Limits) -> Result<(), Error> {
    for info in TIMING.iter().chain(LIMITS) {
        let wrong = match info.kind {
            OptionKind::Time { min, max, .. } => {
                timing.get(info.name).is_some_and(|value| value < min || value > max)
            }
            OptionKind::Bytes { min, max, .. } => {
                limits.get(info.name).is_some_and(|value| value < min || value > max)
            }
            OptionKind::Number { .. }
            | OptionKind::Text { .. }
            | OptionKind::Switch
            | OptionKind::List
            | OptionKind::Pairs
            | OptionKind::Code => false,
        };
        if wrong {
            return Err(Error::config(
                info.name,
                format!("is out of its bounds, {}", info.bound()),
            ));
        }
    }
    for (option, times, other) in RELATIONS {
        if timing.get(option) < timing.get(other).map(|other| other * *times) {
            return Err(Error::config(option, format!("must be at least {times} x {other}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiter::TIME_MAX;

    #[test]
    fn every_default_is_within_its_bounds_and_no_time_outgrows_a_clock() {
        check(&Timing::default(), &Limits::default()).unwrap();
        for info in TIMING {
            let OptionKind::Time { max, .. } = info.kind else { panic!("{info:?} is no time") };
            assert_eq!(max, TIME_MAX, "{}", info.name);
        }
    }

    #[test]
    fn every_option_is_refused_one_step_beyond_each_bound() {
        let refused = |timing: &Timing, limits: &Limits| match check(timing, limits) {
            Err(Error::Config { option, .. }) => option,
            other => panic!("{other:?} is no refusal"),
        };
        let step = Duration::from_nanos(1);
        for info in TIMING.iter().chain(LIMITS) {
            let (mut timing, mut limits) = (Timing::default(), Limits::default());
            match info.kind {
                OptionKind::Time { min, max, .. } => {
                    for beyond in [min.checked_sub(step), Some(max + step)].into_iter().flatten() {
                        *timing.slot(info.name).unwrap() = beyond;
                        assert_eq!(refused(&timing, &limits), info.name);
                    }
                }
                OptionKind::Bytes { min, max, .. } => {
                    for beyond in [min.checked_sub(1), Some(max + 1)].into_iter().flatten() {
                        *limits.slot(info.name).unwrap() = beyond;
                        assert_eq!(refused(&timing, &limits), info.name);
                    }
                }
                _ => panic!("{info:?} is no amount"),
            }
        }
    }
}
