//! Three members: in this process over TCP, or three `rep serve`.

use crate::load::eventually;
use crate::redis::Client;
use rep_env::admin::{self, StatusReport};
use rep_env::config::RepConfigBuilder;
use rep_env::{Error, NodeState, RepConfig, ReplicatedEnvironment, StoreKind};
use rep_vlsn::Vlsn;
use std::error::Error as Any;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Three environments in this process.
pub(crate) struct Here {
    pub(crate) dir: TempDir,
    envs: Vec<ReplicatedEnvironment>,
    members: Vec<String>,
    store: StoreKind,
    tune: fn(RepConfigBuilder) -> RepConfigBuilder,
}

impl Here {
    pub(crate) fn start(store: StoreKind) -> Result<Here, Box<dyn Any>> {
        Here::start_as(store, |config| config)
    }

    pub(crate) fn start_as(
        store: StoreKind,
        tune: fn(RepConfigBuilder) -> RepConfigBuilder,
    ) -> Result<Here, Box<dyn Any>> {
        let dir = TempDir::new()?;
        let listeners =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
        let mut members = Vec::new();
        for (at, listener) in listeners.iter().enumerate() {
            members.push(format!("n{}={}", at + 1, listener.local_addr()?));
        }
        let mut group = Here { dir, envs: Vec::new(), members, store, tune };
        for (at, listener) in listeners.into_iter().enumerate() {
            let config = group.config(at).listener(listener).build()?;
            group.envs.push(ReplicatedEnvironment::open(config)?);
        }
        for env in &group.envs {
            env.wait_for_master(PATIENCE)?;
        }
        Ok(group)
    }

    fn config(&self, at: usize) -> RepConfigBuilder {
        let name = format!("n{}", at + 1);
        let config = RepConfig::builder("bench", &name)
            .members(self.members.clone())
            .home(self.dir.path().join(&name))
            .store(self.store);
        (self.tune)(config)
    }

    /// Member `at`.
    pub(crate) fn member(&self, at: usize) -> &ReplicatedEnvironment {
        &self.envs[at]
    }

    /// Closes a replica; which one.
    pub(crate) fn close_replica(&self) -> Result<usize, Error> {
        let replica = || self.envs.iter().position(|env| env.state() == NodeState::Replica);
        let away = eventually(PATIENCE, replica).expect("the group has a replica");
        self.envs[away].close()?;
        Ok(away)
    }

    /// Opens a member that was closed.
    pub(crate) fn open_again(&mut self, at: usize) -> Result<(), Error> {
        self.envs[at] = ReplicatedEnvironment::open(self.config(at).build()?)?;
        Ok(())
    }

    /// The newest entry that the master holds.
    pub(crate) fn last(&self) -> Vlsn {
        last_of(self.master())
    }

    /// The newest entry that member `at` holds.
    pub(crate) fn last_of(&self, at: usize) -> Vlsn {
        last_of(&self.envs[at])
    }

    pub(crate) fn master(&self) -> &ReplicatedEnvironment {
        let master = || self.envs.iter().find(|env| env.state() == NodeState::Master);
        eventually(PATIENCE, master).expect("the group has a master")
    }

    pub(crate) fn replica(&self) -> &ReplicatedEnvironment {
        let replica = || self.envs.iter().find(|env| env.state() == NodeState::Replica);
        eventually(PATIENCE, replica).expect("the group has a replica")
    }
}

fn last_of(env: &ReplicatedEnvironment) -> Vlsn {
    env.vlsn_range().map_or(Vlsn::NULL, |range| *range.end())
}

/// Three processes, killed when this is dropped.
pub(crate) struct There {
    pub(crate) dir: TempDir,
    program: String,
    store: &'static str,
    members: Vec<String>,
    pub(crate) ports: Vec<String>,
    children: Vec<Option<Child>>,
    /// A member that was stopped: nobody asks it for anything.
    frozen: Option<usize>,
    speech: Speech,
    /// Other options, as `name=value`.
    settings: Vec<String>,
}

/// What the members speak to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Tcp,
    Tls,
    Quic,
}

impl There {
    pub(crate) fn start(
        program: &str,
        store: &'static str,
        speech: Speech,
    ) -> Result<There, Box<dyn Any>> {
        There::start_with(program, store, speech, &[])
    }

    pub(crate) fn start_with(
        program: &str,
        store: &'static str,
        speech: Speech,
        settings: &[&str],
    ) -> Result<There, Box<dyn Any>> {
        let free = (0..6).map(|_| TcpListener::bind("127.0.0.1:0"));
        let free = free.collect::<Result<Vec<_>, _>>()?;
        let addresses = free.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
        let mut members = addresses.collect::<std::io::Result<Vec<_>>>()?;
        let ports = members.split_off(3);
        drop(free);
        let members =
            members.iter().enumerate().map(|(at, place)| format!("n{}={place}", at + 1)).collect();
        let children = (0..3).map(|_| None).collect();
        let program = program.to_owned();
        let dir = TempDir::new()?;
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let frozen = None;
        let mut group =
            There { dir, program, store, members, ports, children, frozen, speech, settings };
        if speech != Speech::Tcp {
            group.certs(&["init", "--group", "bench"])?;
            ["n1", "n2", "n3"].iter().try_for_each(|name| group.certs(&["issue", name]))?;
        }
        for at in 0..3 {
            group.run(at)?;
        }
        Ok(group)
    }

    fn certs(&self, words: &[&str]) -> Result<(), Box<dyn Any>> {
        let mut command = Command::new(&self.program);
        command.arg("certs").args(words).arg("--dir").arg(self.dir.path().join("certs"));
        match command.stdout(Stdio::null()).status()?.success() {
            true => Ok(()),
            false => Err("`rep certs` failed; was `rep` built with the feature `tls`?".into()),
        }
    }

    /// Starts member `at`.
    pub(crate) fn run(&mut self, at: usize) -> std::io::Result<()> {
        let name = format!("n{}", at + 1);
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--group", "bench", "--end-with-stdin", "--store", self.store])
            .args(["--name", &name, "--members", &self.members.join(",")])
            .args(["--resp", &self.ports[at], "--home"])
            .arg(self.dir.path().join(&name))
            .args(self.settings.iter().flat_map(|setting| ["--set", &**setting]))
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        if self.speech != Speech::Tcp {
            if self.speech == Speech::Quic {
                command.args(["--transport", "quic"]);
            }
            let certs = self.dir.path().join("certs");
            command.arg("--tls-ca").arg(certs.join("ca.pem"));
            command.arg("--tls-identity").arg(certs.join(format!("{name}.pem")));
        }
        self.children[at] = Some(command.spawn()?);
        Ok(())
    }

    /// Ends member `at` as a power cut would.
    pub(crate) fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.children[at].take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops member `at` as a hypervisor would, for good.
    pub(crate) fn freeze(&mut self, at: usize) -> std::io::Result<()> {
        self.frozen = Some(at);
        if let Some(child) = self.children[at].as_ref() {
            Command::new("kill").args(["-STOP", &child.id().to_string()]).status()?;
        }
        Ok(())
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.children.iter().flatten().map(Child::id).collect()
    }

    /// The process of member `at`, if it runs.
    pub(crate) fn process(&self, at: usize) -> Option<u32> {
        self.children[at].as_ref().map(Child::id)
    }

    /// What member `at` says of itself.
    pub(crate) fn status(&self, at: usize) -> Option<StatusReport> {
        admin::status(self.address(at), Duration::from_secs(2)).ok()
    }

    /// Where member `at` listens for the others.
    pub(crate) fn address(&self, at: usize) -> &str {
        self.members[at].split_once('=').map_or("", |(_, address)| address)
    }

    /// The member that acknowledges a write.
    pub(crate) fn master(&self) -> Option<usize> {
        (0..3).find(|at| {
            self.children[*at].is_some()
                && self.frozen != Some(*at)
                && Client::connect(&self.ports[*at])
                    .is_ok_and(|mut client| client.set("probe", "1"))
        })
    }

    pub(crate) fn wait_for_master(&self) -> usize {
        eventually(PATIENCE, || self.master()).expect("the group has a master")
    }
}

impl Drop for There {
    fn drop(&mut self) {
        (0..3).for_each(|at| self.kill(at));
    }
}
