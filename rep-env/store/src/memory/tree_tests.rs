use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

impl<V: Clone> Tree<V> {
    fn invariants(&self) {
        let mut depths = Vec::new();
        let items = check(&self.root, 0, &mut depths);
        assert_eq!(items, self.len);
        assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "one depth: {depths:?}");
        let keys: Vec<Bytes> = self.all().map(|(key, _)| key).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "keys increase");
    }

    fn all(&self) -> Range<V> {
        self.range(Bound::Unbounded, Bound::Unbounded)
    }
}

fn check<V>(node: &Node<V>, depth: usize, depths: &mut Vec<usize>) -> usize {
    assert!(node.items() <= ITEMS_MAX);
    assert!(depth == 0 || node.items() > 0);
    match node {
        Node::Leaf(items) => {
            depths.push(depth);
            items.len()
        }
        Node::Branch(children) => {
            for pair in children.windows(2) {
                assert!(
                    last_key(&pair[0].1) < pair[1].0.to_bytes(),
                    "a separator is above what lies left"
                );
            }
            for (separator, child) in children {
                assert!(
                    separator.to_bytes() <= first_key(child),
                    "a separator is at most what lies below"
                );
            }
            children.iter().map(|(_, child)| check(child, depth + 1, depths)).sum()
        }
    }
}

fn first_key<V>(node: &Node<V>) -> Bytes {
    match node {
        Node::Leaf(items) => items[0].0.to_bytes(),
        Node::Branch(children) => first_key(&children[0].1),
    }
}

fn last_key<V>(node: &Node<V>) -> Bytes {
    match node {
        Node::Leaf(items) => items[items.len() - 1].0.to_bytes(),
        Node::Branch(children) => last_key(&children[children.len() - 1].1),
    }
}

/// Some keys lie in their node, some do not.
fn key(number: u16) -> Vec<u8> {
    let mut key = number.to_be_bytes().to_vec();
    if number.is_multiple_of(3) {
        key.resize(30, 7);
    }
    key
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_tree_is_a_map_and_its_clones_stay_what_they_were(
        steps in prop::collection::vec((0_u16..600, 0_u8..10), 0..1500),
        deletes_from in 0_u8..9,
    ) {
        let (mut tree, mut map) = (Tree::new(), BTreeMap::new());
        let mut kept = Vec::new();
        for (at, (number, dice)) in steps.into_iter().enumerate() {
            if dice >= deletes_from {
                prop_assert_eq!(tree.remove(&key(number)), map.remove(&number));
            } else {
                prop_assert_eq!(tree.insert(&key(number), at), map.insert(number, at));
            }
            if at % 97 == 0 {
                kept.push((tree.clone(), map.clone()));
            }
        }
        kept.push((tree, map));
        for (tree, map) in kept {
            tree.invariants();
            let items: Vec<_> = tree.all().collect();
            let model: Vec<_> =
                map.iter().map(|(k, v)| (Bytes::copy_from_slice(&key(*k)), *v)).collect();
            prop_assert_eq!(items, model);
            for number in 0..600 {
                prop_assert_eq!(tree.get(&key(number)), map.get(&number));
            }
        }
    }

    #[test]
    fn a_range_is_the_map_s_range(
        keys in prop::collection::btree_set(0_u16..2000, 0..800),
        start in 0_u16..2000,
        length in 0_u16..2000,
        kind in 0..3,
    ) {
        let mut tree = Tree::new();
        for number in &keys {
            tree.insert(&key(*number), ());
        }
        let end = start.saturating_add(length);
        let (from, to) = (key(start), key(end));
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = match kind {
            0 => (Bound::Included(&from), Bound::Excluded(&to)),
            1 => (Bound::Excluded(&from), Bound::Included(&to)),
            _ => (Bound::Included(&from), Bound::Unbounded),
        };
        let inside = |k: &&u16| match kind {
            0 => (start..end).contains(*k),
            1 => **k > start && **k <= end,
            _ => **k >= start,
        };
        let expected: Vec<_> = keys.iter().filter(inside).map(|k| key(*k)).collect();
        let got: Vec<_> = tree.range(bounds.0, bounds.1).map(|(k, ())| k.to_vec()).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn keys_in_order_fill_their_leaves() {
    let mut tree = Tree::new();
    for number in 0..4000 {
        tree.insert(&key(number), ());
    }
    tree.invariants();
    let Node::Branch(_) = &*tree.root else { panic!("4000 items need more than a leaf") };
    for number in 0..4000 {
        tree.remove(&key(number));
    }
    tree.invariants();
    assert!(tree.is_empty());
}

#[test]
fn a_small_key_comes_back_after_the_first_leaf_went() {
    let mut tree = Tree::new();
    for number in 0..4000 {
        tree.insert(&key(number), ());
    }
    // The leaf beside it is full, so the first one is emptied and not joined.
    for number in 0..100 {
        tree.remove(&key(number));
        tree.invariants();
    }
    for number in (0..100).rev() {
        tree.insert(&key(number), ());
        tree.invariants();
        assert!(tree.get(&key(number)).is_some());
    }
}
