//! What our channels cost beside what they are made of: the same bytes over bare sockets, bare rustls and bare quinn, in the same run.
//!
//! One way with frames of 64 KiB, and there and back with 128 bytes. Both ends are threads of this process, so that of two
//! processors each has one. `cargo bench -p rep-net --features quic --bench transports`

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rep_net::{
    Bytes, Channel, Hello, Host, Limits, Listener, QuicTransport, ServiceHandler, ServiceTable,
    TcpTransport, TlsConfig, TlsTransport, Transport,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, RootCertStore, ServerConnection, StreamOwned};
use tokio::runtime::Handle;

const BULK_BYTES: usize = 64 << 10;
const SMALL_BYTES: usize = 128;
/// As many frames go one way before one comes back, so that nobody measures the emptying of a buffer.
const BULK_FRAMES: u64 = 256;

/// One end of a pair that carries `bytes` at a time.
trait End: Send + 'static {
    fn send(&mut self, bytes: &Bytes);
    fn receive(&mut self, bytes: usize);
}

struct Bare<S>(S, Vec<u8>);

impl<S: Read + Write + Send + 'static> End for Bare<S> {
    fn send(&mut self, bytes: &Bytes) {
        self.0.write_all(bytes).unwrap();
        self.0.flush().unwrap();
    }

    fn receive(&mut self, bytes: usize) {
        self.1.resize(bytes, 0);
        self.0.read_exact(&mut self.1).unwrap();
        black_box(&self.1);
    }
}

/// One end of ours. The listener is kept, for one that is closed may still take its latest channels with it.
struct Ours(Arc<dyn Channel>, #[expect(dead_code, reason = "kept")] Option<Box<dyn Listener>>);

impl End for Ours {
    fn send(&mut self, bytes: &Bytes) {
        self.0.send(bytes.clone()).unwrap();
    }

    fn receive(&mut self, bytes: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        assert_eq!(self.0.receive(deadline).unwrap().unwrap().len(), bytes);
    }
}

type Ends = (Box<dyn End>, Box<dyn End>);

fn bare_sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = listener.accept().unwrap().0;
    for stream in [&dialled, &accepted] {
        stream.set_nodelay(true).unwrap();
    }
    (dialled, accepted)
}

fn bare_tcp() -> Ends {
    let (dialled, accepted) = bare_sockets();
    (Box::new(Bare(dialled, vec![])), Box::new(Bare(accepted, vec![])))
}

/// Mutual, TLS 1.3: what a listener and a dialler need for it.
fn bare_configs() -> (rustls::ServerConfig, rustls::ClientConfig) {
    let authority = authority();
    let (n1, n2) = (issue(&authority, "rep://bank/n1"), issue(&authority, "rep://bank/n2"));
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
    let versions = &[&rustls::version::TLS13];
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        roots.clone(),
        provider.clone(),
    );
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(n1.chain(), n1.key())
        .unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(n2.chain(), n2.key())
        .unwrap();
    (server, client)
}

/// As anybody would use it: a stream over a socket.
fn bare_rustls() -> Ends {
    let (server, client) = bare_configs();
    let (mut dialled, mut accepted) = bare_sockets();
    let listening: JoinHandle<Bare<_>> = thread::spawn(move || {
        let mut connection = ServerConnection::new(Arc::new(server)).unwrap();
        connection.complete_io(&mut accepted).unwrap();
        Bare(StreamOwned::new(connection, accepted), vec![])
    });
    let mut connection =
        ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    connection.complete_io(&mut dialled).unwrap();
    let dialled = Bare(StreamOwned::new(connection, dialled), vec![]);
    (Box::new(dialled), Box::new(listening.join().unwrap()))
}

/// As anybody would use it who blocks: a stream of a connection, and a runtime on a thread of its own.
struct BareQuinn {
    runtime: Handle,
    _kept: (quinn::Endpoint, quinn::Connection),
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    buffer: Vec<u8>,
}

impl End for BareQuinn {
    fn send(&mut self, bytes: &Bytes) {
        self.runtime.block_on(self.send.write_chunk(bytes.clone())).unwrap();
    }

    fn receive(&mut self, bytes: usize) {
        self.buffer.resize(bytes, 0);
        self.runtime.block_on(self.receive.read_exact(&mut self.buffer)).unwrap();
        black_box(&self.buffer);
    }
}

/// A runtime that runs until the process ends.
fn runtime() -> Handle {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

fn bare_quinn() -> Ends {
    use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};

    let (server, client) = bare_configs();
    let server = QuicServerConfig::try_from(server).unwrap();
    let server = quinn::ServerConfig::with_crypto(Arc::new(server));
    let client = QuicClientConfig::try_from(client).unwrap();
    let client = quinn::ClientConfig::new(Arc::new(client));
    let (listening, dialling, any) = (runtime(), runtime(), "127.0.0.1:0".parse().unwrap());
    let endpoint = listening.block_on(async { quinn::Endpoint::server(server, any).unwrap() });
    let at = endpoint.local_addr().unwrap();
    let accepted = thread::spawn(move || {
        let (connection, (send, receive)) = listening.block_on(async {
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            let (send, mut receive) = connection.accept_bi().await.unwrap();
            receive.read_exact(&mut [0]).await.unwrap();
            (connection, (send, receive))
        });
        let _kept = (endpoint, connection);
        BareQuinn { runtime: listening, _kept, send, receive, buffer: vec![] }
    });
    let (_kept, (send, receive)) = dialling.block_on(async {
        let endpoint = quinn::Endpoint::client(any).unwrap();
        let connection = endpoint.connect_with(client, at, "localhost").unwrap().await.unwrap();
        let (mut send, receive) = connection.open_bi().await.unwrap();
        // Nobody hears of a stream before something is said on it.
        send.write_all(&[0]).await.unwrap();
        ((endpoint, connection), (send, receive))
    });
    let dialled = BareQuinn { runtime: dialling, _kept, send, receive, buffer: vec![] };
    (Box::new(dialled), Box::new(accepted.join().unwrap()))
}

/// Hands its one channel out.
struct Desk(std::sync::mpsc::SyncSender<Arc<dyn Channel>>);

impl ServiceHandler for Desk {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        self.0.send(channel).unwrap();
    }
}

fn ours(listening: &dyn Transport, dialling: &dyn Transport) -> Ends {
    let (desk, arrivals) = std::sync::mpsc::sync_channel(1);
    let services = ServiceTable::new();
    services.host(Host::new("bank", "n1", [1; 16])).unwrap();
    services.register("bank", "bulk", Arc::new(Desk(desk))).unwrap();
    let listener = listening.listen(&"127.0.0.1:0".into(), Arc::new(services)).unwrap();
    let hello = Hello::new("bank", "bulk").from_node("n2", [2; 16]);
    let deadline = Instant::now() + Duration::from_secs(30);
    let dialled = dialling.dial(listener.local_address(), &hello, deadline).unwrap();
    (Box::new(Ours(dialled, None)), Box::new(Ours(arrivals.recv().unwrap(), Some(listener))))
}

fn our_tcp() -> Ends {
    ours(&TcpTransport::default(), &TcpTransport::default())
}

fn our_tls() -> Ends {
    let authority = authority();
    let transport = |uri: &str| {
        let issued = issue(&authority, uri);
        let config = TlsConfig::from_pem(issued.certificate, issued.key, authority.pem());
        TlsTransport::new(config, Limits::default()).unwrap()
    };
    ours(&transport("rep://bank/n1"), &transport("rep://bank/n2"))
}

fn our_quic() -> Ends {
    let authority = authority();
    let transport = |uri: &str| {
        let issued = issue(&authority, uri);
        let config = TlsConfig::from_pem(issued.certificate, issued.key, authority.pem());
        QuicTransport::new(config, Limits::default()).unwrap()
    };
    ours(&transport("rep://bank/n1"), &transport("rep://bank/n2"))
}

type Authority = rcgen::CertifiedIssuer<'static, rcgen::KeyPair>;

fn authority() -> Authority {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Authority::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}

struct Issued {
    certificate: String,
    key: String,
}

fn issue(authority: &Authority, uri: &str) -> Issued {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let host = rcgen::SanType::DnsName("localhost".try_into().unwrap());
    params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap()), host];
    let certificate = params.signed_by(&key, authority).unwrap().pem();
    Issued { certificate, key: key.serialize_pem() }
}

impl Issued {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// Answers every `every`th frame with a small one. Gives the end back, which must not be closed before its last answer has arrived.
fn answering(
    mut end: Box<dyn End>,
    bytes: usize,
    every: u64,
    rounds: u64,
) -> JoinHandle<Box<dyn End>> {
    thread::spawn(move || {
        let answer = Bytes::from(vec![1; SMALL_BYTES]);
        for _ in 0..rounds {
            (0..every).for_each(|_| end.receive(bytes));
            end.send(&answer);
        }
        end
    })
}

/// Time for so many rounds over a fresh pair, in each of which `every` frames of that length go and a small one comes back.
fn rounds(pair: Pair, bytes: usize, every: u64, rounds: u64) -> Duration {
    const WARMING_UP: u64 = 2;
    let (mut left, right) = pair();
    let right = answering(right, bytes, every, WARMING_UP + rounds);
    let frame = Bytes::from(vec![7; bytes]);
    let mut round = || {
        (0..every).for_each(|_| left.send(&frame));
        left.receive(SMALL_BYTES);
    };
    (0..WARMING_UP).for_each(|_| round());
    let begun = Instant::now();
    (0..rounds).for_each(|_| round());
    let took = begun.elapsed();
    drop(right.join().unwrap());
    took
}

type Pair = fn() -> Ends;

const PAIRS: [(&str, Pair); 6] = [
    ("floor: raw sockets", bare_tcp),
    ("TCP", our_tcp),
    ("floor: bare rustls", bare_rustls),
    ("TLS", our_tls),
    ("floor: bare quinn", bare_quinn),
    ("QUIC", our_quic),
];

fn transports(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bulk, 64 KiB frames");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(BULK_FRAMES * BULK_BYTES as u64));
    for (name, pair) in PAIRS {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| rounds(pair, BULK_BYTES, BULK_FRAMES, iterations));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("round trip, 128 bytes");
    group.sample_size(20);
    for (name, pair) in PAIRS {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| rounds(pair, SMALL_BYTES, 1, iterations));
        });
    }
    group.finish();
}

criterion_group!(benches, transports);
criterion_main!(benches);
