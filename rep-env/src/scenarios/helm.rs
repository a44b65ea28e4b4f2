//! Many bring news to one node, through lanes that hold two items each, and somebody closes it.

use super::{explore, join, rejects, threads};
use crate::runtime::helm::{Helm, LaneBounds, Post};
use crate::sync::{Condvar, Flaw, Mutex};
use rep_explore::thread;
use std::sync::Arc;

const BRINGERS: usize = 6;
const ITEMS: usize = 4;
const SHARE_TURNS: usize = 2;

/// How many items were seen, and how many fell by the wayside.
#[derive(Default)]
struct Fates {
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Fates {
    fn note(&self, seen: usize, dropped: usize) {
        let mut state = self.state.lock();
        *state = (state.0 + seen, state.1 + dropped);
        self.changed.notify_all();
    }

    fn wait_until_seen(&self, count: usize) {
        let mut state = self.state.lock();
        while state.0 < count {
            (state, _) = self.changed.wait_until(state, None);
        }
    }
}

/// News that tells what became of it.
struct Item(Arc<Fates>, bool);

impl Drop for Item {
    fn drop(&mut self) {
        self.0.note(usize::from(self.1), usize::from(!self.1));
    }
}

type Helm1 = Arc<Helm<Item, ()>>;

fn turn(helm: &Helm1, mut post: Box<Post<Item, ()>>, goes_on: bool) -> Option<Box<Post<Item, ()>>> {
    post.inputs.iter_mut().for_each(|item| item.1 = true);
    post.inputs.clear();
    helm.after_turn(post, None, goes_on)
}

fn drive(helm: &Helm1) {
    let mut next = helm.take();
    for nth in 1..=SHARE_TURNS {
        let Some(post) = next else { return };
        next = turn(helm, post, nth < SHARE_TURNS);
    }
}

/// Waits for all news to be seen before it closes, or does not.
fn many_bring(closes_early: bool) {
    let bounds = LaneBounds { items_max: 2, bytes_max: usize::MAX };
    let (helm, fates): (Helm1, _) = (Arc::new(Helm::new([bounds; 2], 3)), Arc::default());
    helm.install(());
    let watch = thread::spawn({
        let helm = Arc::clone(&helm);
        move || {
            while let Some(post) = helm.stand_watch() {
                turn(&helm, post, false);
            }
        }
    });
    let bringing = threads(BRINGERS, {
        let (helm, fates) = (Arc::clone(&helm), Arc::clone(&fates));
        move |number| {
            for nth in 0..ITEMS {
                helm.leave((number + nth) % 2, 1, Item(Arc::clone(&fates), false));
                match number {
                    0 => helm.hand_over(),
                    _ => drive(&helm),
                }
            }
        }
    });
    if closes_early {
        let closing = threads(2, {
            let helm = Arc::clone(&helm);
            move |_| helm.close()
        });
        join(bringing);
        join(closing);
    } else {
        join(bringing);
        fates.wait_until_seen(BRINGERS * ITEMS);
        helm.close();
    }
    watch.join().unwrap();
    let (seen, dropped) = *fates.state.lock();
    assert_eq!(seen + dropped, BRINGERS * ITEMS);
    assert!(closes_early || dropped == 0);
}

#[test]
fn shuttle_all_news_is_driven_whoever_brings_it() {
    explore(|| many_bring(false));
}

#[test]
fn shuttle_twin_a_driver_that_goes_without_looking_leaves_news_behind() {
    rejects(Flaw::GoesWithoutLooking, "deadlock", || many_bring(false));
}

#[test]
fn shuttle_a_close_meets_many_drivers_and_nobody_is_left_waiting() {
    explore(|| many_bring(true));
}

#[test]
fn shuttle_twin_a_close_that_leaves_who_waits_for_room_is_found() {
    rejects(Flaw::CloseTellsNobody, "deadlock", || many_bring(true));
}
