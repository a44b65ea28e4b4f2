//! The files that rules read.

use crate::workspace::{Package, Workspace};
use std::collections::BTreeSet;
use std::path::Path;

/// Everything that the rules look at.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Every file and folder, relative to the root, with `/`.
    pub(crate) paths: BTreeSet<String>,
    pub(crate) sources: Vec<Source>,
    pub(crate) packages: Vec<Package>,
}

/// A text file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One thing that is against a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// One line of Rust.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) text: &'a str,
    /// Without comments, and with strings emptied.
    pub(crate) code: String,
    /// Below `#[cfg(test)]`, or in a file of tests.
    pub(crate) test: bool,
}

const TEXT_ENDINGS: [&str; 8] = [".rs", ".md", ".toml", ".txt", ".sh", ".yml", ".json", "/run"];

/// Folders beside the crates that are ours although they are hidden.
const OUR_HIDDEN: [&str; 2] = [".cargo", ".ci"];

impl Tree {
    pub(crate) fn read(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.walk(&workspace.root, "")?;
        tree.packages = workspace.packages.iter().map(Package::clone_of).collect();
        Ok(tree)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.paths.insert((*path).to_owned());
            tree.sources.push(Source { path: (*path).to_owned(), text: (*text).to_owned() });
        }
        tree
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.path.ends_with(".rs"))
    }

    /// Does a comment at the finding make an exception of `rule`, and say why?
    pub(crate) fn allows(&self, rule: &str, finding: &Finding) -> bool {
        let Some(source) = self.sources.iter().find(|source| source.path == finding.path) else {
            return false;
        };
        let mark = format!("tidy: allow({rule}) because ");
        let near =
            source.text.lines().skip(finding.line.saturating_sub(2)).take(finding.line.min(2));
        near.filter_map(|line| line.split_once(&mark)).any(|(_, reason)| !reason.trim().is_empty())
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                if is_ours(&name, prefix) {
                    self.walk(&entry.path(), &format!("{path}/"))?;
                    self.paths.insert(path);
                }
                continue;
            }
            if TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending))
                && let Ok(text) = std::fs::read_to_string(entry.path())
            {
                self.sources.push(Source { path: path.clone(), text });
            }
            self.paths.insert(path);
        }
        Ok(())
    }
}

fn is_ours(name: &str, prefix: &str) -> bool {
    let built = name == "target" || name.starts_with("target-");
    let hidden = name.starts_with('.') && !(prefix.is_empty() && OUR_HIDDEN.contains(&name));
    !built && !hidden
}

impl Package {
    fn clone_of(package: &Package) -> Package {
        let Package { name, dir, dependencies } = package;
        Package { name: name.clone(), dir: dir.clone(), dependencies: dependencies.clone() }
    }
}

impl Source {
    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }

    /// The lines of a Rust file.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut test = self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || self.path.ends_with("_tests.rs")
            // Models that lie beside the code they look at.
            || self.path.ends_with("/src/models.rs")
            || self.path.contains("/src/models/")
            || self.path.ends_with("/src/scenarios.rs")
            || self.path.contains("/src/scenarios/");
        self.text.lines().enumerate().map(move |(at, text)| {
            // Unit tests stand at the end of a file, so everything from there on is theirs.
            test |= text.starts_with("#[cfg(test)]") || text.starts_with("#[cfg(all(test");
            Line { number: at + 1, text, code: code_of(text), test }
        })
    }

    /// Is this file below `folder`, or that very file?
    pub(crate) fn is_below(&self, folder: &str) -> bool {
        self.path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'))
    }
}

/// The line without its comment, and with the insides of its strings taken out.
fn code_of(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    let mut in_string = false;
    while let Some(character) = rest.next() {
        match (character, in_string) {
            ('\\', true) => {
                rest.next();
            }
            ('"', _) => {
                in_string = !in_string;
                code.push(character);
            }
            (_, true) => (),
            ('\'', false) if rest.peek() == Some(&'"') => {
                rest.next();
            }
            ('/', false) if rest.peek() == Some(&'/') => break,
            (_, false) => code.push(character),
        }
    }
    code
}

/// Does `code` contain `word`, not as the end of a longer name?
pub(super) fn has_word(code: &str, word: &str) -> bool {
    let mut from = 0;
    while let Some(at) = code[from..].find(word) {
        let start = from + at;
        let before = code[..start].chars().next_back();
        if !before.is_some_and(|character| character.is_alphanumeric() || character == '_') {
            return true;
        }
        from = start + word.len();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_left_without_comments_and_insides_of_strings() {
        assert_eq!(code_of(r#"let a = "x // y"; // HashMap"#), r#"let a = ""; "#);
        assert_eq!(code_of(r#"let quote = '"'; HashMap"#), "let quote = '; HashMap");
        assert_eq!(code_of("/// HashMap"), "");
    }

    #[test]
    fn a_word_is_not_the_end_of_a_longer_name() {
        assert!(has_word("use rand::Rng", "rand::"));
        assert!(!has_word("brand::new()", "rand::"));
        assert!(has_word("brand::x(rand::y)", "rand::"));
    }

    #[test]
    fn what_follows_cfg_test_is_a_test() {
        let tree = Tree::of(&[("rep-fsm/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {}\n")]);
        let tests: Vec<_> = tree.sources[0].lines().map(|line| line.test).collect();
        assert_eq!(tests, [false, true, true]);
    }

    #[test]
    fn a_file_named_for_its_tests_is_one_of_tests() {
        let tree = Tree::of(&[("rep-fsm/src/a_tests.rs", "fn a() {}\n")]);
        assert!(tree.sources[0].lines().all(|line| line.test));
    }
}
