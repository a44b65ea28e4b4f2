//! Is the master late?
//!
//! Two questions with two answers. *May others stand?* As soon as the master has been silent for the
//! election timeout. *Shall I stand?* A random while later, so that not everyone stands at once. A closed
//! connection whose redial is refused answers both at once: a dead process costs no timeout.

use std::time::Duration;

/// Signals and `now` go in, a verdict comes out.
#[derive(Clone, Debug)]
pub struct Detector {
    timeout: Duration,
    jitter: Duration,
    heard_at: Option<Duration>,
    stand_at: Duration,
}

impl Detector {
    /// Nobody has been heard yet; `jitter` is what this node waits beyond the timeout before it stands.
    pub fn new(timeout: Duration, jitter: Duration, now: Duration) -> Self {
        Detector { timeout, jitter, heard_at: None, stand_at: now + timeout + jitter }
    }

    /// The master was heard.
    pub fn hear(&mut self, now: Duration) {
        self.heard_at = Some(now);
        self.stand_at = now + self.timeout + self.jitter;
    }

    /// The master's connection closed and its redial was refused: it is silent from now on, and this node
    /// stands after `stagger`. A master who is silent already is not lost twice.
    pub fn lose(&mut self, now: Duration, stagger: Duration) {
        if self.heard_at.take().is_some() {
            self.stand_at = now + stagger;
        }
    }

    /// There is no master to be heard any more; this node waits its whole time before it stands.
    pub fn forget(&mut self, now: Duration, jitter: Duration) {
        *self = Detector::new(self.timeout, jitter, now);
    }

    /// Takes another jitter for the silences to come.
    pub fn redraw(&mut self, jitter: Duration) {
        self.jitter = jitter;
    }

    /// Whether a master was heard within the timeout: then nobody else may stand.
    pub fn hears_master(&self, now: Duration) -> bool {
        self.heard_at.is_some_and(|heard| now < heard + self.timeout)
    }

    /// When this node stands, if it hears nothing until then.
    pub fn stand_at(&self) -> Duration {
        self.stand_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn others_may_stand_after_the_timeout_and_i_after_the_jitter() {
        let mut detector = Detector::new(ms(600), ms(100), ms(0));
        assert!(!detector.hears_master(ms(0)));
        assert_eq!(detector.stand_at(), ms(700));
        detector.hear(ms(1000));
        assert!(detector.hears_master(ms(1599)));
        assert!(!detector.hears_master(ms(1600)));
        assert_eq!(detector.stand_at(), ms(1700));
    }

    #[test]
    fn a_lost_master_is_silent_at_once_and_only_once() {
        let mut detector = Detector::new(ms(600), ms(100), ms(0));
        detector.hear(ms(10));
        detector.lose(ms(20), ms(5));
        assert!(!detector.hears_master(ms(20)));
        assert_eq!(detector.stand_at(), ms(25));
        detector.lose(ms(24), ms(30));
        assert_eq!(detector.stand_at(), ms(25), "a second refusal delays nothing");
        detector.hear(ms(26));
        assert!(detector.hears_master(ms(26)));
    }
}
