//! The queue with more threads than loom can hold, by `cargo xtask shuttle`.
//!
//! Each scenario has a twin with one line of the queue broken, which must be refused.
#![cfg(rep_shuttle)]

use rep_explore::{Arc, AtomicUsize, Ordering, explore, join, rejects, soon, thread, threads};
use rep_net::queue::{Flaw, Lane, PushError, Queue};

const PRODUCERS: usize = 5;
const CONSUMERS: usize = 3;
const ITEMS: usize = 6;

/// Who pushed it into which lane, and as which of his.
type Item = (usize, usize, usize);

fn queue<T>(lanes: &[(usize, usize)], flaw: Option<Flaw>) -> Queue<T> {
    let lanes = lanes.iter().map(|&(items_max, bytes_max)| Lane { items_max, bytes_max });
    match flaw {
        Some(flaw) => Queue::with_flaw(lanes, flaw),
        None => Queue::new(lanes),
    }
}

/// Takes items until the end, one at a time or in batches.
fn consume(queue: &Queue<Item>, number: usize) -> Vec<Item> {
    let mut seen = Vec::new();
    loop {
        let more = match number % 2 {
            0 => queue.pop(None).map(|item| seen.extend(item)),
            _ => queue.pop_batch(&mut seen, 2, None).map(drop),
        };
        if more.is_err() {
            return seen;
        }
    }
}

/// Producers of large and small items in two lanes, half of them through places that they keep first; consumers to the end.
fn all_arrives(flaw: Option<Flaw>) {
    let queue = queue::<Item>(&[(1, 4), (2, 4)], flaw);
    let producers = threads(PRODUCERS, {
        let queue = queue.clone();
        move |number| {
            for nth in 0..ITEMS {
                let lane = (number + nth) % 2;
                let bytes = 1 + (number + nth) % 4;
                let item = (number, lane, nth);
                if number % 2 == 0 {
                    queue.push(lane, bytes, item, None).unwrap();
                } else {
                    queue.reserve(lane, bytes, None).unwrap().fill(item).unwrap();
                }
            }
        }
    });
    let consumers = threads(CONSUMERS, {
        let queue = queue.clone();
        move |number| consume(&queue, number)
    });
    join(producers);
    queue.close();
    let seen = join(consumers);
    for of_one in &seen {
        for (producer, lane) in (0..PRODUCERS).flat_map(|producer| [(producer, 0), (producer, 1)]) {
            let own = of_one.iter().filter(|item| (item.0, item.1) == (producer, lane));
            let order: Vec<_> = own.map(|item| item.2).collect();
            assert!(order.is_sorted(), "one producer's items of one lane in their order");
        }
    }
    let mut all: Vec<_> = seen.into_iter().flatten().map(|item| (item.0, item.2)).collect();
    all.sort_unstable();
    let pushed = (0..PRODUCERS).flat_map(|number| (0..ITEMS).map(move |nth| (number, nth)));
    assert!(pushed.eq(all), "each item once");
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
}

#[test]
fn shuttle_what_many_push_arrives_once_and_in_order() {
    explore(|| all_arrives(None));
}

#[test]
fn shuttle_twin_a_push_that_wakes_nobody_is_found() {
    rejects("deadlock", || all_arrives(Some(Flaw::PushWakesNobody)));
}

#[test]
fn shuttle_twin_room_that_wakes_one_producer_is_found() {
    rejects("deadlock", || all_arrives(Some(Flaw::RoomWakesOne)));
}

#[test]
fn shuttle_twin_a_close_that_wakes_one_consumer_is_found() {
    rejects("deadlock", || all_arrives(Some(Flaw::CloseWakesOne)));
}

/// Producers that give up in their own time, before others that do not, in front of one consumer that is slow to come.
fn some_give_up(flaw: Option<Flaw>) {
    let queue = queue::<usize>(&[(1, 1)], flaw);
    let gone = Arc::new(AtomicUsize::new(0));
    let impatient = threads(PRODUCERS, {
        let (queue, gone) = (queue.clone(), Arc::clone(&gone));
        move |number| match queue.push(0, 1, number, Some(soon())) {
            Ok(()) => 1,
            Err(error) => {
                assert_eq!(error, PushError::Full(number), "what is refused comes back");
                gone.fetch_add(1, Ordering::Relaxed);
                0
            }
        }
    });
    let patient = threads(2, {
        let queue = queue.clone();
        move |number| {
            queue.push(0, 1, 100 + number, None).unwrap();
            1
        }
    });
    let consumer = thread::spawn({
        let queue = queue.clone();
        move || {
            let early = (0..3).filter_map(|_| queue.pop(Some(soon())).ok().flatten()).count();
            early + std::iter::from_fn(|| queue.pop(None).ok()).count()
        }
    });
    let pushed: usize = join(impatient).into_iter().chain(join(patient)).sum();
    queue.close();
    assert_eq!(consumer.join().unwrap(), pushed);
    assert_eq!(gone.load(Ordering::Relaxed) + pushed, PRODUCERS + 2);
}

#[test]
fn shuttle_who_gives_up_holds_up_nobody() {
    explore(|| some_give_up(None));
}

#[test]
fn shuttle_twin_a_quitter_that_stays_in_the_row_is_found() {
    rejects("deadlock", || some_give_up(Some(Flaw::QuitterStaysInRow)));
}

/// A close in the midst of pushes, places and pops: what was taken is delivered, what was not comes back.
fn closed_in_the_midst(flaw: Option<Flaw>) {
    let queue = queue::<Item>(&[(2, 8), (1, 1)], flaw);
    let producers = threads(PRODUCERS, {
        let queue = queue.clone();
        move |number| {
            let mut taken = 0;
            for nth in 0..ITEMS {
                let (lane, item) = (nth % 2, (number, nth % 2, nth));
                let pushed = if number % 2 == 0 {
                    queue.push(lane, 1, item, None).is_ok()
                } else {
                    queue.reserve(lane, 1, None).is_ok_and(|slot| slot.fill(item).is_ok())
                };
                taken += usize::from(pushed);
            }
            taken
        }
    });
    let consumers = threads(CONSUMERS, {
        let queue = queue.clone();
        move |number| consume(&queue, number).len()
    });
    let closers = threads(2, {
        let queue = queue.clone();
        move |_| queue.close()
    });
    join(closers);
    let (taken, seen): (usize, usize) =
        (join(producers).into_iter().sum(), join(consumers).into_iter().sum());
    assert_eq!(seen, taken);
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
}

#[test]
fn shuttle_a_close_in_the_midst_ends_every_wait_and_loses_nothing() {
    explore(|| closed_in_the_midst(None));
}

#[test]
fn shuttle_twin_a_close_in_the_midst_that_wakes_one_is_found() {
    rejects("deadlock", || closed_in_the_midst(Some(Flaw::CloseWakesOne)));
}
