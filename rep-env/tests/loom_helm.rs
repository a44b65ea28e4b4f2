//! Models of the helm: several threads leave news and drive, and the watch keeps watch. Every interleaving is tried.
//!
//! What has to hold: news that was left is driven, whoever comes when; one thread drives at a time; at the end the watch
//! ends too, after the last who drove has let go.
//!
//! Run with `--cfg rep_loom`.
#![cfg(rep_loom)]
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "../src/runtime/helm.rs"]
mod helm;
#[path = "../src/sync.rs"]
mod sync;

use helm::{Helm, LaneBounds, Post};
use rep_explore::{Arc, AtomicUsize, Mutex, Ordering, explore, thread};

/// What is driven: it counts what it was given, and where the count can be seen.
struct Node {
    seen: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

type Post1 = Box<Post<u8, Node>>;

struct World {
    helm: Arc<Helm<u8, Node>>,
    seen: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

/// The item after which all is over.
const LAST: u8 = 9;

impl World {
    fn new(items_max: usize) -> World {
        let bounds = LaneBounds { items_max, bytes_max: usize::MAX };
        let helm = Arc::new(Helm::new([bounds], 4));
        let (seen, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        helm.install(Node { seen: Arc::clone(&seen), dropped: Arc::clone(&dropped) });
        World { helm, seen, dropped }
    }

    fn clone(&self) -> World {
        World {
            helm: Arc::clone(&self.helm),
            seen: Arc::clone(&self.seen),
            dropped: Arc::clone(&self.dropped),
        }
    }

    /// One turn, as the inbox does it.
    fn turn(&self, mut post: Post1, goes_on: bool) -> Option<Post1> {
        let inputs = std::mem::take(&mut post.inputs);
        post.driven.seen.fetch_add(inputs.len(), Ordering::Relaxed);
        if inputs.contains(&LAST) {
            self.helm.close();
            drop(post);
            self.helm.end();
            return None;
        }
        self.helm.after_turn(post, None, goes_on)
    }

    fn bring(&self, item: u8, turns_max: usize) {
        self.helm.leave(0, 0, item);
        let mut next = self.helm.take();
        for turn in 1..=turns_max {
            let Some(post) = next else { return };
            next = self.turn(post, turn < turns_max);
        }
    }

    fn watch(&self) {
        while let Some(post) = self.helm.stand_watch() {
            assert!(self.turn(post, false).is_none());
        }
    }

    fn wait_until_seen(&self, count: usize) {
        while self.seen.load(Ordering::Relaxed) < count {
            thread::yield_now();
        }
    }
}

/// Two bring news, each doing one turn at most; then it is over, and the watch ends.
#[test]
fn loom_news_is_driven_whoever_brings_it_and_the_watch_ends() {
    explore(|| {
        let world = World::new(8);
        let watch = world.clone();
        let watch = thread::spawn(move || watch.watch());
        let other = world.clone();
        let other = thread::spawn(move || other.bring(1, 1));
        world.bring(2, 1);
        other.join().unwrap();
        world.wait_until_seen(2);
        world.bring(LAST, 1);
        watch.join().unwrap();
        assert_eq!(world.seen.load(Ordering::Relaxed), 3);
        assert_eq!(world.dropped.load(Ordering::Relaxed), 1);
    });
}

/// A lane for one item: who finds it full cannot drive, and is served all the same.
#[test]
fn loom_who_waits_for_room_is_served_by_the_watch() {
    explore(|| {
        let world = World::new(1);
        let watch = world.clone();
        let watch = thread::spawn(move || watch.watch());
        // Left, and for once nobody drives after it.
        world.helm.leave(0, 0, 1);
        world.helm.leave(0, 0, 2);
        world.bring(LAST, 2);
        watch.join().unwrap();
        assert_eq!(world.seen.load(Ordering::Relaxed), 3);
    });
}

/// Two find a lane for one item full. Room for one wakes both, and is one's alone.
fn a_lane_keeps_its_bounds() {
    let world = World::new(1);
    world.helm.leave(0, 0, 1);
    let leaving = [2, 3].map(|item| {
        let world = world.clone();
        thread::spawn(move || world.helm.leave(0, 0, item))
    });
    let mut turns = 0;
    while world.seen.load(Ordering::Relaxed) < 3 {
        let Some(mut post) = world.helm.take() else {
            thread::yield_now();
            continue;
        };
        let items = std::mem::take(&mut post.inputs).len();
        assert!(items <= 1, "a lane holds more than it may");
        world.seen.fetch_add(items, Ordering::Relaxed);
        world.helm.let_go(post, None);
        turns += 1;
    }
    leaving.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(turns, 3);
}

#[test]
fn loom_a_lane_never_holds_more_than_its_bounds() {
    explore(a_lane_keeps_its_bounds);
}

#[test]
#[should_panic(expected = "a lane holds more than it may")]
fn loom_twin_who_is_woken_for_room_and_does_not_look_again_is_found() {
    sync::set_broken(Some(sync::Flaw::WokenIsRoom));
    explore(a_lane_keeps_its_bounds);
}

/// A thread that may not drive hands over.
#[test]
fn loom_what_is_handed_over_is_driven_by_the_watch() {
    explore(|| {
        let world = World::new(8);
        let watch = world.clone();
        let watch = thread::spawn(move || watch.watch());
        world.helm.leave(0, 0, 1);
        world.helm.hand_over();
        world.wait_until_seen(1);
        world.bring(LAST, 1);
        watch.join().unwrap();
    });
}

/// Closed from outside while somebody drives: the driver finds out, what was driven is let go once, the watch ends.
#[test]
fn loom_a_close_meets_a_driver_and_the_watch_ends() {
    explore(|| {
        let world = World::new(8);
        let watch = world.clone();
        let watch = thread::spawn(move || watch.watch());
        let driver = world.clone();
        let driver = thread::spawn(move || driver.bring(1, 2));
        world.helm.close();
        driver.join().unwrap();
        watch.join().unwrap();
        assert_eq!(world.dropped.load(Ordering::Relaxed), 1);
    });
}

/// The same idea with the flag and the news under locks of their own: who looks, finds nothing and then says that it has
/// left, leaves news behind that came in between.
struct Twin {
    news: Mutex<usize>,
    driven: Mutex<bool>,
    seen: AtomicUsize,
}

impl Twin {
    fn bring(&self) {
        *self.news.lock() += 1;
        let mut driven = self.driven.lock();
        if std::mem::replace(&mut *driven, true) {
            return;
        }
        drop(driven);
        loop {
            let news = std::mem::take(&mut *self.news.lock());
            if news == 0 {
                break;
            }
            self.seen.fetch_add(news, Ordering::Relaxed);
        }
        *self.driven.lock() = false;
    }
}

#[test]
#[should_panic(expected = "news was left behind")]
fn loom_twin_looking_and_then_leaving_loses_news() {
    explore(|| {
        let twin = Arc::new(Twin {
            news: Mutex::new(0),
            driven: Mutex::new(false),
            seen: AtomicUsize::new(0),
        });
        let other = Arc::clone(&twin);
        let other = thread::spawn(move || other.bring());
        twin.bring();
        other.join().unwrap();
        assert_eq!(twin.seen.load(Ordering::Relaxed), 2, "news was left behind");
    });
}
