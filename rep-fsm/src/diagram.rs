//! Draws the tables, so that the drawing cannot disagree with the code.
//!
//! The drawings in `docs/roles.md` are this output; a test compares them.

use crate::machine::{Symbol, Table};
use std::fmt::Write;

/// The table as a Mermaid state diagram: one arrow for each pair of states, labelled with all its signals.
pub fn mermaid<S: Symbol, E: Symbol>(table: &Table<S, E>) -> String {
    let mut drawing = format!("stateDiagram-v2\n    [*] --> {:?}\n", table.initial());
    for (from, to) in pairs(table) {
        let labels = signals(table, from, to).join(", ");
        writeln!(drawing, "    {from:?} --> {to:?}: {labels}").expect("a String takes any text");
    }
    drawing
}

/// The joined pairs, each once, in the order of their first rows.
fn pairs<S: Symbol, E: Symbol>(table: &Table<S, E>) -> Vec<(S, S)> {
    let mut pairs = Vec::new();
    for row in table.rows() {
        if !pairs.contains(&(row.from, row.to)) {
            pairs.push((row.from, row.to));
        }
    }
    pairs
}

fn signals<S: Symbol, E: Symbol>(table: &Table<S, E>, from: S, to: S) -> Vec<String> {
    let rows = table.rows().iter().filter(|row| row.from == from && row.to == to);
    rows.map(|row| format!("{:?}", row.signal)).collect()
}
