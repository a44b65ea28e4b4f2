//! A group of real processes, the network between them, and what can be asked about the whole.

use super::disk::Disk;
use super::forwarder::Forwarder;
use super::links::{Links, Port, Weather};
use super::names;
use super::network::Namespace;
use super::node::{Launch, Node};
use super::status::{self, Status};
use anyhow::{Context, anyhow, bail};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long a new group may take until it is founded and all follow its master.
const FOUNDING_BOUND: Duration = Duration::from_secs(20);
/// Within its bound, and longer than one would like: what the nodes say then is kept.
const SLOW: Duration = Duration::from_secs(2);
/// Between two looks at a group.
const LOOK: Duration = Duration::from_millis(25);

/// The group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) nodes: Vec<Node>,
    /// Where the clients are.
    pub(super) clients: Namespace,
    launch: Launch,
    forwarder: Forwarder,
}

impl Group {
    /// Makes namespaces and disks, starts all nodes, and waits until the group is founded.
    pub(super) fn open(launch: &Launch, weather: Weather, seed: u64) -> anyhow::Result<Group> {
        let folder = names::folder();
        let (mut nodes, mut tuns) = (Vec::new(), Vec::new());
        for number in 0..launch.count {
            let (namespace, tun) = Namespace::create(number)?;
            tuns.push(tun);
            let disk = Disk::create(&folder, &names::node(number))?;
            let node = Node::new(number, launch.clone(), namespace, disk);
            node.set_clock(0)?;
            nodes.push(node);
        }
        let (clients, tun) = Namespace::create(launch.count)?;
        tuns.push(tun);
        let forwarder = Forwarder::start(tuns, Links::new(launch.count, weather), seed)?;
        let mut group = Group { nodes, clients, launch: launch.clone(), forwarder };
        group.nodes.iter_mut().try_for_each(Node::start)?;
        group.await_sync(Instant::now(), FOUNDING_BOUND).context("the founding")?;
        Ok(group)
    }

    /// Cuts these links, and no others.
    pub(super) fn cut(&self, links: BTreeSet<(Port, Port)>) {
        self.forwarder.change(|all| all.cut(links));
    }

    /// Packets that arrived, and those that did not.
    pub(super) fn packets(&self) -> (u64, u64) {
        self.forwarder.counts()
    }

    /// What every member says of itself, asked at the same time.
    pub(super) fn statuses(&self) -> Vec<Option<Status>> {
        thread::scope(|scope| {
            let ask = |node: &Node| {
                let address = node.address();
                scope.spawn(move || status::ask(&self.launch.rep, &self.clients, &address))
            };
            let asked: Vec<_> = self.nodes.iter().map(ask).collect();
            asked.into_iter().map(|asked| asked.join().ok().flatten()).collect()
        })
    }

    /// What one member says of itself.
    pub(super) fn status(&self, node: usize) -> Option<Status> {
        status::ask(&self.launch.rep, &self.clients, &self.nodes[node].address())
    }

    /// The node that says that it is the master.
    pub(super) fn master(&self) -> anyhow::Result<usize> {
        let is_master = |status: &Option<Status>| status.as_ref().is_some_and(Status::is_master);
        self.statuses().iter().position(is_master).context("nobody is master")
    }

    /// Waits until one master streams to all; how long after `since` that was.
    pub(super) fn await_sync(&self, since: Instant, bound: Duration) -> anyhow::Result<Duration> {
        self.await_statuses(since, bound, "one master streams to all", status::in_sync)
    }

    /// Waits until all hold and have applied the same. Nobody writes meanwhile.
    pub(super) fn await_meeting(&self, bound: Duration) -> anyhow::Result<Duration> {
        self.await_statuses(Instant::now(), bound, "all nodes have met", status::have_met)
    }

    fn await_statuses(
        &self,
        since: Instant,
        bound: Duration,
        what: &str,
        holds: fn(&[Option<Status>]) -> bool,
    ) -> anyhow::Result<Duration> {
        let mut kept = false;
        loop {
            let statuses = self.statuses();
            if holds(&statuses) {
                return Ok(since.elapsed());
            }
            if !kept && since.elapsed() > SLOW {
                kept = true;
                self.keep(&format!("{:?}: slow: {what}\n{}", SystemTime::now(), told(&statuses)))?;
            }
            if since.elapsed() > bound {
                bail!("not within {bound:?}: {what}\n{}", told(&statuses));
            }
            thread::sleep(LOOK);
        }
    }

    /// Keeps a text with the logs, for whoever looks for a reason later.
    fn keep(&self, text: &str) -> anyhow::Result<()> {
        let path = self.launch.logs.join("slow.txt");
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{text}")?)
    }

    /// Where the nodes listen for Redis clients.
    pub(super) fn redis(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let parse = |node: &Node| node.redis().parse().map_err(|_| anyhow!("no address"));
        self.nodes.iter().map(parse).collect()
    }
}

/// All answers, a line each.
pub(super) fn told(statuses: &[Option<Status>]) -> String {
    let line = |(node, status): (usize, &Option<Status>)| {
        let text = status.as_ref().map_or("no answer".to_owned(), Status::text);
        format!("{}: {text}\n", names::node(node))
    };
    statuses.iter().enumerate().map(line).collect()
}
