//! What leaves the group for good: I-50.

use super::{Checked, Invariant, Oracle, ensure};
use crate::trace::digest;
use bytes::Bytes;
use rep_vlsn::LogPoint;

impl Oracle {
    /// All that a sink holds, and the last entry of which it has ever said that it has it: one stretch of what is durable in the group, and as
    /// long as that.
    pub(crate) fn shipped(&self, held: &[(LogPoint, Bytes)], acknowledged: u64) -> Checked {
        let last = held.last().map_or(0, |(point, _)| point.vlsn.get());
        ensure(last >= acknowledged, Invariant::ShippedWhole, || {
            format!("a sink ends with entry {last}, and had said that it has {acknowledged}")
        })?;
        let Some((first, _)) = held.first() else { return Ok(()) };
        let before = first.vlsn.get() as usize - 1;
        let known = before == 0 || before <= self.claims.len();
        ensure(known, Invariant::ShippedWhole, || {
            format!("a sink begins with {first}, and what is before that is not durable")
        })?;
        let mut chain = before.checked_sub(1).map_or(0, |at| self.claims[at].chain);
        for (at, (point, bytes)) in (before..).zip(held) {
            chain = digest(chain, bytes);
            let is_claimed =
                |claim: &super::Claim| (claim.term, claim.chain) == (point.term, chain);
            let follows = point.vlsn.get() == at as u64 + 1;
            let durable = self.claims.get(at).is_some_and(is_claimed);
            ensure(follows && durable, Invariant::ShippedWhole, || {
                format!(
                    "a sink that begins with {first} has {point} in the place of entry {}, where the group has {:?}",
                    at + 1,
                    self.claimed_term(at as u64 + 1)
                )
            })?;
        }
        Ok(())
    }
}
