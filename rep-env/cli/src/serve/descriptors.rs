//! How many files and sockets this process may have open.
//!
//! Every client is a socket. The usual limit, 1024, is for programs that use `select`, which cannot name more of them; any
//! process may raise it as far as its hard limit. Left as it is, a member that has as many clients as it may have could
//! neither refuse one more in words nor take a connection of another member.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a member needs beside its clients: its log and store, connections of members both ways, whoever asks for status.
const OWN: u64 = 256;

/// Raises the limit as far as this process may, and warns if it is less than `clients` and the member itself need.
pub(super) fn raise(clients: usize) {
    let limit =
        raised(getrlimit(Resource::Nofile), |limit| setrlimit(Resource::Nofile, limit).is_ok());
    let needed = clients as u64 + OWN;
    if let Some(limit) = too_few(limit, needed) {
        tracing::warn!(
            limit,
            needed,
            "too few files and sockets may be open for {clients} clients (`ulimit -n`): later ones may get no answer"
        );
    }
}

/// The limit that is in force after `set` was tried; none if there is none.
fn raised(before: Rlimit, set: impl FnOnce(Rlimit) -> bool) -> Option<u64> {
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current == before.maximum || set(wanted) { before.maximum } else { before.current }
}

fn too_few(limit: Option<u64>, needed: u64) -> Option<u64> {
    limit.filter(|limit| *limit < needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one_and_stays_if_that_fails() {
        let before = Rlimit { current: Some(1024), maximum: Some(4096) };
        let set = |limit: Rlimit| (limit.current, limit.maximum) == (Some(4096), Some(4096));
        assert_eq!(raised(before, set), Some(4096));
        assert_eq!(raised(before, |_| false), Some(1024));
        let unlimited = Rlimit { current: Some(1024), maximum: None };
        assert_eq!(raised(unlimited, |limit| limit.current.is_none()), None);
        let highest = Rlimit { current: before.maximum, maximum: before.maximum };
        assert_eq!(raised(highest, |_| panic!("there is nothing to raise")), Some(4096));
    }

    #[test]
    fn what_is_told_of_is_a_limit_below_what_is_needed() {
        assert_eq!(too_few(Some(1279), 1280), Some(1279));
        assert_eq!(too_few(Some(1280), 1280), None);
        assert_eq!(too_few(None, 1280), None);
    }
}
