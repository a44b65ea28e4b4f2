//! Planted bugs: none in a default build, and none that nobody knows of.

use super::source::{Finding, Line, Source, Tree, has_word};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const REASON: &str = "planted bugs are compiled in under `--cfg rep_mutants` only, and each is known: a site \
    is `mutant!(\"name\")`, whose definition is `false` elsewhere, and docs/testing.md has a row for every name";

const TABLE: &str = "docs/testing.md";

/// How far above an item its `cfg` may stand.
const CFG_LINES: usize = 4;

pub(super) fn planted(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<_> = shipped(tree).flat_map(unguarded).collect();
    let sites = sites(tree);
    let rows = rows(tree);
    for (name, source, line) in &sites {
        if !rows.contains_key(name) {
            findings
                .push(source.finding(*line, format!("planted bug {name:?} has no row in {TABLE}")));
        }
    }
    let names: BTreeSet<_> = sites.iter().map(|(name, _, _)| name).collect();
    for (name, row) in rows.iter().filter(|(name, _)| !names.contains(name)) {
        findings.push(Finding {
            path: TABLE.to_owned(),
            line: row.line,
            what: format!("no site plants {name:?}"),
        });
    }
    findings
}

/// The names of all planted bugs that the simulator has to find, as the table says.
pub(crate) fn planted_for_simulator(tree: &Tree) -> BTreeSet<String> {
    rows(tree)
        .into_iter()
        .filter(|(_, row)| row.found_by == "simulator")
        .map(|(name, _)| name)
        .collect()
}

fn shipped(tree: &Tree) -> impl Iterator<Item = &Source> {
    tree.rust().filter(|source| source.path.contains("/src/") && !source.path.starts_with("xtask/"))
}

fn sites(tree: &Tree) -> Vec<(String, &Source, usize)> {
    let of_source = |source| {
        let of_line = move |line: Line<'_>| site(&line).map(|name| (name, source, line.number));
        Source::lines(source).filter_map(of_line)
    };
    shipped(tree).flat_map(of_source).collect()
}

/// The name in a line that says `mutant!("name")`, and is no comment.
fn site(line: &Line<'_>) -> Option<String> {
    if line.test || !has_word(&line.code, "mutant!(") {
        return None;
    }
    let (_, after) = line.text.split_once("mutant!(\"")?;
    after.split_once('"').map(|(name, _)| name.to_owned())
}

/// Whatever reaches into the set of planted bugs without a `cfg` of its own close above.
fn unguarded(source: &Source) -> Vec<Finding> {
    if source.path.ends_with("/mutants.rs") {
        return Vec::new();
    }
    let lines: Vec<_> = source.lines().collect();
    let reaching = lines.iter().enumerate().filter(|(_, line)| reaches(&line.code) && !line.test);
    let bare = reaching.filter(|(at, _)| {
        let above = &lines[at.saturating_sub(CFG_LINES)..=*at];
        !above.iter().any(|line| line.code.contains("rep_mutants"))
    });
    bare.map(|(_, line)| {
        source.finding(line.number, "reaches planted bugs outside cfg(rep_mutants)")
    })
    .collect()
}

fn reaches(code: &str) -> bool {
    ["mutants::", "mod mutants", "macro_rules! mutant"].iter().any(|word| has_word(code, word))
}

/// A row of the table: `` | `name` | what goes wrong | found by | ... ``.
struct Row {
    line: usize,
    found_by: String,
}

/// The rows of the table between the marks in the docs, by name.
fn rows(tree: &Tree) -> BTreeMap<String, Row> {
    let Some(source) = tree.sources.iter().find(|source| source.path == TABLE) else {
        return BTreeMap::new();
    };
    let lines = source.text.lines().enumerate().skip_while(|(_, line)| *line != "<!-- planted -->");
    let within = lines.take_while(|(_, line)| *line != "<!-- /planted -->");
    within.filter_map(|(at, line)| row(at + 1, line)).collect()
}

fn row(line: usize, text: &str) -> Option<(String, Row)> {
    let mut cells = text.strip_prefix("| `")?.split('|').map(str::trim);
    let name = cells.next()?.strip_suffix('`')?.to_owned();
    let found_by = cells.nth(1)?.to_owned();
    Some((name, Row { line, found_by }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(code: &str, table: &str) -> Vec<String> {
        let table =
            format!("| `elsewhere` | no row | - |\n<!-- planted -->\n{table}<!-- /planted -->\n");
        let tree = Tree::of(&[("rep-node/src/a.rs", code), (TABLE, &table)]);
        planted(&tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn every_site_has_a_row_and_every_row_a_site() {
        let row = "| `vote-twice` | votes twice in a term | simulator | 7 |\n";
        assert!(findings("if mutant!(\"vote-twice\") {}\n", row).is_empty());
        assert_eq!(
            findings("if mutant!(\"vote-twice\") {}\n", ""),
            ["planted bug \"vote-twice\" has no row in docs/testing.md"]
        );
        assert_eq!(findings("", row), ["no site plants \"vote-twice\""]);
    }

    #[test]
    fn the_simulator_hunts_what_the_table_gives_it() {
        let rows = "| `a` | x | simulator | 7 |\n| `b` | x | crash tests | |\n";
        let table = format!("<!-- planted -->\n{rows}<!-- /planted -->\n");
        assert_eq!(
            planted_for_simulator(&Tree::of(&[(TABLE, &table)])),
            BTreeSet::from(["a".to_owned()])
        );
    }

    #[test]
    fn the_set_is_reached_under_its_cfg_only() {
        assert!(findings("#[cfg(rep_mutants)]\npub mod mutants;\n", "").is_empty());
        assert_eq!(findings("pub mod mutants;\n", "").len(), 1);
        assert_eq!(findings("if mutants::on(name) {}\n", "").len(), 1);
    }
}
