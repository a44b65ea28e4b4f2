//! A group of `rep serve` processes, gone when dropped.

use parking_lot::{Mutex, MutexGuard};
use rep_env::admin::{self, StatusReport};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here should ever take, on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Held by tests that keep the whole machine busy.
static HEAVY: Mutex<()> = Mutex::new(());

pub(crate) struct Group {
    children: Vec<Option<Child>>,
    /// Where the members listen for each other.
    pub(crate) addresses: Vec<String>,
    /// Where they listen for clients.
    pub(crate) resp: Vec<String>,
    dir: TempDir,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Group {
    /// A running group that has the machine for itself.
    pub(crate) fn alone(count: usize) -> Group {
        let turn = HEAVY.lock();
        let mut group = Group::running(count);
        group._turn = Some(turn);
        group
    }

    /// A running group.
    pub(crate) fn running(count: usize) -> Group {
        let mut group = Group::new(count);
        (0..count).for_each(|at| group.start(at));
        group
    }

    /// A group of which nothing runs yet.
    pub(crate) fn new(count: usize) -> Group {
        let mut addresses = free_addresses(2 * count);
        let resp = addresses.split_off(count);
        let children = (0..count).map(|_| None).collect();
        Group { children, addresses, resp, dir: TempDir::new().unwrap(), _turn: None }
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
        let mut command = rep();
        command.args(["serve", "--group", "bank", "--name", &self.name(at)]);
        command.args(["--members", &self.members(), "--end-with-stdin"]);
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
        command.args(["--resp", &self.resp[at]]).args(more);
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

    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        send(self.children[at].as_ref().expect("it runs"), signal);
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self, at: usize) -> ExitStatus {
        let mut child = self.children[at].take().expect("it runs");
        send(&child, Signal::TERM);
        wait(&mut child)
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
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Addresses on which nobody listens, from below the range that outgoing connections are given: a member that comes back
/// finds its own free.
fn free_addresses(count: usize) -> Vec<String> {
    let chance = RandomState::new().hash_one(0) % 20_000;
    let mut held = Vec::new();
    for step in 0..20_000 {
        let port = 10_000 + (chance + step) % 20_000;
        held.extend(TcpListener::bind(("127.0.0.1", port as u16)));
        if held.len() == count {
            break;
        }
    }
    held.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}
