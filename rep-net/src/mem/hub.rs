//! The hub: a network within a process.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::channel::{Channel, Peer};
use crate::error::{DialError, NetError};
use crate::hello::{Accepted, Hello, RefuseReason};
use crate::limits::Limits;
use crate::mem::{MemChannel, pair_between};
use crate::queue::{Lane, Queue};
use crate::service::ServiceTable;
use crate::sync::{Mutex, broken};
use crate::transport::{Address, Listener, Transport};
use crate::workers::{NotStarted, Place, Workers};

/// A network of names within this process. Cheap to clone; all clones are the same network.
///
/// Each [`transport`](Hub::transport) stands for one process on it: what it listens on and what it dials dies together in
/// [`crash`](Hub::crash).
#[derive(Debug, Clone)]
pub struct Hub {
    network: Arc<Network>,
}

struct Network {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    processes: Vec<Process>,
    listening: BTreeMap<Address, Listening>,
}

#[derive(Default)]
struct Process {
    crashed: bool,
    channels: Vec<Weak<MemChannel>>,
}

struct Listening {
    process: usize,
    services: Arc<ServiceTable>,
    workers: Arc<Workers>,
}

impl Hub {
    /// An empty network.
    pub fn new(limits: Limits) -> Self {
        Self { network: Arc::new(Network { limits, state: Mutex::new(State::default()) }) }
    }

    /// The transport of one more process on this network.
    pub fn transport(&self) -> Arc<HubTransport> {
        let mut state = self.network.state.lock();
        state.processes.push(Process::default());
        Arc::new(HubTransport {
            network: Arc::clone(&self.network),
            process: state.processes.len() - 1,
        })
    }

    /// Kills the process that listens at `address`, as far as the network can see: its listeners are gone, its channels are lost
    /// with all that was queued in them, and its transport is dead for ever. A new life begins with a new transport. False if nobody listens there.
    pub fn crash(&self, address: &Address) -> bool {
        let mut state = self.network.state.lock();
        let Some(process) = state.listening.get(address).map(|listening| listening.process) else {
            return false;
        };
        let killed = &mut state.processes[process];
        killed.crashed = true;
        let channels = std::mem::take(&mut killed.channels);
        let (dead, alive) = std::mem::take(&mut state.listening)
            .into_iter()
            .partition(|(_, at)| at.process == process);
        state.listening = alive;
        drop(state);
        let dead: BTreeMap<Address, Listening> = dead;
        channels.iter().filter_map(Weak::upgrade).for_each(|channel| channel.simulate_crash());
        dead.values().for_each(|listening| listening.workers.stop());
        true
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("listening", &self.state.lock().listening.keys())
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Remembers a channel between two processes, unless one of them has died meanwhile.
    fn connect(&self, processes: [usize; 2], ends: [&Arc<MemChannel>; 2]) -> bool {
        let mut state = self.state.lock();
        let crashed = processes.iter().any(|process| state.processes[*process].crashed);
        if crashed && !broken("hub-connects-the-dead") {
            return false;
        }
        for (process, end) in processes.into_iter().zip(ends) {
            let channels = &mut state.processes[process].channels;
            channels.retain(|channel| channel.strong_count() > 0);
            channels.push(Arc::downgrade(end));
        }
        true
    }
}

/// One process' way into a [`Hub`]. Addresses are any names.
#[derive(Debug)]
pub struct HubTransport {
    network: Arc<Network>,
    process: usize,
}

impl HubTransport {
    fn find(
        &self,
        address: &Address,
    ) -> Result<(usize, Arc<ServiceTable>, Arc<Workers>), DialError> {
        let state = self.network.state.lock();
        if state.processes[self.process].crashed {
            return Err(DialError::Unreachable {
                address: address.clone(),
                kind: io::ErrorKind::NotConnected,
                detail: "this transport has crashed".into(),
            });
        }
        match state.listening.get(address) {
            Some(to) => Ok((to.process, Arc::clone(&to.services), Arc::clone(&to.workers))),
            None => Err(DialError::Refused { address: address.clone() }),
        }
    }
}

impl Transport for HubTransport {
    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError> {
        let sent = hello.encode().map_err(DialError::Hello)?;
        let (process, services, workers) = self.find(address)?;
        let answers = Queue::new([Lane { items_max: 1, bytes_max: 0 }]);
        let call = Call {
            network: Arc::clone(&self.network),
            processes: [self.process, process],
            address: address.clone(),
            answers: answers.clone(),
        };
        let hang_up = answers.clone();
        let started = workers.start(None, Box::new(move || hang_up.close()), move |place| {
            // Whatever happens in a handler, the dialler is not left waiting.
            let _hang_up = CloseOnDrop(&call.answers);
            call.answer(place, &sent, &services);
        });
        let refused = |reason| DialError::RefusedHello { address: address.clone(), reason };
        match started {
            Ok(()) => {}
            Err(NotStarted::Busy) => return Err(refused(RefuseReason::Busy)),
            Err(NotStarted::Closing) => {
                return Err(DialError::Refused { address: address.clone() });
            }
        }
        let during = "waiting for the answer";
        match answers.pop(Some(deadline)) {
            Ok(Some(Ok((accepted, channel)))) => {
                accepted
                    .check(hello)
                    .map_err(|error| DialError::BadAnswer { address: address.clone(), error })?;
                Ok(channel)
            }
            Ok(Some(Err(reason))) => Err(refused(reason)),
            Ok(None) => {
                answers.close_and_discard();
                Err(DialError::TimedOut { address: address.clone(), during })
            }
            Err(_) => {
                Err(DialError::HungUp { address: address.clone(), detail: "no answer".into() })
            }
        }
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let workers = Workers::new(&self.network.limits);
        let mut state = self.network.state.lock();
        let refused = if state.processes[self.process].crashed {
            Some((io::ErrorKind::NotConnected, "this transport has crashed"))
        } else if state.listening.contains_key(address) {
            Some((io::ErrorKind::AddrInUse, "somebody listens there already"))
        } else {
            None
        };
        if let Some((kind, detail)) = refused {
            return Err(NetError::Listen { address: address.clone(), kind, detail: detail.into() });
        }
        let listening =
            Listening { process: self.process, services, workers: Arc::clone(&workers) };
        state.listening.insert(address.clone(), listening);
        drop(state);
        Ok(Box::new(HubListener {
            network: Arc::clone(&self.network),
            address: address.clone(),
            workers,
        }))
    }
}

type Outcome = Result<(Accepted, Arc<dyn Channel>), RefuseReason>;

struct CloseOnDrop<'a>(&'a Queue<Outcome>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// One dial, seen from the side that answers; runs on a thread of the listener, as it would on a network.
struct Call {
    network: Arc<Network>,
    processes: [usize; 2],
    address: Address,
    answers: Queue<Outcome>,
}

impl Call {
    fn answer(&self, place: &Place, sent: &[u8], services: &ServiceTable) {
        let malformed =
            |error: crate::HelloError| RefuseReason::Malformed { detail: error.to_string() };
        let admitted = Hello::decode(sent)
            .map_err(malformed)
            .and_then(|hello| services.admit(&hello, None).map(|admitted| (hello, admitted)));
        let (hello, admitted) = match admitted {
            Ok(admitted) => admitted,
            Err(reason) => return drop(self.answers.try_push(0, 0, Err(reason))),
        };
        let (theirs, ours) = self.channel(&hello, &admitted.accepted);
        let stop = Arc::clone(&ours);
        let alive = self.network.connect(self.processes, [&theirs, &ours])
            && place.serve(Box::new(move || stop.close()));
        if alive && self.answers.try_push(0, 0, Ok((admitted.accepted, theirs))).is_ok() {
            admitted.handler.accept(hello, ours);
        }
    }

    fn channel(&self, hello: &Hello, accepted: &Accepted) -> (Arc<MemChannel>, Arc<MemChannel>) {
        let peer = |node: &str, incarnation, address| Peer {
            node: node.to_owned(),
            incarnation,
            address,
            group: accepted.group.clone(),
            service: hello.service.clone(),
            version: accepted.version,
        };
        let dialler = peer(
            &hello.node,
            hello.incarnation,
            Address::new(format!("{}->{}", hello.node, self.address)),
        );
        let listener = peer(&accepted.node, accepted.incarnation, self.address.clone());
        pair_between(dialler, listener, &self.network.limits)
    }
}

#[derive(Debug)]
struct HubListener {
    network: Arc<Network>,
    address: Address,
    workers: Arc<Workers>,
}

impl Listener for HubListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    fn close(&self) {
        let mut state = self.network.state.lock();
        // After a crash somebody else may be listening under this name.
        if state
            .listening
            .get(&self.address)
            .is_some_and(|at| Arc::ptr_eq(&at.workers, &self.workers))
        {
            state.listening.remove(&self.address);
        }
        drop(state);
        self.workers.stop();
        self.workers.join();
    }
}

impl Drop for HubListener {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use bytes::Bytes;
    use rep_explore::{break_line, explore, thread};

    /// A process dies as somebody is connected to it: there is no connection, or it is lost.
    fn nobody_is_connected_to_the_dead() {
        let hub = Hub::default();
        hub.network.state.lock().processes.extend([Process::default(), Process::default()]);
        let (address, workers) = (Address::new("a"), Workers::new(&Limits::default()));
        let listening = Listening { process: 0, services: Arc::new(ServiceTable::new()), workers };
        hub.network.state.lock().listening.insert(address.clone(), listening);
        let network = Arc::clone(&hub.network);
        let dialler = thread::spawn(move || {
            let peer = Peer::new("n1", Address::new("a"));
            let (one, two) = pair_between(peer.clone(), peer, &Limits::default());
            let connected = network.connect([1, 0], [&one, &two]);
            (connected, one, two)
        });
        assert!(hub.crash(&address));
        let (connected, one, _two) = dialler.join().unwrap();
        let lost = one.send(Bytes::from_static(b"are you there?"));
        let is_told = matches!(lost, Err(NetError::Lost { .. }));
        assert!(!connected || is_told, "it talks to the dead");
    }

    #[test]
    fn loom_who_is_connected_as_the_other_dies_is_told() {
        explore(nobody_is_connected_to_the_dead);
    }

    #[test]
    #[should_panic(expected = "talks to the dead")]
    fn loom_twin_a_connection_to_the_dead_is_found() {
        break_line("hub-connects-the-dead");
        explore(nobody_is_connected_to_the_dead);
    }
}
