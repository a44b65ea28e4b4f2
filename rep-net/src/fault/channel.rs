//! A channel in bad weather.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::fate::Fate;
use super::{Direction, Event, Faults, What};
use crate::channel::{Channel, Peer, TrySent};
use crate::error::NetError;
use crate::hello::Hello;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::transport::Address;
use crate::turn::Turn;

#[derive(Debug)]
pub(super) struct FaultyChannel {
    channel: Arc<dyn Channel>,
    faults: Arc<Faults>,
    address: Address,
    service: String,
    /// The how manieth channel it is to that address for that service.
    number: u64,
    closed: AtomicBool,
    /// How many frames have been sent; whoever has it sends.
    sent: Mutex<u64>,
    /// What has been received; one receiver at a time.
    received: Turn<Received>,
}

#[derive(Debug, Default)]
struct Received {
    frames: u64,
    /// One that has come and is not given out yet.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    frame: Bytes,
    due: Instant,
    doubled: bool,
}

impl FaultyChannel {
    pub(super) fn new(
        channel: Arc<dyn Channel>,
        faults: Arc<Faults>,
        address: &Address,
        hello: &Hello,
    ) -> Self {
        let key = (address.clone(), hello.service.clone());
        let number = {
            let mut state = faults.state.lock();
            let dialled = state.dialled.entry(key).or_default();
            *dialled += 1;
            *dialled - 1
        };
        Self {
            channel,
            faults,
            address: address.clone(),
            service: hello.service.clone(),
            number,
            closed: AtomicBool::new(false),
            sent: Mutex::new(0),
            received: Turn::new(Received::default()),
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn fate(&self, direction: Direction, frame: u64) -> Fate {
        let weather = &self.faults.weather;
        let seed = weather.seed_of(&self.address, &self.service, self.number, direction);
        weather.fate(seed, frame)
    }

    fn note(&self, direction: Direction, frame: u64, fate: &Fate) {
        let delayed = (!fate.delay.is_zero()).then_some(What::Delayed(fate.delay));
        let Some(what) = fate.what.or(delayed) else { return };
        let (address, service) = (self.address.clone(), self.service.clone());
        self.faults.note(Event { address, service, channel: self.number, direction, frame, what });
    }

    /// Waits until a frame may go that way; false if the deadline passes first. Who closes waits for nothing.
    fn pass(&self, direction: Direction, deadline: Option<Instant>) -> bool {
        let may_pass =
            |state: &super::State| self.is_closed() || !state.is_cut(&self.address, direction);
        self.faults.wait_until(deadline, may_pass)
    }

    /// Waits until then; false if the deadline comes first. Who closes waits for nothing.
    fn wait_until_due(&self, due: Instant, deadline: Option<Instant>) -> bool {
        let first = deadline.map_or(due, |deadline| deadline.min(due));
        self.faults.wait_until(Some(first), |_| self.is_closed() || Instant::now() >= due)
            || Instant::now() >= due
    }

    fn check_length(&self, parts: &[Bytes]) -> Result<(), NetError> {
        let bytes = parts.iter().map(Bytes::len).sum();
        let bytes_max = self.frame_bytes_max();
        match bytes > bytes_max {
            true => Err(NetError::FrameTooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    fn receive_with(
        &self,
        received: &mut Received,
        deadline: Instant,
    ) -> Result<Option<Bytes>, NetError> {
        while received.held.is_none() {
            if !self.pass(Direction::In, Some(deadline)) {
                return Ok(None);
            }
            let Some(frame) = self.channel.receive(deadline)? else { return Ok(None) };
            received.take_in(self, frame);
        }
        let due = received.held.as_ref().map_or_else(Instant::now, |held| held.due);
        if !self.wait_until_due(due, Some(deadline)) || !self.pass(Direction::In, Some(deadline)) {
            return Ok(None);
        }
        Ok(received.give_out())
    }
}

impl Received {
    fn take_in(&mut self, channel: &FaultyChannel, frame: Bytes) {
        let fate = channel.fate(Direction::In, self.frames);
        channel.note(Direction::In, self.frames, &fate);
        self.frames += 1;
        if fate.what != Some(What::Lost) {
            let doubled = fate.what == Some(What::Doubled);
            self.held = Some(Held { frame, due: Instant::now() + fate.delay, doubled });
        }
    }

    fn give_out(&mut self) -> Option<Bytes> {
        let held = self.held.take()?;
        if held.doubled {
            self.held = Some(Held { frame: held.frame.clone(), doubled: false, ..held });
        }
        Some(held.frame)
    }
}

impl Channel for FaultyChannel {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.send_parts(std::slice::from_ref(&frame))
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        self.check_length(parts)?;
        let mut sent = self.sent.lock();
        let fate = self.fate(Direction::Out, *sent);
        if !fate.delay.is_zero() {
            self.wait_until_due(Instant::now() + fate.delay, None);
        }
        self.pass(Direction::Out, None);
        match fate.what {
            // As if it were sent: whoever is closed or lost says so.
            Some(What::Lost) => self.channel.flush()?,
            Some(What::Doubled) => {
                self.channel.send_parts(parts)?;
                self.channel.send_parts(parts)?;
            }
            Some(What::Delayed(_)) | None => self.channel.send_parts(parts)?,
        }
        self.note(Direction::Out, *sent, &fate);
        *sent += 1;
        Ok(())
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        let Some(mut sent) = self.sent.try_lock() else { return Ok(TrySent::NotNow) };
        let fate = self.fate(Direction::Out, *sent);
        let happens = fate.what.is_some() || !fate.delay.is_zero();
        // What happens to it takes time, or more than one frame.
        if happens || self.faults.state.lock().is_cut(&self.address, Direction::Out) {
            return Ok(TrySent::NotNow);
        }
        let tried = self.channel.try_send_parts(parts)?;
        *sent += u64::from(tried != TrySent::NotNow);
        Ok(tried)
    }

    fn flush(&self) -> Result<(), NetError> {
        let _turn = self.sent.lock();
        self.pass(Direction::Out, None);
        self.channel.flush()
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        let Some(mut received) = self.received.take(deadline) else { return Ok(None) };
        let frame = self.receive_with(&mut received, deadline);
        self.received.give_back(received);
        frame
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.channel.close();
        self.faults.tell();
    }

    fn peer(&self) -> &Peer {
        self.channel.peer()
    }

    fn frame_bytes_max(&self) -> usize {
        self.channel.frame_bytes_max()
    }
}

impl Drop for FaultyChannel {
    fn drop(&mut self) {
        self.close();
    }
}
