//! Taking calls: connections on the engine, where nothing waits for anybody, and each Hello on a thread of its own.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream};
use socket2::SockRef;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::NetError;
use crate::quic::config;
use crate::quic::connecting::protocol;
use crate::quic::engine::{Engine, Tasks};
use crate::quic::greeting::Reception;
use crate::quic::line::Line;
use crate::quic::link::{Link, code};
use crate::seats::Seat;
use crate::socket::Side;
use crate::sync::Mutex;
use crate::transport::{Address, Listener};
use crate::workers::Place;

/// How long a listener that closes waits until its port is free, if no channel needs it any more: the ends of connections have to reach
/// their other sides.
const FREE_PORT: Duration = Duration::from_secs(2);

/// What the system is asked to hold of datagrams that nobody has looked at. It may grant less.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;

/// Best effort: with less, more is lost on the way and sent again.
pub(super) fn configure(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
}

/// Starts to take calls on each socket.
pub(super) fn start(
    sockets: Vec<UdpSocket>,
    asked: &Address,
    engine: Arc<Engine>,
    reception: Reception,
) -> Result<Box<dyn Listener>, NetError> {
    let failed = |error: io::Error| NetError::listen(asked, &error);
    let first =
        sockets.first().expect("at least one socket was bound").local_addr().map_err(failed)?;
    let (closing, _) = watch::channel(false);
    let hall = Arc::new(Hall { reception: Arc::new(reception), closing, links: Mutex::default() });
    let listening = QuicListening {
        address: first.into(),
        hall,
        doors: Mutex::default(),
        leaving: Mutex::default(),
        _engine: Arc::clone(&engine),
    };
    let material = listening.hall.reception.credentials.material();
    for socket in sockets {
        configure(&socket);
        let config = config::endpoint(&material, socket.local_addr().map_err(failed)?);
        let server = config::server(&material, &listening.hall.reception.limits);
        let (endpoint, tasks) =
            engine.listening(config, (*server).clone(), socket).map_err(failed)?;
        let hall = Arc::clone(&listening.hall);
        engine.spawn(hall.take_calls(endpoint.clone(), Arc::downgrade(&engine)));
        listening.doors.lock().push((endpoint, tasks));
    }
    Ok(Box::new(listening))
}

struct QuicListening {
    address: Address,
    hall: Arc<Hall>,
    doors: Mutex<Vec<(Endpoint, Arc<Tasks>)>>,
    /// Of sockets that nobody listens on any more: who still speaks on them.
    leaving: Mutex<Vec<Arc<Tasks>>>,
    /// Everything else runs on it.
    _engine: Arc<Engine>,
}

impl Listener for QuicListening {
    fn local_address(&self) -> &Address {
        &self.address
    }

    fn close(&self) {
        self.hall.closing.send_replace(true);
        let doors = std::mem::take(&mut *self.doors.lock());
        doors.iter().for_each(|(endpoint, _)| endpoint.set_server_config(None));
        let workers = &self.hall.reception.workers;
        workers.stop();
        workers.join();
        self.leaving.lock().extend(doors.into_iter().map(|(_, tasks)| tasks));
        if !self.hall.has_open_channels() {
            let deadline = Instant::now() + FREE_PORT;
            let leaving = std::mem::take(&mut *self.leaving.lock());
            for tasks in leaving {
                tasks.wait_until_none(deadline);
            }
        }
    }
}

impl fmt::Debug for QuicListening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicListening")
            .field("address", &self.address)
            .field("hall", &self.hall)
            .finish_non_exhaustive()
    }
}

impl Drop for QuicListening {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where callers come in.
#[derive(Debug)]
struct Hall {
    reception: Arc<Reception>,
    closing: watch::Sender<bool>,
    links: Mutex<Vec<Weak<Link>>>,
}

impl Hall {
    async fn take_calls(self: Arc<Self>, endpoint: Endpoint, engine: Weak<Engine>) {
        while let Some(Some(incoming)) = self.unless_closing(endpoint.accept()).await {
            let Some(engine) = engine.upgrade() else { return };
            self.take_call(incoming, &engine);
        }
    }

    /// Begins a handshake, if there is room for one more.
    fn take_call(self: &Arc<Self>, incoming: Incoming, engine: &Arc<Engine>) {
        let from = incoming.remote_address();
        let half_open = &self.reception.half_open;
        if half_open.is_half_full() && incoming.may_retry() {
            // Whoever only pretends to be there takes no place from those who are.
            let _ = incoming.retry();
            return;
        }
        match half_open.enter(from.ip()) {
            Some(place) => {
                let (hall, weak) = (Arc::clone(self), Arc::downgrade(engine));
                engine.spawn(async move {
                    let connected = hall.shake_hands(incoming, from).await;
                    drop(place);
                    if let Some(link) = connected
                        && let Some(_seat) = hall.seat(&link, from)
                    {
                        hall.take_channels(link, from, weak).await;
                    }
                });
            }
            None => {
                tracing::info!(%from, "too many callers are in a handshake; one more was turned away");
                incoming.refuse();
            }
        }
    }

    /// A connection whose caller has proved who it is.
    async fn shake_hands(&self, incoming: Incoming, from: SocketAddr) -> Option<Arc<Link>> {
        let Reception { credentials, limits, .. } = &*self.reception;
        let material = credentials.material();
        let server = config::server(&material, limits);
        let refused = |error| tracing::info!(%from, %error, "a caller was refused");
        let connecting = incoming.accept_with(server).map_err(refused).ok()?;
        match self.unless_closing(timeout(limits.hello_timeout, connecting)).await? {
            Err(_) => tracing::debug!(%from, "a caller took too long to shake hands"),
            Ok(Err(error)) => refused(error),
            Ok(Ok(connection)) if protocol(&connection).is_none() => {
                tracing::debug!(%from, "a caller speaks another protocol");
            }
            Ok(Ok(connection)) => {
                return Some(Arc::new(Link::new(connection, material, Side::Dialling)));
            }
        }
        None
    }

    /// One more connection of that peer; none if it has too many, and then it has been told.
    fn seat(&self, link: &Link, from: SocketAddr) -> Option<Seat> {
        let who = link.proved.first()?;
        let taken = self.reception.connected.take(who.clone());
        taken
            .inspect_err(|_| {
                tracing::info!(%from, %who, "a peer has too many connections; one more was turned away");
                link.connection.close(code::TOO_MANY, b"");
            })
            .ok()
    }

    /// Takes the channels of a connection until it ends, or has none for so long as a Hello may take.
    async fn take_channels(&self, link: Arc<Link>, from: SocketAddr, engine: Weak<Engine>) {
        self.note(&link);
        let connection = link.connection.clone();
        let patience = self.reception.limits.hello_timeout;
        loop {
            match self.unless_closing(timeout(patience, connection.accept_bi())).await {
                None => break,
                Some(Ok(Ok(stream))) => {
                    let Some(engine) = engine.upgrade() else { return };
                    self.take_channel(stream, &link, from, &engine);
                }
                Some(Ok(Err(_))) => return,
                Some(Err(_)) if !link.has_open_channels() => return,
                Some(Err(_)) => {}
            }
        }
        drop(link);
        turn_away(&connection).await;
    }

    fn take_channel(
        &self,
        stream: (SendStream, RecvStream),
        link: &Arc<Link>,
        from: SocketAddr,
        engine: &Arc<Engine>,
    ) {
        let reception = Arc::clone(&self.reception);
        let deadline = Instant::now() + reception.limits.hello_timeout;
        let line = Arc::new(Line::new(stream, Arc::clone(link), engine, &reception.limits));
        let stop = Arc::downgrade(&line);
        let stop = Box::new(move || {
            if let Some(line) = stop.upgrade() {
                line.close();
            }
        });
        let (heard, busy) = (Arc::clone(&line), line);
        let job = move |place: &Place| reception.greet(place, heard, from, deadline);
        if self.reception.workers.start(Some(from.ip()), stop, job).is_err() {
            tracing::info!(%from, "too many callers have not said Hello; one more was turned away");
            Reception::turn_away(&busy);
        }
    }

    fn note(&self, link: &Arc<Link>) {
        let mut links = self.links.lock();
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    fn has_open_channels(&self) -> bool {
        self.links.lock().iter().filter_map(Weak::upgrade).any(|link| link.has_open_channels())
    }

    /// What comes of it, or none if the listener is closed first.
    async fn unless_closing<R>(&self, future: impl Future<Output = R>) -> Option<R> {
        let mut closing = self.closing.subscribe();
        let (mut future, mut closing) = (pin!(future), pin!(closing.wait_for(|closing| *closing)));
        poll_fn(|context| match closing.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => future.as_mut().poll(context).map(Some),
        })
        .await
    }
}

/// Nobody listens any more, and channels that were handed over live on: whoever wants another is not left waiting. The end of the last
/// of them ends the connection, and this.
async fn turn_away(connection: &Connection) {
    while connection.accept_bi().await.is_ok() {}
}
