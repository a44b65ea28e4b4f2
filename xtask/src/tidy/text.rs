//! What no text file should have.

use super::source::{Finding, Source, Tree};

pub(super) const PATHS_REASON: &str = "a path of one person's machine means nothing on another's; use tempfile, an \
    argument, or a path relative to the manifest";

pub(super) const IGNORE_REASON: &str = "a test that nobody runs proves nothing: `#[ignore = \"cargo ...\"]` says by which \
    command it is run";

pub(super) const WHITESPACE_REASON: &str = "noise in every later diff";

/// Written in halves, so that this file does not find itself.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
];

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    each_line(tree, |_, line| {
        let path = MACHINE_PATHS.iter().find(|path| starts_a_path(line, path))?;
        Some(format!("a path below {path}"))
    })
}

/// Is `path` in the line as the beginning of a path, and not in the middle of another or of an address?
fn starts_a_path(line: &str, path: &str) -> bool {
    let starts = |(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character: char| {
            character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | '}')
        })
    };
    line.match_indices(path).any(starts)
}

pub(super) fn ignored_tests(tree: &Tree) -> Vec<Finding> {
    each_line(tree, |source, line| {
        let ignored = source.path.ends_with(".rs") && line.trim_start().starts_with("#[ignore");
        (ignored && !line.contains("cargo ")).then(|| "ignored without a command".to_owned())
    })
}

pub(super) fn whitespace(tree: &Tree) -> Vec<Finding> {
    let mut findings = each_line(tree, |_, line| {
        (line.ends_with([' ', '\t', '\r'])).then(|| "white space at the end of the line".to_owned())
    });
    let unended = tree
        .sources
        .iter()
        .filter(|source| !source.text.is_empty() && !source.text.ends_with('\n'));
    findings.extend(unended.map(|source| {
        source.finding(source.text.lines().count(), "no newline at the end of the file")
    }));
    findings
}

fn each_line(tree: &Tree, complaint: impl Fn(&Source, &str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for (at, line) in source.text.split('\n').enumerate() {
            findings.extend(complaint(source, line).map(|what| source.finding(at + 1, what)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::of(&[("rep-fsm/src/a.rs", text)])
    }

    #[test]
    fn paths_of_a_machine_are_found_and_addresses_are_not() {
        let path = MACHINE_PATHS[0];
        assert_eq!(machine_paths(&tree(&format!("open(\"{path}me/x\")\n"))).len(), 1);
        assert_eq!(machine_paths(&tree(&format!("https://example.org{path}x\n"))), []);
    }

    #[test]
    fn an_ignored_test_says_how_it_is_run() {
        let bare = concat!("#[ign", "ore]\n");
        let told = concat!("#[ign", "ore = \"cargo xtask nightly\"]\n");
        assert_eq!((ignored_tests(&tree(bare)).len(), ignored_tests(&tree(told)).len()), (1, 0));
    }

    #[test]
    fn trailing_white_space_and_a_missing_last_newline_are_found() {
        assert_eq!(whitespace(&tree("fn a() {}\n")), []);
        assert_eq!(whitespace(&tree("fn a() {} \n")).len(), 1);
        assert_eq!(whitespace(&tree("fn a() {}")).len(), 1);
        assert_eq!(whitespace(&tree("fn a() {}\r\n")).len(), 1);
    }
}
