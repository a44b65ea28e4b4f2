//! What happened in a run, in numbers.

use crate::history::Asked;
use crate::process::Crash;
use crate::recording::Judged;
use crate::workload::Operation;
use rep_node::{Acks, Durability, Outcome};
use rep_vlsn::SyncClass;

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
    wears "wears" "Cells, indexes, marks and headers that wore while a process was away.";
    cures "cures" "Members that came back after they had been refused their directory.";
    images "images put back" "Directories replaced by an older copy.";
    images_refused "images refused" "Older images that came to a master who had counted more of them.";
    images_set_aside "images set aside" "Older images that were told so, and came back as somebody new.";
    given_up "given up" "Runs that were over when an image that nobody remembered had cost something, or rot that no mark vouched for any more.";
    out_of_space "out of space" "Times that a log had to wait for space.";
    cleanings "cleanings" "Times that files were removed at a log's head.";
    stranded "stranded" "Members that were told that only a copy of the state helps them.";
    fetches "fetches" "Copies of the state that somebody set out to fetch,";
    ordered "copies ordered" "some of them by order;";
    copies_broken "copies broken" "connections of copies that broke,";
    chunks "chunks" "chunks kept,";
    chunks_had "chunks had" "chunks that were there from an earlier attempt,";
    restored "restored" "and copies that were put in place,";
    copies_rejected "copies rejected" "or had rotted before that.";
    cuts "cuts" "Directions cut.";
    traps "traps" "Traps sprung.";
    elections "elections" "Reigns begun.";
    rollbacks "rollbacks" "Truncations.";
    acked "acked" "Writes acknowledged.";
    lost "lost" "Acknowledged writes that a later master lacked: only power cuts, wipes and weak policies explain one.";
    op_put "puts" "Operations: put.";
    op_delete "deletes" "Operations: delete.";
    op_get "gets" "Operations: get.";
    op_range "ranges" "Operations: range.";
    op_cas "compares and sets" "Operations: compare and set.";
    op_append "appends" "Operations: append to a list.";
    op_sequence "sequence numbers" "Operations: next number of a sequence.";
    op_move "moves" "Operations: move from one key to another.";
    aborts "aborts" "Transactions that were dropped.";
    local_sync "local sync" "Commits by what they asked of the master's disk: sync,";
    local_write "local write" "written,";
    local_nosync "local nosync" "nothing at once.";
    replica_sync "replica sync" "Commits by what they asked of other disks: sync,";
    replica_write "replica write" "written,";
    replica_nosync "replica nosync" "nothing at once.";
    acks_all "acks all" "Commits by who has to acknowledge them: all,";
    acks_majority "acks majority" "most,";
    acks_none "acks none" "nobody else.";
    reads_of_applied "reads of what is applied" "Reads by consistency: none,";
    reads_at_least "reads at least" "with a token,";
    reads_bounded "reads bounded" "of bounded lag,";
    reads_linearizable "reads linearizable" "linearizable.";
    told_committed "told committed" "Callers told: committed,";
    told_term_over "told term over" "the term is over,";
    told_unknown "told unknown" "unknown,";
    told_rolled_back "told rolled back" "rolled back,";
    told_read "told read" "read,";
    told_timeout "told timeout" "not in time,";
    told_not_master "told not master" "no master to ask,";
    told_closed "told closed" "closed.";
    transferred "transferred" "Wishes for another master that were fulfilled,";
    not_transferred "not transferred" "and that were not.";
    recruits "machines recruited" "Machines that were told to join a group,";
    questions "questions to join" "questions of those, and of wiped ones, to be admitted,";
    admitted "admitted" "and how many were given a place.";
    secondaries "secondaries" "Those of them that are to hold the data and not to vote,";
    monitors "monitors" "and those that are to watch.";
    relayed "entries relayed" "Batches of entries that a replica sent on.";
    shipped "segments shipped" "Segments that a sink has taken,";
    ships_failed "shipments that failed" "times that it took none,";
    ship_gaps "gaps" "and of them such as lacked what the log did not hold any more.";
    vouches "vouches" "Points that arbiters have written down.";
    rolls "membership entries" "Memberships that a master has logged after the first.";
    overrides "overrides" "Designated members that went on alone.";
    changed "changes made" "Changes of the membership: made,";
    not_changed "changes not made" "and not made.";
    unknown "unknown" "Writes whose outcome is unknown.";
    failed "failed" "Writes that failed for certain.";
    reads "reads" "Reads served.";
    judged_operations "operations judged" "Operations that the checker has looked at, at the end of a run.";
    judged_keys "keys judged" "Keys whose history it has looked at:";
    judged_cut "histories cut" "of them with a longer history than is recorded,";
    judged_unknown "histories unknown" "and with one that was not looked at to the end.";
    peer_errors "peer errors" "Links closed because of what a peer said.";
    frames "frames" "Frames sent.";
    dropped "dropped" "Frames lost.";
    duplicated "duplicated" "Frames doubled.";
    reordered "reordered" "Frames overtaken.";
    replayed "replayed" "Frames of dead connections that came back.";
    corrupt "corrupt" "Frames whose bytes changed.";
    queued "queued" "Frames that waited for a wire of little bandwidth.";
    freezes "freezes" "Clocks that stood still while their process was stopped.";
    leaps "leaps" "Clocks that leapt ahead.";
    storms "storms" "Members that were dialled many times at once.";
    twins "twins" "Second processes of a member that dialled another while that heard the first: each was turned away.";
    mid_steps "mid steps" "Processes that ended after an output of a step that had more.";
    resets "resets" "Connections reset.";
}

impl Counts {
    pub(crate) fn change(&mut self, made: bool) {
        match made {
            true => self.changed += 1,
            false => self.not_changed += 1,
        }
    }

    pub(crate) fn transfer(&mut self, fulfilled: bool) {
        match fulfilled {
            true => self.transferred += 1,
            false => self.not_transferred += 1,
        }
    }
}

impl Counts {
    pub(crate) fn operation(&mut self, operation: Operation) {
        let count = match operation {
            Operation::Put => &mut self.op_put,
            Operation::Delete => &mut self.op_delete,
            Operation::Get => &mut self.op_get,
            Operation::Range => &mut self.op_range,
            Operation::CompareAndSet => &mut self.op_cas,
            Operation::Append => &mut self.op_append,
            Operation::Sequence => &mut self.op_sequence,
            Operation::Move => &mut self.op_move,
        };
        *count += 1;
    }

    pub(crate) fn durability(&mut self, asked: Durability) {
        let local = match asked.local {
            SyncClass::Sync => &mut self.local_sync,
            SyncClass::WriteNoSync => &mut self.local_write,
            SyncClass::NoSync => &mut self.local_nosync,
        };
        *local += 1;
        let replica = match asked.replica {
            SyncClass::Sync => &mut self.replica_sync,
            SyncClass::WriteNoSync => &mut self.replica_write,
            SyncClass::NoSync => &mut self.replica_nosync,
        };
        *replica += 1;
        let acks = match asked.acks {
            Acks::All => &mut self.acks_all,
            Acks::SimpleMajority => &mut self.acks_majority,
            Acks::None => &mut self.acks_none,
        };
        *acks += 1;
    }

    pub(crate) fn read(&mut self, asked: &Asked) {
        match asked {
            Asked::Write(_) => {}
            Asked::AtLeast { .. } => self.reads_at_least += 1,
            Asked::Bounded { .. } => self.reads_bounded += 1,
            Asked::Linearizable { .. } => self.reads_linearizable += 1,
        }
    }

    pub(crate) fn told(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Committed { .. } => &mut self.told_committed,
            Outcome::TermOver { .. } => &mut self.told_term_over,
            Outcome::Unknown { .. } => &mut self.told_unknown,
            Outcome::RolledBack { .. } => &mut self.told_rolled_back,
            Outcome::Read { .. } => &mut self.told_read,
            Outcome::ReadTimeout => &mut self.told_timeout,
            Outcome::NotMaster { .. } => &mut self.told_not_master,
            Outcome::Closed => &mut self.told_closed,
            // No caller of ours asks another group, or so many at once.
            _ => return,
        };
        *count += 1;
    }

    pub(crate) fn judged(&mut self, judged: Judged) {
        self.judged_operations += judged.operations;
        self.judged_keys += judged.keys;
        self.judged_cut += judged.cut;
        self.judged_unknown += judged.unknown;
    }

    pub(crate) fn crash(&mut self, how: Crash) {
        match how {
            Crash::Kill => self.kills += 1,
            Crash::PowerCut => self.power_cuts += 1,
            Crash::Close => self.closes += 1,
        }
    }
}
