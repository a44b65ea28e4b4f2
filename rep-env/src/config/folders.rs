//! Where directories lie that may not exist yet, and may be reached by links.

use std::path::{Path, PathBuf};

/// Whether `path` lies within `home`, or is it: by its name, or by where the links in it lead.
pub(super) fn lies_within(path: &Path, home: &Path) -> bool {
    absolute(path).starts_with(absolute(home)) || real(path).starts_with(real(home))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The path without links, as far as it leads to something that exists.
fn real(path: &Path) -> PathBuf {
    let path = absolute(path);
    let exists = |dir: &Path| Some((dir.to_owned(), dir.canonicalize().ok()?));
    let Some((dir, real)) = path.ancestors().find_map(exists) else { return path };
    let rest = path.strip_prefix(&dir).unwrap_or(Path::new(""));
    if rest.as_os_str().is_empty() { real } else { real.join(rest) }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_lies_where_its_links_lead() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let home = at("home");
        std::fs::create_dir_all(home.join("log")).unwrap();
        std::fs::create_dir(at("archive")).unwrap();
        symlink(&home, at("to-home")).unwrap();
        symlink(home.join("log"), at("to-log")).unwrap();
        symlink(at("archive"), home.join("out")).unwrap();
        let within =
            ["home", "home/new/folder", "to-home", "to-home/new", "to-log/new", "home/out"];
        for name in within {
            assert!(lies_within(&at(name), &home), "{name}");
            assert!(lies_within(&at(name), &at("to-home")) || name == "home/out", "{name}");
        }
        for name in ["archive", "archive/new", "homes", "new", "home/../archive"] {
            assert!(!lies_within(&at(name), &at("to-home")), "{name}");
        }
        // Neither is there yet.
        assert!(lies_within(&at("later/archive"), &at("later")));
        assert!(!lies_within(&at("archive"), &at("later")));
    }
}
