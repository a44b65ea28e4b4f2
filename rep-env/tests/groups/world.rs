//! A group to be tested, over either transport.

use rep_env::config::RepConfigBuilder;
use rep_env::net::mem::Hub;
use rep_env::{CommitToken, Consistency, Error, NodeState, RepConfig, ReplicatedEnvironment, View};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here should ever take, on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    Memory,
    Tcp,
}

pub(crate) const BOTH: [Net; 2] = [Net::Memory, Net::Tcp];

/// Members `n1`, `n2`, ... and where their homes are.
pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) hub: Hub,
    dir: TempDir,
    pub(crate) members: Vec<String>,
    listeners: Vec<Option<TcpListener>>,
    pub(crate) envs: Vec<Option<ReplicatedEnvironment>>,
}

impl World {
    /// A group of which nothing runs yet.
    pub(crate) fn new(net: Net, count: usize) -> World {
        let mut listeners = Vec::new();
        let members = (1..=count)
            .map(|number| match net {
                Net::Memory => format!("n{number}=place-{number}"),
                Net::Tcp => {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let address = listener.local_addr().unwrap();
                    listeners.push(Some(listener));
                    format!("n{number}={address}")
                }
            })
            .collect();
        listeners.resize_with(count, || None);
        let envs = (0..count).map(|_| None).collect();
        World { net, hub: Hub::default(), dir: TempDir::new().unwrap(), members, listeners, envs }
    }

    /// A group of which every member runs.
    pub(crate) fn running(net: Net, count: usize) -> World {
        let mut world = World::new(net, count);
        (0..count).for_each(|at| drop(world.open(at)));
        world
    }

    pub(crate) fn home(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("n{}", at + 1))
    }

    pub(crate) fn address(&self, at: usize) -> String {
        self.members[at].split_once('=').unwrap().1.to_owned()
    }

    /// How member `at` is configured, but for its home.
    pub(crate) fn bare_config(&mut self, at: usize) -> RepConfigBuilder {
        let config = RepConfig::builder("bank", format!("n{}", at + 1))
            .members(self.members.clone())
            .attribute("resp", format!("redis-of-n{}", at + 1))
            .tune(|timing, limits| {
                timing.heartbeat = Duration::from_millis(40);
                timing.election_timeout = Duration::from_millis(400);
                timing.round_timeout = Duration::from_millis(150);
                timing.ack_timeout = Duration::from_secs(20);
                timing.read_timeout = Duration::from_secs(20);
                timing.replicas_wait = Duration::from_secs(20);
                limits.segment_bytes = 1 << 20;
            });
        match (self.net, self.listeners[at].take()) {
            (Net::Memory, _) => config.transport(self.hub.transport()),
            (Net::Tcp, Some(listener)) => config.listener(listener),
            (Net::Tcp, None) => config,
        }
    }

    pub(crate) fn config(&mut self, at: usize) -> RepConfigBuilder {
        let home = self.home(at);
        self.bare_config(at).home(home)
    }

    pub(crate) fn open(&mut self, at: usize) -> ReplicatedEnvironment {
        let config = self.config(at).build().unwrap();
        self.open_as(at, config)
    }

    pub(crate) fn open_as(&mut self, at: usize, config: RepConfig) -> ReplicatedEnvironment {
        let env = ReplicatedEnvironment::open(config).unwrap();
        self.envs[at] = Some(env.clone());
        env
    }

    pub(crate) fn env(&self, at: usize) -> &ReplicatedEnvironment {
        self.envs[at].as_ref().expect("this member runs")
    }

    pub(crate) fn running_envs(&self) -> impl Iterator<Item = &ReplicatedEnvironment> {
        self.envs.iter().flatten()
    }

    /// Closes member `at`; its directory is free afterwards.
    pub(crate) fn close(&mut self, at: usize) {
        let env = self.envs[at].take().expect("this member runs");
        env.close().unwrap();
    }

    /// Waits for a master, and says which member it is.
    pub(crate) fn master(&self) -> usize {
        eventually("a master", || {
            self.envs
                .iter()
                .position(|env| env.as_ref().is_some_and(|env| env.state() == NodeState::Master))
        })
    }

    /// A running member that is not the master.
    pub(crate) fn replica(&self) -> usize {
        let master = self.master();
        (0..self.envs.len())
            .find(|at| *at != master && self.envs[*at].is_some())
            .expect("somebody else runs")
    }

    /// Writes at whoever is master, again and again until it is acknowledged. Only for writes that may happen twice.
    pub(crate) fn put(&self, key: &str, value: &str) -> CommitToken {
        let start = Instant::now();
        loop {
            match put(self.env(self.master()), key, value) {
                Ok(token) => return token,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
        }
    }

    /// What every running member reads under `key`, once it has `token`.
    pub(crate) fn assert_everywhere(&self, token: CommitToken, key: &str, value: &str) {
        for env in self.running_envs() {
            let view = view_at(env, token);
            assert_eq!(get(&view, key).as_deref(), Some(value), "{key} at {}", env.name());
        }
    }
}

pub(crate) fn put(
    env: &ReplicatedEnvironment,
    key: &str,
    value: &str,
) -> Result<CommitToken, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), key.as_bytes(), value.as_bytes())?;
    txn.commit()?.wait()
}

/// A view that contains `token`, however often that takes a read's patience.
pub(crate) fn view_at(env: &ReplicatedEnvironment, token: CommitToken) -> View {
    eventually("a view", || match env.read(Consistency::AtLeast(token)).wait() {
        Ok(view) => Some(view),
        Err(Error::ReadTimeout { .. }) => None,
        Err(error) => panic!("{error}"),
    })
}

pub(crate) fn get(view: &View, key: &str) -> Option<String> {
    let value = view.get(&rep_env::Database::new("accounts"), key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Looks until there is something to see. Nothing here depends on how long one look takes.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
