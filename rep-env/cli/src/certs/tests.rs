use super::*;
use clap::Parser;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn certs_at(dir: &Path, now: SystemTime, words: &[&str]) -> anyhow::Result<(String, u8)> {
    let dir = dir.to_str().unwrap();
    let words = ["certs", "--dir", dir].into_iter().chain(words.iter().copied());
    carry_out(&Cli::try_parse_from(words)?.args, now)
}

fn certs(dir: &Path, words: &[&str]) -> anyhow::Result<(String, u8)> {
    certs_at(dir, now(), words)
}

/// Why it was refused.
fn refused(dir: &Path, words: &[&str]) -> String {
    format!("{:#}", certs(dir, words).unwrap_err())
}

/// A directory with an authority for the group `bank`.
fn bank() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("certs");
    certs(&dir, &["init", "--group", "bank"]).unwrap();
    (temp, dir)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether one of these authorities has signed it.
fn is_trusted(ca: &str, node: &str) -> bool {
    let node = authority::certificates(node).unwrap().remove(0);
    let node = authority::parsed(&node).unwrap();
    authority::certificates(ca).unwrap().iter().any(|block| {
        let ca = authority::parsed(block).unwrap();
        ca.subject() == node.issuer() && node.verify_signature(Some(ca.public_key())).is_ok()
    })
}

#[test]
fn keys_are_their_owners_alone() {
    let (_temp, dir) = bank();
    certs(&dir, &["issue", "n1"]).unwrap();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("ca.key")), 0o600);
    assert_eq!(mode(&dir.join("n1.pem")), 0o600);
    assert_eq!(mode(&dir.join("ca.pem")), 0o644);
    certs(&dir, &["renew", "n1"]).unwrap();
    assert_eq!(mode(&dir.join("n1.pem")), 0o600);
    let left = fs::read_dir(&dir).unwrap().count();
    assert_eq!(left, 3, "nothing unfinished is left behind");
}

#[test]
fn a_certificate_names_its_group_and_node_and_what_it_is_for() {
    let (_temp, dir) = bank();
    certs(&dir, &["issue", "n 1/x", "--dns", "db1.example", "--days", "10"]).unwrap();
    let text = fs::read_to_string(dir.join("n%201%2Fx.pem")).unwrap();
    assert!(
        text.contains("PRIVATE KEY")
            && is_trusted(&fs::read_to_string(dir.join("ca.pem")).unwrap(), &text)
    );
    let block = authority::certificates(&text).unwrap().remove(0);
    let found = authority::parsed(&block).unwrap();
    let names = found.subject_alternative_name().unwrap().unwrap();
    let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["URI(rep://bank/n%201%2Fx)", "DNSName(db1.example)"]);
    assert!(!found.is_ca());
    let usage = found.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    let span = found.validity().not_after.timestamp() - found.validity().not_before.timestamp();
    assert_eq!(span, 10 * 24 * 60 * 60 + 60 * 60);
}

/// The names of hosts in a certificate of the directory.
fn hosts_of(dir: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.join(file)).unwrap();
    let block = authority::certificates(&text).unwrap().remove(0);
    let found = authority::parsed(&block).unwrap();
    let names = found.subject_alternative_name().unwrap().unwrap();
    let names = names.value.general_names.iter().map(ToString::to_string);
    names.filter(|name| name.starts_with("DNSName")).collect()
}

#[test]
fn who_it_is_can_be_said_as_the_name_of_a_host_too() {
    let (_temp, dir) = bank();
    let under = ["--dns-suffix", "db.example"];
    let issue = |words: &[&str]| certs(&dir, &[words, &under].concat()).unwrap().0;
    let told = issue(&["issue", "n1"]);
    assert!(told.contains("--tls-dns-suffix db.example"), "{told}");
    assert_eq!(hosts_of(&dir, "n1.pem"), ["DNSName(n1.bank.db.example)"]);
    let told = issue(&["issue", "ops", "--admin"]);
    assert!(told.contains("--tls-dns-suffix db.example"), "{told}");
    assert_eq!(hosts_of(&dir, "@ops.pem"), ["DNSName(ops.admin.bank.db.example)"]);
    issue(&["renew", "@admin/ops", "--dns", "web.example"]);
    let hosts = ["DNSName(web.example)", "DNSName(ops.admin.bank.db.example)"];
    assert_eq!(hosts_of(&dir, "@ops.pem"), hosts);
    for wrong in [&["issue", "n.2"][..], &["issue", "N2"], &["issue", "n.2", "--admin"]] {
        let refused = refused(&dir, &[wrong, &under].concat());
        assert!(refused.contains("cannot be named under db.example"), "{refused}");
    }
}

#[test]
fn nothing_that_is_there_is_written_over_but_by_renew() {
    let (_temp, dir) = bank();
    certs(&dir, &["issue", "n1"]).unwrap();
    let before = fs::read(dir.join("n1.pem")).unwrap();
    assert!(refused(&dir, &["issue", "n1"]).contains("rep certs renew"));
    let key = fs::read(dir.join("ca.key")).unwrap();
    assert!(refused(&dir, &["init", "--group", "other"]).contains("is there already"));
    assert_eq!(fs::read(dir.join("n1.pem")).unwrap(), before);
    assert_eq!(fs::read(dir.join("ca.key")).unwrap(), key);
    assert!(refused(&dir, &["renew", "n2"]).contains("issue it first"));
    certs(&dir, &["renew", "n1"]).unwrap();
    assert_ne!(fs::read(dir.join("n1.pem")).unwrap(), before);
}

#[test]
fn members_of_any_name_are_told_apart_from_the_authority() {
    let (_temp, dir) = bank();
    let ca = fs::read(dir.join("ca.pem")).unwrap();
    for node in ["ca", "revoked", "..", "."] {
        certs(&dir, &["issue", node]).unwrap();
        assert!(dir.join(files::of_node(node)).is_file());
    }
    assert_eq!(fs::read(dir.join("ca.pem")).unwrap(), ca);
    for wrong in ["", "a,b", "a=b", "a\nb", &"x".repeat(256)] {
        assert!(refused(&dir, &["issue", wrong]).contains("name of a node"), "{wrong:?}");
    }
}

#[test]
fn old_and_new_authority_are_trusted_at_once_until_the_old_one_is_dropped() {
    let (_temp, dir) = bank();
    let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
    certs(&dir, &["issue", "n1"]).unwrap();
    let old = read("n1.pem");
    certs(&dir, &["renew", "--ca"]).unwrap();
    assert!(is_trusted(&read("ca.pem"), &old), "members go on while the new bundle spreads");
    assert_eq!(mode(&dir.join("ca.key")), 0o600);
    certs(&dir, &["renew", "n1"]).unwrap();
    assert!(is_trusted(&read("ca.pem"), &read("n1.pem")));
    certs(&dir, &["renew", "--ca", "--drop-old"]).unwrap();
    assert!(is_trusted(&read("ca.pem"), &read("n1.pem")));
    assert!(!is_trusted(&read("ca.pem"), &old));
}

#[test]
fn what_was_revoked_stays_revoked() {
    let (_temp, dir) = bank();
    let serials =
        || revoked::serials(&fs::read_to_string(dir.join("revoked.pem")).unwrap()).unwrap();
    for node in ["n1", "n2", "n3"] {
        certs(&dir, &["issue", node]).unwrap();
    }
    certs(&dir, &["revoke", "n1"]).unwrap();
    certs(&dir, &["revoke", "n1"]).unwrap();
    certs(&dir, &["revoke", "n2"]).unwrap();
    assert_eq!(serials().len(), 2);
    certs(&dir, &["renew", "--ca"]).unwrap();
    certs(&dir, &["renew", "n3"]).unwrap();
    certs(&dir, &["revoke", "n3"]).unwrap();
    assert_eq!(serials().len(), 3, "a list of each authority");
    assert!(refused(&dir, &["revoke", "n2"]).contains("another authority"));
    certs(&dir, &["renew", "--ca", "--drop-old"]).unwrap();
    assert_eq!(serials().len(), 1, "whom nobody trusts needs no revoking");
    assert!(refused(&dir, &["revoke", "n9"]).contains("nothing of that name"));
}

#[test]
fn show_warns_before_something_expires() {
    let (_temp, dir) = bank();
    certs(&dir, &["issue", "n1", "--days", "40"]).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let show = |days: u32| certs_at(&dir, now() + day * days, &["show"]).unwrap();
    let (told, code) = show(9);
    assert!(code == 0 && told.contains("member rep://bank/n1") && told.contains("31 days left"));
    let (told, code) = show(11);
    assert!(code == 1 && told.contains("EXPIRES in 29 days"), "{told}");
    let (told, code) = show(41);
    assert!(code == 1 && told.contains("EXPIRED"), "{told}");
    certs(&dir, &["revoke", "n1"]).unwrap();
    let (told, code) = show(41);
    assert!(code == 0 && told.contains("REVOKED"), "nobody waits for what is revoked: {told}");
    let (json, _) = certs(&dir, &["show", "--json"]).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[1]["names"][0], "rep://bank/n1");
    assert_eq!(rows[1]["days_left"], 40);
}

#[test]
fn what_is_no_certificate_is_said_with_its_file() {
    let (_temp, dir) = bank();
    fs::write(dir.join("n1.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    assert!(refused(&dir, &["show"]).contains("n1.pem cannot be read as certificates"));
    fs::remove_file(dir.join("ca.key")).unwrap();
    assert!(refused(&dir, &["issue", "n2"]).contains("cannot sign without its key"));
    fs::write(dir.join("ca.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(refused(&dir, &["issue", "n2"]).contains("put together from two"));
    fs::remove_file(dir.join("ca.pem")).unwrap();
    assert!(refused(&dir, &["issue", "n2"]).contains("rep certs init"));
}
