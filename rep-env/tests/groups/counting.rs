//! Many read, add and write at once, while masters come and go.

use crate::world::{BOTH, Net, World, eventually, get, view_at};
use rep_env::{Error, NodeState, ReplicatedEnvironment, Verdict};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What all of them were told.
#[derive(Default)]
struct Told {
    /// The values of acknowledged increments.
    made: Vec<u64>,
    unknown: u64,
}

enum Step {
    Made(u64),
    Refused,
    Unknown,
}

/// Adds one, in a transaction that reads what is not durable yet.
fn add_one(env: &ReplicatedEnvironment) -> Step {
    let begun = (|| {
        let mut txn = env.begin()?;
        let accounts = env.database("accounts");
        let old = txn.get(&accounts, b"sum")?.map_or(0, |old| number(&old));
        txn.put(&accounts, b"sum", (old + 1).to_string().as_bytes())?;
        Ok::<_, Error>((txn.commit()?, old + 1))
    })();
    let Ok((handle, value)) = begun else { return Step::Refused };
    match handle.wait() {
        Ok(_) => Step::Made(value),
        Err(error) if matches!(error.verdict(), Verdict::OutcomeUnknown(_)) => Step::Unknown,
        Err(_) => Step::Refused,
    }
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

type Envs = Mutex<Vec<Option<ReplicatedEnvironment>>>;

fn lose_the_master(world: &mut World, master: usize, envs: &Envs) {
    if world.net == Net::Memory {
        world.hub.crash(&rep_env::net::Address::new(world.address(master)));
    }
    envs.lock().unwrap()[master] = None;
    world.close(master);
    envs.lock().unwrap()[master] = Some(world.open(master));
}

/// The master gives up, and may be elected again: what it had begun in its first term is void, or its own inheritance.
fn lose_the_others(
    world: &mut World,
    master: usize,
    others: impl Iterator<Item = usize> + Clone,
    envs: &Envs,
) {
    for at in others.clone() {
        envs.lock().unwrap()[at] = None;
        world.close(at);
    }
    let env = world.env(master);
    eventually("its end", || (env.state() != NodeState::Master).then_some(()));
    for at in others {
        envs.lock().unwrap()[at] = Some(world.open(at));
    }
}

/// No two acknowledged increments may have the same value: the later one would have been built on a write that was void.
/// And the sum is what was acknowledged, plus some of what is unknown.
#[test]
fn increments_are_counted_once_and_never_without_being_acknowledged_or_unknown() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        world.put("other", "0");
        let (told, stop) = (Mutex::new(Told::default()), AtomicBool::new(false));
        let envs = Mutex::new(world.envs.clone());
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let env = envs
                            .lock()
                            .unwrap()
                            .iter()
                            .flatten()
                            .find(|env| env.state() == NodeState::Master)
                            .cloned();
                        let Some(env) = env else {
                            thread::yield_now();
                            continue;
                        };
                        match add_one(&env) {
                            Step::Made(value) => told.lock().unwrap().made.push(value),
                            Step::Unknown => told.lock().unwrap().unknown += 1,
                            Step::Refused => thread::yield_now(),
                        }
                    }
                });
            }
            for round in 0..4 {
                let goal = told.lock().unwrap().made.len() + 100;
                eventually("increments", || {
                    (told.lock().unwrap().made.len() >= goal).then_some(())
                });
                let master = world.master();
                if round % 2 == 0 {
                    lose_the_master(&mut world, master, &envs);
                } else {
                    let others = (0..3).filter(|at| *at != master);
                    lose_the_others(&mut world, master, others, &envs);
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        envs.lock().unwrap().clear();
        let told = told.into_inner().unwrap();
        let token = world.put("other", "1");
        let sum = get(&view_at(world.env(0), token), "sum").unwrap();
        let sum = number(sum.as_bytes());
        let made: BTreeSet<u64> = told.made.iter().copied().collect();
        assert_eq!(made.len(), told.made.len(), "a value was made twice");
        let least = made.len() as u64;
        assert!((least..=least + told.unknown).contains(&sum), "{sum}: {least} + {}", told.unknown);
    }
}
