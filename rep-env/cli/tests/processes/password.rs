//! Who may speak at all.

use crate::commands::{ask, refusal};
use crate::group::{Group, PATIENCE, rep};
use redis::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A group of one whose clients have to say "open sesame".
fn locked() -> Group {
    let mut group = Group::new(1);
    let file = group.home(0).with_extension("password");
    fs::write(&file, "open sesame\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    group.start_with(0, &["--resp-password-file", file.to_str().unwrap()]);
    group.master();
    group
}

#[test]
pub(crate) fn nothing_is_answered_before_the_password() {
    let group = locked();
    let mut c = group.connect(0);
    for line in ["GET k", "SET k v", "PING", "INFO", "MULTI", "EXEC", "COMMAND", "CONFIG GET save"]
    {
        assert_eq!(refusal(&mut c, line).0, "NOAUTH", "{line}");
    }
    assert_eq!(refusal(&mut c, "HELLO 3").0, "NOAUTH");
    for line in ["AUTH wrong", "AUTH somebody open", "HELLO 3 AUTH default wrong"] {
        assert_eq!(refusal(&mut c, line).0, "WRONGPASS", "{line}");
        assert_eq!(refusal(&mut c, "GET k").0, "NOAUTH", "{line}");
    }
    let auth = |words: &[&str], c: &mut redis::Connection| {
        redis::cmd(words[0]).arg(&words[1..]).query::<Value>(c)
    };
    assert!(auth(&["AUTH", "somebody", "open sesame"], &mut c).is_err());
    assert_eq!(auth(&["AUTH", "open sesame"], &mut c), Ok(Value::Okay));
    assert_eq!(ask(&mut c, "SET k v"), Ok(Value::Okay));
    // A wrong guess afterwards takes nothing away, as in Redis.
    assert_eq!(refusal(&mut c, "AUTH wrong").0, "WRONGPASS");
    assert_eq!(ask(&mut c, "EXISTS k"), Ok(Value::Int(1)));
    for words in
        [&["AUTH", "default", "open sesame"][..], &["HELLO", "3", "AUTH", "default", "open sesame"]]
    {
        let mut c = group.connect(0);
        auth(words, &mut c).unwrap();
        assert_eq!(ask(&mut c, "EXISTS k"), Ok(Value::Int(1)));
    }
    let url = format!("redis://:open%20sesame@{}/?protocol=resp3", group.resp[0]);
    let client = redis::Client::open(url).unwrap();
    let mut c = client.get_connection_with_timeout(PATIENCE).unwrap();
    assert_eq!(ask(&mut c, "EXISTS k"), Ok(Value::Int(1)));
    let log = fs::read_to_string(group.home(0).with_extension("log")).unwrap();
    assert!(!log.contains("sesame") && !log.contains("others can read"), "{log}");
}

#[test]
fn a_port_without_a_password_says_so() {
    let group = Group::running(1);
    let mut c = group.connect(0);
    assert!(refusal(&mut c, "AUTH x").1.contains("no password"));
    assert_eq!(ask(&mut c, "PING"), Ok(Value::SimpleString("PONG".into())));
}

#[test]
fn a_password_file_that_is_none_is_refused_and_one_that_others_can_read_is_told_of() {
    let mut group = Group::new(1);
    let file = group.home(0).with_extension("password");
    fs::write(&file, "\n").unwrap();
    let mut command = group.serve(0);
    command.args(["--resp", "127.0.0.1:0", "--resp-password-file"]).arg(&file);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no password"));
    let mut alone = rep();
    alone.args([
        "serve",
        "--group",
        "g",
        "--name",
        "n1",
        "--home",
        "x",
        "--members",
        "n1=127.0.0.1:1",
    ]);
    let output = alone.arg("--resp-password-file").arg(&file).output().unwrap();
    assert!(!output.status.success(), "without --resp it makes no sense");

    fs::write(&file, "secret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    group.start_with(0, &["--resp-password-file", file.to_str().unwrap()]);
    let log = fs::read_to_string(group.home(0).with_extension("log")).unwrap();
    assert!(log.contains("others can read the password file") && !log.contains("secret"), "{log}");
}
