//! The rules that a compiler does not know, each with its reason.
//!
//! A rule that is only written down is broken by the first person who has not read it. A rule that fails without a
//! reason is worked around. So every finding says where, what and why, and the rare exception is made where it is
//! needed, in sight: `tidy: allow(rule) because ...` in a comment on the same line or the one before.

mod arrows;
mod bans;
mod layout;
mod links;
mod planted;
mod source;
mod sync;
mod text;

pub(crate) use planted::planted_for_simulator;
pub(crate) use source::Tree;

use crate::workspace::Workspace;
use anyhow::bail;
use source::Finding;
use std::time::Instant;

struct Rule {
    name: &'static str,
    reason: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule { name: "arrows", reason: arrows::REASON, check: arrows::arrows },
    Rule { name: "binary-only", reason: arrows::BINARY_REASON, check: arrows::binary_only },
    Rule { name: "layout", reason: layout::REASON, check: layout::layout },
    Rule { name: "sync", reason: sync::REASON, check: sync::sync },
    Rule { name: "planted", reason: planted::REASON, check: planted::planted },
    Rule { name: "links", reason: links::REASON, check: links::links },
    Rule { name: "machine-paths", reason: text::PATHS_REASON, check: text::machine_paths },
    Rule { name: "ignore", reason: text::IGNORE_REASON, check: text::ignored_tests },
    Rule { name: "whitespace", reason: text::WHITESPACE_REASON, check: text::whitespace },
];

pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let begun = Instant::now();
    let tree = Tree::read(workspace)?;
    let mut found = 0;
    for rule in RULES {
        found += report(&tree, rule.name, rule.reason, (rule.check)(&tree));
    }
    for ban in bans::BANS {
        found += report(&tree, ban.rule, ban.reason, bans::check(&tree, ban));
    }
    let rules = RULES.len() + bans::BANS.len();
    println!(
        "tidy: {rules} rules, {} files, {found} findings, {:.1?}",
        tree.sources.len(),
        begun.elapsed()
    );
    match found {
        0 => Ok(()),
        _ => bail!("{found} findings; each says why it matters"),
    }
}

fn report(tree: &Tree, rule: &str, reason: &str, findings: Vec<Finding>) -> usize {
    let standing: Vec<_> =
        findings.into_iter().filter(|finding| !tree.allows(rule, finding)).collect();
    for finding in &standing {
        println!("{}:{}: {rule}: {}", finding.path, finding.line, finding.what);
    }
    if !standing.is_empty() {
        println!("    why: {reason}");
    }
    standing.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_counts_where_it_is_made_for_its_rule_and_with_a_reason() {
        let text = "// tidy: allow(sync) because it is one process-wide set\nuse x;\n// tidy: allow(sync)\nuse y;\n";
        let tree = Tree::of(&[("rep-fsm/src/a.rs", text)]);
        let at = |line| Finding { path: "rep-fsm/src/a.rs".to_owned(), line, what: String::new() };
        assert!(tree.allows("sync", &at(2)));
        assert!(!tree.allows("links", &at(2)));
        assert!(!tree.allows("sync", &at(4)), "an exception without a reason");
    }
}
