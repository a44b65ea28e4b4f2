//! Who may lean on whom.

use super::source::{Finding, Tree};
use crate::workspace::Package;

pub(super) const REASON: &str = "arrows between crates point one way only: a core that can reach a socket, or its \
    sibling, is no longer a value that a simulator can drive (docs/ARCHITECTURE.md)";

pub(super) const BINARY_REASON: &str = "libraries install nothing process-wide and parse no command lines; what only a \
    program needs is paid for by the program";

/// Every arrow there may be. Those to rep-explore are for builds whose locks are explored, and no others.
const ARROWS: &[(&str, &[&str])] = &[
    ("rep-vlsn", &["rep-explore"]),
    ("rep-net", &["rep-explore"]),
    ("rep-election", &["rep-vlsn"]),
    ("rep-fsm", &["rep-explore", "rep-vlsn"]),
    ("rep-stream", &["rep-vlsn"]),
    ("rep-store", &["rep-vlsn"]),
    ("rep-node", &["rep-election", "rep-fsm", "rep-stream", "rep-vlsn"]),
    // rep-fsm for its StateCell alone: the facade publishes with it what the node decided.
    ("rep-env", &["rep-explore", "rep-fsm", "rep-net", "rep-node", "rep-store", "rep-vlsn"]),
    // It judges histories of any system, so it knows none of ours.
    ("rep-checker", &[]),
    ("rep-sim", &["rep-checker", "rep-net", "rep-node", "rep-store", "rep-vlsn"]),
    ("rep-model", &["rep-election", "rep-node", "rep-stream", "rep-vlsn"]),
    ("rep-cli", &["rep-env"]),
    ("xtask", &["rep-checker", "rep-fsm"]),
    ("rep-explore", &[]),
];

const BINARY_ONLY: &[&str] =
    &["anyhow", "clap", "humantime", "serde_json", "signal-hook", "toml", "tracing-subscriber"];

const BINARIES: &[&str] = &["rep-cli", "xtask"];

/// What a library may use all the same, because what it keeps are files that people read: rep-sim its cases.
const EXCEPTIONS: &[(&str, &str)] = &[("rep-sim", "serde_json")];

pub(super) fn arrows(tree: &Tree) -> Vec<Finding> {
    let ours = |name: &String| ARROWS.iter().any(|(known, _)| known == name);
    let mut findings = Vec::new();
    for package in &tree.packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            findings.push(at(
                package,
                "a package that xtask/src/tidy/arrows.rs does not know".to_owned(),
            ));
            continue;
        };
        let arrows =
            package.dependencies.iter().filter(|name| ours(name) && **name != package.name);
        let wrong = arrows.filter(|name| !allowed.contains(&name.as_str()));
        findings.extend(
            wrong.map(|name| at(package, format!("{} may not depend on {name}", package.name))),
        );
    }
    findings
}

pub(super) fn binary_only(tree: &Tree) -> Vec<Finding> {
    let libraries =
        tree.packages.iter().filter(|package| !BINARIES.contains(&package.name.as_str()));
    let wrong = |package: &Package| -> Vec<Finding> {
        let excepted = |name: &str| EXCEPTIONS.contains(&(&*package.name, name));
        let found = package
            .dependencies
            .iter()
            .filter(|name| BINARY_ONLY.contains(&name.as_str()) && !excepted(name));
        found.map(|name| at(package, format!("{name} is for binaries only"))).collect()
    };
    libraries.flat_map(wrong).collect()
}

fn at(package: &Package, what: String) -> Finding {
    Finding { path: format!("{}/Cargo.toml", package.dir), line: 1, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, dependencies: &[&str]) -> Tree {
        let dependencies = dependencies.iter().map(|&name| name.to_owned()).collect();
        Tree {
            packages: vec![Package { name: name.to_owned(), dir: String::new(), dependencies }],
            ..Tree::default()
        }
    }

    #[test]
    fn a_core_that_imports_its_sibling_or_a_socket_is_found() {
        assert_eq!(arrows(&tree("rep-election", &["rep-vlsn", "rep-election", "thiserror"])), []);
        assert_eq!(arrows(&tree("rep-election", &["rep-stream"])).len(), 1);
        assert_eq!(arrows(&tree("rep-node", &["rep-net"])).len(), 1);
        assert_eq!(arrows(&tree("rep-novel", &[])).len(), 1);
    }

    #[test]
    fn a_library_with_a_command_line_is_found() {
        assert_eq!(binary_only(&tree("rep-cli", &["clap"])), []);
        assert_eq!(binary_only(&tree("rep-vlsn", &["clap"])).len(), 1);
        assert_eq!(binary_only(&tree("rep-sim", &["serde_json"])), []);
        assert_eq!(binary_only(&tree("rep-sim", &["serde_json", "clap"])).len(), 1);
    }
}
