//! A session without a socket: whatever is sent in whatever pieces, each command has one reply, in order.

use super::row::{ROW_BYTES_MAX, ROW_MAX};
use super::*;
use crate::resp::batches::{Batches, News, Told};
use crate::resp::helper::Helper;
use crate::resp::looks::{Looks, Seen};
use crate::resp::mailbox::{Letter, Mailbox};
use crate::resp::poll::Poll;
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode_bytes_mut as decode2;
use redis_protocol::resp3::decode::complete::decode_bytes_mut as decode3;
use rep_env::net::mem::Hub;
use rep_env::{RepConfig, ReplicatedEnvironment};
use std::sync::{Arc, LazyLock};

/// A group of one, shared by all cases.
static PORT: LazyLock<Arc<Port>> = LazyLock::new(port);
/// One where nobody else writes.
static QUIET: LazyLock<Arc<Port>> = LazyLock::new(port);

fn port() -> Arc<Port> {
    let config = RepConfig::builder("bank", "n1")
        .members(["n1=here"])
        .transport(Hub::default().transport())
        .ephemeral();
    let env = ReplicatedEnvironment::open(config.build().unwrap()).unwrap();
    env.wait_for_master(Duration::from_secs(60)).unwrap();
    Arc::new(Port::new(env, Default::default()))
}

static HELPER: LazyLock<Helper> = LazyLock::new(|| Helper::start(Arc::clone(&PORT)).unwrap());

/// One session, and what a front does for it.
struct Talk {
    port: &'static Port,
    session: Session<'static>,
    batches: Batches,
    looks: Looks,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    asks: Asks,
    told: Told,
    seen: Seen,
    /// All that was answered.
    out: BytesMut,
}

impl Talk {
    fn new() -> Talk {
        Talk::with(&PORT)
    }

    fn with(port: &'static Port) -> Talk {
        let poll = Poll::new().unwrap();
        Talk {
            port,
            session: Session::new(port, 1),
            batches: Batches::default(),
            looks: Looks::default(),
            mailbox: Arc::new(Mailbox::new(poll.bell())),
            poll,
            asks: Asks::default(),
            told: Vec::new(),
            seen: Vec::new(),
            out: BytesMut::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.session.arrived(bytes);
        self.step();
    }

    fn say(&mut self, line: &str) {
        self.feed(format!("{line}\r\n").as_bytes());
    }

    /// What is answered to one command.
    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.answers()
    }

    fn answers(&mut self) -> String {
        self.settle();
        String::from_utf8_lossy(&self.out.split()).into_owned()
    }

    /// What can be seen now.
    fn view(&self) -> View {
        self.port.env.read(Consistency::Linearizable).wait().unwrap()
    }

    /// Does what can be done at once.
    fn step(&mut self) {
        loop {
            let now = Instant::now();
            self.session.due(now, &mut self.asks);
            let again = self.session.advance(now, &mut self.asks);
            self.out.unsplit(self.session.out().split());
            self.batches.take_in(&mut self.asks.writes);
            self.batches.commit(self.port, &self.mailbox, now, &mut self.told);
            self.looks.begin(&mut self.asks.looks, self.port, &self.mailbox, &mut self.seen);
            for (client, task) in self.asks.tasks.drain(..) {
                HELPER.ask(client, task, &self.mailbox);
            }
            let news = !self.told.is_empty() || !self.seen.is_empty();
            self.tell();
            if !news && !again && !self.session.can_go_on() {
                return;
            }
        }
    }

    fn tell(&mut self) {
        for (_, place, news) in self.told.drain(..) {
            match news {
                News::Began(bytes) => self.session.began(place, bytes),
                News::Settled(reply, token) => self.session.settled(place, reply, token),
            }
        }
        for (_, view) in self.seen.drain(..) {
            self.session.seen(view, &mut self.asks);
        }
    }

    /// Waits until everything that was said is answered.
    fn settle(&mut self) {
        let mut letters = Vec::new();
        loop {
            self.step();
            if self.session.is_done(true) {
                return;
            }
            if self.mailbox.sleep() {
                self.poll.wait(Some(Duration::from_millis(5)), &mut Vec::new()).unwrap();
            }
            self.mailbox.take(&mut letters);
            for letter in letters.drain(..) {
                match letter {
                    Letter::Woken(number) => {
                        if !self.batches.woken(number, self.port, &self.mailbox, &mut self.told) {
                            self.looks.woken(number, &self.mailbox, &mut self.seen);
                        }
                    }
                    Letter::Helped(_, help) => self.session.helped(help, Instant::now()),
                    other => panic!("{other:?}"),
                }
            }
            self.tell();
        }
    }

    fn count_replies(&mut self) -> usize {
        let mut count = 0;
        while !self.out.is_empty() {
            match self.session.row.version() {
                Version::Resp2 => drop(decode2(&mut self.out).unwrap().expect("a whole reply")),
                Version::Resp3 => drop(decode3(&mut self.out).unwrap().expect("a whole reply")),
            }
            count += 1;
        }
        count
    }
}

fn array(request: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", request.len()).into_bytes();
    for word in request {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Words from which commands are made, good ones and bad ones.
const WORDS: &str = "get SET mget MSET del EXISTS incr DECR incrby decrby setnx GETSET append strlen keys FLUSHDB scan DBSIZE \
    MULTI exec EXEC discard watch UNWATCH wait auth ping ECHO HELLO select readonly READWRITE info role command client config \
    nx XX GET match COUNT setname docs id save 0 1 2 3 -1 9223372036854775807 a b * [";

fn word() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&str> = WORDS.split_whitespace().collect();
    prop_oneof![
        8 => prop::sample::select(known).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

/// Would wait for replicas that there are none of.
fn waits_long(request: &[Vec<u8>]) -> bool {
    request[0].eq_ignore_ascii_case(b"wait")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_command_has_exactly_one_reply(
        requests in prop::collection::vec(prop::collection::vec(word(), 1..6), 0..20),
    ) {
        let mut talk = Talk::new();
        let mut answered = 0;
        let requests: Vec<_> = requests.into_iter().filter(|request| !waits_long(request)).collect();
        for request in &requests {
            // A change of version is answered in the new one, and what came before in the old one.
            if request[0].eq_ignore_ascii_case(b"hello") {
                talk.settle();
                answered += talk.count_replies();
            }
            talk.feed(&array(request));
        }
        talk.settle();
        answered += talk.count_replies();
        prop_assert_eq!(answered, requests.len());
    }

    #[test]
    fn the_same_bytes_in_other_pieces_have_the_same_replies(
        requests in prop::collection::vec(prop::collection::vec(own_word(), 1..5), 0..30),
        cuts in prop::collection::vec(1..40usize, 1..40),
    ) {
        let requests: Vec<_> = requests.into_iter().filter(|request| !waits_long(request)).collect();
        let bytes: Vec<u8> = requests.iter().flat_map(|request| array(request)).collect();
        let _alone = ALONE.lock().unwrap();
        let mut replies = Vec::new();
        for pieces in [vec![bytes.len().max(1)], cuts] {
            let mut talk = Talk::with(&QUIET);
            talk.ask(&format!("DEL {OWN_WORDS}"));
            let (mut at, mut pieces) = (0, pieces.into_iter().cycle());
            while at < bytes.len() {
                let end = bytes.len().min(at + pieces.next().unwrap());
                talk.feed(&bytes[at..end]);
                at = end;
            }
            talk.settle();
            replies.push(String::from_utf8_lossy(&talk.out).into_owned());
        }
        prop_assert_eq!(&replies[0], &replies[1]);
    }

    #[test]
    fn any_bytes_in_any_pieces_do_no_harm(
        pieces in prop::collection::vec(
            prop_oneof![
                3 => word().prop_filter("it waits", |word| !word.eq_ignore_ascii_case(b"wait")),
                3 => prop::sample::select(vec!["\r\n", "*1\r\n", "*3\r\n$3\r\nset\r\n$1\r\nk\r\n", "$", "*", "$4\r\n", " "])
                    .prop_map(|piece| piece.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..20),
            ],
            0..60,
        ),
    ) {
        let mut talk = Talk::new();
        let mut fed = 0;
        for piece in &pieces {
            fed += piece.len();
            talk.feed(piece);
            // What is kept is what has come, not what was announced.
            let buffer = talk.session.requests.buffer();
            prop_assert!(buffer.len() <= fed && buffer.capacity() <= (64 << 10) + 4 * fed);
        }
        talk.settle();
        prop_assert!(talk.session.row.is_empty() && talk.session.row.bytes() == 0);
    }
}

/// Commands, keys and values: any of them may come to be a key.
const OWN_WORDS: &str = "get SET mget MSET del EXISTS incr DECR setnx GETSET append strlen MULTI exec EXEC discard watch \
    UNWATCH ping ECHO a a a b b c c 1 x";

fn own_word() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&str> = OWN_WORDS.split_whitespace().collect();
    prop::sample::select(known).prop_map(|word| word.as_bytes().to_vec())
}

static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn the_row_of_undecided_writes_is_bounded() {
    let mut talk = Talk::new();
    let many = "SET bounded x\r\n".repeat(3 * ROW_MAX);
    talk.session.arrived(many.as_bytes());
    // As if no write were ever decided.
    for _ in 0..10 {
        talk.session.advance(Instant::now(), &mut talk.asks);
        assert!(talk.session.row.is_full() && talk.asks.writes.len() <= ROW_MAX);
        assert!(talk.session.is_held_up(), "more bytes are of no use");
    }
    talk.settle();
    assert_eq!(talk.count_replies(), 3 * ROW_MAX);
}

#[test]
fn large_writes_fill_the_row_by_their_bytes() {
    let mut talk = Talk::new();
    let value = vec![b'x'; ROW_BYTES_MAX / 2 + 1];
    let set = array(&[b"SET".to_vec(), b"large".to_vec(), value]);
    talk.session.arrived(&set.repeat(4));
    talk.session.advance(Instant::now(), &mut talk.asks);
    assert_eq!(talk.asks.writes.len(), 2);
    talk.settle();
    assert_eq!(talk.count_replies(), 4);
    assert!(talk.session.bytes() < 1024, "nothing is kept of what is answered");
}

#[test]
fn unsent_replies_stop_the_commands_behind_them() {
    let mut talk = Talk::new();
    let echo = array(&[b"ECHO".to_vec(), vec![b'x'; OUT_MAX]]);
    talk.session.arrived(&echo.repeat(3));
    assert!(!talk.session.advance(Instant::now(), &mut talk.asks));
    assert!(talk.session.out().len() < 2 * OUT_MAX && talk.session.is_held_up());
    talk.settle();
    assert_eq!(talk.count_replies(), 3);
}

#[test]
fn a_command_that_fails_does_not_spoil_those_that_share_its_transaction() {
    let mut talk = Talk::new();
    let long = vec![b'k'; (64 << 10) + 1];
    let words = |words: &[&str]| -> Vec<u8> {
        array(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    let half: Vec<Vec<u8>> =
        vec![b"MSET".to_vec(), b"shared-half".to_vec(), b"x".to_vec(), long, b"x".to_vec()];
    let bytes = [
        words(&["SET", "shared-1", "x"]),
        array(&half),
        words(&["INCR", "shared-1"]),
        words(&["SET", "shared-2", "x"]),
        words(&["MGET", "shared-1", "shared-2", "shared-half"]),
    ];
    talk.feed(&bytes.concat());
    talk.settle();
    let replies = String::from_utf8_lossy(&talk.out).into_owned();
    let replies: Vec<&str> = replies.split("\r\n").collect();
    assert_eq!(replies[0], "+OK");
    assert!(replies[1].starts_with("-ERR ") && replies[2].starts_with("-ERR value"), "{replies:?}");
    assert_eq!(replies[3..], ["+OK", "*3", "$1", "x", "$1", "x", "$-1", ""]);
}

/// `GET` had a view from before another client's write, `WATCH` one from after it. The `GET` behind the `WATCH` was answered
/// from the first, `EXEC` compared with the second: the write between them was overwritten by one who had never seen it.
#[test]
fn a_read_behind_a_watch_sees_what_is_watched() {
    let mut talk = Talk::new();
    talk.ask("SET watched 1");
    talk.session.arrived(b"GET x\r\nWATCH watched\r\nGET watched\r\n");
    // The first read has its view, the watch asks for one.
    let before = talk.view();
    talk.session.advance(Instant::now(), &mut talk.asks);
    talk.asks.looks.clear();
    talk.session.seen(Ok(before), &mut talk.asks);
    talk.session.advance(Instant::now(), &mut talk.asks);
    assert!(matches!(talk.session.stop, Some(Stop::View(Wants::Watch(_)))));
    Talk::new().ask("SET watched 2");
    assert_eq!(talk.answers(), "$-1\r\n+OK\r\n$1\r\n2\r\n");
    let exec = "MULTI\r\nSET watched 3\r\nEXEC";
    assert_eq!(talk.ask(exec), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
}

#[test]
fn a_discard_without_multi_forgets_nothing_that_is_watched() {
    let mut talk = Talk::new();
    talk.ask("WATCH kept");
    assert!(talk.ask("DISCARD").contains("without MULTI"));
    Talk::new().ask("SET kept 1");
    assert_eq!(talk.ask("MULTI\r\nSET kept 2\r\nEXEC"), "+OK\r\n+QUEUED\r\n*-1\r\n");
}
