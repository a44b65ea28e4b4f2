//! Stories as text: commands, and what both ends then did. `REP_REWRITE=1` writes the answers anew.
//!
//! A script is a list of blocks. Lines that begin with `#` tell the story; a block is one or more commands, a
//! line `----`, and the trace they lead to, up to an empty line. The commands:
//!
//! - `logs term=T source=1x5,3x4 copy=1x5 [dvlsn=D] [first=F]`: two logs as runs of (term x entries), a stream of
//!   term T, what the replica knows to be durable, and where the source's log begins.
//! - `run`: everything but time moves until all is quiet. `reset`: the connection is lost and dialled again.
//! - `write N`: the master writes. `send`, `to-replica`, `to-feeder`, `sync`, `cut`, `jump`: one step alone.
//! - `ack epoch=E vlsn=V`: an acknowledgement of connection E arrives at the feeder.
//! - `fence T`: the replica's node promises term T. `show`: where both stand.

#[path = "support/pair.rs"]
mod pair;

use pair::{ModelLog, Pair};
use rep_stream::{Connection, ReplicaMessage};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[test]
fn scripts_lead_to_the_traces_they_tell() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> =
        fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 4, "the scripts are found");
    for path in paths {
        let told = fs::read_to_string(&path).unwrap();
        let played = play(&told);
        if std::env::var_os("REP_REWRITE").is_some() {
            fs::write(&path, played).unwrap();
        } else {
            assert_eq!(told, played, "{} tells another story", path.display());
        }
    }
}

/// The script with the traces as they come out now.
fn play(script: &str) -> String {
    let mut pair = None;
    let mut out = String::new();
    let mut answers = false;
    for line in script.lines() {
        match line {
            "----" => {
                let pair: &mut Pair = pair.as_mut().expect("a script begins with logs");
                out.push_str("----\n");
                std::mem::take(&mut pair.trace)
                    .iter()
                    .for_each(|it| writeln!(out, "{it}").unwrap());
                answers = true;
            }
            "" => {
                answers = false;
                out.push('\n');
            }
            _ if answers => {}
            comment if comment.starts_with('#') => writeln!(out, "{comment}").unwrap(),
            command => {
                writeln!(out, "{command}").unwrap();
                obey(command, &mut pair);
            }
        }
    }
    out
}

fn obey(command: &str, pair: &mut Option<Pair>) {
    let words: Vec<&str> = command.split_whitespace().collect();
    if words[0] == "logs" {
        *pair = Some(logs(&words[1..]));
        return;
    }
    let pair = pair.as_mut().expect("a script begins with logs");
    let number = || words[1].parse::<u64>().expect("a number");
    match words[0] {
        "run" => pair.run(),
        "reset" => pair.reset(),
        "write" => pair.write(number() as usize, 0),
        "send" => assert!(pair.carry_out_send(), "nothing to send"),
        "to-replica" => assert!(pair.deliver_to_replica(), "nothing on the way"),
        "to-feeder" => assert!(pair.deliver_to_feeder(), "nothing on the way"),
        "sync" => assert!(pair.sync_replica(), "nothing to sync"),
        "cut" => assert!(pair.finish_cut(), "nothing to cut"),
        "jump" => assert!(pair.jump(), "nobody waits"),
        "fence" => pair.fence = Term::new(number()),
        "ack" => ack(pair, &words[1..]),
        "show" => show(pair),
        other => panic!("unknown command {other}"),
    }
}

fn logs(words: &[&str]) -> Pair {
    let mut source = ModelLog::of(&runs(option(words, "source").expect("source=")));
    let copy = ModelLog::of(&runs(option(words, "copy").unwrap_or("")));
    if let Some(first) = option(words, "first") {
        source.view.clean(Vlsn::new(first.parse().expect("a number")));
    }
    let dvlsn = option(words, "dvlsn").map_or(0, |dvlsn| dvlsn.parse().expect("a number"));
    let term = option(words, "term").expect("term=").parse().expect("a number");
    Pair::new(term, source, copy, dvlsn)
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn runs(text: &str) -> Vec<(u64, u64)> {
    let number = |text: &str| text.parse().expect("a number");
    text.split(',')
        .filter(|run| !run.is_empty())
        .map(|run| run.split_once('x').expect("term x entries"))
        .map(|(term, entries)| (number(term), number(entries)))
        .collect()
}

fn ack(pair: &mut Pair, words: &[&str]) {
    let number = |name| option(words, name).expect(name).parse().expect("a number");
    let term = Term::new(pair.term);
    let connection = Connection { term, epoch: number("epoch") };
    let point = LogPoint::new(term, Vlsn::new(number("vlsn")));
    pair.hand_to_feeder(ReplicaMessage::Ack { connection, synced: point, received: point });
}

fn show(pair: &mut Pair) {
    let (source, copy) = (&pair.source.view, &pair.copy.view);
    let line = format!(
        "source ends {} dvlsn {}, copy ends {} synced {} dvlsn {}, feeder dropped {}, equal {}",
        source.last(),
        pair.dvlsn,
        copy.last(),
        copy.synced(),
        pair.copy_dvlsn,
        pair.feeder.stats().dropped_messages,
        pair.source.records == pair.copy.records,
    );
    pair.trace.push(line);
}
