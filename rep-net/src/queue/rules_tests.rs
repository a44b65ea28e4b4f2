//! The rules of the queue, one at a time, and then all of them at once.

use super::*;
use std::future::Future;
use std::pin::Pin;
use std::task::Waker;
use std::thread;
use std::time::Duration;

fn one(items_max: usize, bytes_max: usize) -> Queue<u32> {
    Queue::new([Lane { items_max, bytes_max }])
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

#[test]
fn lanes_are_drained_in_order() {
    let queue = Queue::new([Lane { items_max: 4, bytes_max: 40 }; 3]);
    for (lane, item) in [(2, "data"), (0, "first"), (1, "control"), (0, "second")] {
        queue.try_push(lane, 1, item).unwrap();
    }
    assert_eq!(queue.try_pop(), Ok(Some("first")));
    let mut batch = Vec::new();
    assert_eq!(queue.pop_batch(&mut batch, 2, None), Ok(2));
    assert_eq!(batch, ["second", "control"]);
    assert_eq!(queue.pop(None), Ok(Some("data")));
    assert_eq!(queue.try_pop(), Ok(None));
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn items_and_bytes_are_bounded_and_a_refused_item_comes_back() {
    let queue = one(3, 10);
    queue.try_push(0, 6, 1).unwrap();
    assert_eq!(queue.try_push(0, 5, 2), Err(PushError::Full(2)));
    queue.try_push(0, 4, 3).unwrap();
    queue.try_push(0, 0, 4).unwrap();
    assert_eq!(queue.try_push(0, 0, 5), Err(PushError::Full(5)));
    assert_eq!((queue.len(), queue.bytes()), (3, 10));
}

#[test]
fn an_item_over_the_bound_travels_alone() {
    let queue = one(3, 10);
    queue.try_push(0, 1000, 1).unwrap();
    assert_eq!(queue.try_push(0, 1, 2), Err(PushError::Full(2)));
    assert_eq!(queue.try_pop(), Ok(Some(1)));
    queue.try_push(0, 1, 2).unwrap();
    assert_eq!(queue.try_push(0, 1000, 1), Err(PushError::Full(1)));
    assert_eq!(queue.try_push(0, usize::MAX, 1), Err(PushError::Full(1)));
}

#[test]
fn a_reserved_place_is_kept_and_given_back() {
    let queue = one(2, 100);
    let slot = queue.try_reserve(0, 10).unwrap();
    queue.try_push(0, 10, 1).unwrap();
    assert_eq!(queue.try_push(0, 10, 2), Err(PushError::Full(2)));
    slot.fill(3).unwrap();
    assert_eq!((queue.len(), queue.bytes()), (2, 20));
    assert_eq!((queue.try_pop(), queue.try_pop()), (Ok(Some(1)), Ok(Some(3))));
    drop(queue.try_reserve(0, 10).unwrap());
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn after_close_items_come_back_and_what_was_queued_goes_out() {
    let queue = one(4, 100);
    let slot = queue.try_reserve(0, 1).unwrap();
    queue.try_push(0, 1, 1).unwrap();
    queue.close();
    queue.close();
    assert_eq!(slot.fill(9), Err(9));
    assert_eq!(queue.push(0, 1, 2, None), Err(PushError::Closed(2)));
    assert!(matches!(queue.reserve(0, 1, None), Err(PushError::Closed(()))));
    assert_eq!(queue.pop(None), Ok(Some(1)));
    assert_eq!(queue.pop(None), Err(Closed));
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn a_discarding_close_drops_what_was_queued() {
    let item = Arc::new(());
    let queue = Queue::new([Lane { items_max: 4, bytes_max: 40 }]);
    queue.try_push(0, 1, Arc::clone(&item)).unwrap();
    queue.close_and_discard();
    assert_eq!(Arc::strong_count(&item), 1);
    assert_eq!(queue.pop(None), Err(Closed));
}

#[test]
fn waits_end_at_their_deadlines() {
    let queue = one(1, 100);
    let now = Some(Instant::now());
    assert_eq!(queue.pop(now), Ok(None));
    assert_eq!(queue.pop_batch(&mut Vec::new(), 5, now), Ok(0));
    queue.try_push(0, 1, 1).unwrap();
    assert_eq!(queue.push(0, 1, 2, now), Err(PushError::Full(2)));
    assert!(matches!(queue.reserve(0, 1, now), Err(PushError::Full(()))));
    assert_eq!(queue.pop(now), Ok(Some(1)));
    queue.try_push(0, 1, 3).unwrap();
}

#[test]
fn small_items_do_not_starve_a_large_one() {
    let queue = one(10, 10);
    queue.try_push(0, 6, 1).unwrap();
    let large = {
        let queue = queue.clone();
        thread::spawn(move || queue.push(0, 10, 2, soon()))
    };
    while queue.shared.state.lock().lanes[0].row.is_empty() {
        thread::yield_now();
    }
    assert_eq!(
        queue.try_push(0, 1, 3),
        Err(PushError::Full(3)),
        "it would fit, but the large one came first"
    );
    assert_eq!(queue.pop(soon()), Ok(Some(1)));
    large.join().unwrap().unwrap();
    assert_eq!(queue.pop(soon()), Ok(Some(2)));
}

#[test]
fn a_task_is_woken_by_a_push_and_by_close() {
    struct Flag(crate::sync::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, crate::sync::Ordering::SeqCst);
        }
    }
    let flag = Arc::new(Flag(crate::sync::AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let queue = one(4, 100);
    let mut next = queue.next();
    let poll =
        |next: &mut super::Next<'_, u32>, context: &mut Context<'_>| Pin::new(next).poll(context);
    assert!(poll(&mut next, &mut context).is_pending());
    // Whoever asks again, by a waker that looks like another, is remembered once.
    assert!(poll(&mut next, &mut context).is_pending());
    assert!(poll(&mut next, &mut Context::from_waker(Waker::noop())).is_pending());
    assert!(poll(&mut next, &mut context).is_pending());
    let remembered = || queue.shared.state.lock().wakers.len();
    assert_eq!(remembered(), 1);
    let mut other = queue.next();
    assert!(poll(&mut other, &mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(remembered(), 2);
    drop(other);
    assert_eq!(remembered(), 1, "who has left is not remembered");
    queue.try_push(0, 1, 1).unwrap();
    assert!(flag.0.swap(false, crate::sync::Ordering::SeqCst));
    assert_eq!(poll(&mut next, &mut context), Poll::Ready(Ok(1)));
    assert!(poll(&mut next, &mut context).is_pending());
    queue.close();
    assert!(flag.0.swap(false, crate::sync::Ordering::SeqCst));
    assert_eq!(poll(&mut next, &mut context), Poll::Ready(Err(Closed)));
}

#[test]
fn many_producers_and_consumers_lose_nothing_and_keep_each_producers_order() {
    let queue: Queue<(u32, u32)> = Queue::new([Lane { items_max: 7, bytes_max: 50 }]);
    let (producers, each) = (4, if cfg!(miri) { 20 } else { 2_000 });
    let seen: Vec<Vec<(u32, u32)>> = thread::scope(|scope| {
        let consumers: Vec<_> = (0..3)
            .map(|number| {
                let queue = &queue;
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    loop {
                        let more = match number {
                            0 => queue.pop_batch(&mut seen, 5, soon()).map(|_| ()),
                            _ => queue.pop(soon()).map(|item| seen.extend(item)),
                        };
                        if more.is_err() {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let pushing: Vec<_> = (0..producers)
            .map(|producer| {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..each {
                        let bytes = (number as usize * 7) % 60;
                        match number % 3 {
                            0 => queue
                                .reserve(0, bytes, soon())
                                .unwrap()
                                .fill((producer, number))
                                .unwrap(),
                            _ => queue.push(0, bytes, (producer, number), soon()).unwrap(),
                        }
                    }
                })
            })
            .collect();
        pushing.into_iter().for_each(|thread| thread.join().unwrap());
        queue.close();
        consumers.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for consumer in &seen {
        for producer in 0..producers {
            let numbers = consumer.iter().filter(|item| item.0 == producer).map(|item| item.1);
            assert!(numbers.clone().zip(numbers.skip(1)).all(|(a, b)| a < b));
        }
    }
    assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), (producers * each) as usize);
    assert_eq!(queue.bytes(), 0);
}
