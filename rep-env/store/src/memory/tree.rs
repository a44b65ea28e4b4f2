//! An ordered map whose clone costs nothing and stays what it was.
//!
//! A B+ tree of nodes shared by count. A clone shares the root; a change copies the nodes on its path
//! that somebody else shares, and changes the others in place. So one owner writes at the speed of an
//! ordinary tree, and each clone costs later at most one copy of each node that is then written.
//!
//! Invariants, tested by `invariants`: all leaves lie at one depth; keys increase; a separator is
//! at most every key below it, and above every key to its left; only the root may be empty.

use super::key::Key;
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;

/// Most items in a node. Small nodes are cheap to copy, large ones make the tree flat.
const ITEMS_MAX: usize = 32;
/// A node below this is joined with a neighbour when there is room.
const ITEMS_LOW: usize = 8;

#[derive(Clone)]
pub(crate) struct Tree<V> {
    root: Arc<Node<V>>,
    len: usize,
}

#[derive(Clone)]
enum Node<V> {
    Leaf(Vec<(Key, V)>),
    /// Separators and children.
    Branch(Vec<(Key, Arc<Node<V>>)>),
}

/// A node that was split off to the right, behind its separator.
type Split<V> = Option<(Key, Arc<Node<V>>)>;

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Tree { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<V: Clone> Tree<V> {
    pub(crate) fn new() -> Self {
        Tree::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(items) => return find(items, key).ok().map(|at| &items[at].1),
                Node::Branch(children) => node = &children[child_of(children, key)].1,
            }
        }
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let mut node = Arc::make_mut(&mut self.root);
        loop {
            match node {
                Node::Leaf(items) => {
                    return find(items, key).ok().map(|at| &mut items[at].1);
                }
                Node::Branch(children) => {
                    let at = child_of(children, key);
                    node = Arc::make_mut(&mut children[at].1);
                }
            }
        }
    }

    /// Sets `key`; gives what it was before.
    pub(crate) fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        let (old, split) = insert(&mut self.root, key, value);
        if let Some((separator, right)) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            self.root = Arc::new(Node::Branch(vec![(Key::copy_of(&[]), left), (separator, right)]));
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes `key`; gives what it was.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.get(key)?;
        let old = remove(&mut self.root, key);
        while let Node::Branch(children) = &*self.root {
            match children.len() {
                0 => self.root = Arc::new(Node::Leaf(Vec::new())),
                1 => self.root = Arc::clone(&children[0].1),
                _ => break,
            }
        }
        self.len -= usize::from(old.is_some());
        old
    }

    /// The items between bounds, in order; independent of the tree.
    pub(crate) fn range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Range<V> {
        let mut range = Range { path: Vec::new(), end: end.map(Bytes::copy_from_slice) };
        let mut node = Arc::clone(&self.root);
        loop {
            let child = match &*node {
                Node::Leaf(items) => {
                    let at = items.partition_point(|(key, _)| is_before(key, start));
                    range.path.push((Arc::clone(&node), at));
                    return range;
                }
                Node::Branch(children) => {
                    let at = match start {
                        Bound::Unbounded => 0,
                        Bound::Included(key) | Bound::Excluded(key) => child_of(children, key),
                    };
                    range.path.push((Arc::clone(&node), at + 1));
                    Arc::clone(&children[at].1)
                }
            };
            node = child;
        }
    }
}

/// Items in order. Holds the nodes on the path to where it stands.
pub(crate) struct Range<V> {
    path: Vec<(Arc<Node<V>>, usize)>,
    end: Bound<Bytes>,
}

impl<V: Clone> Iterator for Range<V> {
    type Item = (Bytes, V);

    fn next(&mut self) -> Option<(Bytes, V)> {
        loop {
            let (node, at) = self.path.last_mut()?;
            let child = match &**node {
                Node::Leaf(items) => match items.get(*at) {
                    Some((key, _)) if is_beyond(key, &self.end) => {
                        self.path.clear();
                        return None;
                    }
                    Some((key, value)) => {
                        *at += 1;
                        return Some((key.to_bytes(), value.clone()));
                    }
                    None => None,
                },
                Node::Branch(children) => children.get(*at).map(|(_, child)| Arc::clone(child)),
            };
            *at += 1;
            match child {
                Some(child) => self.path.push((child, 0)),
                None => drop(self.path.pop()),
            }
        }
    }
}

fn insert<V: Clone>(node: &mut Arc<Node<V>>, key: &[u8], value: V) -> (Option<V>, Split<V>) {
    match Arc::make_mut(node) {
        Node::Leaf(items) => match find(items, key) {
            Ok(at) => (Some(std::mem::replace(&mut items[at].1, value)), None),
            Err(at) => {
                items.insert(at, (Key::copy_of(key), value));
                (None, split_off(items, at).map(|(key, right)| (key, Arc::new(Node::Leaf(right)))))
            }
        },
        Node::Branch(children) => {
            let at = child_of(children, key);
            let (old, split) = insert(&mut children[at].1, key, value);
            if *children[at].0 > *key {
                children[at].0 = Key::copy_of(key);
            }
            let Some(split) = split else { return (old, None) };
            children.insert(at + 1, split);
            let right = split_off(children, at + 1);
            (old, right.map(|(key, right)| (key, Arc::new(Node::Branch(right)))))
        }
    }
}

/// Halves a node that is too full. One that grew at its end is split there, so that keys that come in
/// order leave full nodes behind.
fn split_off<T>(items: &mut Vec<(Key, T)>, grown_at: usize) -> Option<(Key, Vec<(Key, T)>)> {
    if items.len() <= ITEMS_MAX {
        return None;
    }
    let at_end = grown_at + 1 == items.len();
    let border = if at_end { items.len() - 2 } else { items.len() / 2 };
    let right = items.split_off(border);
    Some((right[0].0.clone(), right))
}

fn remove<V: Clone>(node: &mut Arc<Node<V>>, key: &[u8]) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(items) => find(items, key).ok().map(|at| items.remove(at).1),
        Node::Branch(children) => {
            let at = child_of(children, key);
            let old = remove(&mut children[at].1, key);
            match children[at].1.items() {
                0 => drop(children.remove(at)),
                items if items < ITEMS_LOW => join(children, at),
                _ => {}
            }
            old
        }
    }
}

/// Joins a small child with a neighbour, if the two leave room for more.
fn join<V: Clone>(children: &mut Vec<(Key, Arc<Node<V>>)>, at: usize) {
    let left = at.saturating_sub(1);
    let Some((_, right)) = children.get(left + 1) else { return };
    if children[left].1.items() + right.items() > ITEMS_MAX / 2 {
        return;
    }
    let (_, right) = children.remove(left + 1);
    let right = Arc::try_unwrap(right).unwrap_or_else(|shared| Node::clone(&shared));
    match (Arc::make_mut(&mut children[left].1), right) {
        (Node::Leaf(left), Node::Leaf(right)) => left.extend(right),
        (Node::Branch(left), Node::Branch(right)) => left.extend(right),
        (Node::Leaf(_), Node::Branch(_)) | (Node::Branch(_), Node::Leaf(_)) => {
            unreachable!("all leaves lie at one depth")
        }
    }
}

impl<V> Node<V> {
    fn items(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Branch(children) => children.len(),
        }
    }
}

fn find<V>(items: &[(Key, V)], key: &[u8]) -> Result<usize, usize> {
    items.binary_search_by(|(other, _)| (**other).cmp(key))
}

/// The child that holds `key` if any does.
fn child_of<T>(children: &[(Key, T)], key: &[u8]) -> usize {
    children.partition_point(|(separator, _)| **separator <= *key).saturating_sub(1)
}

fn is_before(key: &[u8], start: Bound<&[u8]>) -> bool {
    match start {
        Bound::Unbounded => false,
        Bound::Included(start) => key < start,
        Bound::Excluded(start) => key <= start,
    }
}

fn is_beyond(key: &[u8], end: &Bound<Bytes>) -> bool {
    match end {
        Bound::Unbounded => false,
        Bound::Included(end) => *key > **end,
        Bound::Excluded(end) => *key >= **end,
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
