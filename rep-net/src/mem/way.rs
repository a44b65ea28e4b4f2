//! One direction of a channel in memory: the queue, and what its receiver has in hand.
//!
//! A receiver that finds nothing in hand takes what is queued by the handful, so that a stream of small frames does not cost both ends the queue's
//! lock for each of them. One receiver at a time goes to the queue, and nobody goes there while a frame is in hand: frames come out in the order
//! they went in, whoever receives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::limits::Limits;
use crate::queue::{Closed, Lane, PushError, Queue};
use crate::sync::{Mutex, broken};
use crate::turn::Turn;

/// Frames that a receiver takes at once, at most.
const HANDFUL: usize = 64;

/// The bytes of all of them but the first: beyond the bounds of the queue no more than this is in hand.
const HANDFUL_BYTES: usize = 64 << 10;

/// How often a receiver looks whether something has come before it goes to sleep, each time after twice as long: some microseconds in all, less than
/// it takes to be woken. Who sends small frames one after the other does not wake its receiver for each. Where orders are explored nobody looks twice.
const LOOKS: u32 = if cfg!(any(rep_loom, rep_shuttle)) { 0 } else { 8 };

/// Where fewer have come, a receiver gives the next ones a moment, so many turns of an empty loop: well below a microsecond.
const FEW: usize = 8;
const COMPANY: u32 = 32;

/// One direction; a cheap handle to be cloned.
#[derive(Clone, Debug)]
pub(super) struct Way {
    queue: Queue<Bytes>,
    reader: Arc<Reader>,
}

#[derive(Debug)]
struct Reader {
    hand: Mutex<Hand>,
    /// With whoever goes to the queue: room for a handful, so that none is made each time.
    errand: Turn<Vec<Bytes>>,
}

/// What has left the queue, and not the channel.
#[derive(Debug, Default)]
struct Hand {
    frames: VecDeque<Bytes>,
    /// What comes now is thrown away.
    discarded: bool,
}

impl Way {
    pub(super) fn new(limits: &Limits) -> Self {
        let items_max = limits.queue_items_max.max(1);
        let lane = Lane { items_max, bytes_max: limits.queue_bytes_max };
        let reader = Reader { hand: Mutex::default(), errand: Turn::new(Vec::new()) };
        Self { queue: Queue::new([lane]), reader: Arc::new(reader) }
    }

    pub(super) fn push(&self, frame: Bytes) -> Result<(), PushError<Bytes>> {
        self.queue.push(0, frame.len(), frame, None)
    }

    pub(super) fn try_push(&self, frame: Bytes) -> Result<(), PushError<Bytes>> {
        self.queue.try_push(0, frame.len(), frame)
    }

    /// The next frame; none if the deadline passes first.
    pub(super) fn pop(&self, deadline: Instant) -> Result<Option<Bytes>, Closed> {
        if let Some(frame) = self.in_hand() {
            return Ok(Some(frame));
        }
        let Some(mut room) = self.reader.errand.take(deadline) else { return Ok(None) };
        // Somebody may have come back from the queue meanwhile.
        let brought = if broken("goes-past-the-hand") { None } else { self.in_hand() };
        let frame = match brought {
            Some(frame) => Ok(Some(frame)),
            None => self.fetch(&mut room, deadline),
        };
        self.reader.errand.give_back(room);
        frame
    }

    /// Takes a handful from the queue, and gives the first frame of it.
    fn fetch(&self, room: &mut Vec<Bytes>, deadline: Instant) -> Result<Option<Bytes>, Closed> {
        self.linger();
        self.queue.pop_handful(room, HANDFUL, HANDFUL_BYTES, Some(deadline))?;
        let mut fetched = room.drain(..);
        let first = fetched.next();
        if fetched.len() > 0 {
            let mut hand = self.reader.hand.lock();
            if !hand.discarded || broken("kept-after-the-crash") {
                hand.frames.extend(fetched);
            }
        }
        Ok(first)
    }

    /// Waits a moment, awake, for something to come, and for more to come with it.
    fn linger(&self) {
        let pause = |spins: u32| (0..spins).for_each(|_| std::hint::spin_loop());
        for look in 0..LOOKS {
            match self.queue.len() {
                0 => pause(1 << look),
                1..FEW => return pause(COMPANY),
                _ => return,
            }
        }
    }

    fn in_hand(&self) -> Option<Bytes> {
        self.reader.hand.lock().frames.pop_front()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    pub(super) fn close(&self) {
        self.queue.close();
    }

    pub(super) fn close_and_discard(&self) {
        self.queue.close_and_discard();
        let mut hand = self.reader.hand.lock();
        hand.discarded = true;
        drop(std::mem::take(&mut hand.frames));
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, never, thread};

    fn frame(number: u8) -> Bytes {
        Bytes::copy_from_slice(&[number])
    }

    fn way(frames: std::ops::RangeInclusive<u8>) -> Way {
        let way = Way::new(&Limits::default());
        frames.for_each(|number| way.push(frame(number)).unwrap());
        way
    }

    fn pop(way: &Way) -> Option<u8> {
        way.pop(never()).ok().flatten().map(|frame| frame[0])
    }

    /// One takes a frame and another two, while a third comes.
    fn each_sees_frames_in_their_order() {
        let way = way(1..=2);
        let (one, two) = (way.clone(), way.clone());
        let one = thread::spawn(move || pop(&one).unwrap());
        let two = thread::spawn(move || [pop(&two).unwrap(), pop(&two).unwrap()]);
        way.push(frame(3)).unwrap();
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert!(two[0] < two[1], "{two:?}");
        assert_eq!(one + two[0] + two[1], 6, "each comes once: {one}, {two:?}");
    }

    /// A receiver is on its way back from the queue when all is thrown away.
    fn nothing_is_in_hand_after_a_crash() {
        let way = way(1..=2);
        let receiver = way.clone();
        let receiver = thread::spawn(move || pop(&receiver));
        way.close_and_discard();
        receiver.join().unwrap();
        assert_eq!(pop(&way), None);
    }

    #[test]
    fn loom_each_receiver_sees_frames_in_their_order() {
        explore(each_sees_frames_in_their_order);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_who_goes_past_the_hand_is_found() {
        break_line("goes-past-the-hand");
        explore(each_sees_frames_in_their_order);
    }

    #[test]
    fn loom_nothing_is_in_hand_after_a_crash() {
        explore(nothing_is_in_hand_after_a_crash);
    }

    #[test]
    #[should_panic(expected = "left: Some(2)")]
    fn loom_twin_what_is_kept_after_a_crash_is_found() {
        break_line("kept-after-the-crash");
        explore(nothing_is_in_hand_after_a_crash);
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_in_hand_than_is_said() {
        let way = Way::new(&Limits::default());
        let large = Bytes::from(vec![0; HANDFUL_BYTES / 2]);
        (0..4).for_each(|_| way.push(large.clone()).unwrap());
        let soon = Instant::now();
        way.pop(soon).unwrap().unwrap();
        assert_eq!((way.reader.hand.lock().frames.len(), way.queue.len()), (2, 1));
        let small = Bytes::from_static(b"small");
        (0..2 * HANDFUL).for_each(|_| way.push(small.clone()).unwrap());
        (0..3).for_each(|_| drop(way.pop(soon).unwrap().unwrap()));
        assert_eq!(way.reader.hand.lock().frames.len(), HANDFUL - 1);
        way.close();
        assert_eq!(
            (0..2 * HANDFUL).filter(|_| way.pop(soon).is_ok_and(|it| it.is_some())).count(),
            2 * HANDFUL
        );
        assert_eq!(way.pop(soon), Err(Closed), "and then it has ended");
    }
}
