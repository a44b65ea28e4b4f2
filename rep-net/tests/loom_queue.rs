//! Small models of the queue, run through every order in which their threads could have met.
//!
//! `cargo xtask loom` runs them.
//!
//! Each model has a twin with one line of the queue broken, which must be refused: a model that passes either way looks at nothing.
#![cfg(rep_loom)]

use rep_explore::{block_on, explore, explore_returns, now, soon, thread};
use rep_net::queue::{Closed, Flaw, Lane, PushError, Queue};
use std::future::Future;
use std::pin::Pin;
use std::task::Context;

fn queue(items_max: usize, flaw: Option<Flaw>) -> Queue<u32> {
    let lanes = [Lane { items_max, bytes_max: 10 }];
    match flaw {
        Some(flaw) => Queue::with_flaw(lanes, flaw),
        None => Queue::new(lanes),
    }
}

/// Two producers of two items each into a queue that holds one; one consumer until the end.
fn nothing_is_lost(flaw: Option<Flaw>) {
    explore(move || {
        let queue = queue(1, flaw);
        let producers: Vec<_> = [10, 20]
            .into_iter()
            .map(|first| {
                let queue = queue.clone();
                thread::spawn(move || {
                    queue.push(0, 1, first, None).unwrap();
                    queue.push(0, 1, first + 1, None).unwrap();
                })
            })
            .collect();
        let seen: Vec<u32> = (0..4).map(|_| queue.pop(None).unwrap().unwrap()).collect();
        producers.into_iter().for_each(|thread| thread.join().unwrap());
        for first in [10, 20] {
            let of_one: Vec<u32> =
                seen.iter().copied().filter(|item| item / 10 == first / 10).collect();
            assert_eq!(of_one, [first, first + 1], "one producer's items in its order, each once");
        }
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    });
}

#[test]
fn loom_nothing_is_lost_and_each_producer_keeps_its_order() {
    nothing_is_lost(None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_push_that_wakes_nobody_is_found() {
    nothing_is_lost(Some(Flaw::PushWakesNobody));
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_looking_and_then_waiting_is_found() {
    nothing_is_lost(Some(Flaw::LookThenWait));
}

/// Two consumers, one item, then the end: one gets the item, both come home.
fn close_wakes_everybody(flaw: Option<Flaw>) {
    explore(move || {
        let queue = queue(1, flaw);
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || {
                    let mut seen = 0;
                    while let Ok(item) = queue.pop(None) {
                        seen += item.unwrap();
                    }
                    seen
                })
            })
            .collect();
        queue.push(0, 1, 1, None).unwrap();
        queue.close();
        let seen: u32 = consumers.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(seen, 1, "what was queued before the close is delivered, once");
    });
}

#[test]
fn loom_close_wakes_every_consumer_and_loses_nothing() {
    close_wakes_everybody(None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_close_that_wakes_one_is_found() {
    close_wakes_everybody(Some(Flaw::CloseWakesOne));
}

/// A large item at the front of the row and a small one behind it; room is made item by item.
fn a_full_producer_wakes_on_pop(flaw: Option<Flaw>) {
    explore(move || {
        let queue = queue(2, flaw);
        queue.try_push(0, 5, 1).unwrap();
        queue.try_push(0, 5, 2).unwrap();
        let producers: Vec<_> = [10, 1]
            .into_iter()
            .map(|bytes| {
                let queue = queue.clone();
                thread::spawn(move || queue.push(0, bytes, 3, None).unwrap())
            })
            .collect();
        let seen: u32 = (0..4).map(|_| queue.pop(None).unwrap().unwrap()).sum();
        producers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(seen, 1 + 2 + 3 + 3);
        assert_eq!(queue.bytes(), 0);
    });
}

#[test]
fn loom_a_full_producer_wakes_when_room_is_made() {
    a_full_producer_wakes_on_pop(None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_room_that_wakes_one_producer_is_found() {
    a_full_producer_wakes_on_pop(Some(Flaw::RoomWakesOne));
}

#[test]
fn loom_a_full_producer_wakes_on_close_and_has_its_item_back() {
    explore(|| {
        let queue = queue(1, None);
        queue.try_push(0, 1, 1).unwrap();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 2, None))
        };
        queue.close();
        assert_eq!(producer.join().unwrap(), Err(PushError::Closed(2)));
        assert_eq!((queue.pop(None), queue.pop(None)), (Ok(Some(1)), Err(Closed)));
    });
}

/// One producer gives up at its deadline while another waits behind it.
fn a_quitter_holds_up_nobody(flaw: Option<Flaw>) {
    explore(move || {
        let queue = queue(1, flaw);
        queue.try_push(0, 1, 1).unwrap();
        let quitter = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 2, Some(now())).is_ok())
        };
        let patient = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 3, None).unwrap())
        };
        let mut seen = queue.pop(None).unwrap().unwrap() + queue.pop(None).unwrap().unwrap();
        if quitter.join().unwrap() {
            seen += queue.pop(None).unwrap().unwrap() - 2;
        }
        patient.join().unwrap();
        assert_eq!(seen, 4);
    });
}

#[test]
fn loom_a_producer_that_gives_up_holds_up_nobody() {
    a_quitter_holds_up_nobody(None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_quitter_that_stays_in_the_row_is_found() {
    a_quitter_holds_up_nobody(Some(Flaw::QuitterStaysInRow));
}

/// Waits that end at a deadline, or for no reason, wherever they may: who gave up has its item and holds up nobody, who looked
/// in vain looks again.
fn waits_end_unasked(flaw: Option<Flaw>) {
    explore_returns(move || {
        let queue = queue(1, flaw);
        queue.try_push(0, 1, 1).unwrap();
        let hasty = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 2, Some(soon())).is_ok())
        };
        let patient = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 3, None).unwrap())
        };
        let pop = || loop {
            if let Some(item) = queue.pop(Some(soon())).unwrap() {
                return item;
            }
        };
        let mut seen = pop() + pop();
        if hasty.join().unwrap() {
            seen += pop() - 2;
        }
        patient.join().unwrap();
        assert_eq!((seen, queue.len(), queue.bytes()), (4, 0, 0));
    });
}

#[test]
fn loom_a_wait_that_ends_late_or_for_no_reason_loses_nothing() {
    waits_end_unasked(None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_who_gave_up_at_its_deadline_and_stays_in_the_row_is_found() {
    waits_end_unasked(Some(Flaw::QuitterStaysInRow));
}

#[test]
fn loom_a_reserved_place_is_filled_though_the_lane_is_full() {
    explore(|| {
        let queue = queue(2, None);
        let slot = queue.try_reserve(0, 1).unwrap();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.push(0, 1, 1, None).unwrap();
                queue.push(0, 1, 2, None).unwrap();
            })
        };
        let completing = thread::spawn(move || slot.fill(4).unwrap());
        let seen: u32 = (0..3).map(|_| queue.pop(None).unwrap().unwrap()).sum();
        assert_eq!(seen, 7);
        producer.join().unwrap();
        completing.join().unwrap();
    });
}

#[test]
fn loom_a_place_given_back_wakes_who_waits_for_it() {
    explore(|| {
        let queue = queue(1, None);
        let slot = queue.try_reserve(0, 1).unwrap();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 1, None).unwrap())
        };
        drop(slot);
        assert_eq!(queue.pop(None), Ok(Some(1)));
        producer.join().unwrap();
    });
}

#[test]
fn loom_a_fill_meets_a_close_and_the_item_is_somewhere() {
    explore(|| {
        let queue = queue(1, None);
        let slot = queue.try_reserve(0, 1).unwrap();
        let completing = thread::spawn(move || slot.fill(1).is_ok());
        queue.close();
        let popped = queue.pop(None);
        let filled = completing.join().unwrap();
        // The fill came before the close, or it was told that it came too late.
        assert_eq!(popped, if filled { Ok(Some(1)) } else { Err(Closed) });
    });
}

/// A task and a thread wait for room in one row, and the consumer makes it item by item.
fn a_task_in_the_row_is_woken(flaw: Option<Flaw>) {
    explore(move || {
        let queue = queue(1, flaw);
        queue.try_push(0, 1, 1).unwrap();
        let task = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut pushing = queue.pushing(0, 1, 2);
                block_on(|context| Pin::new(&mut pushing).poll(context)).unwrap();
            })
        };
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1, 4, None).unwrap())
        };
        let seen: u32 = (0..3).map(|_| queue.pop(None).unwrap().unwrap()).sum();
        [task, producer].into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((seen, queue.bytes()), (7, 0));
    });
}

#[test]
fn loom_a_task_that_waits_for_room_is_woken_in_its_turn() {
    a_task_in_the_row_is_woken(None);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_turn_that_a_task_is_not_told_of_is_found() {
    a_task_in_the_row_is_woken(Some(Flaw::TurnOfTaskForgotten));
}

/// A task that waits for room is given up while room is made: the thread behind it goes on either way.
#[test]
fn loom_a_task_that_gives_up_holds_up_nobody() {
    explore(|| {
        let queue = queue(1, None);
        queue.try_push(0, 1, 1).unwrap();
        let quitter = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut pushing = queue.pushing(0, 1, 2);
                let waker = std::task::Waker::noop();
                let polled = Pin::new(&mut pushing).poll(&mut Context::from_waker(waker));
                u32::from(polled.is_ready()) * 2
            })
        };
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.push(0, 1, 4, None).unwrap();
            })
        };
        let mut seen = queue.pop(None).unwrap().unwrap();
        // One or two more, as the quitter was in time or not.
        let pushed = quitter.join().unwrap() + 4;
        while seen < pushed + 1 {
            seen += queue.pop(None).unwrap().unwrap();
        }
        producer.join().unwrap();
        assert_eq!((seen, queue.len()), (pushed + 1, 0));
    });
}
