//! The listener's side of the first frame: whatever a stranger sends, in whatever pieces, it is admitted for what it
//! says or refused in words that a dialler can read, and it costs no more memory than a Hello may have.

use crate::kit::Input;
use rep_net::frame::{self, FrameDecoder};
use rep_net::hello::{Answer, HELLO_BYTES_MAX};
use rep_net::{
    Bytes, Channel, Hello, Host, Identity, RefuseReason, ServiceHandler, ServiceTable, Versions,
};
use std::sync::Arc;

const BLOCK_BYTES: usize = 512;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let (is_raw, hosts_two) = (input.is(), input.is());
    let lengths = input.short();
    let proved = input.is().then_some("n2");
    let wire = match is_raw {
        true => input.rest().to_vec(),
        false => framed(input.rest()),
    };
    let Some(first) = first_frame(Input::new(&wire).pieces(lengths)) else { return };
    let Ok(hello) = Hello::decode(&first) else { return };
    assert_eq!(hello.encode().as_ref(), Ok(&first), "one meaning, one spelling");
    assert!(hello.versions.min() >= 1 && hello.versions.min() <= hello.versions.max());
    let answer = judge(&hello, proved, hosts_two);
    let bytes = answer.encode();
    assert!(bytes.len() <= HELLO_BYTES_MAX);
    // The words of a refusal may have been cut, and are not cut again.
    assert_eq!(Answer::decode(&bytes).map(|read| read.encode()), Ok(bytes));
}

/// What a listener would answer, with what has to hold of it.
fn judge(hello: &Hello, proved: Option<&str>, hosts_two: bool) -> Answer {
    let identity = proved.map(|name| [Identity::new("bank", name)]);
    match table(hosts_two).admit(hello, identity.as_ref().map(|proved| &proved[..])) {
        Ok(admitted) => {
            assert_eq!(admitted.accepted.check(hello), Ok(()), "the dialler would agree");
            assert!(proved.is_none_or(|name| name == hello.node), "nobody is taken for another");
            assert!(proved.is_none() || admitted.accepted.group == "bank", "nor in another group");
            assert!(!hello.group.is_empty() || hello.service == "admin" && !hosts_two);
            Answer::Accepted(admitted.accepted)
        }
        Err(reason) => Answer::Refused(reason),
    }
}

fn first_frame(pieces: Vec<&[u8]>) -> Option<Bytes> {
    let mut decoder = FrameDecoder::new(HELLO_BYTES_MAX, BLOCK_BYTES);
    for piece in pieces {
        decoder.extend(piece);
        assert!(decoder.memory_bytes() <= 2 * (HELLO_BYTES_MAX + piece.len() + BLOCK_BYTES));
        match decoder.next_frame() {
            Ok(None) => {}
            Ok(frame) => return frame,
            Err(_) => return None,
        }
    }
    None
}

/// Lets in whoever is not called a stranger.
struct Desk {
    needs_group: bool,
}

impl ServiceHandler for Desk {
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        match &*hello.node {
            "stranger" => Err(RefuseReason::NotMember { detail: hello.node.repeat(200) }),
            _ => Ok(()),
        }
    }

    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        channel.close();
    }

    fn needs_group(&self) -> bool {
        self.needs_group
    }
}

fn table(hosts_two: bool) -> ServiceTable {
    let table = ServiceTable::new();
    let hosts = [("bank", "n1"), ("shop", "n1")];
    for (group, node) in hosts.into_iter().take(1 + usize::from(hosts_two)) {
        let host = Host::new(group, node, [1; 16]).speaking(Versions::new(2, 5));
        table.host(host).expect("a new group");
        for (service, needs_group) in [("peer", true), ("admin", false)] {
            table.register(group, service, Arc::new(Desk { needs_group })).expect("a new service");
        }
    }
    table
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    [&frame::header(std::slice::from_ref(&payload))[..], &payload[..]].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let versions = Versions::new(1, 3);
    let member = Hello::new("bank", "peer").from_node("n2", [2; 16]).to_node("n1");
    let hellos = [
        member.clone().speaking(versions).greeting(&b"hi"[..]),
        member,
        Hello::new("", "admin").speaking(versions),
        Hello::new("", "peer").speaking(versions),
        Hello::new("bank", "peer").speaking(versions).from_node("stranger", [3; 16]),
        Hello::new("shop", "peer").speaking(Versions::new(9, 9)),
        Hello::new("bank", "none").speaking(versions).to_node("n9"),
    ];
    let mut seeds = Vec::new();
    for hello in hellos {
        let bytes = hello.encode().expect("it may be sent");
        seeds.push([&[0, 0, 1, 6, 0][..], &bytes].concat());
        seeds.push([&[1, 1, 0, 1][..], &framed(&bytes)].concat());
    }
    // A target that is there and not meant.
    let unmeant = b"rep?hi\r\n\x01\x00\x03\x000123456789abcdef\x04\x00bank\x04\x00peer\x00\x00\x00\x02\x00n1\x00\x00";
    seeds.push([&[0, 0, 0, 0][..], unmeant].concat());
    seeds
}
