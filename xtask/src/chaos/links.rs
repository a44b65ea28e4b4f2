//! What becomes of a packet: which links are cut, and the weather on those that are not.
//!
//! Pure, so that it can be tested without a network.

use super::chance::Chance;
use std::collections::BTreeSet;
use std::time::Duration;

/// A port of the forwarder: the nodes come first, the clients are the last.
pub(super) type Port = usize;

/// Delay and mishap, the same on every link between nodes. Clients are always near.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    /// Added to the delay, evenly from nothing to this. Packets of a link keep their order all the same.
    pub(super) jitter: Duration,
    pub(super) lost_per_mille: u32,
    pub(super) doubled_per_mille: u32,
    /// How many packets are held back for [`OVERTAKEN`], so that later ones pass them.
    pub(super) overtaken_per_mille: u32,
}

/// Long enough for a few packets to pass.
pub(super) const OVERTAKEN: Duration = Duration::from_millis(8);

impl Weather {
    /// A quiet network of one building.
    pub(super) const CALM: Weather = Weather {
        delay: Duration::from_micros(300),
        jitter: Duration::from_micros(200),
        lost_per_mille: 0,
        doubled_per_mille: 0,
        overtaken_per_mille: 0,
    };

    /// A bad day between two cities.
    pub(super) const STORM: Weather = Weather {
        delay: Duration::from_millis(3),
        jitter: Duration::from_millis(6),
        lost_per_mille: 15,
        doubled_per_mille: 20,
        overtaken_per_mille: 30,
    };
}

/// What a packet will have gone through when it arrives: one delay for each copy of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) copies: Vec<Copy>,
}

/// One copy of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) delay: Duration,
    /// Whether it stays behind those sent before it on its link.
    pub(super) in_order: bool,
}

/// All links.
#[derive(Debug)]
pub(super) struct Links {
    nodes: usize,
    weather: Weather,
    /// Directed: from, to.
    cut: BTreeSet<(Port, Port)>,
}

impl Links {
    pub(super) fn new(nodes: usize, weather: Weather) -> Links {
        Links { nodes, weather, cut: BTreeSet::new() }
    }

    /// These links carry nothing from now on, and all others do.
    pub(super) fn cut(&mut self, links: BTreeSet<(Port, Port)>) {
        self.cut = links;
    }

    /// What becomes of a packet that is sent now.
    pub(super) fn fate(&self, from: Port, to: Port, chance: &mut Chance) -> Fate {
        if from == to || self.cut.contains(&(from, to)) {
            return Fate::default();
        }
        if from >= self.nodes || to >= self.nodes {
            return Fate { copies: vec![Copy { delay: Duration::ZERO, in_order: true }] };
        }
        self.between_nodes(chance)
    }

    fn between_nodes(&self, chance: &mut Chance) -> Fate {
        let Weather { delay, jitter, lost_per_mille, doubled_per_mille, overtaken_per_mille } =
            self.weather;
        if chance.happens(lost_per_mille) {
            return Fate::default();
        }
        let copies = if chance.happens(doubled_per_mille) { 2 } else { 1 };
        let copy = |_| {
            let overtaken = chance.happens(overtaken_per_mille);
            let held = if overtaken { OVERTAKEN } else { Duration::ZERO };
            Copy { delay: delay + chance.up_to(jitter) + held, in_order: !overtaken }
        };
        Fate { copies: (0..copies).map(copy).collect() }
    }
}

/// The port that an IPv4 packet is for, by the last byte of its destination; of anything else, none.
pub(super) fn destination(packet: &[u8]) -> Option<u8> {
    let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    packet.get(19).copied().filter(|_| is_v4 && packet.len() >= 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(links: &Links, from: Port, to: Port) -> usize {
        let mut chance = Chance::split(7, "links");
        (0..1000).map(|_| links.fate(from, to, &mut chance).copies.len()).sum()
    }

    #[test]
    fn a_cut_link_carries_nothing_in_its_direction_only() {
        let mut links = Links::new(3, Weather::CALM);
        links.cut(BTreeSet::from([(0, 1)]));
        assert_eq!((arrivals(&links, 0, 1), arrivals(&links, 1, 0)), (0, 1000));
        links.cut(BTreeSet::new());
        assert_eq!(arrivals(&links, 0, 1), 1000);
    }

    #[test]
    fn weather_is_between_nodes_and_clients_are_near() {
        let links = Links::new(3, Weather { lost_per_mille: 1000, ..Weather::STORM });
        assert_eq!((arrivals(&links, 0, 1), arrivals(&links, 3, 1)), (0, 1000));
        let links =
            Links::new(3, Weather { lost_per_mille: 0, doubled_per_mille: 1000, ..Weather::STORM });
        assert_eq!(arrivals(&links, 2, 0), 2000);
    }

    #[test]
    fn a_delay_is_within_what_the_weather_says() {
        let links = Links::new(2, Weather::STORM);
        let mut chance = Chance::split(1, "links");
        let most = Weather::STORM.delay + Weather::STORM.jitter + OVERTAKEN;
        for _ in 0..1000 {
            for copy in links.fate(0, 1, &mut chance).copies {
                assert!((Weather::STORM.delay..=most).contains(&copy.delay));
            }
        }
    }

    #[test]
    fn only_a_whole_header_of_version_four_has_a_destination() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[19] = 3;
        assert_eq!(destination(&packet), Some(3));
        assert_eq!(destination(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&[]), None);
    }
}
