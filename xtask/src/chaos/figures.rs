//! What a run counted and measured.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of one scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) rounds: u64,
    /// From the fault until a write that was asked after it was acknowledged, by whom the fault met.
    pub(super) served: BTreeMap<&'static str, Vec<Duration>>,
    /// From the end of the fault until one master streamed to all.
    pub(super) synced: BTreeMap<&'static str, Vec<Duration>>,
    /// Writes of the journal.
    pub(super) acked: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    /// Operations in the histories that were judged, and how many histories were.
    pub(super) operations: u64,
    pub(super) histories: u64,
    /// Packets that arrived, and that did not.
    pub(super) packets: (u64, u64),
    /// Until the last process held no more files and threads than at the beginning, at most.
    pub(super) settled: Duration,
    /// What else happened, how often.
    pub(super) notes: BTreeMap<String, u64>,
}

impl Figures {
    pub(super) fn note(&mut self, what: impl Into<String>) {
        *self.notes.entry(what.into()).or_default() += 1;
    }

    /// A few lines for people.
    pub(super) fn print(&self, scenario: &str) {
        println!(
            "{scenario}: {} rounds; {} writes acknowledged, {} refused, {} unknown; {} operations in {} histories; packets {} + {} dropped",
            self.rounds,
            self.acked,
            self.refused,
            self.unknown,
            self.operations,
            self.histories,
            self.packets.0,
            self.packets.1,
        );
        for (what, times) in [("served again", &self.served), ("in sync again", &self.synced)] {
            for (whom, times) in times {
                println!("  {whom:<10} {what:<14} {:>4} x  {}", times.len(), Spread::of(times));
            }
        }
        println!(
            "  files and threads as at the beginning after {} ms at most",
            self.settled.as_millis()
        );
        for (what, count) in &self.notes {
            println!("  {count:>4} x  {what}");
        }
    }

    /// For a table that is made of several runs.
    pub(super) fn json(&self, scenario: &str, store: &str, seed: u64) -> Value {
        json!({
            "scenario": scenario, "store": store, "seed": seed, "rounds": self.rounds, "acked": self.acked,
            "refused": self.refused, "unknown": self.unknown, "operations": self.operations,
            "histories": self.histories, "packets": [self.packets.0, self.packets.1], "notes": self.notes,
            "settled_ms": self.settled.as_millis() as u64,
            "served_ms": millis(&self.served), "synced_ms": millis(&self.synced),
        })
    }
}

fn millis(times: &BTreeMap<&'static str, Vec<Duration>>) -> Value {
    let of = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let all = |times: &Vec<Duration>| times.iter().map(of).collect::<Vec<u64>>();
    times.iter().map(|(whom, times)| ((*whom).to_owned(), json!(all(times)))).collect()
}

/// Median, 99th percentile and maximum.
#[derive(Debug, PartialEq, Eq)]
struct Spread {
    median: Duration,
    p99: Duration,
    max: Duration,
}

impl Spread {
    fn of(times: &[Duration]) -> Spread {
        let mut sorted = times.to_vec();
        sorted.sort();
        let at = |per_mille: usize| {
            let rank = (sorted.len() * per_mille).div_ceil(1000).max(1) - 1;
            sorted.get(rank).copied().unwrap_or_default()
        };
        Spread { median: at(500), p99: at(990), max: at(1000) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_millis();
        let Spread { median, p99, max } = self;
        write!(formatter, "median {} ms, p99 {} ms, max {} ms", ms(*median), ms(*p99), ms(*max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_values_that_were_measured() {
        let ms = Duration::from_millis;
        let times: Vec<Duration> = (1..=100).rev().map(ms).collect();
        assert_eq!(Spread::of(&times), Spread { median: ms(50), p99: ms(99), max: ms(100) });
        assert_eq!(Spread::of(&[ms(7)]), Spread { median: ms(7), p99: ms(7), max: ms(7) });
        assert_eq!(Spread::of(&[]).max, Duration::ZERO);
    }
}
