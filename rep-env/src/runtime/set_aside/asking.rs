//! Whether the group goes on without what is about to be set aside.
//!
//! Setting aside is giving up: where the others have no master, what lies here may be what they are waiting for. A member that runs is not opened again before that was
//! asked (decision 31); one that was ended in between asks here.

use crate::config::RepConfig;
use crate::join::JoinClient;
use crate::runtime::start::transport_of;
use rep_net::Transport;
use std::time::{Duration, Instant};

/// How many election timeouts the others have for finding a master: all may have been started together.
const PATIENCE: u32 = 8;
/// How long each is waited for, and how often they all are asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Whether one of them says, for two election timeouts, that somebody else than this member is master; asks until that is so, or patience is
/// over. Less would not do: a master that has just lost this member calls itself so until it notices.
pub(in crate::runtime) fn others_have_a_master(config: &RepConfig, helpers: &[String]) -> bool {
    let transport = transport_of(config);
    stays_so(config.timing.election_timeout, || {
        helpers.iter().any(|address| has_a_master(&*transport, config, address))
    })
}

fn stays_so(election_timeout: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + election_timeout * PATIENCE;
    let mut since: Option<Instant> = None;
    loop {
        let so = is_so();
        since = since.or_else(|| Some(Instant::now())).filter(|_| so);
        if since.is_some_and(|since| since.elapsed() >= 2 * election_timeout) {
            return true;
        }
        if since.is_none() && Instant::now() >= until {
            return false;
        }
        std::thread::park_timeout(ASK_EVERY);
    }
}

fn has_a_master(transport: &dyn Transport, config: &RepConfig, address: &str) -> bool {
    let me = (&*config.group, &*config.name);
    let client = JoinClient::connect(transport, me, address, ANSWER_WITHIN);
    let master = client.and_then(|client| client.master(ANSWER_WITHIN)).ok().flatten();
    master.is_some_and(|master| master.name != config.name)
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn who_is_called_master_once_is_not_believed_and_who_is_for_long_is() {
        let timeout = Duration::from_millis(20);
        let mut asked = 0;
        let once = stays_so(timeout, || {
            asked += 1;
            asked == 1
        });
        assert!(!once && asked > 1, "a master that has lost this member says so no more");
        assert!(stays_so(timeout, || true));
        assert!(!stays_so(timeout, || false));
    }
}
