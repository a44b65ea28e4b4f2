//! Where the log stands, shown by whoever drives the node: one after the other, and never backwards.

use super::{explore, never};
use crate::runtime::bell::Bell;
use crate::runtime::shown::{Positions, Shown};
use crate::sync::Mutex;
use rep_explore::thread;
use rep_vlsn::Vlsn;
use std::sync::Arc;

const LAST: Vlsn = Vlsn::new(2);

#[derive(Default)]
struct World {
    /// What is driven, and the right to drive it.
    helm: Mutex<Vlsn>,
    shown: Shown,
    bell: Bell,
}

impl World {
    /// One step, and what comes of it is shown: before another one may drive, or, in the twin, after that.
    fn drive(&self, shows_at_the_helm: bool) {
        let mut dvlsn = self.helm.lock();
        *dvlsn = dvlsn.next();
        let positions = Positions { dvlsn: *dvlsn, ..Positions::default() };
        let helm = shows_at_the_helm.then_some(dvlsn);
        self.shown.show(positions);
        drop(helm);
        self.bell.ring();
    }

    /// Sleeps until the last watermark is shown.
    fn wait(&self) {
        loop {
            let heard = self.bell.heard();
            if self.shown.positions().dvlsn == LAST {
                return;
            }
            self.bell.wait(heard, never());
        }
    }
}

fn shown_by_two(shows_at_the_helm: bool) {
    let world = Arc::new(World::default());
    let driving: Vec<_> = (0..2)
        .map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.drive(shows_at_the_helm))
        })
        .collect();
    // As the log writer, which asks for each mark.
    let marks = [world.shown.dvlsn(), world.shown.dvlsn()];
    assert!(marks[0] <= marks[1], "a watermark went back");
    driving.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(world.shown.dvlsn(), LAST, "a watermark went back");
    world.wait();
}

#[test]
fn loom_a_watermark_that_is_shown_never_goes_back() {
    explore(|| shown_by_two(true));
}

#[test]
#[should_panic(expected = "a watermark went back")]
fn loom_twin_what_is_shown_by_one_who_does_not_drive_any_more_is_found() {
    explore(|| shown_by_two(false));
}

/// One who drives twice, and one who waits for what the second step shows.
#[test]
fn loom_who_waits_for_a_watermark_is_woken_when_it_is_shown() {
    explore(|| {
        let world = Arc::new(World::default());
        let waiting = thread::spawn({
            let world = Arc::clone(&world);
            move || world.wait()
        });
        world.drive(true);
        world.drive(true);
        waiting.join().unwrap();
    });
}
