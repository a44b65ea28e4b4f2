//! What lies where.

use super::source::{Finding, Tree};
use crate::workspace::Package;

pub(super) const REASON: &str = "a reader finds a thing where the map says it is: the folders at the top are the crates, \
    the workshop and the docs, and each package stands alone with its README and the workspace's lints (which forbid \
    unsafe code)";

const FOLDERS: &[&str] = &[
    ".cargo",
    ".ci",
    "docs",
    "rep-election",
    "rep-env",
    "rep-fsm",
    "rep-net",
    "rep-stream",
    "rep-vlsn",
    "xtask",
];

pub(super) fn layout(tree: &Tree) -> Vec<Finding> {
    let mut findings = folders(tree);
    findings.extend(tree.packages.iter().flat_map(|package| packaging(tree, package)));
    let old_modules =
        tree.paths.iter().filter(|path| path.contains("/src/") && path.ends_with("/mod.rs"));
    findings.extend(old_modules.map(|path| at(path, "foo.rs beside foo/ rather than foo/mod.rs")));
    findings
}

fn folders(tree: &Tree) -> Vec<Finding> {
    let tops: std::collections::BTreeSet<_> =
        tree.paths.iter().filter_map(|path| path.split_once('/')).map(|(top, _)| top).collect();
    let strange = tops
        .iter()
        .filter(|top| !FOLDERS.contains(top))
        .map(|top| at(top, "a folder that the map does not have"));
    let missing = FOLDERS
        .iter()
        .filter(|folder| !tops.contains(*folder))
        .map(|folder| at(folder, "a folder of the map is missing"));
    strange.chain(missing).collect()
}

fn packaging(tree: &Tree, package: &Package) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", package.dir);
    let text = tree
        .sources
        .iter()
        .find(|source| source.path == manifest)
        .map_or("", |source| &source.text);
    let mut findings = Vec::new();
    if !takes_lints(&package.dir, text) {
        findings.push(at(&manifest, "does not take the workspace's lints"));
    }
    if !tree.paths.contains(&format!("{}/README.md", package.dir)) {
        findings.push(at(&manifest, "a package without a README.md"));
    }
    findings
}

/// The workshop has its own copy, because one of its files may make ioctls (rule `unsafe`) and what is forbidden cannot be
/// allowed.
fn takes_lints(dir: &str, manifest: &str) -> bool {
    let own = dir == "xtask" && manifest.contains("[lints.rust]\nunsafe_code = \"deny\"");
    own || manifest.contains("[lints]\nworkspace = true")
}

fn at(path: &str, what: &str) -> Finding {
    Finding { path: path.to_owned(), line: 1, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_folder_and_a_missing_one_are_found() {
        let paths: Vec<_> = FOLDERS[1..].iter().map(|folder| format!("{folder}/file")).collect();
        let mut files: Vec<_> = paths.iter().map(|path| (path.as_str(), "")).collect();
        files.push(("stuff/file", ""));
        let found: Vec<_> =
            layout(&Tree::of(&files)).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["stuff", ".cargo"]);
    }

    #[test]
    fn a_package_without_readme_or_lints_is_found() {
        let package =
            Package { name: "rep-fsm".into(), dir: "rep-fsm".into(), dependencies: Vec::new() };
        let bare = Tree::of(&[("rep-fsm/Cargo.toml", "[package]\n")]);
        assert_eq!(packaging(&bare, &package).len(), 2);
        let whole = Tree::of(&[
            ("rep-fsm/Cargo.toml", "[lints]\nworkspace = true\n"),
            ("rep-fsm/README.md", ""),
        ]);
        assert_eq!(packaging(&whole, &package), []);
    }

    #[test]
    fn only_the_workshop_may_have_lints_of_its_own() {
        let denying = "[lints.rust]\nunsafe_code = \"deny\"\n";
        assert!(takes_lints("xtask", denying));
        assert!(!takes_lints("rep-fsm", denying));
        assert!(!takes_lints("xtask", "[lints.rust]\n"));
    }
}
