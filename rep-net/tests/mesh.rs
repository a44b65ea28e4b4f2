//! Meshes in memory: nodes that crash and come back, and endpoints by key.

use bytes::Bytes;
use rep_net::mesh::{EndpointError, Mesh, MeshChannel, MeshError, NodeMesh};
use rep_net::{Channel, Limits, NetError, Peer, TrySent};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn mesh(nodes: usize) -> NodeMesh {
    NodeMesh::new(nodes, Limits::default()).unwrap()
}

fn hears(channel: &dyn Channel, word: &'static str) {
    assert_eq!(channel.receive(soon()).unwrap(), Some(Bytes::from(word)));
}

// ---- nodes ----

/// An end of a channel of which the mesh holds a handle, too: here the last one is ours.
#[derive(Debug)]
struct Last {
    channel: Arc<MeshChannel>,
    _mesh: Arc<NodeMesh>,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.channel.close();
    }
}

impl Channel for Last {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.channel.send(frame)
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        self.channel.send_parts(parts)
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        self.channel.try_send_parts(parts)
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        self.channel.receive(deadline)
    }

    fn close(&self) {
        self.channel.close();
    }

    fn peer(&self) -> &Peer {
        self.channel.peer()
    }

    fn frame_bytes_max(&self) -> usize {
        self.channel.frame_bytes_max()
    }
}

#[test]
fn a_channel_of_a_mesh_keeps_the_contract() {
    rep_net::contract::channel(|| {
        let mesh = Arc::new(mesh(3));
        let end = |from, to| {
            let channel = mesh.try_channel(from, to).unwrap();
            Arc::new(Last { channel, _mesh: Arc::clone(&mesh) })
        };
        (end(2, 0), end(0, 2))
    });
}

#[test]
fn what_no_mesh_has_is_refused_by_name() {
    assert_eq!(NodeMesh::new(0, Limits::default()).unwrap_err(), MeshError::NoNodes);
    let mesh = mesh(2);
    let outside = MeshError::OutOfRange { node: 2, nodes: 2 };
    assert_eq!(mesh.try_channel(0, 2).unwrap_err(), outside);
    assert_eq!(mesh.try_channel(2, 0).unwrap_err(), outside);
    assert_eq!(mesh.try_channel(1, 1).unwrap_err(), MeshError::ToSelf { node: 1 });
    assert_eq!(mesh.simulate_crash(2).unwrap_err(), outside);
    assert_eq!(mesh.reconnect(2).unwrap_err(), outside);
    assert_eq!(mesh.cut(0, 0).unwrap_err(), MeshError::ToSelf { node: 0 });
    assert!(!mesh.is_node_live(2));
}

#[test]
fn a_mesh_of_one_is_live_and_reaches_nobody() {
    let mesh = mesh(1);
    assert!(mesh.is_node_live(0));
    assert_eq!(mesh.try_channel(0, 0).unwrap_err(), MeshError::ToSelf { node: 0 });
    mesh.simulate_crash(0).unwrap();
    assert!(!mesh.is_node_live(0));
}

#[test]
fn each_node_reaches_each_other_one_over_a_channel_of_their_own() {
    let mesh = mesh(4);
    for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))) {
        if from != to {
            let channel = mesh.try_channel(from, to).unwrap();
            channel.send(format!("{from} to {to}").into()).unwrap();
            assert_eq!(channel.peer().node, to.to_string());
        }
    }
    for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))) {
        if from != to {
            let heard = mesh.try_channel(to, from).unwrap().receive(soon()).unwrap();
            assert_eq!(heard, Some(format!("{from} to {to}").into()));
        }
    }
}

#[test]
fn a_crash_ends_what_it_had_and_nothing_else_and_may_come_twice() {
    let mesh = mesh(3);
    let (lost, other) = (mesh.try_channel(0, 1).unwrap(), mesh.try_channel(1, 0).unwrap());
    let untouched = (mesh.try_channel(0, 2).unwrap(), mesh.try_channel(2, 0).unwrap());
    lost.send("queued".into()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lost.receive(soon()));
        mesh.simulate_crash(1).unwrap();
        assert_eq!(waiting.join().unwrap(), Err(NetError::Closed));
    });
    mesh.simulate_crash(1).unwrap();
    assert_eq!(other.receive(soon()), Err(NetError::Closed), "what was queued went with it");
    assert_eq!(lost.send("later".into()), Err(NetError::Closed));
    assert_eq!(mesh.try_channel(0, 1).unwrap_err(), MeshError::Down { node: 1 });
    assert_eq!(mesh.try_channel(1, 0).unwrap_err(), MeshError::Down { node: 1 });
    untouched.0.send("still".into()).unwrap();
    hears(&*untouched.1, "still");
    assert!(mesh.is_node_live(0) && mesh.is_node_live(2) && !mesh.is_node_live(1));
}

#[test]
fn who_comes_back_reaches_those_who_are_up_over_fresh_channels() {
    let mesh = mesh(3);
    let old = mesh.try_channel(0, 1).unwrap();
    mesh.simulate_crash(1).unwrap();
    mesh.simulate_crash(2).unwrap();
    mesh.reconnect(1).unwrap();
    mesh.reconnect(1).unwrap();
    mesh.try_channel(0, 1).unwrap().send("welcome".into()).unwrap();
    hears(&*mesh.try_channel(1, 0).unwrap(), "welcome");
    assert_eq!(old.send("from before".into()), Err(NetError::Closed));
    assert_eq!(mesh.try_channel(1, 2).unwrap_err(), MeshError::Down { node: 2 });
    mesh.reconnect(2).unwrap();
    mesh.try_channel(1, 2).unwrap().send("all".into()).unwrap();
    hears(&*mesh.try_channel(2, 1).unwrap(), "all");
}

#[test]
fn one_direction_is_cut_alone_until_the_cut_is_dropped() {
    let mesh = mesh(2);
    let (there, back) = (mesh.try_channel(0, 1).unwrap(), mesh.try_channel(1, 0).unwrap());
    let (cut, second) = (mesh.cut(0, 1).unwrap(), mesh.cut(0, 1).unwrap());
    there.send("lost".into()).unwrap();
    drop(second);
    there.send_parts(&["lost".into(), "too".into()]).unwrap();
    back.send("arrives".into()).unwrap();
    hears(&*there, "arrives");
    assert_eq!(back.receive(Instant::now()), Ok(None));
    let long = Bytes::from(vec![0; there.frame_bytes_max() + 1]);
    assert!(matches!(there.send(long), Err(NetError::FrameTooLarge { .. })));
    drop(cut);
    there.send("well".into()).unwrap();
    hears(&*back, "well");
    // It lies on the way, not in the channel.
    let _cut = mesh.cut(1, 0).unwrap();
    mesh.simulate_crash(1).unwrap();
    assert_eq!(back.send("down".into()), Err(NetError::Closed));
    mesh.reconnect(1).unwrap();
    mesh.try_channel(1, 0).unwrap().send("lost".into()).unwrap();
    assert_eq!(mesh.try_channel(0, 1).unwrap().receive(Instant::now()), Ok(None));
}

#[test]
fn handles_that_outlive_the_mesh_are_closed() {
    let mesh = NodeMesh::pair(Limits::default());
    let (there, back) = (mesh.try_channel(0, 1).unwrap(), mesh.try_channel(1, 0).unwrap());
    there.send("last".into()).unwrap();
    drop(mesh);
    hears(&*back, "last");
    assert_eq!(back.receive(soon()), Err(NetError::Closed));
    assert_eq!(there.send("later".into()), Err(NetError::Closed));
}

// ---- endpoints ----

#[test]
fn connections_are_one_way_and_keys_are_given_once() {
    let mesh = Mesh::new();
    let (one, two) = (mesh.create(1).unwrap(), mesh.create(2).unwrap());
    assert_eq!(mesh.create(1).unwrap_err(), EndpointError::Taken(1));
    assert_eq!(mesh.connect(&1, &3).unwrap_err(), EndpointError::UnknownPeer(3));
    assert_eq!(mesh.connect(&3, &1).unwrap_err(), EndpointError::UnknownPeer(3));
    assert_eq!(one.send(&2, "early".into()), Err(EndpointError::UnknownPeer(2)));
    mesh.connect(&1, &2).unwrap();
    mesh.connect(&1, &2).unwrap();
    one.send(&2, "segment".into()).unwrap();
    assert_eq!(two.receive(soon()), Ok(Some((1, "segment".into()))));
    assert_eq!(two.send(&1, "no".into()), Err(EndpointError::UnknownPeer(1)));
    assert_eq!((one.local(), two.local()), (&1, &2));
    drop(one);
    assert_eq!(mesh.create(1).unwrap_err(), EndpointError::Taken(1), "not even afterwards");
}

#[test]
fn what_was_sent_is_delivered_before_the_end_which_then_repeats() {
    let mesh = Mesh::new();
    let sink = mesh.create("sink").unwrap();
    let sources = ["a", "b"].map(|key| mesh.create(key).unwrap());
    for source in &sources {
        mesh.connect(source.local(), &"sink").unwrap();
        source.send(&"sink", "one".into()).unwrap();
    }
    let [a, b] = sources;
    drop(a);
    b.send(&"sink", "two".into()).unwrap();
    drop((b, mesh));
    let heard: Vec<_> = (0..3).map(|_| sink.receive(soon()).unwrap().unwrap().0).collect();
    assert_eq!(heard, ["a", "b", "b"]);
    assert!(sink.receive(soon()).is_err() && sink.receive(soon()).is_err());
}

#[test]
fn an_endpoint_that_nobody_is_connected_to_waits() {
    let mesh = Mesh::new();
    let sink = mesh.create("sink").unwrap();
    assert_eq!(sink.receive(Instant::now()), Ok(None));
    let source = mesh.create("source").unwrap();
    mesh.connect(&"source", &"sink").unwrap();
    drop(source);
    assert!(sink.receive(soon()).is_err());
    let late = mesh.create("late").unwrap();
    assert_eq!(mesh.connect(&"late", &"sink").unwrap_err(), EndpointError::Closed("sink"));
    drop(late);
}

#[test]
fn who_is_dropped_takes_nothing_and_wakes_who_waits_to_send() {
    let mesh = Mesh::with_capacity(1);
    let (source, sink) = (mesh.create("source").unwrap(), mesh.create("sink").unwrap());
    mesh.connect(&"source", &"sink").unwrap();
    source.send(&"sink", "fills it".into()).unwrap();
    assert_eq!(source.try_send(&"sink", "no room".into()), Ok(false));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| source.send(&"sink", "waits".into()));
        drop(sink);
        assert_eq!(waiting.join().unwrap(), Err(EndpointError::Closed("sink")));
    });
    assert_eq!(source.try_send(&"sink", "late".into()), Err(EndpointError::Closed("sink")));
    assert_eq!(mesh.connect(&"source", &"sink"), Ok(()), "it is connected, to nobody");
}

#[test]
fn one_that_is_connected_to_itself_goes_when_it_is_dropped() {
    let mesh = Mesh::new();
    let own = mesh.create(1).unwrap();
    mesh.connect(&1, &1).unwrap();
    own.send(&1, "note".into()).unwrap();
    assert_eq!(own.receive(soon()), Ok(Some((1, "note".into()))));
    drop(own);
    assert_eq!(mesh.connect(&1, &1).unwrap_err(), EndpointError::Closed(1));
}

#[test]
fn eight_threads_of_a_thousand_frames_each_keep_their_orders() {
    let mesh = Mesh::with_capacity(16);
    let (sink, each) = (mesh.create(0).unwrap(), 1_000_u32);
    let sources: Vec<_> = (1..=8)
        .map(|key| {
            let source = mesh.create(key).unwrap();
            mesh.connect(&key, &0).unwrap();
            source
        })
        .collect();
    thread::scope(|scope| {
        for source in sources {
            scope.spawn(move || {
                for number in 0..each {
                    source.send(&0, Bytes::copy_from_slice(&number.to_le_bytes())).unwrap();
                }
            });
        }
        let mut next: BTreeMap<i32, u32> = BTreeMap::new();
        while let Ok(Some((source, frame))) = sink.receive(soon()) {
            let number = u32::from_le_bytes(frame[..].try_into().unwrap());
            let expected = next.entry(source).or_default();
            assert_eq!(number, *expected, "of {source}");
            *expected += 1;
        }
        assert_eq!(next.into_values().collect::<Vec<_>>(), [each; 8]);
    });
}

// ---- futures ----

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_send_that_is_given_up_has_sent_nothing_and_lets_the_next_one_go() {
    let mesh = Mesh::with_capacity(1);
    let (source, sink) = (mesh.create("source").unwrap(), mesh.create("sink").unwrap());
    mesh.connect(&"source", &"sink").unwrap();
    source.send(&"sink", "first".into()).unwrap();
    let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let (waker, other) = (Waker::from(Arc::clone(&first)), Waker::from(Arc::clone(&second)));
    let mut given_up = Box::pin(source.sending(&"sink", "given up".into()));
    let mut patient = pin!(source.sending(&"sink", "patient".into()));
    assert!(given_up.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(patient.as_mut().poll(&mut Context::from_waker(&other)).is_pending());
    assert_eq!(sink.receive(soon()), Ok(Some(("source", "first".into()))));
    assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (1, 0));
    assert!(patient.as_mut().poll(&mut Context::from_waker(&other)).is_pending(), "in its turn");
    drop(given_up);
    assert_eq!(second.0.load(Ordering::SeqCst), 1, "it is the next one's turn");
    assert_eq!(patient.as_mut().poll(&mut Context::from_waker(&other)), Poll::Ready(Ok(())));
    assert_eq!(sink.receive(soon()), Ok(Some(("source", "patient".into()))));
    assert_eq!(sink.receive(Instant::now()), Ok(None));
}

#[test]
fn a_receive_that_is_given_up_has_taken_nothing() {
    let mesh = Mesh::new();
    let (source, sink) = (mesh.create("source").unwrap(), mesh.create("sink").unwrap());
    mesh.connect(&"source", &"sink").unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut given_up = Box::pin(sink.receiving());
    assert!(given_up.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    source.send(&"sink", "word".into()).unwrap();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    drop(given_up);
    let mut next = pin!(sink.receiving());
    let heard = next.as_mut().poll(&mut Context::from_waker(&waker));
    assert_eq!(heard, Poll::Ready(Ok(("source", "word".into()))));
}

#[test]
fn threads_and_tasks_stand_in_one_row() {
    let mesh = Mesh::with_capacity(1);
    let (source, sink) = (mesh.create("source").unwrap(), mesh.create("sink").unwrap());
    mesh.connect(&"source", &"sink").unwrap();
    source.send(&"sink", "first".into()).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut task = Box::pin(source.sending(&"sink", "task".into()));
    assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    thread::scope(|scope| {
        let behind = scope.spawn(|| source.send(&"sink", "thread".into()));
        assert_eq!(sink.receive(soon()), Ok(Some(("source", "first".into()))));
        assert_eq!(task.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(())));
        assert_eq!(sink.receive(soon()), Ok(Some(("source", "task".into()))));
        assert_eq!(sink.receive(soon()), Ok(Some(("source", "thread".into()))));
        assert_eq!(behind.join().unwrap(), Ok(()));
    });
}
