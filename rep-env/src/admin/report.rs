//! The account that a node gives of itself.

use crate::admin::RestoreReport;
use crate::member::Member;
use crate::runtime::shared::Shared;
use crate::stats::{ReplicaStats, Stats, role_name, state_name};
use crate::sync::Ordering;
use rep_net::Transport;
use rep_node::{MemberStatus, MemberType, NodeStatus, Progress};
use rep_vlsn::Incarnation;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// So long before its certificate expires a node says that it will.
const EXPIRY_DAYS: u64 = 30;

/// One node's account of itself and its group. Places in the log are written `term.vlsn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatusReport {
    /// The group's name.
    pub group_name: String,
    /// The group's identity, in hex, once it is founded.
    pub group: Option<String>,
    /// The node that answers.
    pub me: Member,
    /// Its incarnation, in hex.
    pub incarnation: String,
    /// What it is: `detached`, `unknown`, `master`, `replica` or `shutdown`.
    pub state: String,
    /// Why it is that.
    pub reason: String,
    /// What it does: `idle`, `replica`, `candidate` or `leader`.
    pub role: String,
    /// The term.
    pub term: u64,
    /// The master, if it knows one.
    pub master: Option<Member>,
    /// Who gives it its entries: the master, or for some secondaries a replica.
    pub source: Option<Member>,
    /// The members.
    pub members: Vec<MemberReport>,
    /// The first entry that its log holds.
    pub first: u64,
    /// The last entry that its log holds.
    pub last: String,
    /// The last entry that it has on stable storage.
    pub synced: u64,
    /// The last entry known to be on stable storage at a commit quorum.
    pub dvlsn: u64,
    /// The last entry known to be acknowledged as asked.
    pub cvlsn: u64,
    /// The last entry in its store.
    pub applied: String,
    /// The entry that says who belongs, `term.vlsn`; `None` before there is a group.
    pub membership_at: Option<String>,
    /// What is being changed of who belongs, in words.
    pub changing: Option<String>,
    /// Why this node is not admitted to its group yet, if it wants to be.
    pub joining: Option<String>,
    /// The copy of the state that it is given, or was given last since it was opened.
    pub restore: Option<RestoreReport>,
    /// What is wrong, in plain words; empty if nothing is.
    pub problems: Vec<String>,
    /// When its certificate expires, in ms since the Unix epoch; `None` if it speaks no TLS.
    pub certificate_expires_ms: Option<u64>,
    /// Numbers.
    pub stats: Stats,
    /// Milliseconds since it was opened.
    pub uptime_ms: u64,
}

/// One member as the node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberReport {
    /// Who.
    pub member: Member,
    /// What it is for.
    #[serde(with = "crate::membership::by_name")]
    pub kind: MemberType,
    /// How much it is preferred as master, among equals.
    pub priority: u32,
    /// Whether it is the master.
    pub is_master: bool,
    /// Whether it is the node that answers.
    pub is_me: bool,
    /// How it is reached; of the node itself, nothing.
    pub replica: Option<ReplicaStats>,
}

/// A digest over the ordered (database, key, value) of one applied point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppliedDigest {
    /// The last entry that it covers, `term.vlsn`.
    pub applied: String,
    /// The digest, in hex.
    pub digest: String,
}

impl AppliedDigest {
    pub(crate) fn new(applied: rep_vlsn::LogPoint, digest: impl ToString) -> Self {
        AppliedDigest { applied: applied.to_string(), digest: digest.to_string() }
    }
}

/// The report of a running node; `None` if it does not answer and never has.
pub(crate) fn of(
    shared: &Shared,
    incarnation: Incarnation,
    transport: &dyn Transport,
) -> Option<StatusReport> {
    let status = shared.ask_status()?;
    let stats = stats_of(shared, Some(&status));
    let me = shared.directory.member(status.me)?;
    let members = status.members.iter().filter_map(|member| {
        let known = shared.directory.member(member.id)?;
        Some(MemberReport {
            kind: member.kind,
            priority: member.priority,
            is_master: status.master == Some(member.id),
            is_me: member.id == status.me,
            replica: stats.replicas.iter().find(|replica| replica.name == known.name).cloned(),
            member: known,
        })
    });
    let mut problems = status.problems.clone();
    problems.extend(comes_back(shared, &status));
    let joining = shared.joining.lock().clone();
    problems.extend(joining.as_ref().map(|why| format!("no member yet: {why}")));
    problems.extend(shared.failure().map(|failure| format!("halted: {failure}")));
    problems.extend(shared.shipments.problems(status.dvlsn));
    problems.extend(shared.scrubbing.problems());
    problems.extend(full_budgets(shared, stats.overlay_bytes));
    let expires = transport.proof_expires();
    problems.extend(expires.and_then(|expires| expiring(expires, SystemTime::now())));
    problems.dedup();
    Some(StatusReport {
        group_name: shared.group_name.clone(),
        group: status.group.map(|group| group.to_string()),
        incarnation: incarnation.to_string(),
        state: state_name(status.state).to_owned(),
        reason: shared.board.reason().to_owned(),
        role: role_name(status.role).to_owned(),
        term: status.term.get(),
        master: status.master.and_then(|master| shared.directory.member(master)),
        source: status.source.and_then(|source| shared.directory.member(source)),
        members: members.collect(),
        first: status.first.get(),
        last: status.last.to_string(),
        synced: status.synced.get(),
        dvlsn: status.dvlsn.get(),
        cvlsn: status.cvlsn.get(),
        applied: status.applied.to_string(),
        membership_at: (!status.membership_at.vlsn.is_null())
            .then(|| status.membership_at.to_string()),
        changing: status.changing.clone(),
        joining,
        restore: shared.copy.report(),
        problems,
        certificate_expires_ms: expires
            .and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_millis() as u64)),
        stats,
        uptime_ms: shared.clock.now().as_millis() as u64,
        me,
    })
}

/// Why this node, which had a directory that was damaged, is not yet what it was.
pub(crate) fn comes_back(shared: &Shared, status: &NodeStatus) -> Option<String> {
    let is_back =
        |member: &MemberStatus| member.id == status.me && member.kind != MemberType::Learner;
    let damage = shared.damage.lock().clone();
    damage.filter(|_| !status.members.iter().any(is_back))
}

/// A certificate that is good for long is nobody's problem yet.
fn expiring(expires: SystemTime, now: SystemTime) -> Option<String> {
    let Ok(left) = expires.duration_since(now) else {
        return Some(
            "certificate: it has expired, and nobody lets this node in any more: renew it"
                .to_owned(),
        );
    };
    let days = left.as_secs() / (24 * 60 * 60);
    (days < EXPIRY_DAYS).then(|| format!("certificate: it expires in {days} days: renew it"))
}

/// What only the driver knows of why writes wait. A budget takes what fits into it, and so is hardly ever full to the byte: it is full when
/// somebody waits for it.
fn full_budgets(shared: &Shared, overlay_bytes: u64) -> impl Iterator<Item = String> {
    let wait = shared.overlay_waiting.load(Ordering::Relaxed) > 0;
    let of = |bytes, bytes_max, what| format!("writes wait: {bytes} of {bytes_max} bytes {what}");
    let overlay_max = shared.limits.overlay_bytes_max;
    let overlay = wait.then(|| of(overlay_bytes, overlay_max, "are committed and not applied yet"));
    let disk = shared.credit.full();
    let disk = disk.map(|bytes| of(bytes, shared.credit.bytes_max(), "wait for this node's disk"));
    overlay.into_iter().chain(disk)
}

/// The counters, and what the node knows of the other members.
pub(crate) fn stats_of(shared: &Shared, status: Option<&NodeStatus>) -> Stats {
    let mut stats = shared.counters.picture();
    stats.overlay_bytes = shared.pipeline.bytes();
    stats.unsynced_bytes = shared.credit.unsynced_bytes();
    let shipped = shared.shipments.lag(shared.shown.dvlsn());
    stats.shipped = shipped.map(|(last, _)| last.get());
    stats.ship_lag = shipped.map(|(_, lag)| lag);
    let Some(status) = status else { return stats };
    let others = status.members.iter().filter(|member| member.id != status.me);
    stats.replicas = others.map(|member| replica_stats(shared, status, member)).collect();
    stats
}

fn replica_stats(shared: &Shared, status: &NodeStatus, member: &MemberStatus) -> ReplicaStats {
    let mut replica = ReplicaStats {
        name: shared.directory.name_of(member.id),
        state: member.stream.as_ref().map(progress_name).unwrap_or_default().to_owned(),
        connected: member.connected,
        received: member.received.map(|received| received.get()),
        synced: member.synced.map(|synced| synced.get()),
        fed_by: member.fed_by.map(|relay| shared.directory.name_of(relay)),
        lag: member.synced.map(|synced| status.last.vlsn.distance_from(synced)),
        round_trip_us: member.round_trip.map(|time| time.as_micros() as u64),
        round_trips_us: member
            .round_trips
            .iter()
            .map(|(id, time)| (shared.directory.name_of(*id), time.as_micros() as u64))
            .collect(),
        ..ReplicaStats::default()
    };
    let counters = shared.counters.peer(member.id);
    replica.sent = counters.sent.get();
    let heard = counters.heard_ms.get().checked_sub(1);
    replica.heard_ms_ago =
        heard.map(|heard| (shared.clock.now().as_millis() as u64).saturating_sub(heard));
    replica.frames_received = counters.frames_received.get();
    replica.bytes_received = counters.bytes_received.get();
    replica.frames_sent = counters.frames_sent.get();
    replica.bytes_sent = counters.bytes_sent.get();
    replica
}

fn progress_name(progress: &Progress) -> &'static str {
    match progress {
        Progress::Probe => "probe",
        Progress::Stream { .. } => "stream",
        Progress::Restore => "restore",
        Progress::Closed => "closed",
        _ => "other",
    }
}
