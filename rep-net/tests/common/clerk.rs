//! A listener for callers who may say anything. It knows what they have to be answered, and counts whom it let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rep_net::frame::{FRAME_HEADER_BYTES, FrameDecoder};
use rep_net::hello::{Answer, HELLO_BYTES_MAX};
use rep_net::{
    Address, Channel, Hello, HelloError, Host, Identity, Listener, RefuseReason, ServiceHandler,
    ServiceTable, TlsConfig, Transport, Versions,
};

use super::hello;
use super::tls::{Authority, Issued, framed};

/// Node n1 of the group `bank`, which n2 may call; and one authority for both.
pub(crate) struct Clerk<T> {
    pub(crate) n1: T,
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) n2: Issued,
    authority: Authority,
    services: Arc<ServiceTable>,
    desk: Arc<Desk>,
    answers: AtomicUsize,
}

impl<T: Transport> Clerk<T> {
    pub(crate) fn new(transport: impl FnOnce(TlsConfig) -> T) -> Self {
        let authority = Authority::new("bank's");
        let n1 = transport(authority.issue("rep://bank/n1").trusting(&authority.pem()));
        let n2 = authority.issue("rep://bank/n2");
        let (services, desk) = (Arc::new(ServiceTable::new()), Arc::new(Desk::default()));
        services.host(Host::new("bank", "n1", [1; 16]).speaking(Versions::new(1, 5))).unwrap();
        services.register("bank", "peer", Arc::clone(&desk) as Arc<dyn ServiceHandler>).unwrap();
        let listener = n1.listen(&"127.0.0.1:0".into(), Arc::clone(&services)).unwrap();
        Self { n1, listener, n2, authority, services, desk, answers: AtomicUsize::new(0) }
    }

    pub(crate) fn address(&self) -> &Address {
        self.listener.local_address()
    }

    /// How n2 would be configured.
    pub(crate) fn config_of_n2(&self) -> TlsConfig {
        self.n2.trusting(&self.authority.pem())
    }

    pub(crate) fn let_in(&self) -> usize {
        self.desk.0.load(Ordering::SeqCst)
    }

    /// How many callers have heard an answer.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    /// Compares what n2 heard, after it had proved who it is and said that, with what it should have heard. That it heard nothing may also be
    /// because a busy machine took longer than a caller may.
    pub(crate) fn check(&self, said: &[u8], heard: &[u8], let_in: usize) {
        let expected = self.answer_to(said);
        let mut decoder = FrameDecoder::new(HELLO_BYTES_MAX, HELLO_BYTES_MAX);
        decoder.extend(heard);
        if let Some(frame) = decoder.next_frame().expect("what is answered is a frame") {
            assert_eq!(Some(frame), expected.as_ref().map(Answer::encode));
            self.answers.fetch_add(1, Ordering::SeqCst);
        }
        let may_enter = matches!(expected, Some(Answer::Accepted(_)));
        assert!(let_in <= usize::from(may_enter), "{let_in} were let in, {expected:?}");
    }

    /// What the documentation of a Hello says that is to be answered; none to who says too little, or speaks another protocol.
    fn answer_to(&self, said: &[u8]) -> Option<Answer> {
        let malformed =
            |error: &dyn ToString| RefuseReason::Malformed { detail: error.to_string() };
        let mut decoder = FrameDecoder::new(HELLO_BYTES_MAX, HELLO_BYTES_MAX + FRAME_HEADER_BYTES);
        decoder.extend(said);
        let hello = match decoder.next_frame() {
            Ok(None) => return None,
            Ok(Some(frame)) => Hello::decode(&frame),
            Err(error) => return Some(Answer::Refused(malformed(&error))),
        };
        match hello {
            Ok(hello) => Some(self.judge(&hello)),
            Err(HelloError::WrongMagic) => None,
            Err(error) => Some(Answer::Refused(malformed(&error))),
        }
    }

    fn judge(&self, hello: &Hello) -> Answer {
        match self.services.admit(hello, Some(&[Identity::new("bank", "n2")])) {
            Ok(admitted) => Answer::Accepted(admitted.accepted),
            Err(reason) => Answer::Refused(reason),
        }
    }
}

/// Lets in whoever is known, and says goodbye.
#[derive(Default)]
struct Desk(AtomicUsize);

impl ServiceHandler for Desk {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        channel.close();
    }
}

/// What n2 may say, from what it should to what it must not.
pub(crate) fn sayings() -> Vec<Vec<u8>> {
    let hellos = [
        hello().to_node("n1"),
        hello(),
        hello().to_node("n9"),
        hello().greeting(vec![7; 100]),
        Hello::new("bank", "peer").from_node("n3", [3; 16]),
        Hello::new("shop", "peer").from_node("n2", [2; 16]),
        Hello::new("bank", "vault").from_node("n2", [2; 16]).speaking(Versions::new(9, 9)),
        Hello::new("", "peer"),
    ];
    let said = |hello: &Hello| framed(&hello.encode().expect("it may be sent"));
    let mut sayings: Vec<_> = hellos.iter().map(said).collect();
    sayings.push(framed(b"what is this?"));
    sayings.push(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    sayings
}
