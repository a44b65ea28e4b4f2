//! What there is to tell of the copy that this member is given: the present one, or the last one of this run.
//!
//! What is done, and when, the node says; here it is put into words for listeners and for `rep status`.

use crate::admin::{RestoreReport, RestoreStage};
use crate::events::{RestoreEvent, RestoreProgress};
use crate::sync::Mutex;
use rep_node::rep_stream::restore::SinkStats;
use rep_vlsn::LogPoint;
use std::time::Duration;

/// Listeners are told of progress so often at most.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Account(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    report: Option<RestoreReport>,
    /// When the present source began to give.
    began: Duration,
    /// When listeners were told of progress last, for this source.
    told: Option<Duration>,
}

/// What has come of a copy, and how much of it is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    pub(crate) bytes: u64,
    pub(crate) remaining: Option<u64>,
}

impl Came {
    /// A source counts what it gives in a unit of its own, and chunks that are here already as well as others: a chunk of those counts as one of the others.
    pub(crate) fn of(stats: &SinkStats) -> Self {
        let SinkStats { chunks, bytes, known, given, .. } = *stats;
        let remaining = given.filter(|(given, all)| chunks > 0 && *given > 0 && given <= all);
        let remaining = remaining.map(|(given, all)| {
            let here = u128::from(bytes) * u128::from(chunks + known) / u128::from(chunks);
            // A source may say what it likes.
            let remaining = here.saturating_mul(u128::from(all - given)) / u128::from(given);
            u64::try_from(remaining).unwrap_or(u64::MAX)
        });
        Came { bytes, remaining }
    }
}

impl Account {
    pub(crate) fn report(&self) -> Option<RestoreReport> {
        self.0.lock().report.clone()
    }

    /// A copy is needed, or was ordered from somebody. That it is needed is said each time that a master is asked for a stream.
    pub(crate) fn begin(&self, ordered_from: Option<String>) {
        let mut inner = self.0.lock();
        let number = inner.report.as_ref().map_or(0, |report| report.number);
        if inner.report.as_ref().is_none_or(|report| report.stage.is_end()) {
            inner.report = Some(RestoreReport::new(number + 1, ordered_from));
        }
    }

    pub(crate) fn began(&self, source: String, now: Duration) -> RestoreEvent {
        self.change(|inner, report| {
            (inner.began, inner.told) = (now, None);
            (report.stage, report.source) = (RestoreStage::Fetching, Some(source.clone()));
            (report.bytes, report.remaining_bytes, report.bytes_per_s) = (0, None, 0);
        });
        RestoreEvent::Began { source }
    }

    /// Progress is shown at once, and told now and then.
    pub(crate) fn came(&self, came: Came, now: Duration) -> Option<RestoreEvent> {
        let mut event = None;
        self.change(|inner, report| {
            let taken = now.saturating_sub(inner.began);
            let source = report.source.clone().unwrap_or_default();
            let per_s = u128::from(came.bytes) * 1_000 / taken.as_millis().max(1);
            let bytes_per_s = u64::try_from(per_s).unwrap_or(u64::MAX);
            report.bytes = came.bytes;
            (report.remaining_bytes, report.bytes_per_s) = (came.remaining, bytes_per_s);
            report.taken_ms = taken.as_millis() as u64;
            if inner.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY) {
                inner.told = Some(now);
                let Came { bytes, remaining: remaining_bytes } = came;
                event =
                    Some(RestoreProgress { source, bytes, remaining_bytes, bytes_per_s, taken });
            }
        });
        event.map(RestoreEvent::Progress)
    }

    pub(crate) fn failed(&self, why: String) -> RestoreEvent {
        self.change(|_, report| {
            (report.stage, report.source) = (RestoreStage::Waiting, None);
            report.why = Some(why.clone());
        });
        RestoreEvent::Failed { why }
    }

    pub(crate) fn fetched(&self, point: LogPoint) -> RestoreEvent {
        self.change(|_, report| {
            (report.stage, report.remaining_bytes) = (RestoreStage::Installing, Some(0));
        });
        RestoreEvent::Fetched { point }
    }

    /// Maybe one that an earlier run has fetched.
    pub(crate) fn installed(&self, point: LogPoint) -> RestoreEvent {
        self.begin(None);
        self.change(|_, report| {
            (report.stage, report.remaining_bytes) = (RestoreStage::Installed, Some(0));
            report.why = None;
        });
        RestoreEvent::Installed { point }
    }

    pub(crate) fn ended(&self, why: String) -> RestoreEvent {
        self.change(|_, report| {
            report.stage = RestoreStage::GivenUp;
            report.why = Some(why.clone());
        });
        RestoreEvent::GivenUp { why }
    }

    fn change(&self, change: impl FnOnce(&mut Inner, &mut RestoreReport)) {
        let mut inner = self.0.lock();
        if let Some(mut report) = inner.report.take() {
            change(&mut inner, &mut report);
            inner.report = Some(report);
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use rep_vlsn::{Term, Vlsn};

    const S: Duration = Duration::from_secs(1);

    fn came(bytes: u64) -> Came {
        Came { bytes, remaining: Some(100 - bytes) }
    }

    #[test]
    fn progress_is_shown_at_once_and_told_once_a_second() {
        let account = Account::default();
        account.begin(Some("n2".into()));
        account.began("n2".into(), S);
        let events: Vec<_> = (10..30)
            .filter_map(|tenth| account.came(came(tenth), Duration::from_millis(100 * tenth)))
            .collect();
        let bytes: Vec<u64> = events
            .iter()
            .map(|event| match event {
                RestoreEvent::Progress(progress) => progress.bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(bytes, [10, 20]);
        let report = account.report().unwrap();
        assert_eq!((report.bytes, report.remaining_bytes), (29, Some(71)));
        assert_eq!((report.bytes_per_s, report.taken_ms), (15, 1_900));
    }

    #[test]
    fn one_copy_is_told_from_the_next_by_its_number() {
        let account = Account::default();
        assert_eq!(account.report(), None);
        account.begin(None);
        account.begin(None);
        account.began("n2".into(), S);
        account.failed("busy".into());
        let report = account.report().unwrap();
        assert_eq!((report.number, report.stage, report.source), (1, RestoreStage::Waiting, None));
        account.ended("no more".into());
        let report = account.report().unwrap();
        assert_eq!((report.stage, report.why.as_deref()), (RestoreStage::GivenUp, Some("no more")));
        account.begin(Some("n3".into()));
        account.fetched(LogPoint::NULL);
        account.installed(LogPoint::new(Term::new(1), Vlsn::new(7)));
        let report = account.report().unwrap();
        assert_eq!((report.number, report.stage), (2, RestoreStage::Installed));
        assert_eq!((report.ordered_from.as_deref(), report.why), (Some("n3"), None));
    }

    #[test]
    fn what_is_to_come_is_reckoned_from_what_came() {
        let stats = |chunks, bytes, known, given| {
            let mut stats = SinkStats::default();
            (stats.chunks, stats.bytes, stats.known, stats.given) = (chunks, bytes, known, given);
            Came::of(&stats).remaining
        };
        assert_eq!(stats(2, 100, 0, Some((1, 4))), Some(300));
        // As many chunks were here before: three quarters of the state are left, of twice as many bytes.
        assert_eq!(stats(2, 100, 2, Some((1, 4))), Some(600));
        assert_eq!(stats(2, 100, 0, Some((4, 4))), Some(0));
        for unknown in [None, Some((0, 4)), Some((5, 4))] {
            assert_eq!(stats(2, 100, 0, unknown), None);
        }
        assert_eq!(stats(0, 0, 7, Some((1, 4))), None);
        assert_eq!(stats(1, u64::MAX, u64::from(u32::MAX), Some((1, u64::MAX))), Some(u64::MAX));
    }
}
