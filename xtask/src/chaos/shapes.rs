//! Partition shapes, as sets of cut links.

use super::links::Port;
use std::collections::BTreeSet;

/// Which links of a group are cut. The nodes are named by their place in an order, whose first is the one that the shape is
/// about: the master, or a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The first sees nobody.
    Isolate,
    /// The first and half of the others on one side, the larger rest on the other.
    Halves,
    /// Each sees the one before it and the one after it.
    Chain,
    /// Two halves that do not see each other, and the last one sees all.
    Bridge,
    /// The first sends and hears nothing.
    Deaf,
    /// The first hears and sends nothing.
    Mute,
    /// One link, between the first two, in both directions.
    Pair,
}

impl Shape {
    /// The cut links, from and to, where `order` lists all nodes.
    pub(super) fn cuts(self, order: &[Port]) -> BTreeSet<(Port, Port)> {
        let count = order.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let cut = pairs.filter(|(from, to)| from != to && self.is_cut(*from, *to, count));
        cut.map(|(from, to)| (order[from], order[to])).collect()
    }

    /// By place in the order.
    fn is_cut(self, from: usize, to: usize, count: usize) -> bool {
        let first = |place: usize| place == 0;
        match self {
            Shape::Isolate => first(from) || first(to),
            Shape::Halves => (from < count / 2) != (to < count / 2),
            Shape::Chain => from.abs_diff(to) != 1,
            Shape::Bridge => {
                let bridge = count - 1;
                from != bridge && to != bridge && (from < bridge / 2) != (to < bridge / 2)
            }
            Shape::Deaf => first(to),
            Shape::Mute => first(from),
            Shape::Pair => from + to == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 7] = [
        Shape::Isolate,
        Shape::Halves,
        Shape::Chain,
        Shape::Bridge,
        Shape::Deaf,
        Shape::Mute,
        Shape::Pair,
    ];

    /// Whom `node` sees in both directions, itself too.
    fn sees(cuts: &BTreeSet<(Port, Port)>, node: Port, count: usize) -> usize {
        let open = |a, b| !cuts.contains(&(a, b)) && !cuts.contains(&(b, a));
        (0..count).filter(|other| open(node, *other)).count()
    }

    #[test]
    fn every_shape_cuts_something_and_leaves_somebody_with_a_majority() {
        for shape in ALL {
            for count in [3, 5] {
                let order: Vec<Port> = (0..count).collect();
                let cuts = shape.cuts(&order);
                assert!(!cuts.is_empty(), "{shape:?}");
                assert!((0..count).any(|node| sees(&cuts, node, count) > count / 2), "{shape:?}");
            }
        }
    }

    #[test]
    fn a_chain_of_five_has_a_majority_everywhere_but_at_its_ends() {
        let cuts = Shape::Chain.cuts(&[0, 1, 2, 3, 4]);
        let seen: Vec<_> = (0..5).map(|node| sees(&cuts, node, 5)).collect();
        assert_eq!(seen, [2, 3, 3, 3, 2]);
    }

    #[test]
    fn the_bridge_sees_all_and_the_halves_only_it() {
        let cuts = Shape::Bridge.cuts(&[0, 1, 2, 3, 4]);
        let seen: Vec<_> = (0..5).map(|node| sees(&cuts, node, 5)).collect();
        assert_eq!(seen, [3, 3, 3, 3, 5]);
    }

    #[test]
    fn the_order_says_who_is_first() {
        assert_eq!(Shape::Pair.cuts(&[2, 0, 1]), BTreeSet::from([(0, 2), (2, 0)]));
        assert_eq!(Shape::Deaf.cuts(&[1, 0, 2]), BTreeSet::from([(0, 1), (2, 1)]));
    }
}
