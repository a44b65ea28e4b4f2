//! One member of the group: a `rep serve` process in its namespace, on its disk.

use super::disk::Disk;
use super::names;
use super::network::Namespace;
use super::proc;
use super::tools;
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where members speak to each other, and where they speak Redis.
const MEMBER_PORT: u16 = 7001;
const REDIS_PORT: u16 = 6379;
/// A process that was killed may take this long to be gone: a hung disk holds it until it thaws.
const DEATH_LIMIT: Duration = Duration::from_secs(30);
/// Small segments, as the disks are small, and so that their ends are met often.
const SEGMENT: &str = "segment_bytes=1MiB";
/// What its log leaves free: the default is more than such a disk has.
pub(super) const DISK_RESERVE: u64 = 8 << 20;

/// What all nodes of a group are started with.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) rep: PathBuf,
    pub(super) store: String,
    pub(super) count: usize,
    /// The library that fakes the time, if clocks are to jump.
    pub(super) faketime: Option<&'static str>,
    /// Where what the nodes say is kept.
    pub(super) logs: PathBuf,
}

/// The system calls by which a node changes its disk.
pub(super) const DISK_CALLS: &str = "pwrite64,pwritev,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,fallocate";

/// A node, running or not.
#[derive(Debug)]
pub(super) struct Node {
    number: usize,
    launch: Launch,
    namespace: Namespace,
    pub(super) disk: Disk,
    process: Option<Child>,
    /// Stopped by SIGSTOP.
    paused: bool,
}

impl Node {
    pub(super) fn new(number: usize, launch: Launch, namespace: Namespace, disk: Disk) -> Node {
        Node { number, launch, namespace, disk, process: None, paused: false }
    }

    pub(super) fn name(&self) -> String {
        names::node(self.number)
    }

    /// Where it listens for the others.
    pub(super) fn address(&self) -> String {
        format!("{}:{MEMBER_PORT}", names::address(self.number))
    }

    /// Where it listens for Redis clients.
    pub(super) fn redis(&self) -> String {
        format!("{}:{REDIS_PORT}", names::address(self.number))
    }

    /// Starts it. It does not wait until it serves.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let command = Command::new(&self.launch.rep);
        self.start_as(command)
    }

    /// Starts it under strace, which kills it when one of its threads makes the `nth` call that changes the disk.
    pub(super) fn start_doomed(&mut self, nth: u32) -> anyhow::Result<()> {
        let mut command = Command::new("strace");
        // The tracer is the one that runs apart (-D): the process that we wait for is the node. Without --seccomp-bpf, which is
        // faster and injects no signal.
        command.args(["-D", "-f", "-qqq", "-o", "/dev/null"]);
        command.args(["-e", &format!("trace={DISK_CALLS}")]);
        command.args(["-e", &format!("inject={DISK_CALLS}:signal=KILL:when={nth}")]);
        command.arg("--").arg(&self.launch.rep);
        self.start_as(command)
    }

    fn start_as(&mut self, mut command: Command) -> anyhow::Result<()> {
        if self.process.is_some() {
            bail!("{} runs already", self.name());
        }
        self.arguments(&mut command);
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        if let Some(library) = self.launch.faketime {
            command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", self.clock());
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let child = self.namespace.within(|| command.spawn())?;
        let child = child.with_context(|| format!("cannot start {}", self.name()))?;
        let id = self.process.insert(child).id();
        match self.launch.faketime {
            Some(library) => proc::await_library(id, library),
            None => Ok(()),
        }
    }

    fn arguments(&self, command: &mut Command) {
        command.args(["serve", "--group", names::PREFIX, "--name", &self.name()]);
        let member =
            |number| format!("{}={}:{MEMBER_PORT}", names::node(number), names::address(number));
        let members: Vec<String> = (0..self.launch.count).map(member).collect();
        command.args(["--members", &members.join(",")]);
        command.arg("--home").arg(self.disk.home());
        command.args(["--resp", &self.redis(), "--resp-allow-plaintext", "--allow-plaintext"]);
        command.args(["--store", &self.launch.store, "--end-with-stdin"]);
        command.args(["--set", SEGMENT, "--set", &format!("disk_reserve_bytes={DISK_RESERVE}")]);
    }

    /// SIGKILL. What it had written stays, synced or not.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let name = self.name();
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            if !tools::ends_within(&mut process, DEATH_LIMIT)? {
                bail!("{name} lives {DEATH_LIMIT:?} after it was killed");
            }
        }
        self.paused = false;
        Ok(())
    }

    /// SIGKILL, and the power of its disk fails. It comes back as what had been synced.
    pub(super) fn lose_power(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.disk.cut_power()
    }

    /// Waits until it has ended by itself; whether it did.
    pub(super) fn ended_within(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let Some(process) = &mut self.process else { return Ok(true) };
        let ended = tools::ends_within(process, limit)?;
        if ended {
            self.process = None;
        }
        Ok(ended)
    }

    /// Waits until it has been killed by whoever traces it; whether it was. Another end is an error.
    pub(super) fn killed_within(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let name = self.name();
        let process = self.process.as_mut().with_context(|| format!("{name} is down"))?;
        if !tools::ends_within(process, limit)? {
            return Ok(false);
        }
        let status = process.wait()?;
        self.process = None;
        ensure!(
            status.signal() == Some(Signal::KILL.as_raw()),
            "{name} was to be killed and ended otherwise ({status})"
        );
        Ok(true)
    }

    pub(super) fn pause(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.paused = true;
        Ok(())
    }

    pub(super) fn resume(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.paused = false;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let process = self.process.as_ref().with_context(|| format!("{} is down", self.name()))?;
        kill_process(Pid::from_child(process), signal)?;
        Ok(())
    }

    /// strace at the running process, at all of its threads, with this injection into its disk calls. It lets go when it is killed.
    pub(super) fn inject(&self, calls: &str, what: &str) -> anyhow::Result<Child> {
        let process = self.process.as_ref().with_context(|| format!("{} is down", self.name()))?;
        let mut strace = Command::new("strace");
        // A file in our folder, so that it is found and ended with the rest, should nobody else do it.
        strace.args(["-f", "-qqq", "-o"]).arg(names::folder().join("strace.txt"));
        strace.args(["-p", &process.id().to_string()]);
        strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{what}")]);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut strace = strace.spawn()?;
        let traced = proc::await_tracer(process.id(), &mut strace);
        if traced.is_err() {
            // Best effort; `clean` finds what is left.
            let _ = strace.kill().and_then(|()| strace.wait());
        }
        traced.map(|()| strace)
    }

    /// From now on its wall clock is off by this many seconds.
    pub(super) fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        // By rename, because the process reads it at every look at the clock.
        let next = self.clock().with_extension("next");
        fs::write(&next, format!("{seconds:+}\n"))?;
        fs::rename(next, self.clock())?;
        Ok(())
    }

    fn clock(&self) -> PathBuf {
        self.launch.logs.join(format!("{}.clock", self.name()))
    }

    /// Open files and threads of the running process.
    pub(super) fn holds(&self) -> Option<Holds> {
        let id = self.process.as_ref()?.id();
        let count =
            |what: &str| fs::read_dir(format!("/proc/{id}/{what}")).ok().map(Iterator::count);
        Some(Holds { process: id, files: count("fd")?, threads: count("task")? })
    }

    /// What it wrote to stderr, in all its runs.
    pub(super) fn log(&self) -> PathBuf {
        self.launch.logs.join(format!("{}.log", self.name()))
    }

    /// Copies its directory to where it can be looked at later.
    pub(super) fn save_home(&self, to: &Path) -> anyhow::Result<()> {
        let (from, to) = (self.disk.home(), to.join(format!("{}.home", self.name())));
        let from = from.to_str().context("a name in UTF-8")?;
        tools::run("cp", &["-a", from, to.to_str().context("a name in UTF-8")?])?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Best effort; `clean` finds what is left.
            let _ = process.kill();
            let _ = tools::ends_within(&mut process, DEATH_LIMIT);
        }
    }
}

/// What a process holds of its system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holds {
    pub(super) process: u32,
    pub(super) files: usize,
    pub(super) threads: usize,
}

/// Beyond what it held when the group was young a process may hold the streams to the other members, two threads and a file
/// each, because it was not master then and is now; and connections that are just being made or given up.
const THREADS_SLACK: usize = 12;
const FILES_SLACK: usize = 12;

impl Holds {
    pub(super) fn is_far_beyond(self, before: Holds) -> bool {
        self.files > before.files + FILES_SLACK || self.threads > before.threads + THREADS_SLACK
    }
}
