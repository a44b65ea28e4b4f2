//! Authorities that live for one test, and what they sign.
#![allow(dead_code)] // each test uses a part of it

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SanType, SerialNumber,
};
use rep_net::frame::FrameDecoder;
use rep_net::{Address, Bytes, Limits, TlsConfig, TlsTransport};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

const HOUR: Duration = Duration::from_secs(3600);

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// What a node's certificate usually says; a test changes what it is about.
pub(crate) fn usual(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "a node");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.not_before = (SystemTime::now() - HOUR).into();
    params.not_after = (SystemTime::now() + 100 * 24 * HOUR).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(authority(name), key).unwrap())
    }

    /// An authority below this one.
    pub(crate) fn subordinate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(authority(name), key, &self.0).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A usual certificate for that node.
    pub(crate) fn issue(&self, uri: &str) -> Issued {
        self.sign(&usual(uri))
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A usual certificate for that node, and an RSA key of so many bits. What comes with it as its key is another's: nobody here can
    /// make such a key, and whoever sees the certificate looks no farther.
    pub(crate) fn issue_rsa(&self, uri: &str, bits: usize) -> Issued {
        let certificate = usual(uri).signed_by(&RsaKey::of(bits), &self.0).unwrap().pem();
        Issued { certificate, key: KeyPair::generate().unwrap().serialize_pem() }
    }

    /// A list of these serial numbers, in PEM.
    pub(crate) fn revoke(&self, serials: &[u64]) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (SystemTime::now() - HOUR).into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: (SystemTime::now() - HOUR).into(),
            next_update: (SystemTime::now() + HOUR).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// A public key with a modulus of some length that is the product of nothing in particular.
struct RsaKey(Vec<u8>);

impl RsaKey {
    fn of(bits: usize) -> Self {
        let value = |tag: u8, value: &[u8]| {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &length[..], value].concat()
        };
        let modulus = [&[0, 0x80][..], &vec![1; bits / 8 - 1]].concat();
        Self(value(0x30, &[value(2, &modulus), value(2, &[1, 0, 1])].concat()))
    }
}

impl PublicKeyData for RsaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl Issued {
    /// For whoever believes what this authority signs.
    pub(crate) fn trusting(&self, authorities: &str) -> TlsConfig {
        TlsConfig::from_pem(&*self.certificate, &*self.key, authorities)
    }

    pub(crate) fn transport(&self, authorities: &str) -> TlsTransport {
        TlsTransport::new(self.trusting(authorities), Limits::default()).unwrap()
    }
}

/// Nodes n1, which listens, and n2, which dials, of the group `bank`, under one authority.
pub(crate) fn pair(limits: &Limits) -> (TlsTransport, TlsTransport) {
    let authority = Authority::new("bank's");
    let transport = |uri: &str| {
        let config = authority.issue(uri).trusting(&authority.pem());
        TlsTransport::new(config, limits.clone()).unwrap()
    };
    (transport("rep://bank/n1"), transport("rep://bank/n2"))
}

/// The same over QUIC.
#[cfg(feature = "quic")]
pub(crate) fn quic_pair(limits: &Limits) -> (rep_net::QuicTransport, rep_net::QuicTransport) {
    let authority = Authority::new("bank's");
    let transport = |uri: &str| {
        let config = authority.issue(uri).trusting(&authority.pem());
        rep_net::QuicTransport::new(config, limits.clone()).unwrap()
    };
    (transport("rep://bank/n1"), transport("rep://bank/n2"))
}

/// A caller with rustls in its hands, that may do what no transport of ours would.
pub(crate) struct Raw(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Raw {
    /// Connects and shakes hands; the alert that it was refused by, if that came already.
    pub(crate) fn connect(address: &Address, config: ClientConfig) -> io::Result<Self> {
        let stream = TcpStream::connect(address.as_str())?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let name = "somebody".try_into().unwrap();
        let mut raw =
            Self(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream));
        while raw.0.conn.is_handshaking() {
            raw.0.conn.complete_io(&mut raw.0.sock)?;
        }
        Ok(raw)
    }

    pub(crate) fn say(&mut self, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&framed(payload))?;
        self.0.flush()
    }

    /// The next frame, or how the connection ended.
    pub(crate) fn hear(&mut self) -> io::Result<Bytes> {
        let mut decoder = FrameDecoder::new(1 << 20, 4096);
        loop {
            if let Some(frame) = decoder.next_frame().unwrap() {
                return Ok(frame);
            }
            match self.0.read(decoder.space())? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => decoder.filled(bytes),
            }
        }
    }
}

pub(crate) use super::framed;

/// The alert in an error of a raw caller.
pub(crate) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// That in base64, between lines that say what it is.
pub(crate) fn pem(what: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {what}-----");
    for (at, group) in der.chunks(3).enumerate() {
        if at % 16 == 0 {
            text.push('\n');
        }
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= group.len() { DIGITS[value].into() } else { '=' });
        }
    }
    text + &format!("\n-----END {what}-----\n")
}

pub(crate) type Versions<'a> = &'a [&'static SupportedProtocolVersion];

impl Issued {
    fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        (
            chain.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap(),
        )
    }

    /// For a raw caller, which believes everybody.
    pub(crate) fn raw_client(&self, versions: Versions<'_>) -> ClientConfig {
        let (chain, key) = self.der();
        let key = provider().key_provider.load_private_key(key).unwrap();
        let mut config = raw_client_builder(versions).with_client_cert_resolver(Arc::new(
            SingleCertAndKey::from(CertifiedKey::new(chain, key)),
        ));
        config.alpn_protocols = vec![b"rep/1".to_vec()];
        config
    }

    /// For a raw listener, which believes everybody.
    pub(crate) fn raw_server(&self, versions: Versions<'_>) -> ServerConfig {
        let (chain, key) = self.der();
        let key = provider().key_provider.load_private_key(key).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
        config.alpn_protocols = vec![b"rep/1".to_vec()];
        config
    }
}

pub(crate) fn raw_client_builder(
    versions: Versions<'_>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
}

fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "tls-aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "tls-aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

/// Takes one call, and lets `serve` have it when hands are shaken. Its address, and what to join.
pub(crate) fn raw_listener(
    config: ServerConfig,
    serve: impl FnOnce(StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
) -> (Address, JoinHandle<()>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(socket.local_addr().unwrap());
    let listening = thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut stream).is_err() {
                return;
            }
        }
        serve(StreamOwned::new(connection, stream));
    });
    (address, listening)
}

/// Believes every server.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What a caller sends to `address` while `call` calls through this.
pub(crate) fn record(address: &Address, call: impl FnOnce(&Address)) -> Vec<u8> {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let through = Address::from(socket.local_addr().unwrap());
    let address = address.clone();
    let recording = thread::spawn(move || {
        let (mut caller, _) = socket.accept().unwrap();
        let mut listener = TcpStream::connect(address.as_str()).unwrap();
        let (mut back_to, mut back_from) =
            (caller.try_clone().unwrap(), listener.try_clone().unwrap());
        let back = thread::spawn(move || {
            let _ = io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(std::net::Shutdown::Both);
        });
        let mut recorded = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = caller.read(&mut buffer) {
            recorded.extend_from_slice(&buffer[..bytes]);
            if listener.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = listener.shutdown(std::net::Shutdown::Both);
        back.join().unwrap();
        recorded
    });
    call(&through);
    recording.join().unwrap()
}
