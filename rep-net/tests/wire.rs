//! What is on the wire: any bytes, in any pieces, and nothing worse than a typed error.
#![cfg(not(rep_loom))]

use proptest::collection::vec;
use proptest::prelude::*;
use rep_net::frame::{self, FRAME_HEADER_BYTES, FrameDecoder};
use rep_net::hello::{Accepted, Answer, DETAIL_BYTES_MAX, HELLO_BYTES_MAX, NAME_BYTES_MAX};
use rep_net::{Bytes, FrameError, Hello, HelloError, RefuseReason, Versions};

const FRAME_BYTES_MAX: usize = 5000;

fn encoded(payload: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    [&frame::header(std::slice::from_ref(&payload)), &payload[..]].concat()
}

/// All frames that come out of these pieces, and the error that ended them, if one did.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    block: usize,
) -> (Vec<Bytes>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX, block);
    let mut frames = Vec::new();
    let mut arrived = 0;
    for piece in pieces {
        decoder.extend(piece);
        arrived += piece.len();
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error), "an error is for ever");
                    return (frames, Some(error));
                }
            }
        }
        assert!(
            decoder.memory_bytes() <= block.max(FRAME_HEADER_BYTES).max(2 * arrived),
            "more memory than bytes"
        );
    }
    (frames, None)
}

/// Cuts `bytes` into pieces of these lengths, over and over.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #[test]
    fn frames_in_any_pieces_come_out_the_same(
        payloads in vec(vec(any::<u8>(), 0..FRAME_BYTES_MAX), 0..8),
        lengths in vec(1_usize..3000, 1..10),
        block in 1_usize..4000,
    ) {
        let wire: Vec<u8> = payloads.iter().flat_map(|payload| encoded(payload)).collect();
        let (frames, error) = decode(cut(&wire, &lengths), block);
        prop_assert_eq!(error, None);
        prop_assert_eq!(frames.len(), payloads.len());
        prop_assert!(frames.iter().zip(&payloads).all(|(frame, payload)| frame == payload));
    }

    #[test]
    fn garbage_in_any_pieces_ends_the_same_way(
        garbage in vec(any::<u8>(), 0..2000),
        lengths in vec(1_usize..100, 1..10),
    ) {
        prop_assert_eq!(decode(cut(&garbage, &lengths), 64), decode([&garbage[..]], 4096));
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_the_frame(
        payload in vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let mut wire = encoded(&payload);
        let at = at.index(wire.len());
        wire[at] ^= 1_u8 << bit;
        let (frames, _) = decode([&wire[..]], 4096);
        prop_assert!(frames.is_empty());
    }

    #[test]
    fn a_hello_comes_back_as_it_was(hello in hellos()) {
        let wire = hello.encode().unwrap();
        prop_assert!(wire.len() <= HELLO_BYTES_MAX);
        prop_assert_eq!(Hello::decode(&wire), Ok(hello));
    }

    #[test]
    fn a_hello_cut_anywhere_is_truncated_and_a_longer_one_too_long(hello in hellos(), at in any::<prop::sample::Index>()) {
        let wire = hello.encode().unwrap();
        prop_assert_eq!(Hello::decode(&wire[..at.index(wire.len())]), Err(HelloError::Truncated));
        let longer = [&wire[..], b"x"].concat();
        prop_assert_eq!(Hello::decode(&longer), Err(HelloError::TrailingBytes { bytes: 1 }));
    }

    #[test]
    fn no_bytes_make_a_hello_or_an_answer_panic(bytes in vec(any::<u8>(), 0..200), hello in hellos(), at in any::<prop::sample::Index>()) {
        let _ = (Hello::decode(&bytes), Answer::decode(&bytes));
        for whole in [hello.encode().unwrap(), Answer::Refused(RefuseReason::Busy).encode()] {
            let at = at.index(whole.len());
            let spliced = [&whole[..at], &bytes[..]].concat();
            if let Ok(read) = Hello::decode(&spliced) {
                prop_assert_eq!(&read.encode().unwrap()[..], &spliced[..], "one meaning, one spelling");
            }
            let _ = Answer::decode(&spliced);
        }
    }
}

fn hellos() -> impl Strategy<Value = Hello> {
    let name = || "[a-zäöü0-9-]{0,60}";
    let service = "[a-z]{1,20}";
    (
        name(),
        service,
        name(),
        any::<[u8; 16]>(),
        proptest::option::of(name()),
        vec(any::<u8>(), 0..200),
        1_u16..9,
        0_u16..9,
    )
        .prop_map(|(group, service, node, incarnation, target, greeting, lowest, more)| {
            let mut hello =
                Hello::new(group, service).from_node(node, incarnation).greeting(greeting);
            hello.target = target;
            hello.speaking(Versions::new(lowest, lowest + more))
        })
}

#[test]
fn the_bytes_of_hello_and_answers_are_pinned() {
    let hello = Hello::new("g", "peer")
        .from_node("n1", *b"0123456789abcdef")
        .to_node("n2")
        .greeting(&b"hi"[..]);
    let expected = b"rep?hi\r\n\x01\x00\x01\x000123456789abcdef\x01\x00g\x04\x00peer\x02\x00n1\x01\x02\x00n2\x02\x00hi";
    assert_eq!(hello.encode().unwrap(), expected[..]);

    let accepted = b"rep!hi\r\n\x00\x07\x000123456789abcdef\x01\x00g\x02\x00n2";
    let Ok(Answer::Accepted(read)) = Answer::decode(accepted) else { panic!("accepted") };
    assert_eq!(
        (read.version, &*read.group, &*read.node, &read.incarnation),
        (7, "g", "n2", b"0123456789abcdef")
    );
    assert_eq!(Answer::Accepted(read).encode(), accepted[..]);

    let refused = b"rep!hi\r\n\x03\x02\x00\x05\x00\x00\x00";
    let reason = RefuseReason::VersionMismatch { spoken: Versions::new(2, 5) };
    assert_eq!(Answer::decode(refused), Ok(Answer::Refused(reason.clone())));
    assert_eq!(Answer::Refused(reason).encode(), refused[..]);
}

#[test]
fn every_reason_comes_back_and_an_unknown_one_keeps_its_words() {
    let detail = String::from("because");
    for reason in [
        RefuseReason::WrongGroup,
        RefuseReason::UnknownService,
        RefuseReason::VersionMismatch { spoken: Versions::new(3, 9) },
        RefuseReason::WrongNode { node: detail.clone() },
        RefuseReason::Busy,
        RefuseReason::NotMember { detail: detail.clone() },
        RefuseReason::NotAdministrator { detail: detail.clone() },
        RefuseReason::Closing,
        RefuseReason::Malformed { detail: detail.clone() },
        RefuseReason::NotProved,
        RefuseReason::TooManyChannels,
        RefuseReason::Other(detail.clone()),
    ] {
        let answer = Answer::Refused(reason);
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
    let future = b"rep!hi\r\n\x4d\x00\x00\x00\x00\x07\x00because";
    assert_eq!(Answer::decode(future), Ok(Answer::Refused(RefuseReason::Other(detail))));
}

#[test]
fn what_is_wrong_with_a_hello_is_said() {
    let good = Hello::new("g", "peer").encode().unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Hello::decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(0, b'R'), HelloError::WrongMagic);
    assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n"), Err(HelloError::WrongMagic));
    assert_eq!(changed(8, 0), HelloError::Invalid { field: "versions" });
    assert_eq!(changed(8, 9), HelloError::Invalid { field: "versions" });
    assert_eq!(changed(30, 0xff), HelloError::NotText { field: "group" });
    let too_long = HelloError::TooLong { field: "group", bytes: 0xff01, bytes_max: NAME_BYTES_MAX };
    assert_eq!(changed(29, 0xff), too_long);
    let huge = [&good[..], &[0; HELLO_BYTES_MAX]].concat();
    assert!(matches!(Hello::decode(&huge), Err(HelloError::TooLong { field: "hello", .. })));

    assert_eq!(Hello::new("g", "").encode(), Err(HelloError::Invalid { field: "service" }));
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    assert!(matches!(
        Hello::new(long, "s").encode(),
        Err(HelloError::TooLong { field: "group", .. })
    ));
    let greeting = Hello::new("g", "s").greeting(vec![0; 2049]).encode();
    assert!(matches!(greeting, Err(HelloError::TooLong { field: "greeting", .. })));
}

#[test]
fn the_longest_hello_and_answer_fit_their_bound() {
    let name = "n".repeat(NAME_BYTES_MAX);
    let hello =
        Hello::new(&name, &name).from_node(&name, [0; 16]).to_node(&name).greeting(vec![0; 2048]);
    assert!(hello.encode().unwrap().len() <= HELLO_BYTES_MAX);
    let words = "ä".repeat(DETAIL_BYTES_MAX);
    let answer = Answer::Refused(RefuseReason::Other(words)).encode();
    assert!(answer.len() <= HELLO_BYTES_MAX);
    let Ok(Answer::Refused(RefuseReason::Other(read))) = Answer::decode(&answer) else {
        panic!("refused")
    };
    assert_eq!(read, "ä".repeat(DETAIL_BYTES_MAX / 2), "a long detail is cut between characters");
}

#[test]
fn a_dialler_checks_who_answered() {
    let answer = |version: u8, group: &str, node: &str| -> Accepted {
        let strings = [group, node].map(|name| [&[name.len() as u8, 0], name.as_bytes()].concat());
        let bytes =
            [b"rep!hi\r\n\x00", &[version, 0][..], &[0; 16], &strings[0], &strings[1]].concat();
        match Answer::decode(&bytes) {
            Ok(Answer::Accepted(accepted)) => accepted,
            other => panic!("{other:?}"),
        }
    };
    let hello = Hello::new("g", "peer").to_node("n1").speaking(Versions::new(2, 3));
    assert_eq!(answer(2, "g", "n1").check(&hello), Ok(()));
    assert!(matches!(
        answer(4, "g", "n1").check(&hello),
        Err(HelloError::VersionNotOffered { found: 4, .. })
    ));
    assert!(matches!(
        answer(2, "h", "n1").check(&hello),
        Err(HelloError::AnotherAnswered { field: "group", .. })
    ));
    assert!(matches!(
        answer(2, "g", "n9").check(&hello),
        Err(HelloError::AnotherAnswered { field: "node", .. })
    ));
}
