//! One client's commands, in order.
//!
//! A write is handed over and its reply kept until it is durable, while the next commands run: many writes of one
//! connection share a sync. Replies leave in the order of the commands, so a reply behind an undecided write waits too;
//! the row is bounded, and full means that the oldest is waited for. A read waits for all writes before it. Reads that
//! arrived together share one view: it is taken after the last of them had come, so it is new enough for each.

use super::command::{self, Command};
use super::failure;
use super::reads::Read;
use super::reply::{Reply, Version};
use super::request::Request;
use super::server::Port;
use super::writes::Write;
use bytes::{Bytes, BytesMut};
use rep_env::{CommitHandle, CommitToken, Consistency, Error, View};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

#[cfg(test)]
mod cut_off_tests;

/// Replies that may wait for an undecided write.
const ROW_MAX: usize = 1024;
/// Bytes of values in these replies, `SET ... GET` for instance.
const ROW_BYTES_MAX: usize = 8 << 20;

/// What a connection has said, and what it has not been answered yet.
#[derive(Debug)]
pub(crate) struct Session<'p> {
    port: &'p Port,
    id: i64,
    version: Version,
    name: Bytes,
    readonly: bool,
    quits: bool,
    row: VecDeque<Waiting>,
    row_bytes: usize,
    out: BytesMut,
    /// Shared by the reads that have arrived together; gone with the next write.
    view: Option<View>,
    /// The last commit of this connection: what it has written, it reads.
    token: Option<CommitToken>,
    commands: u64,
}

/// A reply in the row: what to answer, once the commit is decided if there is one.
#[derive(Debug)]
struct Waiting {
    commit: Option<CommitHandle>,
    reply: Reply,
}

/// A command that was carried out in a transaction, and whether that changes anything.
struct Begun {
    commit: CommitHandle,
    reply: Reply,
    changes: bool,
}

impl<'p> Session<'p> {
    pub(crate) fn new(port: &'p Port, id: i64) -> Self {
        Session {
            port,
            id,
            version: Version::default(),
            name: Bytes::new(),
            readonly: false,
            quits: false,
            row: VecDeque::new(),
            row_bytes: 0,
            out: BytesMut::new(),
            view: None,
            token: None,
            commands: 0,
        }
    }

    /// Carries out one command. Its reply may have to wait.
    pub(crate) fn run(&mut self, request: Request) {
        self.commands += 1;
        match command::parse(request) {
            Ok(Command::Read(read)) => self.read(read),
            Ok(Command::Write(write)) => self.write(write),
            Ok(Command::Answer(reply)) => self.answer(reply),
            Ok(Command::Hello { version, name }) => self.hello(version, name),
            Ok(Command::Quit) => {
                self.answer(Reply::OK);
                self.quits = true;
            }
            Ok(Command::ReadOnly(readonly)) => {
                self.readonly = readonly;
                self.view = None;
                self.answer(Reply::OK);
            }
            Ok(Command::Info(sections)) => self.answer(self.port.info(&sections)),
            Ok(Command::Role) => self.answer(self.port.role()),
            Ok(Command::ClientId) => self.answer(Reply::Integer(self.id)),
            Ok(Command::ClientName) if self.name.is_empty() => self.answer(Reply::Null),
            Ok(Command::ClientName) => self.answer(Reply::Bulk(self.name.clone())),
            Ok(Command::SetClientName(name)) => {
                self.name = name;
                self.answer(Reply::OK);
            }
            Err(text) => self.answer(Reply::Error(text)),
        }
    }

    /// New bytes have come: what arrives with them may ask for a newer view.
    pub(crate) fn arrived(&mut self) {
        self.view = None;
    }

    /// Whether a reply waits for an undecided write.
    pub(crate) fn waits(&self) -> bool {
        !self.row.is_empty()
    }

    /// Waits for the oldest undecided write, and takes whatever is decided with it.
    pub(crate) fn settle_some(&mut self) {
        self.settle_oldest();
        self.settle_decided();
    }

    /// Takes the replies whose writes are decided, as far as the order allows.
    pub(crate) fn settle_decided(&mut self) {
        while let Some(oldest) = self.row.front() {
            let outcome = match &oldest.commit {
                None => None,
                Some(commit) => match commit.outcome() {
                    None => return,
                    decided => decided,
                },
            };
            self.settle(outcome);
        }
    }

    /// Waits for every undecided write.
    pub(crate) fn settle_all(&mut self) {
        while self.waits() {
            self.settle_oldest();
        }
    }

    /// Bytes for the client.
    pub(crate) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Whether the client has said goodbye.
    pub(crate) fn quits(&self) -> bool {
        self.quits
    }

    /// The last words to a client that cannot be understood.
    pub(crate) fn refuse(&mut self, why: impl std::fmt::Display) {
        self.answer(Reply::Error(format!("ERR Protocol error: {why}")));
    }

    /// Tells the port how many commands there were since it was last told.
    pub(crate) fn count(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        self.port.counters.commands.fetch_add(commands, Ordering::Relaxed);
    }

    // ---- the row ----

    fn answer(&mut self, reply: Reply) {
        if self.row.is_empty() {
            reply.write(self.version, &mut self.out);
        } else {
            self.queue(Waiting { commit: None, reply });
        }
    }

    fn queue(&mut self, waiting: Waiting) {
        self.row_bytes += waiting.reply.bytes();
        self.row.push_back(waiting);
        while self.row.len() > ROW_MAX || self.row_bytes > ROW_BYTES_MAX {
            self.settle_oldest();
        }
    }

    fn settle_oldest(&mut self) {
        let commit = self.row.front_mut().and_then(|oldest| oldest.commit.take());
        self.settle(commit.map(CommitHandle::wait));
    }

    /// Answers the oldest in the row, whose commit, if there was one, ended like this.
    fn settle(&mut self, outcome: Option<Result<CommitToken, Error>>) {
        let Some(Waiting { reply, .. }) = self.row.pop_front() else { return };
        self.row_bytes -= reply.bytes();
        let reply = match outcome {
            None => reply,
            Some(Ok(token)) => {
                self.token = self.token.max(Some(token));
                reply
            }
            Some(Err(error)) => failure::unresolved(&error),
        };
        reply.write(self.version, &mut self.out);
    }

    // ---- writes ----

    fn write(&mut self, write: Write) {
        self.view = None;
        match self.commit(write) {
            Ok(Begun { commit, reply, changes: true }) => {
                self.queue(Waiting { commit: Some(commit), reply });
            }
            Ok(Begun { commit, reply, changes: false }) => {
                let reply = self.saw(commit).map_or_else(|refusal| refusal, |()| reply);
                self.answer(reply);
            }
            Err(error) => self.answer(failure::refused(&error)),
        }
    }

    fn commit(&self, write: Write) -> Result<Begun, Error> {
        let mut txn = self.port.env.begin()?;
        let reply = write.run(&mut txn, &self.port.database)?;
        let changes = !txn.is_empty();
        Ok(Begun { commit: txn.commit()?, reply, changes })
    }

    /// A command that turned out to change nothing is a read: a `DEL` says that there is no such key, an `INCR` that the value
    /// is no number. So it needs what a read needs. What it read has to be durable; and this node must still have
    /// been master when it read, which a round of heartbeats begun afterwards tells, if it is of the same term.
    fn saw(&mut self, commit: CommitHandle) -> Result<(), Reply> {
        self.settle_all();
        let token = commit.wait().map_err(|error| failure::unresolved(&error))?;
        let confirmed = self.port.env.read(Consistency::Linearizable).wait();
        match confirmed.map(|view| view.applied().term == token.point().term) {
            Ok(true) => Ok(()),
            Ok(false) => Err(failure::refused(&Error::NotMaster { master: None })),
            Err(error) => Err(failure::refused(&error)),
        }
    }

    // ---- reads ----

    fn read(&mut self, read: Read) {
        self.settle_all();
        let reply = self.look().and_then(|view| {
            read.run(&view, &self.port.database, &self.port.cursors).map_err(Error::from)
        });
        self.answer(reply.unwrap_or_else(|error| failure::unread(&error)));
    }

    fn look(&mut self) -> Result<View, Error> {
        if let Some(view) = &self.view {
            return Ok(view.clone());
        }
        if !self.readonly {
            self.check_master()?;
        }
        let consistency = match (self.readonly, self.token) {
            (false, _) => Consistency::Linearizable,
            (true, Some(token)) => Consistency::AtLeast(token),
            (true, None) => Consistency::None,
        };
        let view = self.port.env.read(consistency).wait()?;
        self.view = Some(view.clone());
        Ok(view)
    }

    /// A replica could serve a linearizable read by asking its master; a Redis client expects to be sent there.
    fn check_master(&self) -> Result<(), Error> {
        let master = self.port.env.master();
        match &master {
            Some(member) if member.name == self.port.env.name() => Ok(()),
            Some(_) | None => Err(Error::NotMaster { master }),
        }
    }

    // ---- the connection itself ----

    /// What was asked before is answered in the version that was spoken then.
    fn hello(&mut self, version: Option<Version>, name: Option<Bytes>) {
        self.settle_all();
        self.version = version.unwrap_or(self.version);
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.answer(self.port.greeting(self.version, self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::Requests;
    use proptest::prelude::*;
    use redis_protocol::resp2::decode::decode_bytes_mut as decode2;
    use redis_protocol::resp3::decode::complete::decode_bytes_mut as decode3;
    use rep_env::net::mem::Hub;
    use rep_env::{RepConfig, ReplicatedEnvironment};
    use std::sync::LazyLock;
    use std::time::Duration;

    /// A group of one, shared by all cases: none of them depends on what is in it.
    static PORT: LazyLock<Port> = LazyLock::new(|| {
        let config = RepConfig::builder("bank", "n1")
            .members(["n1=here"])
            .transport(Hub::default().transport())
            .ephemeral();
        let env = ReplicatedEnvironment::open(config.build().unwrap()).unwrap();
        env.wait_for_master(Duration::from_secs(60)).unwrap();
        Port::new(env, Default::default())
    });

    /// Words from which commands are made, good ones and bad ones.
    fn word() -> impl Strategy<Value = Vec<u8>> {
        let known = [
            "get",
            "SET",
            "mget",
            "MSET",
            "del",
            "EXISTS",
            "incr",
            "DECR",
            "incrby",
            "decrby",
            "scan",
            "DBSIZE",
            "ping",
            "ECHO",
            "HELLO",
            "select",
            "readonly",
            "READWRITE",
            "info",
            "role",
            "command",
            "client",
            "config",
            "nx",
            "XX",
            "GET",
            "match",
            "COUNT",
            "setname",
            "docs",
            "id",
            "save",
            "0",
            "1",
            "2",
            "3",
            "-1",
            "9223372036854775807",
            "a",
            "b",
            "*",
            "[",
        ];
        prop_oneof![
            8 => prop::sample::select(known.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ]
    }

    fn count_replies(version: Version, out: &mut BytesMut) -> usize {
        let mut count = 0;
        while !out.is_empty() {
            match version {
                Version::Resp2 => drop(decode2(out).unwrap().expect("a whole reply")),
                Version::Resp3 => drop(decode3(out).unwrap().expect("a whole reply")),
            }
            count += 1;
        }
        count
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn every_command_has_exactly_one_reply(
            requests in prop::collection::vec(prop::collection::vec(word(), 1..6), 0..20),
        ) {
            let mut session = Session::new(&PORT, 1);
            let mut answered = 0;
            for request in &requests {
                // A change of version is answered in the new one, and what came before in the old one.
                if request[0].eq_ignore_ascii_case(b"hello") {
                    session.settle_all();
                    answered += count_replies(session.version, &mut session.out);
                }
                session.run(request.iter().map(|word| Bytes::copy_from_slice(word)).collect());
                prop_assert!(session.row.len() <= ROW_MAX);
            }
            session.settle_all();
            answered += count_replies(session.version, &mut session.out);
            prop_assert_eq!(answered, requests.len());
        }

        #[test]
        fn any_bytes_in_any_pieces_do_no_harm(
            pieces in prop::collection::vec(
                prop_oneof![
                    3 => word(),
                    3 => prop::sample::select(vec!["\r\n", "*1\r\n", "*3\r\n$3\r\nset\r\n$1\r\nk\r\n", "$", "*", "$4\r\n", " "])
                        .prop_map(|piece| piece.as_bytes().to_vec()),
                    1 => prop::collection::vec(any::<u8>(), 0..20),
                ],
                0..60,
            ),
        ) {
            let mut session = Session::new(&PORT, 1);
            let mut requests = Requests::default();
            let mut fed = 0;
            'all: for piece in &pieces {
                requests.buffer().extend_from_slice(piece);
                fed += piece.len();
                loop {
                    match requests.next() {
                        Ok(Some(request)) => session.run(request),
                        Ok(None) => break,
                        Err(error) => {
                            session.refuse(error);
                            break 'all;
                        }
                    }
                }
                // What is kept is what has come, not what was announced.
                prop_assert!(requests.buffer().len() <= fed);
                prop_assert!(requests.buffer().capacity() <= (64 << 10) + 4 * fed);
            }
            session.settle_all();
            prop_assert!(session.row_bytes == 0 && !session.waits());
        }
    }

    #[test]
    fn the_row_of_undecided_writes_is_bounded() {
        let mut session = Session::new(&PORT, 1);
        let words = |words: &[&'static str]| -> Request {
            words.iter().map(|word| Bytes::from_static(word.as_bytes())).collect()
        };
        for _ in 0..2 * ROW_MAX {
            session.run(words(&["SET", "bounded", "x"]));
            assert!(session.row.len() <= ROW_MAX);
        }
        session.settle_all();
        assert_eq!(count_replies(Version::Resp2, &mut session.out), 2 * ROW_MAX);
    }
}
