//! From a configuration to a running node. Everything that can fail does so here, before the first thread starts.

use super::applier::{Applier, TASKS_MAX, Task};
use super::directory::Directory;
use super::file_ages::file_ages;
use super::home::{self, Home};
use super::node_loop::{Hands, NodeLoop};
use super::peers::{Context, CurrentLog, Entries, PeerService, Peers, service_name};
use super::restore::RESTORE_SERVICE;
use super::restore::fetching::Fetcher;
use super::restore::giving::Giving;
use super::restore::reopening::{self, Writers};
use super::scrubber;
use super::set_aside::{self, Found};
use super::shared::Shared;
use super::shipper;
use super::threads::Threads;
use super::{Admin, Runtime};
use crate::admin::{ADMIN_SERVICE, AppliedDigest, DigestSource};
use crate::config::{RepConfig, StoreKind};
use crate::error::Error;
use crate::join::{JOIN_SERVICE, Join, Wish};
use crate::replicate::{Places, Results};
use crate::services::Services;
use crate::shipping::Archive;
use rep_net::queue::{Lane, Queue};
use rep_net::{Address, Host, Limits, Listener, NetError, ServiceTable, TcpTransport, Transport};
use rep_node::{Membership, Node, NodeConfig, OpenError, Recovered, RunId, Seed, Service, Timing};
use rep_store::{Databases, MemoryHome, StateMachine};
use rep_vlsn::disk::Disk;
use rep_vlsn::disk::mem::MemDisk;
use rep_vlsn::{Incarnation, LogConfig, LogPoint, NodeId, Record, Vlsn};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    pub(crate) config: Arc<RepConfig>,
}

/// Opens and starts a node. `make` makes the state machine, once the home is locked.
pub(crate) fn start<M: StateMachine>(
    mut config: RepConfig,
    make: impl FnOnce(&RepConfig) -> Result<M, Error>,
    digest: Option<DigestOf<M::Reader>>,
) -> Result<Started<M>, Error> {
    check_plaintext(&config)?;
    let Some(path) = config.home.clone() else {
        return start_on(MemDisk::new(), PathBuf::from("(memory)"), config, make, digest);
    };
    let disk = home::lock(&path)?;
    let found = set_aside::open(&disk, &path, &mut config, &set_aside::others_have_a_master)?;
    start_found((disk, path), found, config, make, digest)
}

/// The built-in state machine, as configured.
pub(crate) fn databases(config: &RepConfig) -> Result<Databases, Error> {
    match (config.store, &config.home) {
        #[cfg(feature = "redb")]
        (StoreKind::Redb, Some(home)) => {
            let cache_bytes =
                usize::try_from(config.limits.store_cache_bytes).unwrap_or(usize::MAX);
            Ok(Databases::redb_with_cache(home.join(home::STORE_FILE), cache_bytes)?)
        }
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
    let found = Found::look(&disk, &path, &config)?;
    start_found((disk, path), found, config, make, digest)
}

fn start_found<D: Disk, M: StateMachine>(
    (disk, path): (D, PathBuf),
    found: Found<D>,
    mut config: RepConfig,
    make: impl FnOnce(&RepConfig) -> Result<M, Error>,
    digest: Option<DigestOf<M::Reader>>,
) -> Result<Started<M>, Error> {
    let Found { mut staging, home, damage } = found;
    let mut machine = make(&config)?;
    let both = (&mut staging, &mut machine);
    let restored = reopening::install_waiting(&disk, &path, &config, both, &|| false)?;
    let home = home.map_or_else(|| Home::open(disk.clone(), &path, &config), Ok)?;
    let entries: Arc<dyn Entries> = Arc::new(home.log.reader.clone());
    let own = config.attributes.clone();
    let directory = Arc::new(Directory::new(&config.name, &config.advertise, own));
    let clock = Duration::ZERO;
    let made = (machine.applied(), (restored, false), clock);
    let (node, me) = make_node(&config, &home, &*entries, made)?;
    directory.become_number(me);
    directory.know(node.contacts().cloned());
    let names = (config.group.clone(), config.name.clone());
    let admission = node.admission(clock);
    let shared = Arc::new(Shared::new(
        names,
        config.timing.clone(),
        config.limits.clone(),
        directory,
        admission,
    ));
    // Before its log does, this tells a newcomer of which group it takes a copy.
    if let Some(place) =
        home.place_value.as_deref().and_then(|place| Membership::decode(place).ok())
    {
        shared.learn_group(place.group);
    }
    *shared.damage.lock() = damage;
    let threads = Threads::new();
    let transport = transport_of(&config);
    let reader = machine.reader();
    let entries = CurrentLog::new(entries, Arc::clone(&shared) as _);
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
    let wish = wish(&config, home.incarnation);
    let admin = Admin::new(Arc::clone(&shared), home.incarnation, digest, Arc::clone(&transport));
    let awaits = config.join.as_ref().is_some_and(Vec::is_empty);
    let proves_names = transport.proof_expires().is_some();
    let join = Join::new(Arc::clone(&shared), (wish.clone(), awaits), proves_names);
    let table = Arc::new(ServiceTable::new());
    let tasks = Queue::new([Lane { items_max: TASKS_MAX, bytes_max: 0 }]);
    let giving = Giving::new(Arc::clone(&context), tasks.clone());
    let socket = config.listener.take();
    let config = Arc::new(config);
    let handlers = Handlers { admin, join, giving, table: Arc::clone(&table) };
    let listener = listen(&config, socket, &context, handlers)?;
    let services = Services::new(table, Arc::clone(&shared), threads.clone());
    let results = Arc::new(Results::new());
    let places = Arc::clone(&results) as Arc<dyn Places>;
    let (own, running) = (Arc::clone(&shared), threads.clone());
    let log = Arc::clone(&entries);
    let runtime =
        Runtime { shared: own, services, transport, threads: running, log, listener, places };
    let needs_whole_log = machine.is_rebuilt_from_the_log();
    let fetcher = Fetcher::new(Arc::clone(&context), staging, tasks.clone(), needs_whole_log);
    let (told, log, running) = (Arc::clone(&config), Arc::clone(&entries), threads.clone());
    let scrubbed = config.home.is_some().then(|| disk.clone());
    let directory = reopening::Directory { disk, path, config, context, fetcher, writers: None };
    let outlets = (Arc::clone(&results), Arc::clone(&shared), entries);
    // Before anything can be cleaned that the folder needs.
    let started = ship_as_told(&told, (&shared, &log, &running)).and_then(|()| {
        start_threads(home, directory, (machine, node, tasks), wish, outlets)
            .and_then(|()| match scrubbed {
                Some(disk) => scrubber::begin(disk, (&shared, &log, &running)),
                None => Ok(()),
            })
            .map_err(|error| Error::Open { detail: format!("a thread cannot be started: {error}") })
    });
    if let Err(error) = started {
        shared.begin_close();
        shared.loop_ended(None);
        return Err(error);
    }
    Ok(Started { runtime, reader, results, config: told })
}

fn start_threads<D: Disk, M: StateMachine>(
    home: Home<D>,
    mut directory: reopening::Directory<D>,
    (machine, node, tasks): (M, Node, Queue<Task>),
    wish: Wish,
    (results, shared, entries): (Arc<Results<M::Output>>, Arc<Shared>, Arc<CurrentLog>),
) -> std::io::Result<()> {
    let context = Arc::clone(&directory.context);
    let (disks, writers) = Writers::start(home, &context)?;
    directory.writers = Some(writers);
    let fetches = Arc::new(directory.fetcher.clone());
    let peers = Peers::new(Arc::clone(&context));
    // The machine may keep files in the home: the directory's lock is held, by what opens it again, for as long as it is at work.
    let applier = Applier::new(machine, Box::new(directory), entries, results, Arc::clone(&shared));
    let places = applier.places();
    let hands = Hands { disks, tasks: tasks.clone(), peers, places, fetches, wish };
    context.threads.start("rep-apply", move || applier.run(&tasks))?;
    shared.inbox.install(NodeLoop::new(node, hands, Arc::clone(&shared)));
    context.threads.start("rep-watch", move || shared.inbox.keep_watch())
}

/// Ships to the folder that the configuration names, if it does.
fn ship_as_told(
    config: &RepConfig,
    node: (&Arc<Shared>, &Arc<CurrentLog>, &Threads),
) -> Result<(), Error> {
    let Some(path) = &config.ship_to else { return Ok(()) };
    let log = LogConfig::default()
        .with_segment_bytes(config.limits.segment_bytes)
        .with_reserve_bytes(config.limits.disk_reserve_bytes);
    let archive = Archive::new(path, log, shipper::SHARD);
    shipper::begin(path.display().to_string(), archive, node).map(drop)
}

/// What this node would like to be in a group that it joins.
fn wish(config: &RepConfig, incarnation: Incarnation) -> Wish {
    Wish {
        name: config.name.clone(),
        incarnation,
        address: config.advertise.clone(),
        kind: config.member_type,
        priority: config.priority,
    }
}

/// A node on what was found, and its number: in what the store has applied, at which point a copy was put in place, and at what time.
pub(super) fn make_node<D: Disk>(
    config: &RepConfig,
    home: &Home<D>,
    entries: &dyn Entries,
    (applied, (restored, unplaced), clock): (LogPoint, (Option<LogPoint>, bool), Duration),
) -> Result<(Node, NodeId), Error> {
    let recovered = recovered(home, applied, entries)?;
    let mut node = node_config(config, home, &recovered, clock)?;
    let me = node.me;
    (node.restored, node.unplaced) = (restored, unplaced);
    Ok((Node::new(node, recovered, clock).map_err(open_error)?, me))
}

fn recovered<D: Disk>(
    home: &Home<D>,
    applied: rep_vlsn::LogPoint,
    entries: &dyn Entries,
) -> Result<Recovered, Error> {
    let view = &home.log.view;
    let mut memberships: Vec<Record> = Vec::new();
    for at in view.memberships() {
        let batch = entries.settled(at.vlsn, at.vlsn, 0);
        let batch =
            batch.map_err(|error| Error::Damaged { what: "log", detail: error.to_string() })?;
        memberships.extend(batch.into_records());
    }
    let mark_dvlsn = home.log.marks.map_or(Vlsn::NULL, |mark| mark.dvlsn);
    let (log, past, place) = (view.clone(), home.past_value.clone(), home.place_value.clone());
    let (fence, vouched) = (home.fence, home.vouched);
    Ok(Recovered { fence, log, memberships, past, place, applied, mark_dvlsn, vouched })
}

fn node_config<D: Disk>(
    config: &RepConfig,
    home: &Home<D>,
    recovered: &Recovered,
    clock: Duration,
) -> Result<NodeConfig, Error> {
    let seeds: Vec<Seed> = config
        .members
        .iter()
        .map(|(name, address)| Seed { name: name.clone(), address: address.clone() })
        .collect();
    let members = rep_node::number_members(&seeds);
    let seed = u64::from_le_bytes(home::random()?);
    let me = recovered.number(&config.name, home.incarnation, &members).map_err(open_error)?;
    let group = home::mint_group()?;
    let mut node = NodeConfig::new(&*config.group, me, home.incarnation, members, group, seed);
    // One that waits to be added joins too, and asks nobody.
    let waits = || vec![config.advertise.clone()];
    node.joining = match &config.join {
        Some(helpers) if helpers.is_empty() => waits(),
        helpers => helpers.clone().unwrap_or_default(),
    };
    let mut timing = Timing::default();
    timing.heartbeat = config.timing.heartbeat;
    timing.election_timeout = config.timing.election_timeout;
    timing.round_timeout = config.timing.round_timeout;
    timing.disk_stall = config.timing.disk_stall;
    timing.redial_min = config.timing.redial_min;
    timing.redial_max = config.timing.redial_max;
    node.timing = timing;
    node.feed_from = config.feed_from;
    node.unsynced_bytes_max = config.limits.unsynced_bytes_max;
    node.retention.bytes = config.limits.log_retention_bytes;
    node.retention.age = config.timing.log_retention;
    node.straggler_patience = config.timing.straggler_patience;
    node.file_ages = config.home.as_deref().map(file_ages).unwrap_or_default();
    node.attributes = config.attributes.clone().into_iter().collect();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    node.epoch_ms = wall.saturating_sub(clock).as_millis() as u64;
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

/// The node's own services, but for the channels between members.
struct Handlers {
    admin: Admin,
    join: Join,
    giving: Giving,
    table: Arc<ServiceTable>,
}

/// Listens, with every service in place.
fn listen(
    config: &RepConfig,
    socket: Option<TcpListener>,
    context: &Arc<Context>,
    handlers: Handlers,
) -> Result<Box<dyn Listener>, Error> {
    let Handlers { admin, join, giving, table } = handlers;
    let host = Host::new(&*config.group, &*config.name, context.incarnation.0);
    let registered = table.host(host).and_then(|()| {
        for service in [Service::Peer, Service::Feeder] {
            let handler = PeerService { context: Arc::clone(context), service };
            table.register(&config.group, service_name(service), Arc::new(handler))?;
        }
        table.register(&config.group, RESTORE_SERVICE, Arc::new(giving))?;
        table.register(&config.group, JOIN_SERVICE, Arc::new(join))?;
        table.register(&config.group, ADMIN_SERVICE, Arc::new(admin))
    });
    registered.map_err(|error| Error::Open { detail: error.to_string() })?;
    listen_as_told(config, socket, &*context.transport, table)
        .map_err(|error| listen_error(&config.listen, error))
}

fn listen_as_told(
    config: &RepConfig,
    socket: Option<TcpListener>,
    transport: &dyn Transport,
    table: Arc<ServiceTable>,
) -> Result<Box<dyn Listener>, NetError> {
    let Some(socket) = socket else { return transport.listen(&config.listen, table) };
    #[cfg(feature = "tls")]
    if let Some(crate::config::Proving::Tls(tls)) = &config.proving {
        return tls.listen_on(socket, table);
    }
    plain_tcp(config).listen_on(socket, table)
}

/// TCP, where that may be spoken.
/// What this node speaks to the others.
pub(super) fn transport_of(config: &RepConfig) -> Arc<dyn Transport> {
    match &config.transport {
        Some(transport) => Arc::clone(transport),
        None => Arc::new(plain_tcp(config)),
    }
}

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
    let helpers = config.join.iter().flatten().chain([&config.advertise]);
    let members = config.members.values().chain(helpers);
    let members = members.filter_map(|address| address.parse().ok());
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
