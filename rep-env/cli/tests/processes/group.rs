//! A group of `rep serve` processes, gone when dropped.

use parking_lot::{Mutex, MutexGuard};
use rep_env::admin::{self, StatusReport};
use rustix::fd::OwnedFd;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here should ever take, on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A silence that no master keeps on a machine that is merely slow.
const STEADY: &[&str] = &["--set", "election_timeout=10s"];

/// Held by tests that keep the whole machine busy.
static HEAVY: Mutex<()> = Mutex::new(());

pub(crate) struct Group {
    children: Vec<Option<Child>>,
    /// Where the members listen for each other.
    pub(crate) addresses: Vec<String>,
    /// Where they listen for clients.
    pub(crate) resp: Vec<String>,
    dir: TempDir,
    /// What else every member is told.
    more: &'static [&'static str],
    /// What keeps the ports for the members.
    _held: Vec<OwnedFd>,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Group {
    /// A running group that has the machine for itself.
    pub(crate) fn alone(count: usize) -> Group {
        Group::in_turn(|| Group::running(count))
    }

    /// A running group whose master stays, and that has the machine for itself.
    pub(crate) fn steady_alone(count: usize) -> Group {
        Group::in_turn(|| Group::steady(count))
    }

    /// A group of which nothing runs yet, and that has the machine for itself.
    pub(crate) fn new_alone(count: usize) -> Group {
        Group::in_turn(|| Group::new(count))
    }

    fn in_turn(start: impl FnOnce() -> Group) -> Group {
        let turn = HEAVY.lock();
        let mut group = start();
        group._turn = Some(turn);
        group
    }

    /// A running group.
    pub(crate) fn running(count: usize) -> Group {
        let mut group = Group::new(count);
        (0..count).for_each(|at| group.start(at));
        group
    }

    /// A running group whose master stays.
    ///
    /// Nobody stands before its timeout is over. So the first member has the usual patience until the group is founded, and is
    /// started again; was it master, the others elect as soon as its connections are closed.
    pub(crate) fn steady(count: usize) -> Group {
        let mut group = Group::new(count);
        group.start(0);
        group.more = STEADY;
        (1..count).for_each(|at| group.start(at));
        group.settle();
        group.terminate(0);
        group.start(0);
        group.settle();
        group
    }

    /// Waits until every member is master or follows.
    fn settle(&self) {
        let settled = |at| {
            let report = self.status(at);
            report.is_some_and(|report| ["master", "replica"].contains(&&*report.state))
        };
        eventually("a group", || (0..self.addresses.len()).all(settled).then_some(()));
    }

    /// A group of which nothing runs yet.
    pub(crate) fn new(count: usize) -> Group {
        let (held, mut addresses): (Vec<_>, Vec<_>) = (0..2 * count).map(|_| held_port()).unzip();
        let resp = addresses.split_off(count);
        let children = (0..count).map(|_| None).collect();
        let dir = TempDir::new().unwrap();
        Group { children, addresses, resp, dir, more: &[], _held: held, _turn: None }
    }

    /// The same, at ports that are free for UDP too.
    #[cfg(feature = "quic")]
    pub(crate) fn new_for_udp(count: usize) -> Group {
        let mut group = Group::new(count);
        let (held, addresses): (Vec<_>, Vec<_>) = (0..count).map(|_| held_port_of_both()).unzip();
        group._held.extend(held);
        group.addresses = addresses;
        group
    }

    pub(crate) fn name(&self, at: usize) -> String {
        format!("n{}", at + 1)
    }

    pub(crate) fn home(&self, at: usize) -> PathBuf {
        self.dir.path().join(self.name(at))
    }

    pub(crate) fn members(&self) -> String {
        let members: Vec<String> = (0..self.addresses.len())
            .map(|at| format!("{}={}", self.name(at), self.addresses[at]))
            .collect();
        members.join(",")
    }

    /// `rep serve` for a member, to be changed and started.
    pub(crate) fn serve(&self, at: usize) -> Command {
        let mut command = self.serve_unlisted(at);
        command.args(["--members", &self.members()]);
        command
    }

    /// The same, but for how it comes to belong to a group.
    fn serve_unlisted(&self, at: usize) -> Command {
        let mut command = rep();
        command.args(["serve", "--group", "bank", "--name", &self.name(at), "--end-with-stdin"]);
        command.arg("--home").arg(self.home(at));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a member, and waits until it listens.
    pub(crate) fn start(&mut self, at: usize) {
        self.start_with(at, &[]);
    }

    /// As [`start`](Group::start), with more said on its command line.
    pub(crate) fn start_with(&mut self, at: usize, more: &[&str]) {
        let mut command = self.serve(at);
        command.args(["--resp", &self.resp[at]]).args(self.more).args(more);
        self.spawn(at, command);
    }

    /// Starts a member that is in no list, and waits until it listens.
    pub(crate) fn start_unlisted(&mut self, at: usize, more: &[&str]) {
        let mut command = self.serve_unlisted(at);
        command.args(["--listen", &self.addresses[at], "--resp", &self.resp[at]]);
        command.args(self.more).args(more);
        self.spawn(at, command);
    }

    /// As [`start`](Group::start), by a program that is given the command line.
    pub(crate) fn start_under(&mut self, at: usize, mut program: Command) {
        let serve = self.serve(at);
        program.arg(serve.get_program()).args(serve.get_args()).args(["--resp", &self.resp[at]]);
        program.env("RUST_LOG", "info").stdin(Stdio::piped()).stdout(Stdio::piped());
        self.spawn(at, program);
    }

    fn spawn(&mut self, at: usize, mut command: Command) {
        let log = self.home(at).with_extension("log");
        command.stderr(File::options().create(true).append(true).open(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.children[at] = Some(child);
        let listening = format!("listening on {}, resp on {}\n", self.addresses[at], self.resp[at]);
        assert_eq!(line, listening, "{}", fs::read_to_string(log).unwrap());
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self, at: usize) {
        let mut child = self.children[at].take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL to all of them at once.
    pub(crate) fn kill_all(&mut self) {
        self.children.iter_mut().flatten().for_each(|child| child.kill().unwrap());
        (0..self.children.len()).for_each(|at| self.kill(at));
    }

    /// Sends a signal; after SIGSTOP it waits until every thread has stopped, which one that runs elsewhere does a moment later.
    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        let child = self.children[at].as_ref().expect("it runs");
        send(child, signal);
        if signal == Signal::STOP {
            let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(Pid::from_child(child)), stopped).unwrap();
        }
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self, at: usize) -> ExitStatus {
        let mut child = self.children[at].take().expect("it runs");
        send(&child, Signal::TERM);
        wait(&mut child)
    }

    /// How a member ended that was to end by itself.
    pub(crate) fn ended(&mut self, at: usize) -> ExitStatus {
        wait(&mut self.children[at].take().expect("it runs"))
    }

    /// The process of a member that runs.
    pub(crate) fn pid(&self, at: usize) -> u32 {
        self.children[at].as_ref().expect("it runs").id()
    }

    /// What a member says of itself, if it answers.
    pub(crate) fn status(&self, at: usize) -> Option<StatusReport> {
        admin::status(&self.addresses[at], Duration::from_secs(2)).ok()
    }

    /// Waits until one of these members is master, in a term above `above`; which, and its term.
    pub(crate) fn master_of(&self, members: &[usize], above: u64) -> (usize, u64) {
        eventually("a master", || {
            members.iter().copied().find_map(|at| {
                let report = self.status(at)?;
                (report.state == "master" && report.term > above).then_some((at, report.term))
            })
        })
    }

    /// Waits until some running member is master.
    pub(crate) fn master(&self) -> usize {
        let running: Vec<usize> =
            (0..self.children.len()).filter(|at| self.children[*at].is_some()).collect();
        self.master_of(&running, 0).0
    }

    /// Writes until one of these members acknowledges it as master; which, and its term. For writes that may happen twice.
    pub(crate) fn put(&self, members: &[usize], key: &str, value: &str) -> (usize, u64) {
        eventually("an acknowledged write", || {
            let (master, term) = self.master_of(members, 0);
            let mut connection = connect(&self.resp[master]).ok()?;
            let written = redis::cmd("SET").arg(key).arg(value).query::<()>(&mut connection);
            written.ok().map(|()| (master, term))
        })
    }

    /// What the master answers to a GET, whoever that is by then.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        eventually("an answer of the master", || {
            let mut connection = connect(&self.resp[self.master()]).ok()?;
            redis::cmd("GET").arg(key).query::<Option<String>>(&mut connection).ok()
        })
    }

    /// Waits until every member has applied the same, and holds the same.
    pub(crate) fn assert_converged(&self) {
        let digests = eventually("the same point everywhere", || {
            let digests = self
                .addresses
                .iter()
                .map(|address| admin::digest(address, Duration::from_secs(20)).ok());
            let digests: Vec<_> = digests.collect::<Option<_>>()?;
            let met = digests.iter().all(|digest| digest.applied == digests[0].applied);
            met.then_some(digests)
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    }

    /// A connection to a member's Redis port.
    pub(crate) fn connect(&self, at: usize) -> redis::Connection {
        connect(&self.resp[at]).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for at in 0..self.children.len() {
                let log = fs::read_to_string(self.home(at).with_extension("log"));
                let log = log.unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(40)..];
                eprintln!("---- {}\n{}", self.name(at), last.join("\n"));
            }
        }
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

pub(crate) fn rep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rep"));
    command.env("RUST_LOG", "info");
    command
}

pub(crate) fn connect(address: &str) -> redis::RedisResult<redis::Connection> {
    let client = redis::Client::open(format!("redis://{address}/"))?;
    let connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until a process has ended by itself.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    eventually("the end of a process", || child.try_wait().unwrap())
}

/// Looks until there is something to see. Nothing here depends on how long one look takes.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// The same, for what takes longer than anything else here.
pub(crate) fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < patience, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A port of the system's choice that is its holder's: the system gives it to nobody else, and nobody listens there until who is
/// told of it does, as often as it likes.
///
/// A socket that is bound and does not listen lets others bind its address by name, if both sides allow that, as a
/// `TcpListener` does; and it is never the one that port 0 or an outgoing connection is given.
fn held_port() -> (OwnedFd, String) {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(net::getsockname(&socket).unwrap()).unwrap();
    (socket, address.to_string())
}

/// As [`held_port`], of a port that is free for UDP too. A port of UDP cannot be held and left to another, so it is none that the system
/// gives out of itself, and whoever looks for such a one here has to get hold of the port of TCP first.
#[cfg(feature = "quic")]
fn held_port_of_both() -> (OwnedFd, String) {
    const NOT_GIVEN_OUT: std::ops::Range<u16> = 10_000..20_000;
    let chance = SocketAddr::try_from(net::getsockname(&held_port().0).unwrap()).unwrap().port();
    let candidates = NOT_GIVEN_OUT.cycle().skip(usize::from(chance) % NOT_GIVEN_OUT.len());
    let hold = |port| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&socket, &address).ok()?;
        std::net::UdpSocket::bind(address).ok()?;
        sockopt::set_socket_reuseaddr(&socket, true).unwrap();
        Some((socket, address.to_string()))
    };
    candidates.take(NOT_GIVEN_OUT.len()).find_map(hold).expect("a free port")
}
