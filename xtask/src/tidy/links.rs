//! Links in the docs that lead nowhere.

use super::source::{Finding, Source, Tree};
use std::collections::BTreeSet;

pub(super) const REASON: &str = "a map with roads that end in a field is worse than none";

pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let docs = tree.sources.iter().filter(|source| source.path.ends_with(".md"));
    docs.flat_map(|source| dead_links(tree, source)).collect()
}

fn dead_links(tree: &Tree, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in prose(&source.text) {
        for target in targets(line) {
            if let Some(what) = complaint(tree, source, target) {
                findings.push(source.finding(number, what));
            }
        }
    }
    findings
}

/// The lines outside code fences.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// The targets of `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn complaint(tree: &Tree, source: &Source, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) =
        target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { source.path.clone() } else { resolve(&source.path, file) };
    if !tree.paths.contains(&path) {
        return Some(format!("the link {target:?} leads to {path:?}, which is not there"));
    }
    let page = tree.sources.iter().find(|page| page.path == path && path.ends_with(".md"))?;
    let anchor = anchor.filter(|anchor| !anchors(&page.text).contains(*anchor))?;
    Some(format!("{path} has no heading for #{anchor}"))
}

/// `file` as seen from the folder of `from`.
fn resolve(from: &str, file: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => (),
            ".." if !parts.is_empty() => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text)
        .filter_map(|(_, line)| line.strip_prefix('#'))
        .map(|line| line.trim_start_matches('#').trim());
    headings.map(anchor).collect()
}

/// As the usual renderers make it: small letters, spaces to dashes, the rest of the punctuation gone.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.map(|character| if character == ' ' { '-' } else { character })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(line: &str) -> usize {
        links(&Tree::of(&[
            ("docs/a.md", line),
            ("docs/b.md", "# The `b`, twice\n"),
            ("README.md", ""),
        ]))
        .len()
    }

    #[test]
    fn dead_files_and_dead_headings_are_found() {
        assert_eq!(
            findings(
                "see [b](b.md), [top](../README.md), [b](b.md#the-b-twice), [x](https://example.org)\n"
            ),
            0
        );
        assert_eq!(findings("see [c](c.md) and [d](../docs/d.md)\n"), 2);
        assert_eq!(findings("see [b](b.md#thrice)\n"), 1);
        assert_eq!(findings("```\nlet x = a[0](y);\n```\n"), 0, "code is no prose");
    }
}
