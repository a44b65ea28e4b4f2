//! Bad weather: it happens as the seed says, a cut ends with its handle, and the contract holds in what weather can hold it.
#![cfg(not(rep_loom))]

mod common;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Party, hello, soon};
use rep_net::fault::{Cut, Direction, Event, Faults, Weather, What};
use rep_net::mem::Hub;
use rep_net::{
    Bytes, Channel, DialError, Limits, NetError, TcpTransport, Transport, TrySent, contract,
};

/// Frames that come a little late, each as its seed says.
fn breeze() -> Arc<Faults> {
    Faults::new(Weather::calm(3).delay_max(Duration::from_micros(50)))
}

fn keeps_the_contract(listening: &dyn Transport, address: &str, dialling: Arc<dyn Transport>) {
    let faults = breeze();
    let party = Party::new(listening, address, faults.around(dialling));
    contract::channel(|| party.connect());
    contract::channel(|| {
        let (dialled, accepted) = party.connect();
        (accepted, dialled)
    });
    assert!(!faults.trace().is_empty(), "nothing was delayed");
}

/// Few bytes at a time, so that not so many frames are needed to fill what lies between.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.frame_bytes_max = 1 << 20;
    limits
}

#[test]
fn a_hub_in_bad_weather_keeps_the_contract() {
    let hub = Hub::default();
    keeps_the_contract(&*hub.transport(), "n1", hub.transport());
}

#[test]
fn tcp_in_bad_weather_keeps_the_contract() {
    let tcp = TcpTransport::new(limits());
    keeps_the_contract(&tcp, "127.0.0.1:0", Arc::new(tcp.clone()));
}

#[cfg(feature = "tls")]
#[test]
fn tls_in_bad_weather_keeps_the_contract() {
    let (n1, n2) = common::tls::pair(&limits());
    keeps_the_contract(&n1, "127.0.0.1:0", Arc::new(n2));
}

#[cfg(feature = "quic")]
#[test]
fn quic_in_bad_weather_keeps_the_contract() {
    let (n1, n2) = common::tls::quic_pair(&limits());
    keeps_the_contract(&n1, "127.0.0.1:0", Arc::new(n2));
}

/// n1 at a hub, dialled through weather.
fn through(weather: Weather) -> (Arc<Faults>, Party) {
    let (hub, faults) = (Hub::default(), Faults::new(weather));
    let party = Party::new(&*hub.transport(), "n1", faults.around(hub.transport()));
    (faults, party)
}

fn number(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

/// What comes out of that end until it is closed.
fn all(end: &dyn Channel) -> Vec<u32> {
    let mut numbers = Vec::new();
    loop {
        match end.receive(soon()) {
            Ok(Some(frame)) => numbers.push(u32::from_le_bytes((&*frame).try_into().unwrap())),
            Ok(None) => panic!("nothing came any more"),
            Err(error) => {
                assert_eq!(error, NetError::Closed);
                return numbers;
            }
        }
    }
}

/// What happened to 500 frames each way, and what of them came out at either end.
fn run(seed: u64) -> (Vec<Event>, Vec<u32>, Vec<u32>) {
    let weather = Weather::calm(seed).lost_per_thousand(100).doubled_per_thousand(100);
    let (faults, party) = through(weather.delay_max(Duration::from_micros(20)));
    let (left, right) = party.connect();
    let outcome = thread::scope(|scope| {
        let at_right = scope.spawn(|| {
            (0..500).for_each(|at| left.send(number(at)).unwrap());
            left.send(number(u32::MAX)).unwrap();
        });
        (0..500).for_each(|at| right.send(number(at)).unwrap());
        at_right.join().unwrap();
        right.close();
        (all(&*left), all(&*right))
    });
    (faults.trace(), outcome.0, outcome.1)
}

#[test]
fn the_same_seed_does_the_same_and_another_does_something_else() {
    let first = run(1);
    assert_eq!(first, run(1));
    let other = run(2);
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
}

/// Order is promised within a channel and nowhere else, so that is where weather keeps it.
#[test]
fn frames_of_different_channels_change_places_and_those_of_one_never_do() {
    let arrivals = |weather: Weather| {
        let (_, party) = through(weather);
        let channels: Vec<_> = (0..6).map(|_| party.connect()).collect();
        // Each round goes over all channels, in their order, before the next does.
        for at in 0..6 {
            channels.iter().for_each(|(_, right)| right.send(number(at)).unwrap());
        }
        let (mut came, mut next) = (Vec::new(), [0; 6]);
        while came.len() < 36 {
            for (channel, (left, _)) in channels.iter().enumerate() {
                if let Some(frame) = left.receive(Instant::now()).unwrap() {
                    assert_eq!(frame, number(next[channel]));
                    came.push((next[channel], channel));
                    next[channel] += 1;
                }
            }
        }
        came
    };
    assert!(arrivals(Weather::calm(4)).is_sorted());
    let delayed = arrivals(Weather::calm(4).delay_max(Duration::from_millis(20)));
    assert!(!delayed.is_sorted(), "nobody overtook anybody: {delayed:?}");
}

#[test]
fn what_the_trace_says_is_what_came_out() {
    let (trace, at_left, at_right) = run(7);
    for (direction, came) in [(Direction::In, at_left), (Direction::Out, at_right)] {
        let what = |at: u32| {
            let event = trace.iter().find(|event| {
                (event.direction, event.frame) == (direction, u64::from(at))
                    && !matches!(event.what, What::Delayed(_))
            });
            event.map(|event| event.what)
        };
        let expected: Vec<u32> = (0..500)
            .flat_map(|at| match what(at) {
                Some(What::Lost) => vec![],
                Some(What::Doubled) => vec![at, at],
                _ => vec![at],
            })
            .collect();
        let came: Vec<u32> = came.into_iter().filter(|number| *number < 500).collect();
        assert_eq!(came, expected, "{direction:?}");
        assert!(came.len() > 300);
    }
}

#[test]
fn a_delay_keeps_a_frame_for_so_long_and_a_deadline_still_holds() {
    let (_, party) = through(Weather::calm(5).delay_max(Duration::from_secs(3600)));
    let hour = Duration::from_secs(600);
    // Whichever of these has a long delay: most have.
    let (left, right) = party.connect();
    right.send(number(1)).unwrap();
    assert_eq!(left.receive(Instant::now() + Duration::from_millis(20)), Ok(None));
    // Whoever closes waits for nothing: what has come is given out.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| left.receive(Instant::now() + hour));
        let sending = scope.spawn(|| left.send(number(2)));
        right.send(number(3)).unwrap();
        left.close();
        assert_eq!(waiting.join().unwrap(), Ok(Some(number(1))));
        assert_eq!(sending.join().unwrap(), Err(NetError::Closed));
    });
}

fn nothing_comes(end: &dyn Channel) {
    assert_eq!(end.receive(Instant::now() + Duration::from_millis(30)), Ok(None));
}

#[test]
fn a_cut_holds_up_both_ways_until_it_is_dropped_and_nothing_is_missing_then() {
    let (faults, party) = through(Weather::calm(1));
    let (left, right) = party.connect();
    let cut: Cut = faults.cut(party.address());
    assert_eq!(left.try_send_parts(&[number(0)]), Ok(TrySent::NotNow));
    thread::scope(|scope| {
        let sending = scope.spawn(|| (0..10).for_each(|at| left.send(number(at)).unwrap()));
        (0..10).for_each(|at| right.send(number(at)).unwrap());
        nothing_comes(&*left);
        nothing_comes(&*right);
        let late = Instant::now() + Duration::from_millis(30);
        let refused = party.dialler.dial(party.address(), &hello(), late).unwrap_err();
        assert!(matches!(refused, DialError::TimedOut { .. }), "{refused}");
        drop(cut);
        for end in [&left, &right] {
            for at in 0..10 {
                assert_eq!(end.receive(soon()).unwrap().unwrap(), number(at));
            }
        }
        sending.join().unwrap();
    });
    party.connect();
}

#[test]
fn one_direction_is_cut_alone_and_another_address_not_at_all() {
    let (faults, party) = through(Weather::calm(1));
    let (left, right) = party.connect();
    let _elsewhere = faults.cut(&"n9".into());
    let back = faults.cut_one_way(party.address(), Direction::In);
    left.send(number(1)).unwrap();
    assert_eq!(right.receive(soon()).unwrap().unwrap(), number(1));
    right.send(number(2)).unwrap();
    nothing_comes(&*left);
    drop(back);
    assert_eq!(left.receive(soon()).unwrap().unwrap(), number(2));
    let there = faults.cut_one_way(party.address(), Direction::Out);
    right.send(number(3)).unwrap();
    assert_eq!(left.receive(soon()).unwrap().unwrap(), number(3));
    thread::scope(|scope| {
        let sending = scope.spawn(|| left.send(number(4)));
        nothing_comes(&*right);
        drop(there);
        assert_eq!(right.receive(soon()).unwrap().unwrap(), number(4));
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn who_waits_in_a_cut_can_close() {
    let (faults, party) = through(Weather::calm(1));
    let (left, _right) = party.connect();
    let _cut = faults.cut(party.address());
    thread::scope(|scope| {
        let sending = scope.spawn(|| left.send(number(1)));
        let receiving = scope.spawn(|| left.receive(soon()));
        left.close();
        assert_eq!(sending.join().unwrap(), Err(NetError::Closed));
        assert_eq!(receiving.join().unwrap(), Err(NetError::Closed));
    });
}
