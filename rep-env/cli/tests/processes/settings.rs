//! `rep serve --config`, `--set`, and the page that lists what they know.

use crate::commands::refusal;
use crate::group::{Group, connect, eventually, rep, wait};
use crate::line::run;
use crate::{commands, line, password};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A file with these lines, and its directory, which has to live as long.
fn file(lines: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("member.toml");
    fs::write(&path, lines).unwrap();
    (dir, path)
}

fn serve(path: &Path) -> Command {
    let mut command = rep();
    command.args(["serve", "--config"]).arg(path);
    command
}

#[test]
fn the_page_of_options_is_what_the_binary_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/options.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("<!-- options -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /options -->").unwrap();
    let (code, said, _) = run(rep().args(["options", "--markdown"]));
    assert_eq!(code, Some(0));
    let differs = table.lines().zip(said.lines()).find(|(page, said)| page != said);
    assert!(table == said, "{differs:?}: `cargo xtask options` writes the page");
    let (code, text, _) = run(rep().arg("options"));
    assert_eq!(code, Some(0));
    assert!(text.contains("heartbeat (time)\n    A master sends"), "{text}");
}

/// Which test sees which key that `rep serve` knows beside the environment's options, whose tests are in `rep-env`.
const SEEN: &[(&str, fn())] = &[
    ("resp", commands::keys_are_set_read_counted_and_removed),
    ("resp_advertise", clients_are_sent_where_the_redis_port_says_that_it_is),
    ("resp_password_file", password::nothing_is_answered_before_the_password),
    ("resp_allow_plaintext", line::what_would_be_open_to_everybody_has_to_be_asked_for),
    ("resp_durability", a_write_is_answered_as_far_as_it_was_said),
    ("transport", line::what_cannot_work_is_refused_before_anything_runs),
    ("tls_ca", certificates),
    ("tls_identity", certificates),
    ("tls_revoked", certificates),
    ("tls_dns_suffix", certificates_of_hosts),
];

/// Without the feature there is nothing to see.
fn certificates() {
    #[cfg(feature = "tls")]
    crate::tls::a_group_with_certificates_runs_is_asked_and_takes_new_ones();
}

fn certificates_of_hosts() {
    #[cfg(feature = "tls")]
    crate::tls::so_it_is_where_certificates_name_hosts();
}

#[test]
fn every_key_of_serve_alone_is_seen_by_a_test() {
    let (_, said, _) = run(rep().args(["options", "--markdown"]));
    let own = said.lines().filter(|line| line.contains("`rep serve` only"));
    let own: Vec<&str> = own.filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(own, SEEN.iter().map(|(key, _)| *key).collect::<Vec<_>>());
}

#[test]
fn clients_are_sent_where_the_redis_port_says_that_it_is() {
    let mut group = Group::new(2);
    let place = |name: &str| format!("redis-of-{name}:6379");
    for at in 0..2 {
        let port = group.resp[at].rsplit_once(':').unwrap().1.to_owned();
        group.resp[at] = format!("0.0.0.0:{port}");
        let place = place(&group.name(at));
        group.start_with(at, &["--resp-allow-plaintext", "--resp-advertise", &place]);
    }
    eventually("a redirection", || {
        let master = group.master();
        let port = group.resp[1 - master].rsplit_once(':').unwrap().1;
        let mut at_replica = connect(&format!("127.0.0.1:{port}")).ok()?;
        let name = group.name(master);
        let (_, detail) = refusal(&mut at_replica, "GET k");
        (detail == format!("{name} {}", place(&name))).then_some(())
    });
}

#[test]
fn a_write_is_answered_as_far_as_it_was_said() {
    let mut group = Group::new(3);
    let all = ["--set", "resp_durability=sync/sync/all", "--set", "replicas_wait=100ms"];
    (0..3).for_each(|at| group.start_with(at, &all));
    group.put(&[0, 1, 2], "alice", "1");
    let away = (group.master() + 1) % 3;
    group.kill(away);
    // A majority is there, and would do for a write of which nothing else was said.
    eventually("a refusal for want of one", || {
        let mut client = connect(&group.resp[group.master()]).ok()?;
        let error = commands::ask(&mut client, "SET alice 2").err()?;
        (error.code() == Some("NOREPLICAS")).then_some(())
    });
}

#[test]
fn a_member_runs_by_a_file_alone() {
    let group = Group::new(1);
    let home = group.home(0);
    let (_dir, path) = file(&format!(
        "group = 'bank'\nname = 'n1'\nhome = {home:?}\nstore = 'memory'\n\
         resp = {:?}\nheartbeat = '40ms'\nelection_timeout = '400ms'\nsegment_bytes = '1MiB'\n\
         members.n1 = {:?}\nattribute.zone = 'north'\n",
        group.resp[0], group.addresses[0],
    ));
    let mut command = serve(&path);
    command.arg("--end-with-stdin").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("listening on {}, resp on {}\n", group.addresses[0], group.resp[0]));
    let report = eventually("a master", || group.status(0).filter(|it| it.state == "master"));
    let zone = report.members[0].member.attributes.get("zone");
    assert_eq!(zone.map(String::as_str), Some("north"));
    let segments = || fs::read_dir(home.join("log")).unwrap().map(|entry| entry.unwrap());
    let segment = segments().find(|file| file.path().extension().is_some_and(|ext| ext == "seg"));
    assert_eq!(segment.unwrap().metadata().unwrap().len(), 1 << 20);
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_flag_overrides_the_file_and_set_overrides_both() {
    let (_dir, path) = file(
        "group = 'bank'\nname = 'n1'\nhome = 'h'\nmembers = ['n1=a:1', 'n2=b:1']\n\
         heartbeat = '50ms'\nstore = 'redb'\n",
    );
    let printed = |more: &[&str]| {
        let (code, stdout, stderr) = run(serve(&path).arg("--print-config").args(more));
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    };
    let says =
        |text: &str, line: &str| assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    let text = printed(&[]);
    says(&text, &format!("heartbeat = \"50ms\"  # {}:5", path.display()));
    says(&text, "# ack_timeout: 5 s");
    let text = printed(&["--store", "memory", "--set", "name=n2", "--name", "n3"]);
    says(&text, "store = \"memory\"  # a flag");
    says(&text, "name = \"n2\"  # --set");
    let text = printed(&["--set", "attribute.zone=south", "--set", "tail_bytes_max = 1MiB"]);
    says(&text, "attribute.zone = \"south\"  # --set");
    says(&text, "tail_bytes_max = 1048576  # --set");
    // What is printed is a file that says the same.
    let (_dir, again) = file(&text);
    let (code, printed, stderr) = run(serve(&again).arg("--print-config"));
    assert_eq!(code, Some(0), "{stderr}");
    let plain = |text: &str| {
        let lines = text.lines().map(|line| line.split("  # ").next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(plain(&printed), plain(&text));
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_with_its_place() {
    let sound = "group = 'bank'\nname = 'n1'\nhome = 'h'\nmembers = ['n1=a:1']\n";
    for (lines, more, expected) in [
        ("heartbeet = '1s'", "", &["member.toml:5: heartbeet", "nearest is heartbeat"][..]),
        ("heartbeat = 50", "", &["member.toml:5: heartbeat", "duration", "50"]),
        ("\nheartbeat = '0s'", "", &["member.toml:6: heartbeat", "1 ms to"]),
        ("heartbeat = '500ms'", "", &["election_timeout", "at least 3 x heartbeat"]),
        ("segment_bytes = '4MB'", "", &["member.toml:5: segment_bytes", "\"4MB\""]),
        ("segment_bytes = 1.5", "", &["member.toml:5", "float"]),
        ("store = 'rocks'", "", &["member.toml:5: store", "`memory`"]),
        ("group = 'x'", "", &["member.toml:5", "duplicate"]),
        ("ephemeral = true", "", &["member.toml:5: ephemeral", "home"]),
        ("listener = 'x'", "", &["member.toml:5: listener", "no such option"]),
        (
            "resp = 'a:1'\nresp_durability = 'fast'",
            "",
            &["member.toml:6: resp_durability", "nosync/nosync/none"],
        ),
        (
            "resp_durability = 'sync/sync/all'",
            "",
            &["member.toml:5: resp_durability", "only with resp"],
        ),
        ("resp_advertise = 'a:1'", "", &["member.toml:5: resp_advertise", "only with resp"]),
        ("", "--set=heartbeat", &["--set \"heartbeat\" is not key=value"]),
        ("", "--set=ack_timeout=never", &["--set ack_timeout", "\"never\""]),
        ("", "--set=checkpoint_bytes=1", &["--set checkpoint_bytes", "64 KiB to"]),
        ("", "--resp-advertise=a:1", &["--resp-advertise", "only with resp"]),
        ("", "--name=n2", &["members", "n2"]),
        ("attribute.a = 5", "", &["member.toml:5: attribute.a", "text"]),
    ] {
        let (_dir, path) = file(&format!("{sound}{lines}\n"));
        let mut command = serve(&path);
        command.args(Some(more).filter(|more| !more.is_empty()));
        let (code, _, stderr) = run(&mut command);
        assert_eq!(code, Some(1), "{lines} {more}: {stderr}");
        assert!(expected.iter().all(|part| stderr.contains(part)), "{lines} {more}: {stderr}");
    }
    let (code, _, stderr) = run(rep().args(["serve", "--name", "n1"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--group"), "{stderr}");
    let (code, _, stderr) = run(&mut serve(Path::new("absent.toml")));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("absent.toml"), "{stderr}");
}
