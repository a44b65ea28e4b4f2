//! Locks and atomics come from one file a crate.

use super::source::{Finding, Line, Source, Tree, has_word};

pub(super) const REASON: &str = "the model checker sees only what comes from the crate's sync.rs; a lock from elsewhere \
    is a lock that no interleaving was tried on. (`std::sync::Arc` and `Weak` alone order nothing, and are free)";

const FOREIGN: &[&str] = &["parking_lot", "crossbeam", "loom::", "std::sync"];

const FREE: &[&str] = &["std::sync::Arc", "std::sync::Weak", "std::sync::{Arc, Weak}"];

pub(super) fn sync(tree: &Tree) -> Vec<Finding> {
    let crates = tree
        .paths
        .iter()
        .filter_map(|path| path.strip_suffix("sync.rs"))
        .filter(|src| src.ends_with("/src/"));
    crates.flat_map(|src| in_crate(tree, src)).collect()
}

fn in_crate(tree: &Tree, src: &str) -> Vec<Finding> {
    let shim = format!("{src}sync.rs");
    let others = tree.rust().filter(|source| source.path.starts_with(src) && source.path != shim);
    others
        .flat_map(|source| {
            source.lines().filter_map(|line| foreign(source, &line)).collect::<Vec<_>>()
        })
        .collect()
}

fn foreign(source: &Source, line: &Line<'_>) -> Option<Finding> {
    if line.test {
        return None;
    }
    let code = FREE.iter().fold(line.code.clone(), |code, free| without(&code, free));
    let word = FOREIGN.iter().find(|word| has_word(&code, word))?;
    Some(source.finding(line.number, format!("{word} outside sync.rs")))
}

/// `code` without `name`, where it is not the beginning of a longer one.
fn without(code: &str, name: &str) -> String {
    let mut parts = code.split(name);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if part.starts_with(|character: char| character.is_alphanumeric() || character == '_') {
            kept.push_str(name);
        }
        kept.push_str(part);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(line: &str) -> usize {
        sync(&Tree::of(&[
            ("rep-fsm/src/sync.rs", "use std::sync::Mutex;\n"),
            ("rep-fsm/src/a.rs", line),
        ]))
        .len()
    }

    #[test]
    fn a_lock_from_elsewhere_is_found_and_a_plain_arc_is_free() {
        assert_eq!(findings("use std::sync::Mutex;\n"), 1);
        assert_eq!(findings("use std::sync::{Arc, Mutex};\n"), 1);
        assert_eq!(findings("use std::sync::atomic::AtomicU64;\n"), 1);
        assert_eq!(findings("use parking_lot::Mutex;\n"), 1);
        assert_eq!(findings("use std::sync::Arc;\n"), 0);
        assert_eq!(findings("use std::sync::{Arc, Weak};\n"), 0);
        assert_eq!(findings("use crate::sync::Mutex;\n"), 0);
    }

    #[test]
    fn a_crate_without_a_sync_file_has_nothing_to_switch() {
        assert_eq!(sync(&Tree::of(&[("rep-store/src/a.rs", "use parking_lot::Mutex;\n")])), []);
    }
}
