//! Endpoints of a mesh: their ends, in every order in which those who go, come and wait could meet.
//!
//! `cargo xtask loom` runs them. What they hand on lies in the queue, which has models of its own (`loom_queue.rs`).
#![cfg(rep_loom)]

use rep_explore::{break_line, explore, never, thread};
use rep_net::Bytes;
use rep_net::mesh::{Endpoint, EndpointError, Mesh};

fn connected(mesh: &Mesh<u8>, key: u8) -> Endpoint<u8> {
    let source = mesh.create(key).unwrap();
    mesh.connect(&key, &0).unwrap();
    source
}

/// Two that say a word each and go; the one that listens hears both, and then the end, again and again.
#[test]
fn loom_what_was_sent_is_heard_before_the_end() {
    explore(|| {
        let mesh = Mesh::with_capacity(1);
        let sink = mesh.create(0).unwrap();
        let sources = [1, 2].map(|key| connected(&mesh, key));
        let going = sources.map(|source| {
            thread::spawn(move || source.send(&0, Bytes::from_static(b"word")).unwrap())
        });
        let mut heard: Vec<u8> =
            (0..2).map(|_| sink.receive(never()).unwrap().unwrap().0).collect();
        heard.sort_unstable();
        assert_eq!(heard, [1, 2]);
        assert!(sink.receive(never()).is_err() && sink.receive(never()).is_err());
        going.into_iter().for_each(|source| source.join().unwrap());
    });
}

/// One goes while another is connected: that is too late, or it is heard.
fn who_is_connected_is_heard() {
    let mesh = Mesh::new();
    let sink = mesh.create(0).unwrap();
    let (first, late) = (connected(&mesh, 1), mesh.create(2).unwrap());
    let going = thread::spawn(move || drop(first));
    match mesh.connect(&2, &0) {
        Ok(()) => {
            late.send(&0, Bytes::from_static(b"word")).expect("it is connected");
            assert_eq!(sink.receive(never()).unwrap().unwrap().0, 2);
        }
        Err(error) => {
            assert_eq!(error, EndpointError::Closed(0));
            assert!(sink.receive(never()).is_err());
        }
    }
    going.join().unwrap();
}

#[test]
fn loom_a_connection_meets_the_end_and_is_before_it_or_refused() {
    explore(who_is_connected_is_heard);
}

#[test]
#[should_panic(expected = "it is connected")]
fn loom_twin_a_connection_that_is_made_after_the_end_is_found() {
    break_line("mesh-end-is-not-the-end");
    explore(who_is_connected_is_heard);
}

/// One that is dropped wakes who waits to send to it.
#[test]
fn loom_who_waits_to_send_to_one_that_goes_is_told() {
    explore(|| {
        let mesh = Mesh::with_capacity(1);
        let (sink, source) = (mesh.create(0).unwrap(), connected(&mesh, 1));
        source.send(&0, Bytes::from_static(b"fills it")).unwrap();
        let waiting = thread::spawn(move || source.send(&0, Bytes::from_static(b"waits")));
        drop(sink);
        assert_eq!(waiting.join().unwrap(), Err(EndpointError::Closed(0)));
    });
}
