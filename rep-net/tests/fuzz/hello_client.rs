//! The dialler's side of the first frame: whatever answers, in whatever pieces, is understood or refused, and nobody is
//! believed who is not the one that was called.

use crate::kit::Input;
use rep_net::frame::{self, FrameDecoder};
use rep_net::hello::{Answer, HELLO_BYTES_MAX};
use rep_net::{Bytes, Hello, HelloError, RefuseReason, Versions};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let (is_raw, hello) = (input.is(), dialled(&mut input));
    let lengths = input.short();
    let wire = match is_raw {
        true => input.rest().to_vec(),
        false => framed(input.rest()),
    };
    let mut decoder = FrameDecoder::new(HELLO_BYTES_MAX, 64);
    for piece in Input::new(&wire).pieces(lengths) {
        decoder.extend(piece);
        match decoder.next_frame() {
            Ok(None) => {}
            Ok(Some(frame)) => return answered(&hello, &frame),
            Err(_) => return,
        }
    }
}

fn answered(hello: &Hello, frame: &[u8]) {
    let decoded = Answer::decode(frame);
    let Ok(answer) = decoded else { return };
    assert_eq!(Answer::decode(&answer.encode()).as_ref(), Ok(&answer), "it survives the wire");
    match &answer {
        Answer::Accepted(accepted) => {
            let named = |meant: &str, found: &str| meant.is_empty() || meant == found;
            let is_meant = hello.versions.contains(accepted.version)
                && named(&hello.group, &accepted.group)
                && hello.target.as_ref().is_none_or(|target| *target == accepted.node);
            assert_eq!(accepted.check(hello).is_ok(), is_meant);
            assert_eq!(answer.encode(), frame, "one meaning, one spelling");
        }
        Answer::Refused(RefuseReason::VersionMismatch { spoken }) => {
            assert!(spoken.min() >= 1 && spoken.min() <= spoken.max());
        }
        Answer::Refused(reason) => assert!(reason.to_string().len() < HELLO_BYTES_MAX * 2),
    }
}

/// What was said to whoever answers.
fn dialled(input: &mut Input<'_>) -> Hello {
    let hello = Hello::new(if input.is() { "bank" } else { "" }, "peer");
    let hello = hello.speaking(Versions::new(2, 5));
    if input.is() { hello.to_node("n1") } else { hello }
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    [&frame::header(std::slice::from_ref(&payload))[..], &payload[..]].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let detail = String::from("because");
    let mut answers: Vec<Vec<u8>> = [
        RefuseReason::WrongGroup,
        RefuseReason::VersionMismatch { spoken: Versions::new(3, 9) },
        RefuseReason::WrongNode { node: "n9".into() },
        RefuseReason::Busy,
        RefuseReason::TooManyChannels,
        RefuseReason::NotMember { detail: detail.clone() },
        RefuseReason::NotAdministrator { detail: detail.clone() },
        RefuseReason::Malformed { detail: HelloError::WrongMagic.to_string() },
        RefuseReason::Other(detail),
    ]
    .into_iter()
    .map(|reason| Answer::Refused(reason).encode().to_vec())
    .collect();
    answers.push(b"rep!hi\r\n\x00\x03\x000123456789abcdef\x04\x00bank\x02\x00n1".to_vec());
    answers.push(b"rep!hi\r\n\x00\x02\x000123456789abcdef\x04\x00bank\x02\x00n2".to_vec());
    answers.push(b"rep!hi\r\n\x00\x07\x000123456789abcdef\x01\x00g\x02\x00n2".to_vec());
    let mut seeds = Vec::new();
    for answer in answers {
        seeds.push([&[0, 1, 1, 2, 3, 0][..], &answer].concat());
        seeds.push([&[1, 0, 1, 0][..], &framed(&answer)].concat());
    }
    seeds
}
