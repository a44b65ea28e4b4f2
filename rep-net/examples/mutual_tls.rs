//! Two programs that exchange frames over TLS, each sure of the other. Here both are threads, and an authority is made for them;
//! of programs each would have its own three files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rep_net::{
    Bytes, Channel, Hello, Host, Limits, ServiceHandler, ServiceTable, TlsConfig, TlsTransport,
    Transport,
};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Answers every frame with itself.
struct Echo;

impl ServiceHandler for Echo {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        while let Ok(frame) = channel.receive(Instant::now() + Duration::from_secs(10)) {
            let Some(frame) = frame else { continue };
            if channel.send(frame).is_err() {
                return;
            }
        }
    }
}

fn main() -> Fallible<()> {
    let authority = authority()?;

    // The first program: n1 of the group "bank".
    let n1 = TlsTransport::new(issue(&authority, "rep://bank/n1")?, Limits::default())?;
    let services = Arc::new(ServiceTable::new());
    services.host(Host::new("bank", "n1", [1; 16]))?;
    services.register("bank", "echo", Arc::new(Echo))?;
    let listener = n1.listen(&"127.0.0.1:0".into(), services)?;

    // The second: n2, which means n1 and nobody else.
    let n2 = TlsTransport::new(issue(&authority, "rep://bank/n2")?, Limits::default())?;
    let hello = Hello::new("bank", "echo").from_node("n2", [2; 16]).to_node("n1");
    let deadline = Instant::now() + Duration::from_secs(10);
    let channel = n2.dial(listener.local_address(), &hello, deadline)?;
    channel.send(Bytes::from_static(b"hello"))?;
    assert_eq!(channel.receive(deadline)?.as_deref(), Some(&b"hello"[..]));

    // Whoever says another name than its certificate does is refused.
    let n3 = Hello::new("bank", "echo").from_node("n3", [3; 16]);
    println!("{}", n2.dial(listener.local_address(), &n3, deadline).unwrap_err());
    Ok(())
}

type Authority = rcgen::CertifiedIssuer<'static, rcgen::KeyPair>;

fn authority() -> Fallible<Authority> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Ok(Authority::self_signed(params, rcgen::KeyPair::generate()?)?)
}

fn issue(authority: &Authority, uri: &str) -> Fallible<TlsConfig> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into()?)];
    let certificate = params.signed_by(&key, authority)?;
    Ok(TlsConfig::from_pem(certificate.pem(), key.serialize_pem(), authority.pem()))
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
