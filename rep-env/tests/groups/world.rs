//! A group to be tested, over either transport.

use rep_env::config::{Limits, RepConfigBuilder, Timing};
use rep_env::net::mem::Hub;
use rep_env::{CommitToken, Consistency, Error, NodeState, RepConfig, ReplicatedEnvironment, View};
use rustix::fd::OwnedFd;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here should ever take, on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A silence that nobody keeps on a machine that is merely slow: no disk and no other process makes an election where this is
/// the `election_timeout`.
pub(crate) const STEADY: Duration = Duration::from_secs(6);

/// The master stays.
pub(crate) fn steady(timing: &mut Timing) {
    timing.election_timeout = STEADY;
    timing.round_timeout = Duration::from_secs(1);
}

/// Stands soon, and again as often as it has to; but a round has time for disks that take a tenth of a second to sync, or no round
/// of a slow machine would ever end.
fn impatient(timing: &mut Timing) {
    timing.heartbeat = Duration::from_millis(80);
    timing.election_timeout = Duration::from_millis(800);
    timing.round_timeout = Duration::from_millis(400);
}

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
    /// What keeps the ports for the members.
    _held: Vec<OwnedFd>,
    pub(crate) envs: Vec<Option<ReplicatedEnvironment>>,
}

impl World {
    /// A group of which nothing runs yet.
    pub(crate) fn new(net: Net, count: usize) -> World {
        let (mut listeners, mut held) = (Vec::new(), Vec::new());
        let members = (1..=count)
            .map(|number| match net {
                Net::Memory => format!("n{number}=place-{number}"),
                Net::Tcp => {
                    let (socket, address) = held_port();
                    listeners.push(Some(TcpListener::bind(address).unwrap()));
                    held.push(socket);
                    format!("n{number}={address}")
                }
            })
            .collect();
        listeners.resize_with(count, || None);
        let envs = (0..count).map(|_| None).collect();
        let dir = TempDir::new().unwrap();
        World { net, hub: Hub::default(), dir, members, listeners, _held: held, envs }
    }

    /// A group of which nothing runs yet, at ports that are free for UDP too.
    #[cfg(feature = "quic")]
    pub(crate) fn new_for_udp(count: usize) -> World {
        let mut world = World::new(Net::Tcp, count);
        world.listeners.fill_with(|| None);
        let places = (1..=count).map(|number| (number, held_port_of_both()));
        (world.members, world._held) =
            places.map(|(number, (held, address))| (format!("n{number}={address}"), held)).unzip();
        world
    }

    /// A group of which every member runs.
    pub(crate) fn running(net: Net, count: usize) -> World {
        let mut world = World::new(net, count);
        (0..count).for_each(|at| drop(world.open(at)));
        world
    }

    /// A group of which every member runs, and whose master stays.
    pub(crate) fn steady(net: Net, count: usize) -> World {
        World::tuned(net, count, |timing, _| steady(timing))
    }

    /// Such a group of three on either network.
    pub(crate) fn both_steady() -> impl Iterator<Item = World> {
        BOTH.into_iter().map(|net| World::steady(net, 3))
    }

    /// A group that has been founded, and of which every member runs as `tune` changes it.
    pub(crate) fn tuned(net: Net, count: usize, tune: impl Fn(&mut Timing, &mut Limits)) -> World {
        let mut world = World::new(net, count);
        world.found(|world, at| world.config(at).tune(&tune));
        world
    }

    /// Opens every member as `configure` says, and waits until all of them follow one master.
    ///
    /// Nobody stands before its timeout is over, which may be long. So the first member is impatient until the group is
    /// founded, and opened again as it is to be; was it master, its connections are closed and the others elect at once.
    pub(crate) fn found(&mut self, configure: impl Fn(&mut World, usize) -> RepConfigBuilder) {
        let count = self.envs.len();
        for at in 0..count {
            let mut config = configure(self, at);
            if at == 0 && count > 1 {
                config = config.tune(|timing, _| impatient(timing));
            }
            self.open_as(at, config.build().unwrap());
        }
        self.settle();
        if count > 1 {
            self.close(0);
            let config = configure(self, 0).build().unwrap();
            self.open_as(0, config);
            self.settle();
        }
    }

    /// Waits until every member knows its group, and is master or follows.
    fn settle(&self) {
        let settled = |env: &ReplicatedEnvironment| {
            env.group().is_some() && matches!(env.state(), NodeState::Master | NodeState::Replica)
        };
        eventually("a group", || self.running_envs().all(settled).then_some(()));
    }

    pub(crate) fn home(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("n{}", at + 1))
    }

    pub(crate) fn address(&self, at: usize) -> String {
        self.members[at].split_once('=').unwrap().1.to_owned()
    }

    /// How member `at` is configured, but for its home.
    pub(crate) fn bare_config(&mut self, at: usize) -> RepConfigBuilder {
        let members = self.members.clone();
        self.unlisted_config(at).members(members)
    }

    /// The same, but for how it comes to belong to a group.
    pub(crate) fn unlisted_config(&mut self, at: usize) -> RepConfigBuilder {
        let config = RepConfig::builder("bank", format!("n{}", at + 1))
            .listen(self.address(at))
            .attribute("resp", format!("redis-of-n{}", at + 1))
            .tune(|timing, limits| {
                impatient(timing);
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

    /// Closes all members but the master, and waits until it has noticed: from here on nothing is admitted that asks for another.
    pub(crate) fn leave_alone(&mut self, master: usize) {
        for at in (0..self.envs.len()).filter(|at| *at != master) {
            self.close(at);
        }
        let env = self.env(master);
        eventually("a loss that is noticed", || {
            let stats = env.stats();
            let gone = stats.replicas.iter().all(|it| !it.connected && it.state.is_empty());
            gone.then_some(())
        });
        // What a commit looks at is published after the step that answers a question, so before the next one is answered.
        env.stats();
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

/// A port of the system's choice that is its holder's: the system gives it to nobody else, and nobody listens there until who is
/// told of it does, as often as it likes.
///
/// A socket that is bound and does not listen lets others bind its address by name, if both sides allow that, as a
/// `TcpListener` does; and it is never the one that port 0 or an outgoing connection is given.
pub(crate) fn held_port() -> (OwnedFd, SocketAddr) {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = net::getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

/// As [`held_port`], of a port that is free for UDP too. A port of UDP cannot be held and left to another, so it is none that the system
/// gives out of itself, and whoever looks for such a one here has to get hold of the port of TCP first.
#[cfg(feature = "quic")]
pub(crate) fn held_port_of_both() -> (OwnedFd, SocketAddr) {
    const NOT_GIVEN_OUT: std::ops::Range<u16> = 20_000..30_000;
    let chance = usize::from(held_port().1.port());
    let candidates = NOT_GIVEN_OUT.cycle().skip(chance % NOT_GIVEN_OUT.len());
    candidates
        .take(NOT_GIVEN_OUT.len())
        .find_map(|port| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            net::bind(&socket, &address).ok()?;
            std::net::UdpSocket::bind(address).ok()?;
            sockopt::set_socket_reuseaddr(&socket, true).unwrap();
            Some((socket, address))
        })
        .expect("a free port")
}
