//! The bodies as property tests: arbitrary bytes, and valid ones that were spoiled.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Arbitrary input has at most so many bytes.
const ARBITRARY_BYTES_MAX: usize = 600;
/// A seed is spoiled at most so many times.
const SPOILS_MAX: usize = 6;

/// Runs a body over its seeds as they are, over seeds that were spoiled, and over bytes that never were a seed.
pub(crate) fn holds(body: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) {
    holds_for(Config::default().cases, body, seeds);
}

/// The same with another number of cases of each kind, for a body that takes its time.
pub(crate) fn holds_for(cases: u32, body: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) {
    let seeds = seeds();
    assert!(!seeds.is_empty(), "a body without a seed is hardly tested");
    seeds.iter().for_each(|seed| body(seed));
    over(cases, spoiled(seeds), body);
    over(cases, vec(any::<u8>(), 0..ARBITRARY_BYTES_MAX), body);
}

fn over(cases: u32, inputs: impl Strategy<Value = Vec<u8>>, body: fn(&[u8])) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&inputs, |bytes| {
        body(&bytes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn spoiled(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let others = seeds.clone();
    (any::<Index>(), vec(spoils(), 1..=SPOILS_MAX)).prop_map(move |(seed, spoils)| {
        let mut bytes = seed.get(&seeds).clone();
        spoils.iter().for_each(|spoil| spoil.apply(&mut bytes, &others));
        bytes
    })
}

/// One thing that may happen to bytes.
#[derive(Clone, Debug)]
enum Spoil {
    Flip(Index, u8),
    Set(Index, u8),
    /// A number of up to eight bytes, of a kind that bounds are made of.
    Number(Index, [u8; 8], usize),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
    /// From here on it is another seed, from there on.
    Splice(Index, Index, Index),
}

fn spoils() -> impl Strategy<Value = Spoil> {
    let at = any::<Index>;
    let numbers = prop_oneof![
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 32),
        Just(u64::from(u32::MAX)),
        0_u64..300,
        (0_u64..300).prop_map(|below| u64::MAX - below),
    ];
    prop_oneof![
        4 => (at(), 0_u8..8).prop_map(|(at, bit)| Spoil::Flip(at, bit)),
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Spoil::Set(at, byte)),
        3 => (at(), numbers, 1_usize..=8).prop_map(|(at, number, bytes)| {
            Spoil::Number(at, number.to_le_bytes(), bytes)
        }),
        2 => (at(), vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Spoil::Insert(at, bytes)),
        2 => (at(), 1_usize..40).prop_map(|(at, count)| Spoil::Remove(at, count)),
        2 => (at(), 1_usize..60).prop_map(|(at, count)| Spoil::Repeat(at, count)),
        1 => at().prop_map(Spoil::Cut),
        1 => (at(), at(), at()).prop_map(|(at, seed, from)| Spoil::Splice(at, seed, from)),
    ]
}

impl Spoil {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        // One place more than there are bytes: behind the last one something can be added too.
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Spoil::Flip(at, bit) => {
                let at = place(at);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            Spoil::Set(at, value) => {
                let at = place(at);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *value);
            }
            Spoil::Number(at, number, count) => {
                let at = place(at);
                bytes[at..].iter_mut().zip(&number[..*count]).for_each(|(byte, new)| *byte = *new);
            }
            Spoil::Insert(at, new) => {
                let at = place(at);
                drop(bytes.splice(at..at, new.iter().copied()));
            }
            Spoil::Remove(at, count) => {
                let at = place(at);
                drop(bytes.drain(at..bytes.len().min(at + count)));
            }
            Spoil::Repeat(at, count) => {
                let at = place(at);
                let again = bytes[at..bytes.len().min(at + count)].to_vec();
                drop(bytes.splice(at..at, again));
            }
            Spoil::Cut(at) => bytes.truncate(place(at)),
            Spoil::Splice(at, seed, from) => {
                bytes.truncate(place(at));
                let other = seed.get(seeds);
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}
