//! The group that the demo plays with.

use super::home::TempHome;
#[cfg(feature = "tls")]
use super::node::Certs;
use super::node::{How, Place, Running};
use super::ports::{self, Held};
use super::story::Story;
use super::{Patience, Transport};
use crate::status::Told;
#[cfg(feature = "tls")]
use crate::trust;
use anyhow::Context;
use rep_env::admin::{AppliedDigest, StatusReport};
use rep_env::net::mem::Hub;
use std::fmt;

/// Members, dead or alive, and the directory that all of them live in. Dropped, all of it is gone.
#[derive(Debug)]
pub(super) struct Group {
    // Before the home: what runs ends before its directory goes.
    running: Vec<Option<Running>>,
    places: Vec<Place>,
    members: Vec<String>,
    how: How,
    home: TempHome,
    /// What keeps the ports for the members.
    _held: Vec<Held>,
}

impl Group {
    pub(super) fn start(count: usize, transport: Transport, keep: bool) -> anyhow::Result<Self> {
        let home = TempHome::new().context("no place for the members' homes")?;
        let held = ports::hold(2 * count)?;
        let mut addresses: Vec<String> = held.iter().map(Held::address).collect();
        let resp = addresses.split_off(count);
        let (how, addresses) = match transport {
            Transport::Tcp => (How::Processes { orphans: keep, certs: None }, addresses),
            #[cfg(feature = "tls")]
            Transport::Tls => {
                let certs = Some(Certs::make(&home, count, trust::Transport::Tls)?);
                (How::Processes { orphans: keep, certs }, addresses)
            }
            #[cfg(feature = "quic")]
            Transport::Quic => {
                let certs = Some(Certs::make(&home, count, trust::Transport::Quic)?);
                (How::Processes { orphans: keep, certs }, addresses)
            }
            Transport::Memory => {
                let places = (1..=count).map(|number| format!("place-{number}"));
                (How::Threads(Hub::default()), places.collect())
            }
        };
        let places: Vec<Place> = addresses
            .into_iter()
            .zip(resp)
            .enumerate()
            .map(|(at, (address, resp))| Place::new(at + 1, address, resp, &home))
            .collect();
        let members = places.iter().map(Place::member).collect();
        let running = places.iter().map(|_| None).collect();
        let mut group = Group { running, places, members, how, home, _held: held };
        (0..count).try_for_each(|at| group.start_again(at))?;
        Ok(group)
    }

    pub(super) fn name(&self, at: usize) -> &str {
        &self.places[at].name
    }

    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn resp_addresses(&self) -> Vec<String> {
        self.places.iter().map(|place| place.resp.clone()).collect()
    }

    pub(super) fn status(&self, at: usize) -> anyhow::Result<StatusReport> {
        self.how.status(&self.places[at])
    }

    pub(super) fn digest(&self, at: usize) -> anyhow::Result<AppliedDigest> {
        self.how.digest(&self.places[at])
    }

    /// Starts a member that does not run.
    pub(super) fn start_again(&mut self, at: usize) -> anyhow::Result<()> {
        let started = self.how.start(&self.places[at], &self.members);
        self.running[at] = Some(started.with_context(|| format!("starting {}", self.name(at)))?);
        Ok(())
    }

    pub(super) fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        match self.running[at].take() {
            Some(running) => running.kill(),
            None => Ok(()),
        }
    }

    pub(super) fn how_it_dies(&self) -> &'static str {
        match self.how {
            How::Processes { .. } => "SIGKILL to the master",
            How::Threads(_) => "cut off at once: the master",
        }
    }

    /// Waits until a member is master and most others follow it. That member, and its term.
    pub(super) fn wait_for_master(&mut self, patience: &Patience) -> anyhow::Result<(usize, u64)> {
        patience.until("a master", || {
            self.check()?;
            Ok((0..self.count()).find_map(|at| {
                // Who does not answer yet, or any more, is not it.
                let report = self.running[at].as_ref().and_then(|_| self.status(at).ok())?;
                (report.state == "master").then_some((at, report.term))
            }))
        })
    }

    pub(super) fn wait_until_it_follows(
        &mut self,
        at: usize,
        patience: &Patience,
    ) -> anyhow::Result<()> {
        patience.until("the one that came back", || {
            self.check()?;
            let report = self.status(at).ok();
            Ok(report.filter(|report| matches!(&*report.state, "replica" | "master")).map(drop))
        })
    }

    /// An error if a member has ended by itself.
    fn check(&mut self) -> anyhow::Result<()> {
        for (place, running) in self.places.iter().zip(&mut self.running) {
            if let Some(running) = running {
                running.check().with_context(|| place.name.clone())?;
            }
        }
        Ok(())
    }

    /// How the members are and what they had to say, for the search after what went wrong.
    pub(super) fn print_accounts(&self) {
        for (at, place) in self.places.iter().enumerate() {
            match self.status(at) {
                Ok(report) => eprintln!("---- {}\n{}", place.name, Told(&report)),
                Err(error) => eprintln!("---- {} tells nothing of itself: {error:#}", place.name),
            }
            eprintln!("---- the last lines of {}\n{}", place.name, place.last_words());
        }
    }

    /// Leaves the group as it is and says how to go on.
    pub(super) fn keep(&mut self, story: &Story, patience: &Patience) -> anyhow::Result<()> {
        story.tell(format_args!("the group goes on:"));
        for place in &self.places {
            let port = place.resp.rsplit_once(':').map_or("", |(_, port)| port);
            println!("    redis-cli -p {port} role          # {}", place.name);
        }
        match self.how {
            How::Processes { .. } => self.leave(),
            How::Threads(_) => {
                println!("    Ctrl-C                          # ends it");
                patience.for_ever();
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        let mut pids = String::new();
        for running in self.running.iter_mut().flatten() {
            let Running::Process(process) = running else { continue };
            if let Some(pid) = process.release() {
                pids.push_str(&format!(" {pid}"));
            }
        }
        self.home.keep();
        let rep = std::env::current_exe().unwrap_or_else(|_| "rep".into());
        let (address, words) = (&self.places[0].address, self.how.words_to_ask());
        println!("    {} status {address}{words}", rep.display());
        println!("    kill{pids}; rm -r {}", self.home.path().display());
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.how {
            How::Processes { .. } => "processes",
            How::Threads(_) => "nodes in this process",
        };
        write!(f, "{} {what}: {}", self.count(), self.members.join(", "))
    }
}
