//! What libFuzzer says of a run.

use std::fmt::{self, Display, Formatter};

/// The numbers of a run, as far as they were said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    executions: u64,
    a_second: u64,
    /// Edges of the code that were taken.
    edges: u64,
    /// Edges, how often each was taken, and comparisons that came near.
    features: u64,
    corpus: u64,
    memory_mib: u64,
}

impl Words {
    pub(super) const HEAD: &str = "  executions   each s    cov      ft  corpus  MiB";

    pub(super) fn hear(&mut self, line: &str) {
        let stats = [
            ("stat::number_of_executed_units:", &mut self.executions),
            ("stat::average_exec_per_sec:", &mut self.a_second),
            ("stat::peak_rss_mb:", &mut self.memory_mib),
        ];
        for (name, number) in stats {
            if let Some(said) = line.strip_prefix(name) {
                *number = said.trim().parse().unwrap_or_default();
            }
        }
        if line.starts_with('#') {
            for (name, number) in [
                ("cov:", &mut self.edges),
                ("ft:", &mut self.features),
                ("corp:", &mut self.corpus),
            ] {
                *number = after(line, name).unwrap_or(*number);
            }
        }
    }
}

/// The number behind a name in a line such as `#7  DONE  cov: 12 ft: 34 corp: 5/67b`.
fn after(line: &str, name: &str) -> Option<u64> {
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    let number = words.nth(1)?;
    number.split('/').next()?.parse().ok()
}

impl Display for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Words { executions, a_second, edges, features, corpus, memory_mib } = self;
        write!(
            f,
            "{executions:>12} {a_second:>8} {edges:>6} {features:>7} {corpus:>7} {memory_mib:>4}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_says_at_its_end_is_understood() {
        let mut words = Words::default();
        for line in [
            "INFO: Seed: 1",
            "#4194304\tpulse  cov: 300 ft: 700 corp: 90/12Kb lim: 4096 exec/s: 1 rss: 50Mb",
            "#5000000\tDONE   cov: 312 ft: 754 corp: 96/12345b lim: 4096 exec/s: 83333 rss: 60Mb",
            "stat::number_of_executed_units: 5000000",
            "stat::average_exec_per_sec:     83333",
            "stat::peak_rss_mb:              60",
        ] {
            words.hear(line);
        }
        let expected = Words {
            executions: 5_000_000,
            a_second: 83_333,
            edges: 312,
            features: 754,
            corpus: 96,
            memory_mib: 60,
        };
        assert_eq!(words, expected);
    }
}
