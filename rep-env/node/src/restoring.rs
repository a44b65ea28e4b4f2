//! A member too far behind is given a copy of the state (decision 24).
//!
//! The node decides when a copy is fetched, from whom, and whether what was fetched may be taken; its driver does the
//! fetching, and tells what comes of it. While it is fetched nothing changes: log and promises are whole, so the member votes as
//! any that lags; it follows no stream, so it acknowledges nothing.
//!
//! | stage | what the member does | ends by |
//! |---|---|---|
//! | `Fetching` | votes, goes on asking its master for a stream | the copy is there, or nobody gives it one |
//! | `Waiting` | the same | the pause is over: it asks again |
//! | `Fetched` | nothing at all | the driver opens the directory again, and makes another node |
//!
//! Whoever can follow a stream after all, or reigns, needs no copy: the fetch ends, and what was fetched is of use another time.

use crate::membership::joining::Joining;
use crate::node::Node;
use crate::output::{Event, Output, Request};
use crate::reads::ReadKind;
use rep_vlsn::{LogPoint, NodeId, Vlsn, mutant};
use std::fmt;
use std::time::Duration;

/// A copy that was ordered is asked for so often, then the member goes on as it was.
const ORDER_TRIES: u32 = 5;
/// After a copy that could not be put in place, so many pauses are made before another one is asked for.
const UNPLACED_PAUSES: u32 = 20;

/// One fetch, of those of one run of a node. News of an earlier one is no news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What a driver tells of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreNews {
    /// A source has begun to give.
    Began {
        /// Which.
        source: NodeId,
    },
    /// Chunks have come. Told now and then; the numbers are of the whole fetch.
    Progress {
        /// Their bytes.
        bytes: u64,
        /// How many there are.
        chunks: u64,
        /// How much of the state that is, as far as its source can tell: given, of how much.
        of: Option<(u64, u64)>,
    },
    /// A source gives nothing, or nothing more; the next of the list is asked.
    Refused {
        /// Which.
        by: NodeId,
        /// Why, in words.
        reason: String,
    },
    /// No source is left to ask, or nothing can be kept here: the fetch is over.
    Failed {
        /// Why, in words.
        why: String,
    },
    /// All of it is there, and nothing of it is in place. Answered by [`Output::Reopen`] or [`Output::FetchNoMore`].
    Fetched {
        /// The last entry that the state holds.
        point: LogPoint,
    },
}

/// Why a copy is not fetched as it was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRestored {
    /// The node is closed or halted.
    Closed,
    /// A master has what there is: whoever is to get a copy hands its mastership over first.
    Master,
    /// No such member, or this one itself.
    UnknownSource {
        /// Which.
        source: NodeId,
    },
    /// A copy is being fetched already.
    InProgress,
    /// This member is an arbiter or a monitor.
    HoldsNoData,
}

impl fmt::Display for NotRestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRestored::Closed => write!(f, "the node is closed"),
            NotRestored::Master => {
                write!(f, "this node is the master: it has what there is; hand the mastership over")
            }
            NotRestored::UnknownSource { source } => {
                write!(f, "{source} is no other member of this group")
            }
            NotRestored::InProgress => write!(f, "this node is being given a copy already"),
            NotRestored::HoldsNoData => write!(
                f,
                "this node holds no data, and is to hold none: it votes or watches by what it is told"
            ),
        }
    }
}

impl std::error::Error for NotRestored {}

/// Why the fetching of a copy is not ended as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotCancelled {
    /// The node is closed or halted.
    Closed,
    /// No copy is being fetched.
    NoRestore,
    /// Nobody ordered it: without a copy this member has nowhere to go on from.
    NotOrdered,
    /// All of it is here, and is being put in place.
    Complete,
}

impl fmt::Display for NotCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotCancelled::Closed => "the node is closed",
            NotCancelled::NoRestore => "no copy is being fetched",
            NotCancelled::NotOrdered => {
                "nobody ordered this copy: the logs of the group begin after what this member needs, so it has nowhere else to go on from"
            }
            NotCancelled::Complete => "the copy is complete, and is being put in place",
        })
    }
}

impl std::error::Error for NotCancelled {}

/// A read that waits at a node which is about to be replaced by another.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WaitingRead {
    /// Whose.
    pub request: Request,
    /// What it asks for.
    pub kind: ReadKind,
    /// When it has waited for too long.
    pub deadline: Duration,
}

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreProgress {
    /// Who gives, once somebody does.
    pub source: Option<NodeId>,
    /// Bytes of the chunks that are here.
    pub bytes: u64,
    /// How many chunks are here.
    pub chunks: u64,
    /// How much of the state that is, as far as its source can tell: given, of how much.
    pub of: Option<(u64, u64)>,
    /// For how long it has been fetched.
    pub taken: Duration,
}

/// A member that is being given a copy.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// What the copy has to hold, to be of use.
    at_least: Vlsn,
    /// Who is to give it, and how often that was tried; `None` if the member is stranded.
    order: Option<(NodeId, u32)>,
    stage: Stage,
    /// The last fetch's end, if it was none to wish for.
    trouble: Option<String>,
    /// The master's log went on beyond a copy while that was fetched: a copy of the master's own keeps its log from that.
    outrun: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Fetching { fetch: FetchId, since: Duration, progress: RestoreProgress },
    Waiting { until: Duration },
    Fetched,
}

impl Restoring {
    fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// In words: whether it waits, and for what.
    pub(crate) fn waits_for(&self) -> Option<(Vlsn, String)> {
        let trouble = || self.trouble.clone().unwrap_or_else(|| "nobody was asked yet".to_owned());
        matches!(self.stage, Stage::Waiting { .. }).then(|| (self.at_least, trouble()))
    }
}

impl Node {
    // ---- what begins it ----

    /// Asks `source` for a copy, although this member may not need one. It follows no stream meanwhile.
    ///
    /// # Errors
    ///
    /// [`NotRestored`], and nothing has changed.
    pub fn restore_from(&mut self, now: Duration, source: NodeId) -> Result<(), NotRestored> {
        self.clock = now;
        self.check_order(source)?;
        self.restoring = Some(Restoring {
            at_least: self.log.last().vlsn,
            order: Some((source, 0)),
            stage: Stage::Waiting { until: now },
            trouble: None,
            outrun: false,
        });
        self.because("a copy was ordered");
        self.event(Event::RestoreOrdered { source });
        self.leave_stream();
        self.begin_fetch(now);
        self.settle(now);
        Ok(())
    }

    /// Ends the fetching of a copy that was [ordered](Node::restore_from), as long as that is not complete; the member goes on as it was. What was
    /// fetched is of use another time.
    ///
    /// # Errors
    ///
    /// [`NotCancelled`], and nothing has changed.
    pub fn cancel_restore(&mut self, now: Duration) -> Result<(), NotCancelled> {
        self.clock = now;
        match &self.restoring {
            _ if self.is_ended() => return Err(NotCancelled::Closed),
            None => return Err(NotCancelled::NoRestore),
            Some(Restoring { stage: Stage::Fetched, .. }) => return Err(NotCancelled::Complete),
            Some(restoring) if !restoring.is_ordered() => return Err(NotCancelled::NotOrdered),
            Some(_) => {}
        }
        self.end_restore("it was cancelled".to_owned());
        self.seek_source(now);
        self.settle(now);
        Ok(())
    }

    fn check_order(&self, source: NodeId) -> Result<(), NotRestored> {
        let is_other = source != self.config.me && self.others().any(|id| id == source);
        match &self.restoring {
            _ if self.is_ended() => Err(NotRestored::Closed),
            // With a log it would vote by that, and not by what it has vouched for.
            _ if self.lacks_data() => Err(NotRestored::HoldsNoData),
            // Another node is about to take its place, with a copy or with a number.
            _ if self.is_making_way() => Err(NotRestored::InProgress),
            _ if self.reign.is_some() => Err(NotRestored::Master),
            _ if !is_other => Err(NotRestored::UnknownSource { source }),
            Some(_) => Err(NotRestored::InProgress),
            None => Ok(()),
        }
    }

    /// The master's log begins after what this member needs.
    pub(crate) fn strand(&mut self, now: Duration, source_first: Vlsn) {
        // Not this log's own last entry: what lies behind it may be all of an earlier term, never durable, and longer than what is.
        let at_least = source_first;
        match &mut self.restoring {
            Some(restoring) => restoring.at_least = restoring.at_least.max(at_least),
            None => {
                let stage = Stage::Waiting { until: now };
                let (order, trouble, outrun) = (None, None, false);
                self.restoring = Some(Restoring { at_least, order, stage, trouble, outrun });
                match self.config.unplaced {
                    // What stood in its way may stand there still, and each time the member falls silent.
                    true => self.fetch_after(
                        now,
                        UNPLACED_PAUSES,
                        "the last copy could not be put in place".into(),
                    ),
                    false => self.begin_fetch(now),
                }
            }
        }
    }

    /// Whether the member stays away from streams: by order, or because it is about to be replaced.
    pub(crate) fn shuns_streams(&self) -> bool {
        self.restoring.as_ref().is_some_and(Restoring::is_ordered)
    }

    /// A stream gives what a copy was to give, or this member reigns, or it ends.
    pub(crate) fn needs_no_copy(&mut self, why: &'static str) {
        self.end_restore(why.to_owned());
    }

    fn end_restore(&mut self, why: String) {
        let Some(Restoring { stage, .. }) = self.restoring.take() else { return };
        if let Stage::Fetching { .. } = stage {
            self.output(Output::FetchNoMore);
        }
        self.event(Event::RestoreEnded { why });
    }

    // ---- fetching ----

    fn begin_fetch(&mut self, now: Duration) {
        let Some(restoring) = &self.restoring else { return };
        let order = restoring.order;
        let anything = mutant!("restore-asks-for-anything");
        let at_least = if anything { Vlsn::NULL } else { restoring.at_least };
        let sources = match order {
            Some((source, _)) => vec![source],
            None => self.sources(),
        };
        if sources.is_empty() {
            return self.fetch_later(now, "there is no other member".to_owned());
        }
        self.fetches += 1;
        let fetch = FetchId(self.fetches);
        self.enter(Stage::Fetching { fetch, since: now, progress: RestoreProgress::default() });
        self.output(Output::Fetch { fetch, sources, at_least });
    }

    /// Whom to ask: the replicas, those first that have least to do and are near, and then the master, which has enough to do. The other way round if a copy was put in
    /// place and no stream came of it: a replica may be behind what the master's log begins with.
    fn sources(&self) -> Vec<NodeId> {
        let round_trips = self.links.round_trips();
        let far = |id: NodeId| round_trips.get(&id).copied().unwrap_or(Duration::MAX);
        let master = self.master();
        let mut sources: Vec<NodeId> = self.others().filter(|id| self.holds_data(*id)).collect();
        let outrun = self.restoring.as_ref().is_some_and(|restoring| restoring.outrun);
        let master_first = outrun || self.config.restored.is_some();
        let rank = |id: NodeId| {
            let (in_doubt, copies, far) = self.load_of(id).rank(far(id));
            (in_doubt, (Some(id) == master) != master_first, copies, far, id)
        };
        sources.sort_by_key(|id| rank(*id));
        sources
    }

    fn enter(&mut self, next: Stage) {
        if let Some(restoring) = &mut self.restoring {
            restoring.stage = next;
        }
    }

    fn fetch_later(&mut self, now: Duration, why: String) {
        self.fetch_after(now, 1, why);
    }

    fn fetch_after(&mut self, now: Duration, pauses: u32, why: String) {
        let until = now + self.config.timing.redial_max * pauses;
        if let Some(restoring) = &mut self.restoring {
            restoring.trouble = Some(why);
            restoring.stage = Stage::Waiting { until };
        }
    }

    /// The driver tells what became of a fetch.
    pub fn handle_restore(&mut self, now: Duration, fetch: FetchId, news: RestoreNews) -> bool {
        self.clock = now;
        if self.is_over() || !self.is_fetching(fetch) {
            return false;
        }
        match news {
            RestoreNews::Began { source } => self.fetch_began(source),
            RestoreNews::Progress { bytes, chunks, of } => {
                if let Some(progress) = self.fetch_progress_mut() {
                    (progress.bytes, progress.chunks, progress.of) = (bytes, chunks, of);
                }
            }
            RestoreNews::Refused { by, reason } => self.source_refuses(by, reason),
            RestoreNews::Failed { why } => self.fetch_failed(now, why),
            RestoreNews::Fetched { point } => self.fetched(now, point),
        }
        self.settle(now);
        true
    }

    fn is_fetching(&self, fetch: FetchId) -> bool {
        let stage = self.restoring.as_ref().map(|restoring| restoring.stage);
        matches!(stage, Some(Stage::Fetching { fetch: own, .. }) if own == fetch)
    }

    fn fetch_progress_mut(&mut self) -> Option<&mut RestoreProgress> {
        match &mut self.restoring.as_mut()?.stage {
            Stage::Fetching { progress, .. } => Some(progress),
            Stage::Waiting { .. } | Stage::Fetched => None,
        }
    }

    fn fetch_began(&mut self, source: NodeId) {
        if let Some(progress) = self.fetch_progress_mut() {
            progress.source = Some(source);
        }
        self.event(Event::RestoreBegan { source });
    }

    fn source_refuses(&mut self, by: NodeId, reason: String) {
        if let Some(progress) = self.fetch_progress_mut() {
            progress.source = None;
        }
        let why = format!("{} gives none: {reason}", self.name_of(by));
        if let Some(restoring) = &mut self.restoring {
            restoring.trouble = Some(why);
        }
    }

    fn fetch_failed(&mut self, now: Duration, why: String) {
        self.event(Event::RestoreFailed { why: why.clone() });
        let order = self.restoring.as_mut().and_then(|restoring| restoring.order.as_mut());
        let is_given_up = order.is_some_and(|(_, tries)| {
            *tries += 1;
            *tries >= ORDER_TRIES
        });
        match is_given_up {
            true => self.end_order(now, why),
            false => self.fetch_later(now, why),
        }
    }

    /// The member goes on as it was before the order.
    fn end_order(&mut self, now: Duration, why: String) {
        // The fetch is over already.
        self.enter(Stage::Waiting { until: now });
        self.end_restore(why);
        self.seek_source(now);
    }

    // ---- the end of it ----

    /// The copy is here. It is taken only if nothing is lost by it.
    fn fetched(&mut self, now: Duration, point: LogPoint) {
        match self.leads_to_a_stream(point).and_then(|()| self.may_take(point)) {
            Ok(()) => self.make_way(point),
            Err(why) => {
                self.output(Output::FetchNoMore);
                self.fetch_failed(now, why);
            }
        }
    }

    /// The master's log may have gone on while the copy was fetched. One that it does not reach any more is not worth the silence; its
    /// chunks are worth keeping.
    fn leads_to_a_stream(&mut self, point: LogPoint) -> Result<(), String> {
        let Some(restoring) = &mut self.restoring else { return Ok(()) };
        if point.vlsn.next() >= restoring.at_least || mutant!("restore-takes-what-leads-nowhere") {
            return Ok(());
        }
        restoring.outrun = true;
        Err(format!("the master's log went on beyond a copy at {point} while that was fetched"))
    }

    /// What this member has acknowledged is in a state that is not below its last entry in rank, or was never durable and cannot become so:
    /// a durable entry of a lower term than the state's lies before the first one of that. And a fence comes before what is of its term.
    fn may_take(&self, point: LogPoint) -> Result<(), String> {
        let last = self.log.last();
        let below = point < last;
        match () {
            () if below && !mutant!("restore-goes-backwards") => {
                Err(format!("a copy at {point} is below the last entry here, {last}"))
            }
            () if point.term > self.durable_fence().term => {
                Err(format!("a copy at {point} is of a term that this node has not heard of"))
            }
            () if self.truncating => Err("the log is being cut".to_owned()),
            () => Ok(()),
        }
    }

    /// From here on this node does nothing: another takes its place, on the directory as it will be then.
    fn make_way(&mut self, point: LogPoint) {
        self.enter(Stage::Fetched);
        self.because("is given a copy");
        self.fall_silent();
        self.event(Event::RestoreFetched { point });
        self.observe();
        self.output(Output::Reopen { point });
    }

    /// Nobody hears of this node any more: another is to take its place.
    pub(crate) fn fall_silent(&mut self) {
        self.unfollow();
        self.give_changes_up();
        let mut watermarks = std::mem::take(&mut self.watermarks);
        let given_up = watermarks.give_up(|point, durability| self.holders(point, durability));
        self.watermarks = watermarks;
        given_up.into_iter().for_each(|(request, outcome)| self.resolve(request, outcome));
        self.close_links();
    }

    /// Whether another node is to take this one's place.
    pub(crate) fn is_making_way(&self) -> bool {
        let stage = self.restoring.as_ref().map(|restoring| restoring.stage);
        if self.joining == Joining::Admitted {
            return true;
        }
        matches!(stage, Some(Stage::Fetched)) && !mutant!("restore-goes-on-meanwhile")
    }

    /// Takes out the reads that wait, for [`Node::read`] of the node that takes this one's place.
    pub fn take_reads(&mut self) -> Vec<WaitingRead> {
        self.reads.take_waiting()
    }

    // ---- time, and what is shown ----

    pub(crate) fn restoring_timeout(&mut self, now: Duration) {
        if self.restoring_next_timeout().is_some_and(|(until, _)| until <= now) {
            self.begin_fetch(now);
        }
    }

    pub(crate) fn restoring_next_timeout(&self) -> Option<(Duration, &'static str)> {
        match self.restoring.as_ref()?.stage {
            Stage::Waiting { until } => Some((until, "fetch")),
            Stage::Fetching { .. } | Stage::Fetched => None,
        }
    }

    /// How far the fetch has come that is under way.
    pub fn restore_progress(&self, now: Duration) -> Option<RestoreProgress> {
        match self.restoring.as_ref()?.stage {
            Stage::Fetching { since, progress, .. } => {
                Some(RestoreProgress { taken: now.saturating_sub(since), ..progress })
            }
            Stage::Waiting { .. } | Stage::Fetched => None,
        }
    }
}
