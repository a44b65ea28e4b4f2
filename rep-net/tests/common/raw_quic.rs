//! Callers and listeners with quinn in their hands, that may do what no transport of ours would.
#![allow(dead_code)] // each test uses a part of it

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, ServerConfig,
    TransportConfig,
};
use rep_net::frame::FrameDecoder;
use rep_net::{Address, Bytes};
use rustls::AlertDescription;
use tokio::runtime::{Builder, Runtime};

use super::tls::framed;

/// Longer than anything here takes; reached only by what hangs.
const LONG: Duration = Duration::from_secs(30);

/// How a raw caller was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Alert(AlertDescription),
    Other(String),
}

impl From<ConnectionError> for Refusal {
    fn from(error: ConnectionError) -> Self {
        let code = match &error {
            ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
            _ => 0,
        };
        match code.checked_sub(0x100).map(u8::try_from) {
            Some(Ok(alert)) => Self::Alert(alert.into()),
            _ => Self::Other(error.to_string()),
        }
    }
}

pub(crate) fn raw_client(config: rustls::ClientConfig) -> ClientConfig {
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let mut transport = TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_millis(100)));
    client.transport_config(Arc::new(transport));
    client
}

pub(crate) fn raw_server(config: rustls::ServerConfig) -> ServerConfig {
    ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn within<R>(runtime: &Runtime, future: impl Future<Output = R>) -> R {
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("it hangs") })
}

/// A caller with one stream.
pub(crate) struct RawCaller {
    runtime: Runtime,
    _endpoint: Endpoint,
    connection: Connection,
    stream: Option<(SendStream, RecvStream)>,
    decoder: FrameDecoder,
}

impl RawCaller {
    pub(crate) fn connect(
        address: &Address,
        config: rustls::ClientConfig,
    ) -> Result<Self, Refusal> {
        Self::begin(address, raw_client(config), false)
    }

    /// Connects if it is not allowed to send before the proof.
    pub(crate) fn connect_early(address: &Address, config: ClientConfig) -> Result<Self, Refusal> {
        Self::begin(address, config, true)
    }

    fn begin(address: &Address, config: ClientConfig, early: bool) -> Result<Self, Refusal> {
        let runtime = runtime();
        let at: SocketAddr = address.as_str().parse().unwrap();
        let (endpoint, connection) = within(&runtime, async {
            let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
            let mut connecting = endpoint.connect_with(config, at, "somebody").unwrap();
            if early {
                connecting = match connecting.into_0rtt() {
                    Ok(_) => panic!("it may send before the proof"),
                    Err(connecting) => connecting,
                };
            }
            Ok::<_, Refusal>((endpoint, connecting.await?))
        })?;
        let decoder = FrameDecoder::new(1 << 20, 4096);
        Ok(Self { runtime, _endpoint: endpoint, connection, stream: None, decoder })
    }

    /// Sends bytes, on a stream that is opened for the first of them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Self { runtime, connection, stream, .. } = self;
        within(runtime, async {
            let (send, _) = match stream {
                Some(stream) => stream,
                None => stream.insert(connection.open_bi().await?),
            };
            match send.write_all(bytes).await {
                Err(quinn::WriteError::ConnectionLost(error)) => Err(error.into()),
                Err(error) => Err(Refusal::Other(error.to_string())),
                Ok(()) => {
                    // So that the connection, a task beside this one, gets to send them.
                    tokio::task::yield_now().await;
                    Ok(())
                }
            }
        })
    }

    pub(crate) fn say(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        self.send(&framed(payload))
    }

    /// The next frame.
    pub(crate) fn hear(&mut self) -> Result<Bytes, Refusal> {
        let Self { runtime, stream, decoder, .. } = self;
        let (_, receive) = stream.as_mut().unwrap();
        within(runtime, async {
            loop {
                if let Some(frame) = decoder.next_frame().unwrap() {
                    return Ok(frame);
                }
                match receive.read(decoder.space()).await {
                    Ok(Some(bytes)) => decoder.filled(bytes),
                    Ok(None) => return Err(Refusal::Other("the stream ended".into())),
                    Err(quinn::ReadError::ConnectionLost(error)) => return Err(error.into()),
                    Err(error) => return Err(Refusal::Other(error.to_string())),
                }
            }
        })
    }

    /// Waits until the listener has ended the stream, or, if there is none, the connection.
    pub(crate) fn wait_for_end(&mut self) -> Result<(), Refusal> {
        let Self { runtime, stream, connection, .. } = self;
        within(runtime, async {
            match stream {
                None => drop(connection.closed().await),
                Some((_, receive)) => drop(receive.read_to_end(1 << 16).await),
            }
            Ok(())
        })
    }
}

/// Takes one connection, and hears what is said on it.
pub(crate) struct RawListener {
    address: Address,
    listening: Option<JoinHandle<Vec<u8>>>,
    /// Keeps the port open until the test has no more use for it.
    _open: Option<Endpoint>,
}

impl RawListener {
    pub(crate) fn start(config: ServerConfig) -> Self {
        let (endpoint, runtime) = listen(config);
        Self { _open: Some(endpoint.clone()), ..Self::hear(endpoint, runtime) }
    }

    /// One that leaves its port as soon as the connection has failed.
    pub(crate) fn start_hasty(config: ServerConfig) -> Self {
        let (endpoint, runtime) = listen(config);
        Self::hear(endpoint, runtime)
    }

    fn hear(endpoint: Endpoint, runtime: Runtime) -> Self {
        let address = Address::from(endpoint.local_addr().unwrap());
        let listening = thread::spawn(move || {
            within(&runtime, async {
                let Ok(connection) = endpoint.accept().await.unwrap().await else { return vec![] };
                let mut heard = Vec::new();
                while let Ok((_, mut receive)) = connection.accept_bi().await {
                    heard.extend(receive.read_to_end(1 << 16).await.unwrap_or_default());
                }
                heard
            })
        });
        Self { address, listening: Some(listening), _open: None }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What was said to it until its caller hung up.
    pub(crate) fn heard(mut self) -> Vec<u8> {
        self.listening.take().unwrap().join().unwrap()
    }
}

fn listen(config: ServerConfig) -> (Endpoint, Runtime) {
    let runtime = runtime();
    let here = "127.0.0.1:0".parse().unwrap();
    let endpoint = runtime.block_on(async { Endpoint::server(config, here) }).unwrap();
    (endpoint, runtime)
}
