//! Afterwards: what is where, and whether it may be.

use super::group::Group;
use super::journal::{Ledger, Line};
use super::node::{Holds, Node};
use super::resp::{Client, Reply};
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// How long nodes may take to come to one point once nobody writes.
const MEETING_BOUND: Duration = Duration::from_secs(30);
const DIAL: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys asked for in one command.
const KEYS: &str = "256";
/// More commands than a disk of this size holds keys for.
const SCANS_MAX: usize = 1 << 16;
/// How long a process may keep connections that nobody is at the other end of.
const SETTLING_BOUND: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// How many examples an error names.
const EXAMPLES: usize = 8;

/// What one node holds.
type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Nothing acknowledged is missing anywhere, nothing refused is anywhere, and all nodes hold the same.
pub(super) fn contents(group: &Group, ledger: &Ledger) -> anyhow::Result<()> {
    group.await_meeting(MEETING_BOUND)?;
    let mut held = Vec::new();
    for (node, address) in group.nodes.iter().zip(group.redis()?) {
        let read = group.clients.within(|| read_all(address))?;
        held.push((node.name(), read.with_context(|| format!("reading {} back", node.name()))?));
    }
    for (name, content) in &held {
        ledger_holds(name, content, ledger)?;
    }
    same_everywhere(&held)
}

fn ledger_holds(name: &str, content: &Content, ledger: &Ledger) -> anyhow::Result<()> {
    let value = |line: &Line| content.get(line.key().as_bytes());
    let is_there = |line: &Line| value(line).is_some_and(|value| line.wrote(value));
    let lost: Vec<Line> = ledger.acked.iter().copied().filter(|line| !is_there(line)).collect();
    ensure!(
        lost.is_empty(),
        "LOST: {} acknowledged writes are not at {name}: {}",
        lost.len(),
        keys(&lost)
    );
    let there = |line: &Line| value(line).is_some();
    let risen: Vec<Line> = ledger.refused.iter().copied().filter(there).collect();
    ensure!(risen.is_empty(), "{} refused writes are at {name}: {}", risen.len(), keys(&risen));
    Ok(())
}

fn keys(lines: &[Line]) -> String {
    let some: Vec<String> = lines.iter().take(EXAMPLES).map(|line| line.key()).collect();
    some.join(" ")
}

fn same_everywhere(held: &[(String, Content)]) -> anyhow::Result<()> {
    let Some(((first_name, first), others)) = held.split_first() else { return Ok(()) };
    for (name, content) in others {
        let differs = |key: &&Vec<u8>| first.get(*key) != content.get(*key);
        if let Some(key) = first.keys().chain(content.keys()).find(differs) {
            let key = String::from_utf8_lossy(key);
            bail!("{first_name} and {name} have applied the same entries and differ in {key}");
        }
    }
    Ok(())
}

/// Everything that a node holds, as it is applied there.
fn read_all(address: SocketAddr) -> anyhow::Result<Content> {
    let mut client = Client::connect(address, DIAL, PATIENCE)?;
    ensure!(client.ask(&[b"READONLY"])? == Reply::Simple("OK".to_owned()), "READONLY is refused");
    let mut content = Content::new();
    let mut cursor = b"0".to_vec();
    for _ in 0..SCANS_MAX {
        let (next, keys) = scan(&mut client, &cursor)?;
        content.extend(values(&mut client, keys)?);
        if next == b"0" {
            return Ok(content);
        }
        cursor = next;
    }
    bail!("SCAN does not end")
}

fn scan(client: &mut Client, cursor: &[u8]) -> anyhow::Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let Reply::Array(reply) = client.ask(&[b"SCAN", cursor, b"COUNT", KEYS.as_bytes()])? else {
        bail!("SCAN is not answered with an array");
    };
    let [Reply::Value(Some(next)), Reply::Array(keys)] = &reply[..] else {
        bail!("SCAN is not answered with a cursor and keys");
    };
    let key = |key: &Reply| match key {
        Reply::Value(Some(key)) => Ok(key.clone()),
        other => bail!("{other:?} is no key"),
    };
    Ok((next.clone(), keys.iter().map(key).collect::<anyhow::Result<_>>()?))
}

fn values(client: &mut Client, keys: Vec<Vec<u8>>) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    words.extend(keys.iter().map(Vec::as_slice));
    let Reply::Array(values) = client.ask(&words)? else { bail!("MGET is refused") };
    ensure!(values.len() == keys.len(), "MGET answers for other keys");
    let pair = |(key, value)| match value {
        Reply::Value(Some(value)) => Ok((key, value)),
        other => bail!("a key that SCAN told is {other:?}"),
    };
    keys.into_iter().zip(values).map(pair).collect()
}

/// What no process may say.
pub(super) fn logs(nodes: &[Node]) -> anyhow::Result<()> {
    for node in nodes {
        let text = fs::read(node.log())?;
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = text.lines().find(|line| is_alarming(line)) {
            bail!("{} says: {line}", node.name());
        }
    }
    Ok(())
}

fn is_alarming(line: &str) -> bool {
    ["panicked at", "BUG", "invariant"].iter().any(|word| line.contains(word))
}

/// Processes that live since `before` hold about what they held then, as soon as they have given up what links that are cut
/// have left half open. How long that took.
pub(super) fn leaks(before: &[Option<Holds>], nodes: &[Node]) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while let Some(leak) = leak(before, nodes) {
        ensure!(begun.elapsed() < SETTLING_BOUND, "after {SETTLING_BOUND:?} {leak}");
        thread::sleep(LOOK);
    }
    Ok(begun.elapsed())
}

fn leak(before: &[Option<Holds>], nodes: &[Node]) -> Option<String> {
    let compared = before.iter().zip(nodes).find_map(|(before, node)| {
        let (before, now) = ((*before)?, node.holds()?);
        (before.process == now.process && now.is_far_beyond(before)).then_some((node, before, now))
    });
    compared.map(|(node, before, now)| format!("{} held {before:?}, and now {now:?}", node.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(pairs: &[(&str, &[u8])]) -> Content {
        pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
    }

    fn ledger() -> (Ledger, Line, Line) {
        let (acked, refused) = (Line::new(0, 1), Line::new(1, 2));
        (Ledger { acked: vec![acked], refused: vec![refused], unknown: Vec::new() }, acked, refused)
    }

    #[test]
    fn a_lost_write_a_changed_one_and_a_risen_one_are_found() {
        let (ledger, acked, refused) = ledger();
        let (good, other) = (acked.value(false), refused.value(false));
        let held = content(&[(&acked.key(), &good)]);
        assert!(ledger_holds("n1", &held, &ledger).is_ok());
        let told = |held: Content| ledger_holds("n1", &held, &ledger).unwrap_err().to_string();
        assert!(told(content(&[])).starts_with("LOST"));
        assert!(told(content(&[(&acked.key(), &other)])).starts_with("LOST"));
        let risen = content(&[(&acked.key(), &good), (&refused.key(), &other)]);
        assert!(told(risen).contains("refused"));
    }

    #[test]
    fn nodes_that_differ_are_found_whichever_of_them_has_more() {
        let (less, more) = (content(&[("a", b"1")]), content(&[("a", b"1"), ("b", b"2")]));
        let held = |a: &Content, b: &Content| {
            same_everywhere(&[("n1".to_owned(), a.clone()), ("n2".to_owned(), b.clone())])
        };
        assert!(held(&less, &less).is_ok());
        assert!(held(&less, &more).is_err() && held(&more, &less).is_err());
        assert!(held(&less, &content(&[("a", b"2")])).is_err());
    }

    #[test]
    fn a_panic_in_a_log_is_alarming() {
        assert!(is_alarming("thread 'applier' panicked at src/x.rs:1:1:"));
        assert!(!is_alarming("INFO rep_env: event node=n1 Crowned { term: t2 }"));
    }
}
