//! Members that know each other by certificates, from the first command of an operator on.

use crate::group::{Group, eventually, rep};
use crate::line::run;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Certs {
    temp: TempDir,
    /// Told to those who issue and to those who read: `--dns-suffix`, and `--tls-dns-suffix`.
    suffix: Option<&'static str>,
}

impl Certs {
    /// An authority for the group, and a certificate of each of these.
    fn of(nodes: &[&str]) -> Certs {
        Certs::under(None, nodes)
    }

    /// The same, by names of hosts under that suffix if there is one.
    fn under(suffix: Option<&'static str>, nodes: &[&str]) -> Certs {
        let certs = Certs { temp: TempDir::new().unwrap(), suffix };
        certs.run(&["init", "--group", "bank"]);
        let under: Vec<_> =
            suffix.into_iter().flat_map(|suffix| ["--dns-suffix", suffix]).collect();
        for node in nodes {
            let named = match node.strip_prefix('@') {
                Some(admin) => vec!["issue", admin, "--admin"],
                None => vec!["issue", node],
            };
            certs.run(&[named, under.clone()].concat());
        }
        certs
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("certs")
    }

    fn run(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) =
            run(rep().arg("certs").args(words).arg("--dir").arg(self.dir()));
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    }

    /// What a member, or whoever asks one, has to be told to go by a certificate.
    fn flags(&self, node: &str) -> Vec<String> {
        let file = |name: &str| self.dir().join(name).display().to_string();
        let (ca, identity) = (file("ca.pem"), file(&format!("{node}.pem")));
        let mut flags = vec!["--tls-ca".into(), ca, "--tls-identity".into(), identity];
        flags.extend(
            self.suffix.into_iter().flat_map(|name| ["--tls-dns-suffix".into(), name.into()]),
        );
        flags
    }
}

fn start(group: &mut Group, at: usize, certs: &Certs) {
    let flags = certs.flags(&group.name(at));
    group.start_with(at, &flags.iter().map(String::as_str).collect::<Vec<_>>());
}

/// The status that member `at` gives to whoever holds that certificate.
fn status(group: &Group, at: usize, flags: &[String]) -> (Option<i32>, String, String) {
    run(rep().args(["status", &group.addresses[at]]).args(flags))
}

fn log(path: &Path) -> String {
    fs::read_to_string(path.with_extension("log")).unwrap()
}

#[test]
pub(crate) fn a_group_with_certificates_runs_is_asked_and_takes_new_ones() {
    let certs = Certs::of(&["n1", "n2", "n3", "@ops", "@second"]);
    let mut group = Group::new(3);
    (0..3).for_each(|at| start(&mut group, at, &certs));
    let ops = certs.flags("@ops");
    eventually("a master", || (status(&group, 0, &ops).0 == Some(0)).then_some(()));

    let (code, _, stderr) = status(&group, 0, &[]);
    assert_eq!(code, Some(2), "nobody is answered without a certificate");
    assert!(stderr.contains("the other end speaks TLS"), "{stderr}");
    let stranger = Certs::of(&["@ops"]);
    assert_eq!(status(&group, 0, &stranger.flags("@ops")).0, Some(2));

    certs.run(&["renew", "n2"]);
    group.signal(1, Signal::HUP);
    let home = group.home(1);
    eventually("new certificates", || log(&home).contains("were read again").then_some(()));

    certs.run(&["revoke", "@admin/ops"]);
    let revoked = certs.dir().join("revoked.pem").display().to_string();
    assert_eq!(group.terminate(0).code(), Some(0));
    let mut flags = certs.flags("n1");
    flags.extend(["--tls-revoked".into(), revoked]);
    group.start_with(0, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(status(&group, 0, &ops).0, Some(2), "what is revoked opens nothing");
    let second = certs.flags("@second");
    eventually("a master", || (status(&group, 0, &second).0 == Some(0)).then_some(()));
}

#[cfg(feature = "quic")]
#[test]
fn a_group_over_quic_runs_is_asked_and_is_not_reached_in_another_way() {
    let certs = Certs::of(&["n1", "n2", "n3", "@ops"]);
    let mut group = Group::new_for_udp(3);
    for at in 0..3 {
        let mut flags = vec!["--transport".to_owned(), "quic".to_owned()];
        flags.extend(certs.flags(&group.name(at)));
        group.start_with(at, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let mut ops = certs.flags("@ops");
    assert_eq!(status(&group, 0, &ops).0, Some(2), "over TLS nobody is there");
    assert_eq!(status(&group, 0, &[]).0, Some(2), "nor in the clear");
    ops.extend(["--transport".to_owned(), "quic".to_owned()]);
    eventually("a master", || (status(&group, 0, &ops).0 == Some(0)).then_some(()));
    let asked = |command: &str, more: &[&str]| {
        let (code, stdout, stderr) =
            run(rep().args([command, &group.addresses[1]]).args(more).args(&ops));
        assert_eq!(code, Some(0), "{command}: {stdout}{stderr}");
    };
    asked("ping", &["--count", "2"]);
    let (code, _, stderr) = status(&group, 0, &ops[4..]);
    assert_eq!(code, Some(2), "no certificate, no QUIC: {stderr}");
    assert!(stderr.contains("need certificates"), "{stderr}");
}

#[test]
fn an_administrator_is_answered_and_obeyed_and_nobody_else() {
    an_administrator_alone_is_answered(&Certs::of(&["n1", "n2", "n3", "other", "@ops"]));
}

#[test]
pub(crate) fn so_it_is_where_certificates_name_hosts() {
    let nodes = ["n1", "n2", "n3", "other", "@ops"];
    an_administrator_alone_is_answered(&Certs::under(Some("db.example"), &nodes));
}

fn an_administrator_alone_is_answered(certs: &Certs) {
    let mut group = Group::new(3);
    (0..3).for_each(|at| start(&mut group, at, certs));
    let ordered = |who: &str| {
        let mut command = rep();
        command.args(["transfer-master", &group.addresses[0]]).args(certs.flags(who));
        run(&mut command)
    };
    eventually("a master", || (status(&group, 0, &certs.flags("@ops")).0 == Some(0)).then_some(()));
    for who in ["n1", "n2", "other"] {
        for (command, expected) in
            [("status", 2), ("ping", 2), ("members", 1), ("transfer-master", 1), ("bench", 1)]
        {
            let (code, stdout, stderr) =
                run(rep().args([command, &group.addresses[0]]).args(certs.flags(who)));
            assert_eq!((code, &*stdout), (Some(expected), ""), "{command} by {who}: {stderr}");
            assert!(stderr.contains("no administrator's"), "{command} by {who}: {stderr}");
            assert!(
                stderr.contains("rep certs issue --admin NAME"),
                "{command} by {who}: {stderr}"
            );
        }
    }
    eventually("an order that is carried out", || (ordered("@ops").0 == Some(0)).then_some(()));
}

#[test]
fn what_is_wrong_with_certificates_is_said_before_anything_is_opened() {
    let certs = Certs::of(&["n1", "n2"]);
    let group = Group::new(1);
    let refused = |flags: &[String]| {
        let (code, _, stderr) = run(group.serve(0).args(flags));
        assert_eq!(code, Some(1), "{stderr}");
        stderr
    };
    let others = refused(&certs.flags("n2"));
    assert!(others.contains("rep://bank/n2") && others.contains("rep://bank/n1"), "{others}");
    let missing = refused(&certs.flags("n9"));
    assert!(missing.contains("n9.pem"), "{missing}");
    let half = refused(&certs.flags("n1")[..2]);
    assert!(half.contains("tls-ca") && half.contains("tls_identity"), "{half}");
    assert!(!group.home(0).exists(), "nothing was made");
}
