//! The thread that asks to be admitted: again and again, until this node is a member or is closed.
//!
//! Who is asked and is not the master says who is. Whoever refuses may take this node a moment later (its old directory may still
//! count as heard, a master may just be elected), so a refusal is told to the log and to whoever asks for the status, and the
//! next attempt comes after a pause.

use super::home;
use super::inbox::Input;
use super::peers::Context;
use crate::error::Error;
use crate::join::{Answered, JoinClient, Wish};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Members that may send this node on to another one in one attempt.
const SENT_ON_MAX: usize = 3;
/// The shortest and the longest pause between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Begins to ask those who listen at these addresses.
pub(super) fn begin(context: &Arc<Context>, wish: Wish, helpers: Vec<String>) {
    let helpers: Vec<String> =
        helpers.into_iter().filter(|helper| *helper != wish.address).collect();
    let why = match helpers.is_empty() {
        true => "it waits to be added to a group: see `rep add`",
        false => "it asks to be admitted",
    };
    tracing::info!(node = %context.shared.name, "{why}");
    *context.shared.joining.lock() = Some(why.to_owned());
    if helpers.is_empty() {
        return;
    }
    let asker = Asker { context: Arc::clone(context), wish };
    let started = context.threads.start("rep-join", move || asker.run(&helpers));
    if let Err(error) = started {
        context.shared.fail(format!("there is no thread to join a group with: {error}"));
    }
}

struct Asker {
    context: Arc<Context>,
    wish: Wish,
}

impl Asker {
    fn run(&self, helpers: &[String]) {
        let mut pause = PAUSE_MIN;
        for helper in helpers.iter().cycle() {
            if !self.is_wanted() {
                return;
            }
            match self.attempt(helper) {
                Ok(Answered::Admitted(membership))
                    if membership.of_incarnation(self.wish.incarnation).is_none() =>
                {
                    self.tell(format!("{helper} admits somebody else"));
                }
                Ok(Answered::Admitted(membership)) => {
                    let input = Input::Admitted { membership, answer: None };
                    return self.context.shared.inbox.control(input);
                }
                Ok(Answered::AskMaster(master)) => {
                    self.tell(format!("the members send on to each other, to {master} last"));
                }
                Ok(Answered::Refused(why)) => self.tell(format!("{helper} says: {why}")),
                Err(error) => self.tell(error.to_string()),
            }
            self.rest(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Asks one member, and wherever it is sent on to from there.
    fn attempt(&self, helper: &str) -> Result<Answered, Error> {
        let mut answered = self.ask(helper)?;
        for _ in 0..SENT_ON_MAX {
            match answered {
                Answered::AskMaster(master) => answered = self.ask(&master.address)?,
                Answered::Admitted(_) | Answered::Refused(_) => break,
            }
        }
        Ok(answered)
    }

    fn ask(&self, address: &str) -> Result<Answered, Error> {
        let shared = &self.context.shared;
        let transport = &*self.context.transport;
        let patience = shared.timing.dial_timeout;
        let me = (&*shared.group_name, &*shared.name);
        JoinClient::connect(transport, me, address, patience)?
            .join(self.wish.clone(), &|| !self.is_wanted())
    }

    /// Up to half as long again, so that many who join do not ask in step; shorter if all is over.
    fn rest(&self, pause: Duration) {
        let chance = home::random::<1>().map_or(0, |[byte]| u32::from(byte));
        let until = Instant::now() + pause + pause * chance / 512;
        let bell = &self.context.shared.bell;
        while Instant::now() < until && self.is_wanted() {
            let heard = bell.heard();
            if self.is_wanted() {
                bell.wait(heard, until);
            }
        }
    }

    fn is_wanted(&self) -> bool {
        let shared = &self.context.shared;
        shared.check_open().is_ok() && shared.joining.lock().is_some()
    }

    fn tell(&self, why: String) {
        let shared = &self.context.shared;
        // Meanwhile it may have become a member in another way: then it has nothing to tell.
        if let Some(told) = &mut *shared.joining.lock()
            && *told != why
        {
            tracing::info!(node = %shared.name, %why, "not admitted yet");
            *told = why;
        }
    }
}
