//! Two programs that exchange frames over TLS, each sure of the other: `mutual_tls listen DIR`, and `mutual_tls call DIR ADDRESS` with what that
//! has printed. DIR has certificates, as `rep certs` or whatever signs yours would make them; without words both run here, with certificates made
//! for the occasion.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rep_net::{
    Bytes, Channel, Hello, Host, Limits, Listener, ServiceHandler, ServiceTable, TlsConfig,
    TlsTransport, Transport,
};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

// What the README shows begins here.
fn tls(node: &str, dir: &Path) -> Fallible<TlsTransport> {
    let [own, key, ca] = [node, &format!("{node}.key"), "ca"].map(|name| dir.join(name));
    Ok(TlsTransport::new(TlsConfig::from_files(own, key, ca), Limits::default())?)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

struct Echo;
impl ServiceHandler for Echo {
    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        while let Ok(Some(frame)) = channel.receive(soon())
            && channel.send(frame).is_ok()
        {}
    }
}

/// The first program: n1 of the group "bank".
fn listen(dir: &Path, address: &str) -> Fallible<Box<dyn Listener>> {
    let services = Arc::new(ServiceTable::new());
    services.host(Host::new("bank", "n1", [1; 16]))?;
    services.register("bank", "echo", Arc::new(Echo))?;
    Ok(tls("n1", dir)?.listen(&address.into(), services)?)
}

/// The second: n2, which means n1 and nobody else.
fn call(dir: &Path, address: &str) -> Fallible<Bytes> {
    let hello = Hello::new("bank", "echo").from_node("n2", [2; 16]).to_node("n1");
    let channel = tls("n2", dir)?.dial(&address.into(), &hello, soon())?;
    channel.send("hello".into())?;
    Ok(channel.receive(soon())?.ok_or("no answer in time")?)
}
// What the README shows ends here.

fn main() -> Fallible<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["listen", dir] => {
            let listener = listen(Path::new(dir), "127.0.0.1:0")?;
            println!("{}", listener.local_address());
            loop {
                std::thread::park();
            }
        }
        ["call", dir, address] => {
            println!("{:?}", call(Path::new(dir), address)?);
            Ok(())
        }
        [] => both(),
        _ => Err("mutual_tls, or mutual_tls listen DIR, or mutual_tls call DIR ADDRESS".into()),
    }
}

fn both() -> Fallible<()> {
    let dir = tempfile::tempdir()?;
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
    std::fs::write(dir.path().join("ca"), authority.pem())?;
    for node in ["n1", "n2"] {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::default();
        let uri = format!("rep://bank/{node}");
        params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into()?)];
        let certificate = params.signed_by(&key, &authority)?;
        std::fs::write(dir.path().join(node), certificate.pem())?;
        std::fs::write(dir.path().join(format!("{node}.key")), key.serialize_pem())?;
    }
    let listener = listen(dir.path(), "127.0.0.1:0")?;
    let address = listener.local_address();
    assert_eq!(call(dir.path(), address.as_str())?, b"hello"[..]);

    // Whoever says another name than its certificate does is refused.
    let n3 = Hello::new("bank", "echo").from_node("n3", [3; 16]);
    println!("{}", tls("n2", dir.path())?.dial(address, &n3, soon()).unwrap_err());
    Ok(())
}

#[test]
fn the_example_runs() {
    both().unwrap();
}

#[test]
fn the_readme_shows_what_runs_here() {
    let own = include_str!("mutual_tls.rs");
    let (_, shown) = own.split_once("// What the README shows begins here.\n").unwrap();
    let (shown, _) = shown.split_once("// What the README shows ends here.\n").unwrap();
    assert!(include_str!("../README.md").contains(shown));
    let lines = shown.lines().filter(|line| !line.is_empty() && !line.starts_with("///")).count();
    assert!(lines <= 30, "two programs in thirty lines: {lines}");
}
