//! The planted bugs: how we know that the simulator would notice.
//!
//! Each is one `rep_vlsn::mutant!("name")` site in a shipped crate, compiled only under `cfg(rep_mutants)`
//! and switched on by name, so that one build serves all. A simulator that does not find every one of them
//! within 2,000 seeds is the thing that is broken.

use std::sync::OnceLock;

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mutant {
    /// The name of the site.
    pub name: &'static str,
    /// The crate that holds the site.
    pub site: &'static str,
    /// What goes wrong when it is on.
    pub what: &'static str,
    /// The bug that is planted along with it: in the layer that makes up for it by design, so that alone it harms nobody.
    pub with: Option<&'static str>,
}

const fn mutant(name: &'static str, site: &'static str, what: &'static str) -> Mutant {
    Mutant { name, site, what, with: None }
}

const fn with(other: &'static str, mutant: Mutant) -> Mutant {
    Mutant { with: Some(other), ..mutant }
}

/// Every planted bug, in the order of the report.
pub const TABLE: &[Mutant] = &[
    mutant(
        "election-skip-promise-sync",
        "rep-election",
        "a promise leaves before its fence is on disk",
    ),
    mutant(
        "election-resolicit-persisted-term",
        "rep-election",
        "a restarted proposer solicits its old term again",
    ),
    mutant(
        "election-accept-after-restart",
        "rep-election",
        "mastership is accepted on a promise of an earlier run",
    ),
    mutant("node-count-old-term", "rep-node", "dvlsn advances over an entry of an earlier term"),
    mutant("election-majority-off-by-one", "rep-election", "a majority is one too few"),
    mutant("stream-ack-before-sync", "rep-stream", "a replica acknowledges what it has not synced"),
    mutant(
        "node-apply-beyond-synced",
        "rep-node",
        "a replica applies what its own disk does not hold",
    ),
    mutant("election-rank-by-vlsn", "rep-election", "candidates are ranked by length alone"),
    mutant(
        "stream-skip-predecessor-check",
        "rep-stream",
        "a batch is taken whatever entry it follows",
    ),
    mutant("stream-old-connection-ack", "rep-stream", "an ack of an earlier connection counts"),
    mutant("vlsn-truncate-on-damage", "rep-vlsn", "rot below the mark is cut like a torn tail"),
    mutant("election-wiped-votes", "rep-election", "a wiped member's promise counts"),
    mutant("reads-skip-round", "rep-node", "a master serves a read without asking a quorum"),
    mutant(
        "reads-before-term-start",
        "rep-node",
        "a new master serves reads before its term has begun",
    ),
    mutant("reads-any-answer", "rep-node", "a replica takes any answer for that to its question"),
    mutant(
        "reads-bound-from-receipt",
        "rep-node",
        "a bounded lag counts from the answer, not from the question",
    ),
    mutant(
        "handover-outlives-its-deadline",
        "rep-node",
        "a transfer of the mastership goes on beyond its deadline",
    ),
    // From here on: the simulator is not the first to look for these, but may be asked.
    mutant(
        "election-two-promises-a-term",
        "rep-election",
        "a voter promises one term to two proposers",
    ),
    mutant(
        "election-no-prevote-check",
        "rep-election",
        "a pre-vote is granted although the master is heard",
    ),
    mutant("dur-ack-unwritten", "rep-stream", "a replica acknowledges what it has in memory alone"),
    mutant(
        "dur-all-is-majority",
        "rep-election",
        "a commit that asked for all members is content with most",
    ),
    mutant("dur-apply-acknowledged", "rep-node", "what is acknowledged and not durable is applied"),
    mutant("dur-never-sync", "rep-vlsn", "what asked for no sync is never synced"),
    mutant(
        "dur-old-term",
        "rep-node",
        "an earlier term's commit succeeds by the copies of a later one",
    ),
    mutant("dur-own-unwritten", "rep-node", "the master counts its own copy before it is written"),
    mutant("dur-received-for-sync", "rep-stream", "a copy that is only written counts as synced"),
    mutant("stream-skip-syncup", "rep-stream", "a replica keeps what lies after the matchpoint"),
    mutant(
        "stream-truncate-below-dvlsn",
        "rep-stream",
        "a replica cuts what a commit quorum has synced",
    ),
    mutant(
        "stream-watermark-unlimited",
        "rep-stream",
        "a replica takes a watermark beyond what it has matched",
    ),
    mutant("vlsn-cut-leaves-bytes", "rep-vlsn", "what a truncation cuts is left in the file"),
    mutant("vlsn-keep-stale-tail", "rep-vlsn", "what lies behind a torn tail is kept"),
    mutant(
        "vlsn-no-epoch",
        "rep-vlsn",
        "a sync begun before a truncation vouches for what came after",
    ),
    mutant(
        "vlsn-reader-ignores-epoch",
        "rep-vlsn",
        "a reader of before a truncation is given what came after",
    ),
    mutant("vlsn-skip-cell-sync", "rep-vlsn", "a cell is written and not synced"),
    mutant("vlsn-skip-cut-cell", "rep-vlsn", "a truncation overwrites before it is noted"),
    mutant("vlsn-skip-log-sync", "rep-vlsn", "the log says synced and did not sync"),
    mutant(
        "vlsn-zeros-over-data",
        "rep-vlsn",
        "zeros are written ahead over entries that outran them",
    ),
    mutant(
        "overlay-oldest-wins",
        "rep-store",
        "a transaction reads the oldest pending write of a key",
    ),
    mutant(
        "overlay-trim-too-far",
        "rep-store",
        "the overlay forgets a write that is not applied yet",
    ),
    mutant("store-apply-twice", "rep-store", "an entry that was applied is applied again"),
    mutant("election-no-rank", "rep-election", "a promiser wins whatever its log holds"),
    mutant(
        "acks-one-too-few",
        "rep-election",
        "a weaker commit is content with one acknowledgement less",
    ),
    mutant(
        "acks-commit-one-too-few",
        "rep-stream",
        "two copies make an entry durable in any group",
    ),
    mutant("acks-own-twice", "rep-stream", "the master's copy counts for itself and for a replica"),
    mutant(
        "founding-by-majority",
        "rep-election",
        "a majority of the listed members found a group",
    ),
    mutant(
        "node-writable-too-soon",
        "rep-node",
        "a new master takes transactions before its store has what came before",
    ),
    mutant(
        "node-takes-a-twin",
        "rep-node",
        "a second process of a member takes the place of the first, which is heard",
    ),
    mutant("node-forgets-dvlsn", "rep-node", "a restarted node has forgotten what was durable"),
    mutant("watermarks-not-rolled-back", "rep-node", "what was cut still counts as acknowledged"),
    mutant(
        "commits-any-entry",
        "rep-node",
        "a commit succeeds by whatever entry is durable in its place",
    ),
    mutant("reads-token-by-number", "rep-node", "a token is matched by its number alone"),
    mutant("vlsn-mark-says-written", "rep-vlsn", "a mark vouches for what is only written"),
    mutant(
        "vlsn-damaged-cell-is-new",
        "rep-vlsn",
        "a cell of which nothing can be read is taken for one that was never stored to",
    ),
    mutant("vlsn-skip-directory-sync", "rep-vlsn", "a new segment's name is not made durable"),
    mutant("vlsn-mend-trusts-memory", "rep-vlsn", "a slot that can be read is taken for durable"),
    mutant("vlsn-no-predecessor-chain", "rep-vlsn", "a record is taken whatever record it follows"),
    mutant("vlsn-stale-index", "rep-vlsn", "the index of before a truncation is believed after it"),
    mutant(
        "overlay-survives-term",
        "rep-store",
        "a transaction reads what a term left behind that is over",
    ),
    mutant("overlay-reads-through-delete", "rep-store", "a pending deletion is not seen"),
    mutant("overlay-range-skips-pending", "rep-store", "a range does not show pending writes"),
    mutant("store-keeps-deleted", "rep-store", "a deletion is not applied"),
    mutant(
        "node-clean-above-checkpoint",
        "rep-node",
        "entries are cleaned that the store could lose in a crash",
    ),
    mutant(
        "node-clean-before-past",
        "rep-node",
        "the head of the log goes before what it said of the group is kept",
    ),
    mutant(
        "node-clean-unsynced",
        "rep-node",
        "entries are cleaned that a member within the bounds has not synced",
    ),
    mutant("node-reigns-on-a-full-disk", "rep-node", "a master that cannot write keeps its place"),
    mutant(
        "vlsn-full-skips-what-waits",
        "rep-vlsn",
        "what a full disk has no room for counts as written",
    ),
    with(
        "restore-asks-for-anything",
        mutant(
            "restore-goes-backwards",
            "rep-node",
            "a copy that is below the member's own last entry is taken",
        ),
    ),
    mutant("restore-pin-ignored", "rep-node", "a log is cleaned past a copy that is being given"),
    mutant(
        "restore-from-a-source-in-doubt",
        "rep-node",
        "a member gives a copy although its log is in doubt, or it is not in sync",
    ),
    mutant(
        "restore-goes-on-meanwhile",
        "rep-node",
        "a member goes on although its copy is complete and not in place",
    ),
    mutant(
        "restore-chunk-unchecked",
        "rep-stream",
        "a chunk is taken from the disk without a look at its digest",
    ),
    mutant(
        "restore-cell-before-sync",
        "rep-stream",
        "a copy counts as complete before its chunks are on the disk",
    ),
    mutant(
        "restore-emptied-before-log",
        "rep-stream",
        "the restore is forgotten before the log was begun",
    ),
    mutant("vlsn-clean-unnoted", "rep-vlsn", "files are removed before that is noted"),
    mutant("election-learner-counts", "rep-election", "a learner's promise counts like a voter's"),
    mutant(
        "election-old-config-wins",
        "rep-election",
        "a winner's quorum is judged by the oldest membership among those who promised",
    ),
    mutant(
        "quorum-unmet-change",
        "rep-election",
        "the voters change although quorums before and after need not meet",
    ),
    mutant(
        "members-two-changes-in-flight",
        "rep-node",
        "a change is made before the one before it is durable",
    ),
    mutant(
        "members-change-before-term-start",
        "rep-node",
        "a change of who belongs is made before its master's term has begun",
    ),
    mutant(
        "members-promote-before-caught-up",
        "rep-node",
        "a learner votes before it holds what there is",
    ),
    mutant(
        "members-uncommitted-not-rolled-back",
        "rep-node",
        "a change whose entry was cut away goes on ruling",
    ),
    mutant("members-removed-counts", "rep-node", "who was removed counts as a voter"),
    mutant("members-id-reused", "rep-node", "a member gets the number of one that was removed"),
    mutant(
        "designated-without-override",
        "rep-node",
        "a designated member that was elected alone goes on counting the other one",
    ),
    mutant(
        "election-designated-in-haste",
        "rep-election",
        "a designated member is elected alone although the other one has not been silent for long",
    ),
    mutant(
        "quorum-designated-not-asked",
        "rep-node",
        "the other one is elected without the designated member",
    ),
    mutant(
        "arbiter-vouch-goes-back",
        "rep-node",
        "what an arbiter wrote down is replaced by less, for a question that comes again",
    ),
    mutant(
        "arbiter-vouches-below-its-fence",
        "rep-node",
        "an arbiter vouches for a master of a term below its fence",
    ),
    mutant(
        "arbiter-vouches-beside-a-copy",
        "rep-node",
        "an arbiter is asked to vouch although a copy is there that could",
    ),
    mutant(
        "arbiter-vouches-for-the-unsynced",
        "rep-node",
        "an arbiter vouches for what its master has not synced",
    ),
    mutant(
        "arbiter-without-veto",
        "rep-node",
        "an arbiter helps somebody to win who lacks what it vouched for",
    ),
    mutant(
        "relay-sends-the-undurable",
        "rep-node",
        "a replica relays what is not known to be durable",
    ),
    mutant(
        "relay-never-passed-over",
        "rep-node",
        "a secondary waits for a relay that has fallen silent",
    ),
    mutant("monitor-answers", "rep-node", "a monitor answers heartbeats, and votes"),
    mutant(
        "restore-pin-ends-with-the-copy",
        "rep-node",
        "nothing is kept for who was given a copy while that is put in place",
    ),
    mutant("ship-counts-what-failed", "rep-stream", "what a sink did not take counts as shipped"),
    mutant(
        "ship-skips-what-is-gone",
        "rep-stream",
        "a sink that lacks what the log does not hold any more is given what comes after it",
    ),
    mutant("ship-folder-unsynced", "rep-stream", "a folder acknowledges what it has not synced"),
    mutant(
        "log-membership-forgotten",
        "rep-vlsn",
        "an opening by the index file has forgotten which entries say the members",
    ),
];

/// The planted bug called `name`.
pub fn find(name: &str) -> Option<&'static Mutant> {
    TABLE.iter().find(|mutant| mutant.name == name)
}

/// Switches a planted bug on, for this process and for good.
///
/// # Errors
///
/// If there is no such bug, or if this build contains none.
pub fn enable(name: &str) -> Result<(), String> {
    let mutant = find(name).ok_or_else(|| format!("no planted bug is called {name}"))?;
    plant(mutant)?;
    let _ = ENABLED.set(mutant);
    Ok(())
}

/// The first planted bug that was switched on.
pub fn enabled() -> Option<&'static Mutant> {
    ENABLED.get().copied()
}

static ENABLED: OnceLock<&'static Mutant> = OnceLock::new();

#[cfg(rep_mutants)]
fn plant(mutant: &'static Mutant) -> Result<(), String> {
    rep_vlsn::mutants::enable(mutant.name);
    mutant.with.into_iter().for_each(rep_vlsn::mutants::enable);
    Ok(())
}

#[cfg(not(rep_mutants))]
fn plant(mutant: &'static Mutant) -> Result<(), String> {
    Err(format!("{} is not in this build: build with RUSTFLAGS=\"--cfg rep_mutants\"", mutant.name))
}
