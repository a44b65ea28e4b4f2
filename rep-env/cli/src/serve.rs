//! `rep serve`: one member of a group, as a process.

mod descriptors;
pub(crate) mod durability;
mod file;
pub(crate) mod keys;
mod settings;
mod speech;
mod values;

use crate::print::print;
use crate::resp::{self, Password, RespConfig, RespServer};
use anyhow::{Context, bail};
use rep_env::config::OnDamage;
use rep_env::events::GROUP_SHUT_DOWN;
use rep_env::{NodeState, RepConfig, ReplicatedEnvironment};
use settings::Settings;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use speech::Speech;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use values::Raw;

/// A master that is asked to end tries for so long to make another member master first.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);
/// How long another member is waited for that is asked whether the group goes on, and how often they all are asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long commands that were taken may still be answered after SIGTERM.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Run one member of a group. Logs go to stderr; RUST_LOG chooses what of them (default: info).
///
/// Everything that a flag says may stand in a file instead, and every other option, too: `rep options` lists them. A flag
/// overrides the file, and --set overrides both.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take from this file what is not said here: `key = value` lines, see `rep options`
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Set any option, as in heartbeat=50ms or segment_bytes=16MiB or attribute.zone=north; again for each
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The group's name, the same at every member
    #[arg(long)]
    group: Option<String>,
    /// This member's name, unique in the group
    #[arg(long)]
    name: Option<String>,
    /// Where to listen for the other members [default: this member's address in --members]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where the others reach this member, if not where it listens; as in --members
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// The directory that is this member's memory; made if absent
    #[arg(long, value_name = "DIR")]
    home: Option<String>,
    /// Found a group with these members, this one too, the same list at each of them
    #[arg(long, value_name = "NAME=HOST:PORT,...", value_delimiter = ',', conflicts_with_all = ["bootstrap", "join"])]
    members: Option<Vec<String>>,
    /// Found a group of this member alone, at --listen; others join it
    #[arg(long, conflicts_with = "join")]
    bootstrap: bool,
    /// Ask these members to admit this one to their group, until they do; '' waits to be added by `rep add`
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    join: Option<Vec<String>>,
    /// What to be when it joins: electable, a voter once it has caught up; secondary, a copy that never votes; arbiter, a vote
    /// without data; monitor, neither [default: electable]
    #[arg(long = "type", value_name = "TYPE")]
    member_type: Option<String>,
    /// How much it is preferred as master, among equals, from when it joins [default: 0]
    #[arg(long, value_name = "NUMBER")]
    priority: Option<String>,
    /// Serve the Redis protocol here; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT")]
    resp: Option<String>,
    /// Where clients reach the Redis port, if not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    resp_advertise: Option<String>,
    /// A file whose first line is the password that Redis clients have to say
    #[arg(long, value_name = "FILE")]
    resp_password_file: Option<String>,
    /// Serve the Redis protocol without a password, and unencrypted, on an address that others can reach
    #[arg(long)]
    resp_allow_plaintext: bool,
    /// Speak unencrypted to the other members on an address that others can reach
    #[arg(long)]
    allow_plaintext: bool,
    /// What to speak to the other members: tcp, tls or quic [default: tls if --tls-ca is given, else tcp]
    #[arg(long, value_name = "TRANSPORT")]
    transport: Option<String>,
    /// Speak TLS (or QUIC) to the other members, and trust those with a certificate of these authorities: see `rep certs`
    #[arg(long, value_name = "FILE.pem")]
    tls_ca: Option<String>,
    /// This member's certificate and private key. Read again, like the two others, on SIGHUP
    #[arg(long, value_name = "FILE.pem")]
    tls_identity: Option<String>,
    /// Certificates that are trusted no more
    #[arg(long, value_name = "FILE.pem")]
    tls_revoked: Option<String>,
    /// Members are named NODE.GROUP.SUFFIX in their certificates, and not rep://GROUP/NODE
    #[arg(long, value_name = "SUFFIX")]
    tls_dns_suffix: Option<String>,
    /// Where the databases are kept: `redb`, a file in the home directory, `fjall`, a directory there, or `memory`, built
    /// up again from the log at each start
    #[arg(long, value_name = "ENGINE")]
    store: Option<String>,
    /// As a secondary, take the entries from the master or, to spare its network, from a replica: master or replica [default: master]
    #[arg(long, value_name = "WHO")]
    feed_from: Option<String>,
    /// Ship every entry that is durable in the group to this directory: see `rep log`
    #[arg(long, value_name = "DIR")]
    ship_to: Option<String>,
    /// Print what all of this comes to, as a file that says the same, and end
    #[arg(long)]
    print_config: bool,
    /// End when stdin does: for a parent that must not leave this process behind
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = settings(args)?;
    if args.print_config {
        settings.builder()?.build().map_err(|error| settings.placed(error))?;
        print(&settings.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    log_to_stderr();
    let asked = asked_to_end(args.end_with_stdin)?;
    let password = settings.text("resp_password_file").map(Path::new).map(Password::read);
    let password = password.transpose()?;
    let open = password.is_some() || settings.is_on("resp_allow_plaintext");
    let listener = settings.text("resp").map(|address| bind(address, open)).transpose()?;
    let speech = Speech::of(&settings)?;
    let durability = settings.durability()?;
    let resp = RespConfig { password, durability, ..RespConfig::default() };
    descriptors::raise(if listener.is_some() { resp.clients_max } else { 0 });
    let mut told = false;
    loop {
        let config = config(&settings, listener.as_ref(), &speech)?;
        let comes_back = config.on_damage == OnDamage::Rejoin;
        let resp = resp.clone().timing(&config.timing);
        let env = ReplicatedEnvironment::open(config)?;
        let mut server = match &listener {
            Some(listener) => Some(serve_redis(listener.try_clone()?, &env, resp)?),
            None => None,
        };
        if !std::mem::replace(&mut told, true) {
            announce(&env, server.as_ref())?;
        }
        let damaged = wait_for_the_end(&env, &speech, &asked, comes_back)?;
        hand_over(&env);
        if let Some(server) = &mut server {
            server.close(LAST_ANSWERS);
        }
        env.close()?;
        if !damaged {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Until a signal asks for it, or the group is shut down; or until the home of this member, which has halted, is to be opened again: whether it is that.
fn wait_for_the_end(
    env: &ReplicatedEnvironment,
    speech: &Speech,
    asked: &AtomicBool,
    comes_back: bool,
) -> anyhow::Result<bool> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let damaged = Arc::new(AtomicBool::new(false));
    watch(env, signals.handle(), comes_back.then(|| Arc::clone(&damaged)))?;
    // One that came before anybody listened is not forgotten.
    let signal = match asked.load(Ordering::SeqCst) {
        true => Some(SIGTERM),
        false => signals.forever().find(|signal| match *signal {
            SIGHUP => {
                speech.reload();
                false
            }
            _ => true,
        }),
    };
    tracing::info!(?signal, "closing");
    Ok(signal.is_none() && damaged.load(Ordering::SeqCst))
}

/// The file, over it the flags, over both what was set.
fn settings(args: &Args) -> anyhow::Result<Settings> {
    let mut settings = Settings::default();
    if let Some(path) = &args.config {
        settings.read(path)?;
    }
    let texts = [
        ("group", &args.group),
        ("name", &args.name),
        ("listen", &args.listen),
        ("advertise", &args.advertise),
        ("home", &args.home),
        ("resp", &args.resp),
        ("resp_advertise", &args.resp_advertise),
        ("resp_password_file", &args.resp_password_file),
        ("type", &args.member_type),
        ("priority", &args.priority),
        ("store", &args.store),
        ("feed_from", &args.feed_from),
        ("ship_to", &args.ship_to),
        ("transport", &args.transport),
        ("tls_ca", &args.tls_ca),
        ("tls_identity", &args.tls_identity),
        ("tls_revoked", &args.tls_revoked),
        ("tls_dns_suffix", &args.tls_dns_suffix),
    ];
    for (key, text) in texts {
        text.iter().try_for_each(|text| settings.flag(key, Raw::Text(text.clone())))?;
    }
    let switches = [
        ("resp_allow_plaintext", args.resp_allow_plaintext),
        ("allow_plaintext", args.allow_plaintext),
        ("bootstrap", args.bootstrap),
    ];
    for (key, _) in switches.iter().filter(|(_, said)| *said) {
        settings.flag(key, Raw::Switch(true))?;
    }
    for (key, list) in [("members", &args.members), ("join", &args.join)] {
        list.iter().try_for_each(|list| settings.flag(key, Raw::List(list.clone())))?;
    }
    args.set.iter().try_for_each(|assignment| settings.assign(assignment))?;
    settings.check()?;
    Ok(settings)
}

/// Listens for Redis clients. Only a password protects that port, so without one it is not opened to others by accident.
pub(crate) fn bind(address: &str, may_be_open: bool) -> anyhow::Result<TcpListener> {
    let resolved: Vec<SocketAddr> = address
        .to_socket_addrs()
        .with_context(|| format!("--resp {address} is no address"))?
        .collect();
    if !may_be_open && !resolved.iter().all(|address| address.ip().is_loopback()) {
        bail!(
            "--resp {address} can be reached by others, who could read and write everything; \
             --resp-password-file asks them for a password, --resp-allow-plaintext permits that"
        );
    }
    TcpListener::bind(&*resolved).with_context(|| format!("cannot listen on {address} (--resp)"))
}

/// Serves the Redis port of `env`.
pub(crate) fn serve_redis(
    listener: TcpListener,
    env: &ReplicatedEnvironment,
    config: RespConfig,
) -> anyhow::Result<RespServer> {
    RespServer::start(listener, env.clone(), config).context("cannot serve the Redis port")
}

fn config(
    settings: &Settings,
    listener: Option<&TcpListener>,
    speech: &Speech,
) -> anyhow::Result<RepConfig> {
    let mut config = speech.over(settings.builder()?);
    if let Some(listener) = listener {
        config = config.attribute(resp::ATTRIBUTE, resp_address(settings, listener)?);
    }
    config.build().map_err(|error| settings.placed(error))
}

/// Where clients find the Redis port: as told, or where it listens; if that is everywhere, at this member's own host.
fn resp_address(settings: &Settings, listener: &TcpListener) -> anyhow::Result<String> {
    if let Some(advertised) = settings.text("resp_advertise") {
        return Ok(advertised.to_owned());
    }
    let local = listener.local_addr()?;
    if !local.ip().is_unspecified() {
        return Ok(local.to_string());
    }
    let own = settings.own_address().and_then(|address| address.rsplit_once(':'));
    let (host, _) = own.context("--resp-advertise is needed: no host is known for this member")?;
    Ok(format!("{host}:{}", local.port()))
}

/// One line on stdout: whoever started this process may go on.
fn announce(env: &ReplicatedEnvironment, server: Option<&RespServer>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "listening on {}", env.local_addr())?;
    if let Some(server) = server {
        write!(stdout, ", resp on {}", server.local_addr())?;
    }
    writeln!(stdout)?;
    stdout.flush()
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
}

/// The first SIGTERM or SIGINT asks for an orderly end, which this tells from then on; the second one ends at once.
fn asked_to_end(end_with_stdin: bool) -> anyhow::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    if end_with_stdin {
        let asked = Arc::clone(&asked);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || watch_stdin(&asked))?;
    }
    Ok(asked)
}

/// Ends the wait for signals when the master has shut the group down; or, if this member has halted because its home is damaged and is to come back, as soon as the group goes on without it:
/// what it has is not set aside while somebody may still need it.
fn watch(
    env: &ReplicatedEnvironment,
    signals: Handle,
    damaged: Option<Arc<AtomicBool>>,
) -> io::Result<()> {
    let (env, events) = (env.clone(), env.subscribe().states());
    let watch = move || {
        if events.last().is_some_and(|event| event.reason == GROUP_SHUT_DOWN) {
            return signals.close();
        }
        let Some(damaged) = damaged.filter(|_| env.damage_found().is_some()) else { return };
        while let Ok(goes_on) = env.others_have_a_master(ANSWER_WITHIN) {
            if goes_on {
                damaged.store(true, Ordering::SeqCst);
                return signals.close();
            }
            std::thread::sleep(ASK_EVERY);
        }
    };
    std::thread::Builder::new().name("group".to_owned()).spawn(watch).map(drop)
}

/// A master that is about to end does not leave its group to find out.
fn hand_over(env: &ReplicatedEnvironment) {
    let streams = || env.stats().replicas.iter().any(|replica| replica.state == "stream");
    if env.state() != NodeState::Master || !streams() {
        return;
    }
    match env.transfer_master(&[], HAND_OVER_WITHIN, true) {
        Ok(master) => tracing::info!(master = %master.name, "handed the mastership over"),
        Err(error) => tracing::info!(%error, "closing as the master"),
    }
}

fn watch_stdin(asked: &AtomicBool) {
    let mut bytes = [0; 64];
    while io::stdin().read(&mut bytes).is_ok_and(|read| read > 0) {}
    if !asked.load(Ordering::SeqCst) {
        // It fails only for a signal that does not exist.
        let _ = signal_hook::low_level::raise(SIGTERM);
    }
}
