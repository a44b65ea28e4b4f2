//! The names of what must hold.

use std::fmt;

/// What kind of harm a broken invariant is: the exit code tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// Something happened that never may.
    Safety,
    /// Something did not happen that has to.
    Liveness,
    /// One seed gave two traces.
    Determinism,
    /// A node or the simulator panicked.
    Panic,
}

impl Class {
    /// The exit code of a run that failed so.
    pub const fn exit_code(self) -> u8 {
        match self {
            Class::Safety => 3,
            Class::Liveness => 4,
            Class::Determinism => 5,
            Class::Panic => 6,
        }
    }
}

macro_rules! invariants {
    ($($variant:ident $id:literal $name:literal $class:ident $doc:literal;)*) => {
        /// Something that must hold, by its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Invariant {
            $(#[doc = $doc] $variant,)*
        }

        impl Invariant {
            /// Every invariant that is checked.
            pub const ALL: &[Invariant] = &[$(Invariant::$variant),*];

            /// Its number, as in `docs/testing.md`.
            pub const fn id(self) -> &'static str {
                match self { $(Invariant::$variant => $id),* }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Invariant::$variant => $name),* }
            }

            /// What it says.
            pub const fn says(self) -> &'static str {
                match self { $(Invariant::$variant => $doc),* }
            }

            /// What kind of harm it is.
            pub const fn class(self) -> Class {
                match self { $(Invariant::$variant => Class::$class),* }
            }
        }
    };
}

invariants! {
    ElectionSafety "I-1" "election-safety" Safety "At most one run of one node acts as master in a term.";
    TermMonotonic "I-2" "term-monotonic" Safety "A node's fence never falls, across restarts too.";
    OnePromise "I-3" "one-promise-per-term" Safety "A node promises a term once, proposes it in one run, and reigns only on a promise of this run.";
    PromiseDurability "I-4" "promise-durability" Safety "No promise leaves before its fence is on disk.";
    LogMatching "I-5" "log-matching" Safety "Equal (VLSN, term) means equal entry and equal prefix.";
    LeaderCompleteness "I-6" "leader-completeness" Safety "A new master holds every entry at or below any dvlsn of an earlier term.";
    AckAfterSync "I-7" "ack-after-sync" Safety "An acknowledgement leaves only when the disk holds what it names, and a crash does not take it back.";
    AckedCommitLoss "I-8" "acked-commit-loss" Safety "An acknowledged commit is in every later master and survives.";
    DistinctVoters "I-9" "distinct-voters" Safety "Only live acknowledgements of distinct voters of the membership in force count, by number and directory.";
    DvlsnTruthful "I-10" "dvlsn-truthful" Safety "dvlsn never falls within a run, and a commit quorum durably holds what lies at or below it.";
    OldTerm "I-11" "old-term-rule" Safety "A master's dvlsn advances only over an entry of its own term.";
    VlsnDense "I-12" "vlsn-dense" Safety "No gap, and no falling term, in any log.";
    RollbackFloor "I-13" "rollback-floor" Safety "No truncation reaches what the node knows to be durable, and each one is announced exactly.";
    AppliedBound "I-14" "applied-bound" Safety "Nothing is applied beyond min(dvlsn, own synced point); each entry once, in order.";
    ReplicaEquality "I-15" "replica-equality" Safety "States at equal applied points are equal.";
    CorruptionIsNotACrash "I-16" "corruption-is-not-a-crash" Safety "Damage at or below the mark is reported and never cut.";
    LinearizableReads "I-17" "linearizable-reads" Safety "A linearizable read is never older than a write acknowledged before it began.";
    LinearizableHistory "I-17h" "linearizable-history" Safety "One object, asked one thing at a time, could have answered all callers so (judged by rep-checker at the end).";
    TokenReads "I-18" "commit-point-token" Safety "A read with a token sees that very commit.";
    BoundedReads "I-19" "bounded-reads" Safety "A read of bounded lag shows a state that was the newest no longer ago than that.";
    SessionOrder "I-20" "session-order" Safety "Who carries a token is shown nothing older than it has seen or written, and writes behind it, across failovers too.";
    NoAbortedRead "I-21" "no-aborted-read" Safety "What a read has shown is durable, and is never rolled back.";
    DeposedMaster "I-22" "deposed-master" Safety "After a newer master has acknowledged a write, an older one answers nothing begun since.";
    FailMeansNoEffect "I-24" "fail-means-no-effect" Safety "A definite failure never becomes visible, and every transaction saw all before it.";
    ConfigOverlap "I-25" "config-overlap" Safety "Quorums of consecutive memberships meet, and a master is made by an election quorum of the membership in its own log.";
    OneChange "I-25c" "one-change-in-flight" Safety "A master changes one thing of the membership at a time, when the change before and an entry of its own term are durable.";
    WipedVoter "I-26" "wiped-voter" Safety "A wiped member neither promises to the group nor acknowledges its log, and a second process of a member is turned away where the first is heard.";
    NumbersOnce "I-26n" "numbers-used-once" Safety "A member's number is one directory's for good, and a directory that was removed is not admitted again.";
    RemovedCounts "I-26r" "removed-is-quiet" Safety "Nobody promises a term to who has no vote, and only who was removed ends as one who was, and is quiet.";
    FrameIntegrity "N-1" "frame-integrity" Safety "A frame whose bytes have changed on the way is given to nobody.";
    RestoreAtomic "I-28" "restore-atomic" Safety "A copy of the state is put in place whole or not at all, is the group's state at its point, and whoever makes way for one says nothing more.";
    RestoreNotBackwards "I-29" "restore-not-backwards" Safety "No copy is taken below the last entry of a member's own log, and none is given but by a master or a replica in sync, with a sound log.";
    PurgeSafety "I-30" "purge-safety" Safety "Nothing is cleaned from a log that its store, a member within the bounds, a transfer or a copy that is being given needs, and what is cleaned is within them.";
    LoneOverride "I-31" "one-lone-override" Safety "A designated member is elected alone only after a long silence of the other one, then counts it no more, and nobody else goes on alone.";
    ForeignMachine "M-1" "foreign-machine" Safety "A state machine that is put through the world keeps its contract.";
    BoundedQueues "I-32" "bounded-queues" Safety "What waits for a disk stays within its budget, in fences and in bytes.";
    BoundedWork "I-33" "bounded-work" Safety "No step puts out more than a bound that grows with the members alone, answers to callers apart.";
    Liveness "I-34" "liveness-after-heal" Liveness "After faults end a master serves a write within 50 election timeouts, and all core nodes converge.";
    Stability "I-35" "stability" Liveness "While nothing is wrong with its master a group elects no other.";
    ConnectedQuorum "I-36" "connected-quorum" Liveness "While somebody is linked both ways to a majority, the group serves writes.";
    ErrorHonesty "I-37" "error-honesty" Safety "No node halts in a legal schedule, and every call is resolved exactly once.";
    Shutdown "I-38" "shutdown-terminates" Safety "A node that is closed answers all its callers, wants nothing more, and closes its log.";
    SyncedInTime "I-39" "synced-in-time" Liveness "Whatever was asked, what is written is synced within the interval, unless its disk is at something else.";
    Handover "I-40" "handover-ends" Safety "A wish for another master is answered once, by its deadline; a master whose targets did not catch up is master still.";
    FullDisk "I-41" "full-disk" Liveness "A node whose log waits for space is no master: its place is for one that can write.";
    CaughtUp "I-42" "promoted-when-caught-up" Safety "A learner becomes a voter only when it durably holds all that was durable in the group an election timeout ago.";
    LatestRules "I-43" "latest-membership-rules" Safety "A node is ruled by the latest membership in its own log, durable or not; where that is cut, by the one before.";
    ChangeAnswered "I-44" "change-answered" Safety "Who asks for a change of the membership is told once, by the deadline, and what is said to be made is durable.";
    VouchKept "I-45" "vouch-kept" Safety "What an arbiter vouches for was asked for, is on its disk before it says so and of the term of its fence, and never goes back.";
    VouchAsked "I-46" "vouch-asked" Safety "A master asks an arbiter to vouch only for what its own disk holds and the arbiter's vote makes durable.";
    LogBounded "I-47" "log-bounded" Safety "The directory of a log takes no more than what is kept for others, for a checkpoint and for the disk, and three files.";
    RelaySafe "I-48" "relay-sends-the-durable" Safety "Who relays the log, and is not master, sends nothing that is not durable in the group.";
    MonitorSilent "I-49" "monitor-only-watches" Safety "A monitor asks for no stream and is sent no entry, promises nothing, and gives no answer that anybody could count.";
    ShippedWhole "I-50" "shipped-whole" Safety "What a sink holds is one stretch of what is durable in the group, and it keeps what it has acknowledged.";
    Determinism "D-1" "determinism" Determinism "One seed gives one trace.";
    NoPanic "P-1" "no-panic" Panic "Nothing panics.";
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id(), self.name())
    }
}

/// An invariant that does not hold, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// The verdict of one check.
pub(crate) type Checked = Result<(), Violation>;

/// `Ok` if `holds`, else the violation that `what` describes.
pub(crate) fn ensure(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}
