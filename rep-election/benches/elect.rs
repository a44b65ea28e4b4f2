//! How long the ranking of nearest members takes: pure arithmetic, so its floor is the walk over the set.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rep_election::elect;
use std::hint::black_box;
use std::time::Duration;

fn ranking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("elect");
    for members in [3_u32, 5, 7, 100] {
        let set: Vec<u32> = (1..=members).collect();
        let rtt = |id: u32| Some(Duration::from_micros(u64::from(id * 7919 % 97)));
        group.bench_function(BenchmarkId::new("among", members), |bencher| {
            bencher.iter(|| elect(black_box(&set), 1, rtt, |id| id % 5 != 4));
        });
        group.bench_function(BenchmarkId::new("floor: the smallest of", members), |bencher| {
            bencher.iter(|| black_box(&set).iter().copied().min_by_key(|id| rtt(*id)));
        });
    }
    group.finish();
}

criterion_group!(benches, ranking);
criterion_main!(benches);
