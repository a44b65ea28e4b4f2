//! What happened in a run, in numbers.

use crate::process::Crash;

macro_rules! counts {
    ($($field:ident $name:literal $doc:literal;)*) => {
        /// What happened, in numbers.
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct Counts {
            $(#[doc = $doc] pub $field: u64,)*
        }

        impl Counts {
            /// All counters by name.
            pub fn by_name(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$field)),*]
            }

            /// Adds another run's numbers.
            pub fn add(&mut self, other: &Counts) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counts! {
    kills "kills" "Processes killed.";
    closes "closes" "Processes closed in good order.";
    power_cuts "power cuts" "Machines that lost power.";
    pauses "pauses" "Processes stopped for a while.";
    hangs "hangs" "Disks that hung for a while.";
    slow "slow disks" "Disks that were slow for a while.";
    disk_errors "disk errors" "Reads, writes and syncs told to fail.";
    full "full disks" "Disks that had no space for a while.";
    disk_failures "disk failures" "Processes that could not go on because of their disk.";
    wipes "wipes" "Directories wiped.";
    rots "rots" "Logs rotten at or below their mark.";
    decays "decays" "Entries damaged under a running process.";
    cuts "cuts" "Directions cut.";
    traps "traps" "Traps sprung.";
    elections "elections" "Reigns begun.";
    rollbacks "rollbacks" "Truncations.";
    acked "acked" "Writes acknowledged.";
    lost "lost" "Acknowledged writes that a later master lacked: only power cuts, wipes and weak policies explain one.";
    unknown "unknown" "Writes whose outcome is unknown.";
    failed "failed" "Writes that failed for certain.";
    reads "reads" "Reads served.";
    peer_errors "peer errors" "Links closed because of what a peer said.";
    frames "frames" "Frames sent.";
    dropped "dropped" "Frames lost.";
    duplicated "duplicated" "Frames doubled.";
    reordered "reordered" "Frames overtaken.";
    replayed "replayed" "Frames of dead connections that came back.";
    resets "resets" "Connections reset.";
}

impl Counts {
    pub(crate) fn crash(&mut self, how: Crash) {
        match how {
            Crash::Kill => self.kills += 1,
            Crash::PowerCut => self.power_cuts += 1,
            Crash::Close => self.closes += 1,
        }
    }
}
