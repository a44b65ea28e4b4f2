//! What our channels cost beside what they are made of: the same bytes over bare sockets and over bare rustls, in the same run.
//!
//! One way with frames of 64 KiB, and there and back with 128 bytes. Both ends are threads of this process, so that of two
//! processors each has one. `cargo bench -p rep-net --features tls --bench transports`

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rep_net::{
    Bytes, Channel, Hello, Host, Limits, Listener, ServiceHandler, ServiceTable, TcpTransport,
    TlsConfig, TlsTransport, Transport,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, RootCertStore, ServerConnection, StreamOwned};

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

/// As anybody would use it: mutual, TLS 1.3, and a stream over a socket.
fn bare_rustls() -> Ends {
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

/// Answers every `every`th frame with a small one.
fn answering(mut end: Box<dyn End>, bytes: usize, every: u64, rounds: u64) -> JoinHandle<()> {
    thread::spawn(move || {
        let answer = Bytes::from(vec![1; SMALL_BYTES]);
        for _ in 0..rounds {
            (0..every).for_each(|_| end.receive(bytes));
            end.send(&answer);
        }
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
    right.join().unwrap();
    took
}

type Pair = fn() -> Ends;

const PAIRS: [(&str, Pair); 4] = [
    ("floor: raw sockets", bare_tcp),
    ("TCP", our_tcp),
    ("floor: bare rustls", bare_rustls),
    ("TLS", our_tls),
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
