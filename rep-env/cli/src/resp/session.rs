//! One client's commands, in order. It waits for nothing and knows no socket: whoever holds it feeds it bytes, passes on
//! what it asks for, and tells it what came of that.
//!
//! A write is handed over and a place kept for its reply while the next commands run: many writes of one connection are
//! on their way together. Replies leave in the order of the commands; the row of undecided ones is bounded, and while it is full
//! no more commands are taken. A read waits for all writes before it. Reads that arrived together share one view: it
//! is asked for after the last of them had come, so it is new enough for each.

mod row;

#[cfg(test)]
mod cut_off_tests;
#[cfg(test)]
mod tests;

use super::command::{self, Command};
use super::failure;
use super::helper::{Flush, Help, Task};
use super::multi::{Multi, Queued};
use super::reads::Read;
use super::reply::{Reply, Version};
use super::request::{Request, Requests};
use super::server::Port;
use super::writes::{LIGHT_KEYS_MAX, Write, check_room};
use bytes::{Bytes, BytesMut};
use rep_env::{CommitToken, Consistency, Error, NodeState, View};
use row::Row;
use std::time::{Duration, Instant};

/// No more commands are run while so many bytes of replies wait to be sent.
pub(super) const OUT_MAX: usize = 64 << 10;
/// Commands that one client runs before it is another's turn.
const COMMANDS_MAX: usize = 1024;
/// How often `WAIT` looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a connection has said, and what it has not been answered yet.
#[derive(Debug)]
pub(super) struct Session<'p> {
    port: &'p Port,
    id: i64,
    name: Bytes,
    authenticated: bool,
    readonly: bool,
    ending: bool,
    requests: Requests,
    /// There is no whole command among the bytes that have come.
    exhausted: bool,
    row: Row,
    stop: Option<Stop>,
    /// Bytes of the command that waits.
    stop_bytes: usize,
    /// Shared by the reads that have arrived together; gone with the next write.
    view: Option<View>,
    /// Bytes have come since the view was asked for.
    newer_bytes: bool,
    /// The last commit of this connection: what it has written, it reads.
    token: Option<CommitToken>,
    multi: Multi,
    commands: u64,
}

/// What a command waits for before it can run, and all behind it.
#[derive(Debug)]
enum Stop {
    /// Every write before it.
    Row(Command),
    View(Wants),
    /// The helper's answer.
    Helper,
    Wait(Wait),
}

/// What a view is wanted for.
#[derive(Debug)]
enum Wants {
    Read(Read),
    Watch(Vec<Bytes>),
}

/// A `WAIT`: for so many replicas, until then or for ever, looking again at that moment.
#[derive(Debug)]
struct Wait {
    replicas: i64,
    until: Option<Instant>,
    again: Option<Instant>,
}

/// What sessions ask for.
#[derive(Debug, Default)]
pub(super) struct Asks {
    pub(super) writes: Vec<Job>,
    pub(super) looks: Vec<(i64, Consistency)>,
    pub(super) tasks: Vec<(i64, Task)>,
}

/// A write to be carried out, and where its reply goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) client: i64,
    pub(super) place: u64,
    pub(super) write: Write,
    /// When it was asked for.
    pub(super) since: Instant,
}

impl<'p> Session<'p> {
    pub(super) fn new(port: &'p Port, id: i64) -> Self {
        let authenticated = port.config.password.is_none();
        let mut requests = Requests::default();
        requests.set_stranger(!authenticated);
        Session {
            port,
            id,
            name: Bytes::new(),
            authenticated,
            readonly: false,
            ending: false,
            requests,
            exhausted: true,
            row: Row::default(),
            stop: None,
            stop_bytes: 0,
            view: None,
            newer_bytes: false,
            token: None,
            multi: Multi::default(),
            commands: 0,
        }
    }

    // ---- what the outside says ----

    /// New bytes have come: what arrives with them may ask for a newer view.
    pub(super) fn arrived(&mut self, bytes: &[u8]) {
        self.requests.buffer().extend_from_slice(bytes);
        self.exhausted = false;
        self.newer_bytes = true;
        self.view = None;
    }

    /// Runs commands until one has to wait, or there is none, or it is another client's turn; true in that last case.
    pub(super) fn advance(&mut self, now: Instant, asks: &mut Asks) -> bool {
        for _ in 0..COMMANDS_MAX {
            if self.is_held_up() {
                return false;
            }
            if let Some(Stop::Row(command)) = self.stop.take() {
                self.run(command, now, asks);
                continue;
            }
            match self.requests.next() {
                Ok(Some(request)) => self.take(request, now, asks),
                Ok(None) => {
                    self.exhausted = true;
                    self.view = None;
                    return false;
                }
                Err(error) => {
                    self.row.answer(Reply::Error(format!("ERR Protocol error: {error}")));
                    self.ending = true;
                }
            }
        }
        true
    }

    /// The write of `place` is on its way to the log; its reply costs so many bytes.
    pub(super) fn began(&mut self, place: u64, bytes: usize) {
        self.row.began(place, bytes);
    }

    /// The write of `place` is decided.
    pub(super) fn settled(&mut self, place: u64, reply: Reply, token: Option<CommitToken>) {
        self.token = self.token.max(token);
        self.row.settle(place, reply);
    }

    /// The view that was asked for, or why there is none.
    pub(super) fn seen(&mut self, view: Result<View, Error>, asks: &mut Asks) {
        let Some(Stop::View(wants)) = self.stop.take() else { return };
        match (view, wants) {
            (Ok(view), Wants::Read(read)) => {
                self.share(&view);
                self.read_in(view, read, asks);
            }
            (Ok(view), Wants::Watch(keys)) => {
                self.share(&view);
                let reply = self.watch_in(&view, keys);
                self.row.answer(reply.unwrap_or_else(|error| failure::unread(&error)));
            }
            (Err(error), _) => self.row.answer(failure::unread(&error)),
        }
    }

    /// What the helper found.
    pub(super) fn helped(&mut self, help: Help, now: Instant) {
        match (self.stop.take(), help) {
            (Some(Stop::Helper | Stop::Wait(_)), Help::Reply(reply)) => self.answer_read(reply),
            (Some(Stop::Helper), Help::Wrote(reply, token)) => {
                self.token = self.token.max(token);
                self.row.answer(reply);
            }
            (Some(Stop::Wait(wait)), Help::Synced(synced)) => self.counted(wait, synced, now),
            (stop, _) => self.stop = stop,
        }
    }

    /// Time has passed: asks again for what it waits for by looking.
    pub(super) fn due(&mut self, now: Instant, asks: &mut Asks) {
        if let Some(Stop::Wait(wait)) = &mut self.stop
            && wait.again.is_some_and(|again| again <= now)
        {
            wait.again = None;
            asks.tasks.push((self.id, Task::Synced));
        }
    }

    /// When [`due`](Session::due) has something to do.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match &self.stop {
            Some(Stop::Wait(wait)) => wait.again,
            _ => None,
        }
    }

    // ---- what the outside asks ----

    /// Whether no command can run before something else happens; more bytes are of no use then.
    pub(super) fn is_held_up(&self) -> bool {
        let stopped = match &self.stop {
            None => false,
            Some(Stop::Row(_)) => !self.row.is_empty(),
            Some(_) => true,
        };
        self.ending || stopped || self.row.is_full() || self.row.out_bytes() >= OUT_MAX
    }

    /// Whether a command can run now.
    pub(super) fn can_go_on(&self) -> bool {
        !self.is_held_up() && (!self.exhausted || self.stop.is_some())
    }

    /// Whether everything that was said is answered, and nothing more will be.
    pub(super) fn is_done(&self, no_more_comes: bool) -> bool {
        let all = self.ending || no_more_comes && self.exhausted;
        all && self.row.is_empty() && self.stop.is_none()
    }

    /// Bytes for the client.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        self.row.out()
    }

    /// Bytes that are kept for it.
    pub(super) fn bytes(&self) -> usize {
        let unanswered = self.row.bytes() + self.row.out_bytes();
        let stopped = if self.stop.is_some() { self.stop_bytes } else { 0 };
        self.requests.bytes() + stopped + self.multi.bytes() + unanswered
    }

    /// Commands that were taken since this was last asked.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.commands)
    }

    // ---- commands ----

    fn take(&mut self, request: Request, now: Instant, asks: &mut Asks) {
        self.commands += 1;
        let bytes = request.iter().map(|word| word.len() + size_of::<Bytes>()).sum();
        self.stop_bytes = 0;
        match command::parse(request) {
            Err(text) => {
                self.multi.spoil();
                self.row.answer(Reply::Error(text));
            }
            Ok(command) if !self.authenticated && !command.is_for_strangers() => {
                self.row.answer(Reply::error("NOAUTH Authentication required."));
            }
            Ok(command) if self.multi.is_open() && !command.ends_multi() => {
                self.queue(command, bytes);
            }
            Ok(command) if command.waits_for_writes() && !self.row.is_empty() => {
                self.stop = Some(Stop::Row(command));
                self.stop_bytes = bytes;
            }
            Ok(command) => {
                self.stop_bytes = bytes;
                self.run(command, now, asks);
            }
        }
    }

    fn run(&mut self, command: Command, now: Instant, asks: &mut Asks) {
        match command {
            Command::Read(read) => self.read(read, asks),
            Command::Write(write) => self.write(write, now, asks),
            Command::Answer(reply) => self.row.answer(reply),
            Command::Hello { version, name, auth } => self.hello(version, name, auth),
            Command::Auth { user, password } => {
                let reply = self.authenticate(&user, &password).err().unwrap_or(Reply::OK);
                self.row.answer(reply);
            }
            Command::Quit => {
                self.row.answer(Reply::OK);
                self.ending = true;
            }
            Command::ReadOnly(readonly) => {
                self.readonly = readonly;
                self.view = None;
                self.row.answer(Reply::OK);
            }
            Command::Multi => {
                let reply = self.multi.begin();
                self.row.answer(reply);
            }
            Command::Exec => match self.multi.exec() {
                Ok(exec) => self.write(Write::Exec(exec), now, asks),
                Err(reply) => self.row.answer(reply),
            },
            Command::Discard => {
                let reply = self.multi.discard();
                self.row.answer(reply);
            }
            Command::Watch(keys) => self.watch(keys, asks),
            Command::Unwatch => {
                self.multi.unwatch();
                self.row.answer(Reply::OK);
            }
            Command::Wait { replicas, timeout } => self.wait(replicas, timeout, now, asks),
            Command::FlushDb => self.ask_helper(Task::Flush(Flush::default()), asks),
            Command::Info(sections) => self.ask_helper(Task::Info(sections), asks),
            Command::Role => self.ask_helper(Task::Role, asks),
            Command::ClientId => self.row.answer(Reply::Integer(self.id)),
            Command::ClientName if self.name.is_empty() => self.row.answer(Reply::Null),
            Command::ClientName => self.row.answer(Reply::Bulk(self.name.clone())),
            Command::SetClientName(name) => {
                self.name = name;
                self.row.answer(Reply::OK);
            }
        }
    }

    fn queue(&mut self, command: Command, bytes: usize) {
        let queued = match command {
            Command::Read(read) if read.fits_into_multi() => Queued::Read(read),
            Command::Write(write) => Queued::Write(write),
            Command::Answer(reply) => Queued::Answer(reply),
            Command::Unwatch => Queued::Answer(Reply::OK),
            Command::Multi => return self.row.answer(self.multi.begin()),
            Command::Watch(_) => {
                return self.row.answer(Reply::error("ERR WATCH inside MULTI is not allowed"));
            }
            _ => {
                self.multi.spoil();
                let text = "ERR this command is not supported inside MULTI";
                return self.row.answer(Reply::error(text));
            }
        };
        let room = check_room(&self.port.memory, self.bytes() + bytes);
        let reply = match room {
            Ok(()) => self.multi.queue(queued, bytes),
            Err(refusal) => {
                self.multi.spoil();
                refusal.reply()
            }
        };
        self.row.answer(reply);
    }

    // ---- writes ----

    fn write(&mut self, write: Write, now: Instant, asks: &mut Asks) {
        self.view = None;
        if write.keys() > LIGHT_KEYS_MAX {
            return self.write_slowly(write, asks);
        }
        let place = self.row.keep_place(std::mem::take(&mut self.stop_bytes).max(write.bytes()));
        asks.writes.push(Job { client: self.id, place, write, since: now });
    }

    /// The helper carries it out once all before it is decided.
    fn write_slowly(&mut self, write: Write, asks: &mut Asks) {
        if self.row.is_empty() {
            self.ask_helper(Task::Write(write), asks);
        } else {
            self.stop_bytes = self.stop_bytes.max(write.bytes());
            self.stop = Some(Stop::Row(Command::Write(write)));
        }
    }

    fn ask_helper(&mut self, task: Task, asks: &mut Asks) {
        self.view = None;
        self.stop = Some(Stop::Helper);
        asks.tasks.push((self.id, task));
    }

    // ---- reads ----

    fn read(&mut self, read: Read, asks: &mut Asks) {
        if let Some(view) = self.view.clone() {
            return self.read_in(view, read, asks);
        }
        let consistency = match (self.readonly, self.token) {
            (false, _) => Consistency::Linearizable,
            (true, Some(token)) => Consistency::AtLeast(token),
            (true, None) => Consistency::None,
        };
        self.look(consistency, Wants::Read(read), asks);
    }

    fn look(&mut self, consistency: Consistency, wants: Wants, asks: &mut Asks) {
        if consistency == Consistency::Linearizable
            && let Err(error) = self.check_master()
        {
            return self.row.answer(failure::unread(&error));
        }
        self.newer_bytes = false;
        self.stop = Some(Stop::View(wants));
        asks.looks.push((self.id, consistency));
    }

    /// The reads behind it see this view, or a newer one. Those behind a `WATCH` too: what they see must not be older than
    /// what `EXEC` compares with, or a write between the two would be overwritten by who never saw it.
    fn share(&mut self, view: &View) {
        self.view = (!self.newer_bytes).then(|| view.clone());
    }

    fn read_in(&mut self, view: View, read: Read, asks: &mut Asks) {
        if read.is_slow() {
            self.stop = Some(Stop::Helper);
            return asks.tasks.push((self.id, Task::Read(view, read)));
        }
        let reply = read.run(&view, &self.port.database, &self.port.cursors);
        self.answer_read(reply.unwrap_or_else(|error| failure::unread(&error.into())));
    }

    fn answer_read(&mut self, reply: Reply) {
        let room = check_room(&self.port.memory, reply.bytes());
        self.row.answer(room.err().map_or(reply, |refusal| refusal.reply()));
    }

    // ---- watching and waiting ----

    fn watch(&mut self, keys: Vec<Bytes>, asks: &mut Asks) {
        if !self.multi.may_watch(keys.len()) {
            return self.row.answer(Reply::error("ERR too many keys are watched"));
        }
        // Only the master can say that nothing has changed since.
        self.look(Consistency::Linearizable, Wants::Watch(keys), asks);
    }

    fn watch_in(&mut self, view: &View, keys: Vec<Bytes>) -> Result<Reply, Error> {
        let values: Result<Vec<_>, _> =
            keys.iter().map(|key| view.get(&self.port.database, key)).collect();
        for (key, value) in keys.into_iter().zip(values?) {
            self.multi.watch(key, value.as_ref(), view.applied());
        }
        Ok(Reply::OK)
    }

    fn wait(&mut self, replicas: i64, timeout: Duration, now: Instant, asks: &mut Asks) {
        let until = (!timeout.is_zero()).then(|| now + timeout);
        self.stop = Some(Stop::Wait(Wait { replicas, until, again: None }));
        asks.tasks.push((self.id, Task::Synced));
    }

    /// The replicas have synced up to these entries; `None` if this node is not the master.
    fn counted(&mut self, mut wait: Wait, synced: Option<Vec<u64>>, now: Instant) {
        let Some(synced) = synced else {
            let text = "UNBLOCKED only a master can WAIT for its replicas";
            return self.row.answer(Reply::error(text));
        };
        let wanted = self.token.map_or(0, |token| token.point().vlsn.get());
        let count = synced.iter().filter(|synced| **synced >= wanted).count() as i64;
        if count >= wait.replicas || wait.until.is_some_and(|until| until <= now) {
            return self.row.answer(Reply::Integer(count));
        }
        let again = now + LOOK_AGAIN;
        wait.again = Some(wait.until.map_or(again, |until| until.min(again)));
        self.stop = Some(Stop::Wait(wait));
    }

    /// A replica could serve a linearizable read by asking its master; a Redis client expects to be sent there.
    fn check_master(&self) -> Result<(), Error> {
        let env = &self.port.env;
        match env.state() {
            NodeState::Master => Ok(()),
            _ => {
                let master = env.master().filter(|master| master.name != env.name());
                Err(Error::NotMaster { master })
            }
        }
    }

    // ---- the connection itself ----

    fn hello(
        &mut self,
        version: Option<Version>,
        name: Option<Bytes>,
        auth: Option<(Bytes, Bytes)>,
    ) {
        if let Some((user, password)) = auth
            && let Err(reply) = self.authenticate(&user, &password)
        {
            return self.row.answer(reply);
        }
        if !self.authenticated {
            let text = "NOAUTH HELLO must be called with the client already authenticated, \
                otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
                and select the RESP protocol version at the same time";
            return self.row.answer(Reply::error(text));
        }
        self.row.set_version(version.unwrap_or(self.row.version()));
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.row.answer(self.port.greeting(self.row.version(), self.id));
    }

    fn authenticate(&mut self, user: &[u8], password: &[u8]) -> Result<(), Reply> {
        match &self.port.config.password {
            None => Err(Reply::error("ERR AUTH called, but this port has no password")),
            Some(right) => {
                // Both are looked at, so that the time tells nothing.
                let right = right.is(password);
                if !(right & (user == b"default")) {
                    let text = "WRONGPASS invalid username-password pair or user is disabled.";
                    return Err(Reply::error(text));
                }
                self.authenticated = true;
                self.requests.set_stranger(false);
                Ok(())
            }
        }
    }
}
