//! Latencies, counted in buckets: however long a run, it takes the same room.

/// Buckets for each doubling: a value is known to 3 %.
const STEPS: usize = 32;
const BUCKETS: usize = STEPS * 40;

/// How often which latency was seen, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, us: u64) {
        self.buckets[bucket(us)] += 1;
        self.count += 1;
        self.max = self.max.max(us);
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, more)| *sum += more);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The value that this part of all are at or below.
    pub(super) fn quantile(&self, part: f64) -> u64 {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// Small values have a bucket each; larger ones share one with what begins with the same bits.
fn bucket(us: u64) -> usize {
    let shift = (u64::BITS - us.leading_zeros()).saturating_sub(STEPS.ilog2() + 1);
    let bucket = (shift as usize) * STEPS + (us >> shift) as usize;
    bucket.min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let within = (bucket - shift * STEPS) as u64;
    ((within + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_at_most_a_thirtieth_wider() {
        for us in (0..5_000).chain([100_000, 1_234_567, 3_600_000_000]) {
            let highest = highest(bucket(us));
            assert!(highest >= us && highest as f64 <= us as f64 * 1.032, "{us}: {highest}");
            assert!(bucket(us) <= bucket(us + 1), "{us}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|us| histogram.add(us * 10));
        let mut other = Histogram::default();
        (1..=100).for_each(|us| other.add(us * 10));
        histogram.merge(&other);
        assert_eq!((histogram.count(), histogram.max()), (200, 1_000));
        assert!((500..=516).contains(&histogram.quantile(0.5)));
        assert!((990..=1_000).contains(&histogram.quantile(0.99)));
        assert_eq!(histogram.quantile(1.0), 1_000);
    }
}
