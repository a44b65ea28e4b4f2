//! The readable specification: `tests/scripts/*.txt`, each a story. Lines that begin with `> ` are
//! commands, what follows is everything that the cores did, and the rest is prose. `UPDATE_SCRIPTS=1 cargo
//! test -p rep-election --test scripted` writes the traces anew; read the difference before believing it.
//!
//! Commands: `nodes N [unborn]`, `spare nX` (another node, of no group), `log nX TERM...` (`TERM:1,2+3`: an entry that says
//! that n1 and n2 are the voters and n3 is a learner), `crash nX [unseen]`, `start nX`, `wipe nX`, `cut nX nY`
//! (one way), `heal`, `mute nX` (crowned, it says nothing), `speak nX`, `disk nX MS` (its fence takes so
//! long), `lose nX` (its master's redial was refused), `run MS`, `until served`, `state`.

#[path = "support/world.rs"]
#[allow(dead_code)]
mod world;

use rep_election::{Electorate, Voter};
use rep_vlsn::{GroupId, LogPoint, NodeId, Term, Vlsn};
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;
use world::{Entry, World, incarnation, ms, node};

#[test]
fn every_script_tells_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "the scripts are there");
    for path in paths {
        check(&path);
    }
}

fn check(path: &Path) {
    let told = std::fs::read_to_string(path).unwrap();
    let happened = replay(&told);
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        return std::fs::write(path, happened).unwrap();
    }
    for (number, (told, happened)) in told.lines().zip(happened.lines()).enumerate() {
        assert_eq!(told, happened, "{}:{}", path.display(), number + 1);
    }
    assert_eq!(told.len(), happened.len(), "{} is as long as its trace", path.display());
}

/// The script with its traces as they are now.
fn replay(script: &str) -> String {
    let mut world = None;
    let mut out = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            run(&mut world, command, &mut out);
        } else if line.is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

fn run(world: &mut Option<World>, command: &str, out: &mut String) {
    let words: Vec<&str> = command.split_whitespace().collect();
    if let ["nodes", size, rest @ ..] = &words[..] {
        *world = Some(World::traced(size.parse().unwrap(), *rest != ["unborn"]));
    }
    let world = world.as_mut().expect("`nodes` comes first");
    obey(world, &words, out);
    out.push_str(&std::mem::take(world.trace.as_mut().unwrap()));
}

fn obey(world: &mut World, words: &[&str], out: &mut String) {
    match words {
        ["nodes", ..] => {}
        ["spare", id] => world.spare(the(id)),
        ["log", id, terms @ ..] => {
            let log = terms.iter().enumerate().map(|(before, text)| entry(before, text));
            world.set_log(the(id), log.collect());
        }
        ["crash", id] => world.crash(the(id), false),
        ["crash", id, "unseen"] => world.crash(the(id), true),
        ["start", id] => world.start(the(id)),
        ["wipe", id] => world.wipe(the(id)),
        ["cut", from, to] => drop(world.cut.insert((the(from), the(to)))),
        ["heal"] => world.cut.clear(),
        ["mute", id] => world.nodes.get_mut(&the(id)).unwrap().mute = true,
        ["speak", id] => world.nodes.get_mut(&the(id)).unwrap().mute = false,
        ["disk", id, sync] => {
            world.nodes.get_mut(&the(id)).unwrap().fence_sync = Some(ms(sync.parse().unwrap()));
        }
        ["lose", id] => world.call(the(id), |core, now, _| core.lose_master(now)),
        ["run", span] => world.run_for(ms(span.parse().unwrap())),
        ["until", "served"] => world.run_until(ms(10_000), World::is_served),
        ["state"] => state(world, out),
        other => panic!("no such command: {other:?}"),
    }
}

/// The entry written like that, with so many before it.
fn entry(before: usize, text: &str) -> Entry {
    let (term, members) = text.split_once(':').map_or((text, None), |(t, m)| (t, Some(m)));
    let term = Term::new(term.parse().unwrap());
    let at = LogPoint::new(term, Vlsn::new(before as u64 + 1));
    Entry { term, membership: members.map(|members| Rc::new(membership(at, members))) }
}

fn membership(at: LogPoint, text: &str) -> Electorate {
    let (voters, learners) = text.split_once('+').unwrap_or((text, ""));
    let numbers = |text: &str| {
        let numbers = text.split(',').filter(|number| !number.is_empty());
        numbers.map(|number| node(number.parse().unwrap())).collect::<Vec<_>>()
    };
    let voters = numbers(voters).into_iter().map(|id| (id, Voter::known(incarnation(id))));
    let learners = numbers(learners).into_iter().map(|id| (id, incarnation(id)));
    Electorate::majority(GroupId([9; 16]), at, voters.collect()).with_learners(learners.collect())
}

fn the(id: &str) -> NodeId {
    node(
        id.strip_prefix('n').and_then(|number| number.parse().ok()).expect("a node is n1, n2, ..."),
    )
}

fn state(world: &World, out: &mut String) {
    for member in world.nodes.values() {
        write!(out, "n{} ", member.id.get()).unwrap();
        let Some(core) = &member.core else {
            writeln!(out, "is down").unwrap();
            continue;
        };
        let status = core.status();
        write!(out, "{:?} fence {}", status.phase, status.fence.term).unwrap();
        if let Some((term, master)) = status.followed {
            write!(out, " followed n{} in {term}", master.get()).unwrap();
        }
        for (by, reason) in &status.refused_by {
            write!(out, ", refused by n{}: {reason:?}", by.get()).unwrap();
        }
        for (who, reason) in &status.refused {
            write!(out, ", refuses n{}: {reason:?}", who.get()).unwrap();
        }
        writeln!(out).unwrap();
    }
}
