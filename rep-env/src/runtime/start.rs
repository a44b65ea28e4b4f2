//! From a configuration to a running node. Everything that can fail does so here, before the first thread starts.

use super::applier::Applier;
use super::directory::Directory;
use super::home::{self, Home};
use super::log_writer::{self, LogQueue};
use super::node_loop::{Hands, NodeLoop};
use super::peers::{Context, Entries, PeerService, Peers, service_name};
use super::shared::Shared;
use super::threads::Threads;
use super::{Admin, Runtime, promise_writer};
use crate::admin::{ADMIN_SERVICE, AppliedDigest, DigestSource};
use crate::config::{RepConfig, StoreKind};
use crate::error::Error;
use crate::replicate::{Places, Results};
use crate::services::Services;
use rep_net::queue::{Lane, Queue};
use rep_net::{Address, Host, Limits, Listener, NetError, ServiceTable, TcpTransport, Transport};
use rep_node::{Node, NodeConfig, OpenError, Recovered, RunId, Seed, Service, Timing};
use rep_store::{Databases, MemoryHome, StateMachine};
use rep_vlsn::disk::Disk;
use rep_vlsn::disk::mem::MemDisk;
use rep_vlsn::{Record, Vlsn};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a digest of what is applied is taken from a reader, if it can be.
pub(crate) type DigestOf<R> = fn(&R) -> Result<AppliedDigest, Error>;

fn bind_digest<R: Send + Sync + 'static>(digest: DigestOf<R>, reader: R) -> DigestSource {
    Box::new(move || digest(&reader))
}

/// A running node, and the two ends of its state machine that callers hold.
pub(crate) struct Started<M: StateMachine> {
    pub(crate) runtime: Runtime,
    pub(crate) reader: M::Reader,
    pub(crate) results: Arc<Results<M::Output>>,
}

/// Opens and starts a node. `make` makes the state machine, once the home is locked.
pub(crate) fn start<M: StateMachine>(
    config: RepConfig,
    make: impl FnOnce(&RepConfig) -> Result<M, Error>,
    digest: Option<DigestOf<M::Reader>>,
) -> Result<Started<M>, Error> {
    check_plaintext(&config)?;
    match config.home.clone() {
        Some(path) => start_on(home::lock(&path)?, path, config, make, digest),
        None => start_on(MemDisk::new(), PathBuf::from("(memory)"), config, make, digest),
    }
}

/// The built-in state machine, as configured.
pub(crate) fn databases(config: &RepConfig) -> Result<Databases, Error> {
    match (config.store, &config.home) {
        #[cfg(feature = "redb")]
        (StoreKind::Redb, Some(home)) => Ok(Databases::redb(home.join(home::STORE_FILE))?),
        #[cfg(feature = "fjall")]
        (StoreKind::Fjall, Some(home)) => Ok(Databases::fjall(home.join(home::STORE_DIRECTORY))?),
        (StoreKind::Redb | StoreKind::Fjall, _) => {
            Err(Error::config("store", "needs a home, and a feature of its name"))
        }
        (StoreKind::Memory, Some(_)) => Ok(Databases::memory()),
        // The log is in memory too, and ends with the store: its checkpoints may be believed.
        (StoreKind::Memory, None) => Ok(Databases::memory_in(&MemoryHome::new())),
    }
}

/// As [`start`], on a disk that is locked already; `path` is only for errors.
pub(crate) fn start_on<D: Disk, M: StateMachine>(
    disk: D,
    path: PathBuf,
    config: RepConfig,
    make: impl FnOnce(&RepConfig) -> Result<M, Error>,
    digest: Option<DigestOf<M::Reader>>,
) -> Result<Started<M>, Error> {
    let home = Home::open(disk.clone(), &path, &config)?;
    let machine = make(&config)?;
    let entries: Arc<dyn Entries> = Arc::new(home.log.reader.clone());
    let recovered = recovered(&home, machine.applied(), &*entries)?;
    let directory =
        Arc::new(Directory::new(&config.name, &config.members, config.attributes.clone()));
    let clock = std::time::Duration::ZERO;
    let node = Node::new(node_config(&config, &home, &directory)?, recovered, clock)
        .map_err(open_error)?;
    let names = (config.group.clone(), config.name.clone());
    let admission = node.admission(clock);
    let shared = Arc::new(Shared::new(
        names,
        config.timing.clone(),
        config.limits.clone(),
        directory,
        admission,
    ));
    let threads = Threads::new();
    let transport: Arc<dyn Transport> = match &config.transport {
        Some(transport) => Arc::clone(transport),
        None => Arc::new(plain_tcp(&config)),
    };
    let reader = machine.reader();
    let context = Context::new(
        Arc::clone(&shared),
        threads.clone(),
        Arc::clone(&transport),
        Arc::clone(&entries),
        home.incarnation,
        RunId(u64::from_le_bytes(home::random()?)),
    );
    // The ear is opened before the threads run, so that a port in use is found before anything has begun; who calls in
    // between finds an inbox that is not read yet.
    let digest = digest.map(|digest| bind_digest(digest, reader.clone()));
    let admin = Admin::new(Arc::clone(&shared), home.incarnation, digest, Arc::clone(&transport));
    let table = Arc::new(ServiceTable::new());
    let listener = listen(config, &context, admin, Arc::clone(&table))?;
    let services = Services::new(table, Arc::clone(&shared), threads.clone());
    let results = Arc::new(Results::new());
    let places = Arc::clone(&results) as Arc<dyn Places>;
    let (own, running) = (Arc::clone(&shared), threads.clone());
    let runtime = Runtime { shared: own, services, threads: running, listener, places };
    let applier = Applier::new(machine, entries, Arc::clone(&results), Arc::clone(&shared));
    let started = start_threads(home, disk, applier, node, context);
    if let Err(error) = started {
        shared.begin_close();
        shared.loop_ended(None);
        return Err(Error::Open { detail: format!("a thread cannot be started: {error}") });
    }
    Ok(Started { runtime, reader, results })
}

fn start_threads<D: Disk, M: StateMachine>(
    home: Home<D>,
    disk: D,
    applier: Applier<M>,
    node: Node,
    context: Arc<Context>,
) -> std::io::Result<()> {
    let Home { promise, past, log, .. } = home;
    let rep_vlsn::recovery::Opened { writer, tail, .. } = log;
    let queue = |items_max| Lane { items_max, bytes_max: 0 };
    let hands = Hands {
        tail,
        log: LogQueue::new(),
        fences: Queue::new([queue(promise_writer::FENCES_MAX)]),
        ranges: Queue::new([queue(1)]),
        peers: Peers::new(Arc::clone(&context)),
        places: applier.places(),
    };
    let (threads, shared) = (context.threads.clone(), Arc::clone(&context.shared));
    let (log, own) = (hands.log.clone(), Arc::clone(&shared));
    threads.start("rep-log", move || log_writer::run(writer, past, &log, &own))?;
    let (fences, own) = (hands.fences.clone(), Arc::clone(&shared));
    threads.start("rep-promise", move || promise_writer::run(promise, &fences, &own))?;
    let ranges = hands.ranges.clone();
    threads.start("rep-apply", move || {
        // The machine may keep files in the home: the directory's lock is held for as long as it is at work.
        let _lock = disk;
        applier.run(&ranges);
    })?;
    shared.inbox.install(NodeLoop::new(node, hands, Arc::clone(&shared)));
    threads.start("rep-watch", move || shared.inbox.keep_watch())
}

fn recovered<D: Disk>(
    home: &Home<D>,
    applied: rep_vlsn::LogPoint,
    entries: &dyn Entries,
) -> Result<Recovered, Error> {
    let view = &home.log.view;
    let founding: Option<Record> = if view.is_empty() || view.first() > Vlsn::FIRST {
        None
    } else {
        let batch = entries.settled(Vlsn::FIRST, Vlsn::FIRST, 0);
        let batch =
            batch.map_err(|error| Error::Damaged { what: "log", detail: error.to_string() })?;
        batch.into_records().into_iter().next()
    };
    let mark_dvlsn = home.log.marks.map_or(Vlsn::NULL, |mark| mark.dvlsn);
    let (log, past) = (view.clone(), home.past_value.clone());
    Ok(Recovered { fence: home.fence, log, founding, past, applied, mark_dvlsn })
}

fn node_config<D: Disk>(
    config: &RepConfig,
    home: &Home<D>,
    directory: &Directory,
) -> Result<NodeConfig, Error> {
    let seeds: Vec<Seed> = config
        .members
        .iter()
        .map(|(name, address)| Seed { name: name.clone(), address: address.clone() })
        .collect();
    let members = rep_node::number_members(&seeds);
    let seed = u64::from_le_bytes(home::random()?);
    let (me, group) = (directory.me(), home::mint_group()?);
    let mut node = NodeConfig::new(&*config.group, me, home.incarnation, members, group, seed);
    let mut timing = Timing::default();
    timing.heartbeat = config.timing.heartbeat;
    timing.election_timeout = config.timing.election_timeout;
    timing.round_timeout = config.timing.round_timeout;
    timing.disk_stall = config.timing.disk_stall;
    timing.redial_min = config.timing.redial_min;
    timing.redial_max = config.timing.redial_max;
    node.timing = timing;
    node.unsynced_bytes_max = config.limits.unsynced_bytes_max;
    node.retention.bytes = config.limits.log_retention_bytes;
    node.retention.age = config.timing.log_retention;
    node.attributes = config.attributes.clone().into_iter().collect();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    node.epoch_ms = wall.as_millis() as u64;
    Ok(node)
}

fn open_error(error: OpenError) -> Error {
    match error {
        OpenError::StoreAheadOfLog { applied, last } => {
            Error::StoreAheadOfLog { applied: applied.to_string(), log_last: last.to_string() }
        }
        other => Error::Open { detail: other.to_string() },
    }
}

/// Listens, with every service in place.
fn listen(
    config: RepConfig,
    context: &Arc<Context>,
    admin: Admin,
    table: Arc<ServiceTable>,
) -> Result<Box<dyn Listener>, Error> {
    let host = Host::new(&*config.group, &*config.name, context.incarnation.0);
    let registered = table.host(host).and_then(|()| {
        for service in [Service::Peer, Service::Feeder] {
            let handler = PeerService { context: Arc::clone(context), service };
            table.register(&config.group, service_name(service), Arc::new(handler))?;
        }
        table.register(&config.group, ADMIN_SERVICE, Arc::new(admin))
    });
    registered.map_err(|error| Error::Open { detail: error.to_string() })?;
    let address = config.listen.clone();
    listen_as_told(config, &*context.transport, table)
        .map_err(|error| listen_error(&address, error))
}

fn listen_as_told(
    config: RepConfig,
    transport: &dyn Transport,
    table: Arc<ServiceTable>,
) -> Result<Box<dyn Listener>, NetError> {
    let plain = plain_tcp(&config);
    let Some(socket) = config.listener else { return transport.listen(&config.listen, table) };
    #[cfg(feature = "tls")]
    if let Some(crate::config::Proving::Tls(tls)) = config.proving {
        return tls.listen_on(socket, table);
    }
    plain.listen_on(socket, table)
}

/// TCP, where that may be spoken.
fn plain_tcp(config: &RepConfig) -> TcpTransport {
    let tcp = TcpTransport::new(Limits::default());
    if config.allow_plaintext { tcp.allow_plaintext() } else { tcp }
}

fn listen_error(address: &Address, error: NetError) -> Error {
    let (address, detail) = match error {
        NetError::Plaintext { address } => {
            return Error::Plaintext { address: address.to_string() };
        }
        NetError::Listen { address, detail, .. } => (address.to_string(), detail),
        other => (address.to_string(), other.to_string()),
    };
    Error::Listen { address, detail }
}

/// Whoever can reach a plain TCP port can read and forge everything, so that has to be wanted. The transport says so too, when it is used;
/// this is to say it before anything is opened, and of members that would never be reached.
fn check_plaintext(config: &RepConfig) -> Result<(), Error> {
    if config.allow_plaintext || config.transport.is_some() {
        return Ok(());
    }
    let exposed = |address: &SocketAddr| !address.ip().is_loopback();
    let refuse = |address: SocketAddr| Err(Error::Plaintext { address: address.to_string() });
    if let Some(socket) = &config.listener {
        return match socket.local_addr() {
            Ok(address) if exposed(&address) => refuse(address),
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Error::Listen { address: "a bound socket".into(), detail: error.to_string() })
            }
        };
    }
    // Names are looked up when they are dialled.
    let members = config.members.values().filter_map(|address| address.parse().ok());
    if let Some(address) = members.into_iter().find(exposed) {
        return refuse(address);
    }
    let address = config.listen.as_str();
    let resolved = address.to_socket_addrs().map_err(|error| Error::Listen {
        address: address.to_owned(),
        detail: error.to_string(),
    })?;
    match resolved.into_iter().find(exposed) {
        Some(address) => refuse(address),
        None => Ok(()),
    }
}
