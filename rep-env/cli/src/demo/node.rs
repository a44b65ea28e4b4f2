//! One member: a process that can be killed, or threads of this one that can at least be cut off.

use super::home::TempHome;
#[cfg(feature = "tls")]
use crate::certs;
use crate::resp::{self, RespConfig, RespServer};
use crate::serve;
#[cfg(feature = "tls")]
use crate::trust::Transport;
use crate::trust::Trust;
use anyhow::{Context, bail, ensure};
#[cfg(feature = "tls")]
use clap::ValueEnum;
use rep_env::admin::{AdminClient, AppliedDigest, StatusReport};
use rep_env::net::Address;
#[cfg(feature = "tls")]
use rep_env::net::Identity;
use rep_env::net::mem::Hub;
use rep_env::{RepConfig, ReplicatedEnvironment};
use signal_hook::consts::SIGKILL;
#[cfg(feature = "tls")]
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const GROUP: &str = "demo";
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a member is and what it is called; whether it runs is another matter.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) resp: String,
    pub(super) home: PathBuf,
}

impl Place {
    pub(super) fn new(number: usize, address: String, resp: String, home: &TempHome) -> Self {
        let name = name(number);
        Place { home: home.path().join(&name), name, address, resp }
    }

    pub(super) fn member(&self) -> String {
        format!("{}={}", self.name, self.address)
    }

    fn log(&self) -> PathBuf {
        self.home.with_extension("log")
    }

    /// The last lines that a process has logged.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// A member that runs.
#[derive(Debug)]
pub(super) enum Running {
    Process(Process),
    Threads(Threads),
}

/// How members are started.
#[derive(Debug)]
pub(super) enum How {
    /// Each a process; `orphans` may outlive this one.
    Processes { orphans: bool, certs: Option<Certs> },
    /// All in this process, on this network.
    Threads(Hub),
}

/// Certificates of all members, in a directory, and what is spoken by them.
#[derive(Debug)]
#[cfg(feature = "tls")]
pub(super) struct Certs {
    dir: PathBuf,
    transport: Transport,
}

/// There are none without TLS.
#[derive(Debug)]
#[cfg(not(feature = "tls"))]
pub(super) enum Certs {}

#[cfg(feature = "tls")]
impl Certs {
    pub(super) fn make(
        home: &TempHome,
        count: usize,
        transport: Transport,
    ) -> anyhow::Result<Self> {
        let dir = home.path().join("certs");
        let mut nodes: Vec<String> = (1..=count).map(name).collect();
        nodes.push(administrator());
        certs::make_all(&dir, GROUP, &nodes)?;
        Ok(Certs { dir, transport })
    }

    fn tell(&self, command: &mut Command, place: &Place) {
        command.args(self.flags(&place.name));
    }

    /// What a command has to be told to be whom that certificate names.
    fn flags(&self, name: &str) -> Vec<OsString> {
        let spoken = self.transport.to_possible_value();
        let spoken = spoken.map(|spoken| ["--transport".into(), spoken.get_name().into()]);
        let mut flags: Vec<OsString> = spoken.into_iter().flatten().collect();
        flags.extend(["--tls-ca".into(), certs::authorities(&self.dir).into()]);
        flags.extend(["--tls-identity".into(), certs::identity(&self.dir, name).into()]);
        flags
    }

    /// Whoever asks the members: they answer an administrator alone.
    fn trust(&self) -> Trust {
        let identity = certs::identity(&self.dir, &administrator());
        Trust::of(self.transport, certs::authorities(&self.dir), identity)
    }

    fn words(&self) -> String {
        let flags = self.flags(&administrator());
        flags.iter().map(|flag| format!(" {}", flag.to_string_lossy())).collect()
    }
}

/// The demo itself, as its members' certificates know it.
#[cfg(feature = "tls")]
fn administrator() -> String {
    Identity::administrator(GROUP, "demo").node().to_owned()
}

#[cfg(not(feature = "tls"))]
impl Certs {
    fn tell(&self, _command: &mut Command, _place: &Place) {
        match *self {}
    }

    fn trust(&self) -> Trust {
        match *self {}
    }

    fn words(&self) -> String {
        match *self {}
    }
}

fn name(number: usize) -> String {
    format!("n{number}")
}

impl How {
    pub(super) fn start(&self, place: &Place, members: &[String]) -> anyhow::Result<Running> {
        match self {
            How::Processes { orphans, certs } => {
                Process::start(place, members, *orphans, certs.as_ref()).map(Running::Process)
            }
            How::Threads(hub) => Threads::start(place, members, hub).map(Running::Threads),
        }
    }

    /// What `rep status` has to be told to be answered.
    pub(super) fn words_to_ask(&self) -> String {
        match self {
            How::Processes { certs: Some(certs), .. } => certs.words(),
            How::Processes { certs: None, .. } | How::Threads(_) => String::new(),
        }
    }

    pub(super) fn status(&self, place: &Place) -> anyhow::Result<StatusReport> {
        Ok(self.admin(place)?.status(PATIENCE)?)
    }

    pub(super) fn digest(&self, place: &Place) -> anyhow::Result<AppliedDigest> {
        Ok(self.admin(place)?.digest(PATIENCE)?)
    }

    fn admin(&self, place: &Place) -> anyhow::Result<AdminClient> {
        let client = match self {
            How::Processes { certs: Some(certs), .. } => {
                certs.trust().connect(&place.address, PATIENCE)?
            }
            How::Processes { certs: None, .. } => {
                Trust::default().connect(&place.address, PATIENCE)?
            }
            How::Threads(hub) => AdminClient::connect(&*hub.transport(), &place.address, PATIENCE)?,
        };
        Ok(client)
    }
}

impl Running {
    /// Ends it without a chance to say anything.
    pub(super) fn kill(self) -> anyhow::Result<()> {
        match self {
            Running::Process(process) => process.kill(),
            Running::Threads(threads) => threads.kill(),
        }
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self {
            Running::Process(Process { child: Some(child), .. }) => match child.try_wait()? {
                Some(status) => bail!("it ended with {status}"),
                None => Ok(()),
            },
            Running::Process(_) | Running::Threads(_) => Ok(()),
        }
    }
}

/// A `rep serve`, killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Option<Child>,
}

impl Process {
    fn start(
        place: &Place,
        members: &[String],
        orphans: bool,
        certs: Option<&Certs>,
    ) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(place.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--group", GROUP, "--name", &place.name]);
        command.args(["--members", &members.join(","), "--resp", &place.resp]);
        command.arg("--home").arg(&place.home);
        if let Some(certs) = certs {
            certs.tell(&mut command, place);
        }
        command.stdout(log.try_clone()?).stderr(log);
        // Ctrl-C is for the demo, which ends its members in its own way.
        command.process_group(0);
        if orphans {
            command.stdin(Stdio::null());
        } else {
            // Should the demo itself be killed, the pipe closes, and they end too.
            command.stdin(Stdio::piped()).arg("--end-with-stdin");
        }
        let child = command.spawn().context("cannot start `rep serve`")?;
        Ok(Process { child: Some(child) })
    }

    fn kill(mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        let status = child.wait()?;
        // An orderly end would prove nothing.
        ensure!(status.signal() == Some(SIGKILL), "it ended with {status} before it was killed");
        Ok(())
    }

    /// Lets it live on; its process id.
    pub(super) fn release(&mut self) -> Option<u32> {
        self.child.take().map(|child| child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may be dead already, which is what is wanted.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// A member in threads of this process. It cannot be killed, but cut off from one moment to the next; what it still does
/// after that nobody hears.
#[derive(Debug)]
pub(super) struct Threads {
    env: ReplicatedEnvironment,
    server: RespServer,
    hub: Hub,
    address: Address,
}

impl Threads {
    fn start(place: &Place, members: &[String], hub: &Hub) -> anyhow::Result<Self> {
        let listener = serve::bind(&place.resp, false)?;
        let config = RepConfig::builder(GROUP, &place.name)
            .members(members)
            .home(&place.home)
            .transport(hub.transport())
            .attribute(resp::ATTRIBUTE, &place.resp);
        let env = ReplicatedEnvironment::open(config.build()?)?;
        let server = serve::serve_redis(listener, &env, RespConfig::default())?;
        Ok(Threads { env, server, hub: hub.clone(), address: Address::new(&*place.address) })
    }

    fn kill(mut self) -> anyhow::Result<()> {
        self.hub.crash(&self.address);
        self.server.close(Duration::ZERO);
        Ok(self.env.close()?)
    }
}

impl Drop for Threads {
    /// A client's thread may hold the environment a little longer, and the last to let go of it closes it. But the directory is
    /// removed next, and must not be written to any more.
    fn drop(&mut self) {
        self.server.close(Duration::ZERO);
        if let Err(error) = self.env.close() {
            tracing::warn!(%error, "a member did not close in time");
        }
    }
}
