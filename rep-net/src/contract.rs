//! The suite of [`Channel`]'s contract, for any implementation of it, yours included.
//!
//! Give [`channel`] a function that makes two connected ends; it panics, naming the rule, at the first one that is broken. The names of
//! the functions are the rules.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::channel::{Channel, TrySent};
use crate::error::NetError;

/// Two connected ends of one channel.
pub type Ends = (Arc<dyn Channel>, Arc<dyn Channel>);

/// Longer than anything here takes; reached only by what hangs.
const LONG: Duration = Duration::from_secs(60);
/// What "at once" may take on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Long enough for another thread to get into a call, most of the time. Nothing is wrong if it did not.
const A_MOMENT: Duration = Duration::from_millis(30);

/// Every rule, one after the other, each with a fresh channel from `connect`.
///
/// # Panics
/// At the first rule that is broken.
pub fn channel(mut connect: impl FnMut() -> Ends) {
    for (name, rule) in RULES {
        eprintln!("channel contract: {name}");
        rule(connect());
    }
}

type Rule = fn(Ends);

const RULES: &[(&str, Rule)] = &[
    ("frames come out whole and in order", frames_come_out_whole_and_in_order),
    ("parts arrive as one frame", parts_arrive_as_one_frame),
    (
        "an oversized frame is refused and harms nothing",
        an_oversized_frame_is_refused_and_harms_nothing,
    ),
    ("a deadline is not a failure", a_deadline_is_not_a_failure),
    (
        "what has arrived is given though the deadline passed",
        what_has_arrived_is_given_after_the_deadline,
    ),
    ("a send does not wait for a receive", a_send_does_not_wait_for_a_receive),
    ("a second receiver keeps its own deadline", a_second_receiver_keeps_its_own_deadline),
    ("a send waits for a reader and loses nothing", a_send_waits_for_a_reader_and_loses_nothing),
    (
        "what is sent without waiting keeps its place among the rest",
        what_is_sent_without_waiting_keeps_its_place,
    ),
    (
        "a send without waiting does not wait for a reader",
        a_send_without_waiting_does_not_wait_for_a_reader,
    ),
    ("both directions full at once make progress", both_directions_full_make_progress),
    ("frames of many senders do not interleave", frames_of_many_senders_do_not_interleave),
    ("close ends a receive on the same side", close_ends_a_receive_on_the_same_side),
    ("close ends a receive on the other side", close_ends_a_receive_on_the_other_side),
    ("close ends a blocked send on the same side", close_ends_a_blocked_send_on_the_same_side),
    ("close ends a blocked send on the other side", close_ends_a_blocked_send_on_the_other_side),
    ("close delivers what was queued", close_delivers_what_was_queued),
    ("closed is closed for ever", closed_is_closed_for_ever),
    ("dropping the last handle closes", dropping_the_last_handle_closes),
];

fn frames_come_out_whole_and_in_order((left, right): Ends) {
    let longest = left.frame_bytes_max();
    let lengths = [0, 1, 7, 8, 9, 1000, 65_535, 65_536, 300_000, longest - 1, longest, 0, 3];
    let sizes: Vec<usize> = lengths.into_iter().filter(|bytes| *bytes <= longest).collect();
    thread::scope(|scope| {
        for (from, to) in [(&left, &right), (&right, &left)] {
            scope
                .spawn(|| sizes.iter().for_each(|bytes| from.send(pattern(*bytes)).expect("sent")));
            scope.spawn(|| {
                for bytes in &sizes {
                    let frame = next(to);
                    assert_eq!(frame.len(), *bytes);
                    assert!(
                        frame == pattern(*bytes),
                        "the content of a frame of {bytes} bytes changed"
                    );
                }
            });
        }
    });
}

fn parts_arrive_as_one_frame((left, right): Ends) {
    let parts: Vec<Bytes> = (0..40).map(|number| pattern(number * 37 % 300)).collect();
    left.send_parts(&parts).expect("sent");
    left.send_parts(&[]).expect("sent");
    left.send_parts(&[Bytes::from_static(b"one")]).expect("sent");
    // More slices than a system call takes.
    let many = vec![Bytes::from_static(b"xy"); 5_000];
    thread::scope(|scope| {
        scope.spawn(|| left.send_parts(&many).expect("sent"));
        assert_eq!(next(&right), parts.concat());
        assert_eq!(next(&right), b""[..]);
        assert_eq!(next(&right), b"one"[..]);
        assert_eq!(next(&right), many.concat());
    });
}

fn an_oversized_frame_is_refused_and_harms_nothing((left, right): Ends) {
    let bytes_max = left.frame_bytes_max();
    let half = pattern(bytes_max / 2 + 1);
    let refused = left.send_parts(&[half.clone(), half.clone()]);
    assert_eq!(refused, Err(NetError::FrameTooLarge { bytes: half.len() * 2, bytes_max }));
    let refused = left.send(pattern(bytes_max + 1));
    assert_eq!(refused, Err(NetError::FrameTooLarge { bytes: bytes_max + 1, bytes_max }));
    left.send(Bytes::from_static(b"goes on")).expect("sent");
    assert_eq!(next(&right), b"goes on"[..]);
}

fn a_deadline_is_not_a_failure((left, right): Ends) {
    for wait in [0, 1, 20] {
        let wait = Duration::from_millis(wait);
        let start = Instant::now();
        assert_eq!(right.receive(start + wait), Ok(None));
        assert!(start.elapsed() >= wait, "it gave up early");
        assert!(start.elapsed() < AT_ONCE, "it gave up late");
    }
    // A frame that takes long to come in is received by receives that are much shorter than that.
    let frame = pattern(left.frame_bytes_max().min(4 << 20));
    thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|_| left.send(frame.clone()).expect("sent")));
        for _ in 0..3 {
            let end = Instant::now() + LONG;
            let received = loop {
                assert!(Instant::now() < end, "the frame never became whole");
                if let Some(received) = right.receive(Instant::now()).expect("received") {
                    break received;
                }
            };
            assert!(received == frame, "the frame changed");
        }
    });
}

fn what_has_arrived_is_given_after_the_deadline((left, right): Ends) {
    left.send(Bytes::from_static(b"first")).expect("sent");
    left.send(Bytes::from_static(b"second")).expect("sent");
    // When the first is here, so is the second, or soon.
    assert_eq!(next(&right), b"first"[..]);
    let past = Instant::now();
    let end = past + LONG;
    loop {
        assert!(
            Instant::now() < end,
            "a receive whose deadline has passed never gives what is there"
        );
        if let Some(frame) = right.receive(past).expect("received") {
            return assert_eq!(frame, b"second"[..]);
        }
    }
}

fn a_send_does_not_wait_for_a_receive((left, right): Ends) {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| left.receive(Instant::now() + LONG));
        pause();
        let start = Instant::now();
        left.send(Bytes::from_static(b"while receiving")).expect("sent");
        assert!(start.elapsed() < AT_ONCE, "the send waited for the receive");
        assert_eq!(next(&right), b"while receiving"[..]);
        right.send(Bytes::from_static(b"answer")).expect("sent");
        assert_eq!(waiting.join().unwrap(), Ok(Some(Bytes::from_static(b"answer"))));
    });
}

fn a_second_receiver_keeps_its_own_deadline((left, right): Ends) {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| left.receive(Instant::now() + LONG));
        pause();
        let start = Instant::now();
        let second = left.receive(start + A_MOMENT).expect("received");
        assert!(start.elapsed() < AT_ONCE, "the second receiver waited for the first");
        assert_eq!(second, None);
        right.send(Bytes::from_static(b"for the first")).expect("sent");
        assert_eq!(waiting.join().unwrap(), Ok(Some(Bytes::from_static(b"for the first"))));
    });
}

fn a_send_waits_for_a_reader_and_loses_nothing((left, right): Ends) {
    let frame = pattern(left.frame_bytes_max().min(64 << 10));
    let count = (64 << 20) / frame.len();
    thread::scope(|scope| {
        let sender =
            scope.spawn(|| (0..count).for_each(|_| left.send(frame.clone()).expect("sent")));
        pause();
        assert!(
            !sender.is_finished(),
            "64 MiB went out with nobody reading: nothing bounds the memory"
        );
        for _ in 0..count {
            assert!(next(&right) == frame, "a frame changed");
        }
    });
    assert_eq!(right.receive(Instant::now()), Ok(None));
}

fn what_is_sent_without_waiting_keeps_its_place((left, right): Ends) {
    let bytes_max = left.frame_bytes_max();
    let half = pattern(bytes_max / 2 + 1);
    let refused = left.try_send_parts(&[half.clone(), half.clone()]);
    let too_large = NetError::FrameTooLarge { bytes: half.len() * 2, bytes_max };
    assert!(refused == Err(too_large) || refused == Ok(TrySent::NotNow), "{refused:?}");
    let frame = |number: usize| pattern(number * 97 % bytes_max.min(50_000));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..2_000 {
                let frame = frame(number);
                let parts = [frame.slice(..frame.len() / 2), frame.slice(frame.len() / 2..)];
                match left.try_send_parts(&parts).expect("the channel is open") {
                    TrySent::Whole => {}
                    // Sometimes the next send that waits does it.
                    TrySent::Partly if number % 2 == 0 => {}
                    TrySent::Partly => left.flush().expect("flushed"),
                    TrySent::NotNow => left.send_parts(&parts).expect("sent"),
                }
            }
            left.flush().expect("flushed");
        });
        for number in 0..2_000 {
            assert!(next(&right) == frame(number), "frame {number} changed, or its place did");
        }
    });
    left.close();
    let late = left.try_send_parts(&[Bytes::from_static(b"late")]);
    assert!(matches!(late, Err(NetError::Closed) | Ok(TrySent::NotNow)), "{late:?}");
}

fn a_send_without_waiting_does_not_wait_for_a_reader((left, right): Ends) {
    let frame = pattern(left.frame_bytes_max().min(64 << 10));
    let (mut taken, mut partly) = (0, false);
    while taken * frame.len() <= 64 << 20 && !partly {
        match left.try_send_parts(std::slice::from_ref(&frame)).expect("the channel is open") {
            TrySent::Whole => taken += 1,
            TrySent::Partly => (taken, partly) = (taken + 1, true),
            TrySent::NotNow => break,
        }
    }
    assert!(taken * frame.len() <= 64 << 20, "nothing bounds the memory");
    if partly {
        let parts = std::slice::from_ref(&frame);
        assert_eq!(left.try_send_parts(parts), Ok(TrySent::NotNow), "a rest is in the way");
    }
    thread::scope(|scope| {
        scope.spawn(|| left.flush().expect("flushed"));
        for _ in 0..taken {
            assert!(next(&right) == frame, "a frame changed");
        }
    });
    assert_eq!(right.receive(Instant::now()), Ok(None));
}

fn both_directions_full_make_progress((left, right): Ends) {
    let frame = pattern(left.frame_bytes_max().min(256 << 10));
    let count = (32 << 20) / frame.len();
    thread::scope(|scope| {
        for end in [&left, &right] {
            scope.spawn(|| (0..count).for_each(|_| end.send(frame.clone()).expect("sent")));
        }
        // Both are full now, or about to be; then both sides begin to read.
        pause();
        for end in [&left, &right] {
            scope.spawn(|| (0..count).for_each(|_| assert!(next(end) == frame, "a frame changed")));
        }
    });
}

fn frames_of_many_senders_do_not_interleave((left, right): Ends) {
    let (senders, each) = (4_u8, 200);
    thread::scope(|scope| {
        for sender in 0..senders {
            let left = &left;
            scope.spawn(move || {
                for number in 0..each {
                    let body = Bytes::from(vec![sender; number * 13 % 5_000]);
                    left.send_parts(&[Bytes::from(vec![sender]), body]).expect("sent");
                }
            });
        }
        let mut counts = vec![0; usize::from(senders)];
        for _ in 0..usize::from(senders) * each {
            let frame = next(&right);
            let sender = frame[0];
            assert!(frame.iter().all(|byte| *byte == sender), "two frames are mixed");
            let number = counts[usize::from(sender)];
            assert_eq!(frame.len(), 1 + number * 13 % 5_000, "frames of one sender changed places");
            counts[usize::from(sender)] += 1;
        }
    });
}

fn close_ends_a_receive_on_the_same_side((left, _right): Ends) {
    close_ends_a_receive(&left, &left);
}

fn close_ends_a_receive_on_the_other_side((left, right): Ends) {
    close_ends_a_receive(&left, &right);
}

fn close_ends_a_receive(receiver: &Arc<dyn Channel>, closer: &Arc<dyn Channel>) {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.receive(Instant::now() + LONG));
        pause();
        let start = Instant::now();
        closer.close();
        assert!(start.elapsed() < AT_ONCE, "the close waited for the receive");
        assert_eq!(waiting.join().unwrap(), Err(NetError::Closed));
        assert!(start.elapsed() < AT_ONCE, "the receive outlived the close");
    });
}

fn close_ends_a_blocked_send_on_the_same_side((left, _right): Ends) {
    close_ends_a_blocked_send(&left, &left);
}

fn close_ends_a_blocked_send_on_the_other_side((left, right): Ends) {
    close_ends_a_blocked_send(&left, &right);
}

fn close_ends_a_blocked_send(sender: &Arc<dyn Channel>, closer: &Arc<dyn Channel>) {
    let frame = pattern(sender.frame_bytes_max().min(256 << 10));
    thread::scope(|scope| {
        // Several of them, so that some wait for the one that is writing.
        let blocked: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        if let Err(error) = sender.send(frame.clone()) {
                            return error;
                        }
                    }
                })
            })
            .collect();
        pause();
        let start = Instant::now();
        closer.close();
        for thread in blocked {
            let error = thread.join().unwrap();
            // What the other side's close looks like to a half-sent frame is the network's to say.
            let lost = matches!(error, NetError::Lost { .. }) && !Arc::ptr_eq(sender, closer);
            assert!(lost || error == NetError::Closed, "{error}");
        }
        assert!(start.elapsed() < AT_ONCE, "a send outlived the close");
    });
}

fn close_delivers_what_was_queued((left, right): Ends) {
    for number in 0..100_u32 {
        left.send(Bytes::copy_from_slice(&number.to_le_bytes())).expect("sent");
        right.send(Bytes::copy_from_slice(&(1000 + number).to_le_bytes())).expect("sent");
    }
    // Seen to have arrived, so that the closing side has something to be given too.
    assert_eq!(next(&left), 1000_u32.to_le_bytes()[..]);
    left.close();
    for number in 0..100_u32 {
        assert_eq!(next(&right), number.to_le_bytes()[..]);
    }
    assert_eq!(right.receive(Instant::now() + LONG), Err(NetError::Closed));
    let mut expected = 1001_u32;
    while let Ok(Some(frame)) = left.receive(Instant::now() + LONG) {
        assert_eq!(frame, expected.to_le_bytes()[..]);
        expected += 1;
    }
    assert_eq!(left.receive(Instant::now() + LONG), Err(NetError::Closed));
}

fn closed_is_closed_for_ever((left, right): Ends) {
    for end in [&left, &left, &right, &left, &right] {
        end.close();
    }
    for _ in 0..3 {
        for end in [&left, &right] {
            assert_eq!(end.send(Bytes::from_static(b"late")), Err(NetError::Closed));
            assert_eq!(end.send_parts(&[]), Err(NetError::Closed));
            assert_eq!(end.receive(Instant::now()), Err(NetError::Closed));
            assert_eq!(end.receive(Instant::now() + LONG), Err(NetError::Closed));
        }
    }
}

fn dropping_the_last_handle_closes((left, right): Ends) {
    left.send(Bytes::from_static(b"last words")).expect("sent");
    let second = Arc::clone(&left);
    drop(left);
    assert_eq!(right.receive(Instant::now() + LONG), Ok(Some(Bytes::from_static(b"last words"))));
    assert_eq!(right.receive(Instant::now()), Ok(None), "a handle is left");
    drop(second);
    assert_eq!(right.receive(Instant::now() + LONG), Err(NetError::Closed));
}

fn next(end: &Arc<dyn Channel>) -> Bytes {
    end.receive(Instant::now() + LONG).expect("the channel is open").expect("a frame comes")
}

/// Lets other threads get into their calls. No rule depends on how long this takes; a shorter moment only makes a broken channel
/// less likely to be found out.
fn pause() {
    let end = Instant::now() + A_MOMENT;
    while let left @ 1.. = end.saturating_duration_since(Instant::now()).as_millis() {
        thread::park_timeout(Duration::from_millis(left as u64));
    }
}

/// Bytes of which no two stretches look alike.
fn pattern(bytes: usize) -> Bytes {
    let mut state = bytes as u32 ^ 0x9e37_79b9;
    let mut out = Vec::with_capacity(bytes + 4);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out.into()
}
