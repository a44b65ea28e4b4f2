//! How far a write of a Redis client has to have come before it is answered, as a setting says it: `sync/sync/majority`.

use rep_env::{Acks, Durability, SyncClass};

/// What holds if it is not said.
pub(crate) const DEFAULT: &str = "sync/sync/majority";

/// What `LOCAL/REPLICA/ACKS` means, if anything.
pub(crate) fn parse(text: &str) -> Option<Durability> {
    let mut words = text.split('/');
    let durability = Durability::default()
        .local(class(words.next()?)?)
        .replica(class(words.next()?)?)
        .acks(acks(words.next()?)?);
    words.next().is_none().then_some(durability)
}

fn class(word: &str) -> Option<SyncClass> {
    match word {
        "sync" => Some(SyncClass::Sync),
        "write" => Some(SyncClass::WriteNoSync),
        "nosync" => Some(SyncClass::NoSync),
        _ => None,
    }
}

fn acks(word: &str) -> Option<Acks> {
    match word {
        "all" => Some(Acks::All),
        "majority" => Some(Acks::SimpleMajority),
        "none" => Some(Acks::None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_durability_has_one_spelling_and_nothing_else_has_any() {
        assert_eq!(parse(DEFAULT), Some(Durability::default()));
        let written = Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync);
        assert_eq!(parse("nosync/nosync/majority"), Some(written));
        let (classes, acks) = (["sync", "write", "nosync"], ["all", "majority", "none"]);
        let all = classes.iter().flat_map(|local| {
            let of =
                move |(replica, acks): (&str, &str)| parse(&format!("{local}/{replica}/{acks}"));
            classes.iter().flat_map(move |replica| acks.map(|acks| of((replica, acks))))
        });
        let all: std::collections::BTreeSet<_> = all.map(|known| known.unwrap()).collect();
        assert_eq!(all.len(), 27);
        for wrong in
            ["", "sync", "sync/sync", "sync/sync/majority/", "Sync/sync/all", "all/sync/sync"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
