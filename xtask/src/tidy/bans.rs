//! Words that may not be said in some places.

use super::source::{Finding, Source, Tree, has_word};

/// Some words, where they are banned, and why.
pub(super) struct Ban {
    pub(super) rule: &'static str,
    pub(super) reason: &'static str,
    words: &'static [&'static str],
    folders: &'static [&'static str],
    except: &'static [&'static str],
    code: Code,
}

/// Which code a ban is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Shipped,
    Tests,
    All,
}

const CORES: &[&str] = &["rep-election/src", "rep-fsm/src", "rep-stream/src", "rep-env/node/src"];

const LIBRARIES: &[&str] =
    &["rep-election", "rep-fsm", "rep-stream", "rep-vlsn", "rep-net", "rep-env"];

pub(super) const BANS: &[Ban] = &[
    Ban {
        rule: "clock",
        reason: "time comes in as an argument, or the simulator could not turn the clock",
        words: &["Instant::now", "SystemTime", "UNIX_EPOCH"],
        folders: &[
            "rep-election/src",
            "rep-fsm/src",
            "rep-stream/src",
            "rep-env/node/src",
            "rep-vlsn/src",
            "rep-env/sim/src",
            "rep-env/checker/src",
        ],
        // The simulator's own command line measures how long it ran.
        except: &["rep-env/sim/src/main.rs", "rep-env/sim/src/bin"],
        code: Code::Shipped,
    },
    Ban {
        rule: "chance",
        reason: "chance comes in as a seed, or a failure could not be run again",
        words: &["rand::", "getrandom", "RandomState", "thread_rng"],
        folders: &[
            "rep-election/src",
            "rep-fsm/src",
            "rep-stream/src",
            "rep-env/node/src",
            "rep-vlsn/src",
            "rep-env/sim/src",
            "rep-env/checker/src",
        ],
        except: &[],
        code: Code::Shipped,
    },
    Ban {
        rule: "hash-order",
        reason: "iteration order is behaviour, and a hash map's differs from run to run; use BTreeMap or BTreeSet",
        words: &["HashMap", "HashSet"],
        folders: &[
            "rep-election/src",
            "rep-fsm/src",
            "rep-stream/src",
            "rep-env/node/src",
            "rep-env/sim/src",
        ],
        except: &[],
        code: Code::Shipped,
    },
    Ban {
        rule: "sans-io",
        reason: "the protocol touches no file or socket, starts no thread and reads no environment: its driver does, so \
                 that what is simulated is what ships",
        words: &["std::fs", "std::net", "std::thread", "std::env", "std::process", "std::io"],
        folders: CORES,
        except: &[],
        code: Code::Shipped,
    },
    Ban {
        rule: "disk",
        reason: "all file access of the log goes through Disk, so that a test can cut the power anywhere",
        words: &["std::fs", "rustix::"],
        folders: &["rep-vlsn/src"],
        except: &["rep-vlsn/src/disk/file.rs", "rep-vlsn/src/disk/file"],
        code: Code::Shipped,
    },
    Ban {
        rule: "thread-names",
        reason: "a thread without a name cannot be found in a debugger, and one that nobody joins outlives close; use \
                 thread::Builder, and keep the handle",
        words: &["thread::spawn("],
        folders: LIBRARIES,
        except: &["rep-env/cli", "rep-env/sim"],
        code: Code::Shipped,
    },
    Ban {
        rule: "unsafe",
        reason: "nothing here needs it but two ioctls of the workshop, and they stand in one file",
        words: &[
            "unsafe {",
            "unsafe fn",
            "unsafe impl",
            "unsafe trait",
            "unsafe extern",
            "allow(unsafe_code)",
        ],
        folders: &[""],
        except: &["xtask/src/chaos/ioctl.rs"],
        code: Code::All,
    },
    Ban {
        rule: "unfinished",
        reason: "nothing half done lands: leave the feature out until it works",
        words: &["todo!", "unimplemented!", "dbg!"],
        folders: &[""],
        except: &[],
        code: Code::All,
    },
    Ban {
        rule: "sleep",
        reason: "a test that sleeps is slow on a fast machine and wrong on a slow one; wait on the condition",
        words: &["thread::sleep(", "sleep_ms("],
        folders: &[""],
        except: &[],
        code: Code::Tests,
    },
];

pub(super) fn check(tree: &Tree, ban: &Ban) -> Vec<Finding> {
    tree.rust()
        .filter(|source| is_within(source, ban))
        .flat_map(|source| check_one(source, ban))
        .collect()
}

fn is_within(source: &Source, ban: &Ban) -> bool {
    let below = |folder: &&str| folder.is_empty() || source.is_below(folder);
    ban.folders.iter().any(below) && !ban.except.iter().any(below)
}

fn check_one(source: &Source, ban: &Ban) -> Vec<Finding> {
    let concerned = source.lines().filter(|line| match ban.code {
        Code::Shipped => !line.test,
        Code::Tests => line.test,
        Code::All => true,
    });
    let said = concerned.filter_map(|line| {
        let word = ban.words.iter().find(|word| has_word(&line.code, word))?;
        Some(source.finding(line.number, format!("says {word}")))
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(rule: &str, path: &str, text: &str) -> usize {
        let ban = BANS.iter().find(|ban| ban.rule == rule).expect("the rule exists");
        check(&Tree::of(&[(path, text)]), ban).len()
    }

    #[test]
    fn each_ban_finds_its_words_where_they_are_banned_and_nowhere_else() {
        for ban in BANS {
            let folder = ban.folders[0];
            let folder = if folder.is_empty() { "rep-net/src" } else { folder };
            let path = match ban.code {
                Code::Shipped | Code::All => format!("{folder}/a.rs"),
                Code::Tests => "rep-net/tests/a.rs".to_owned(),
            };
            for word in ban.words {
                assert_eq!(findings(ban.rule, &path, &format!("let x = {word};\n")), 1, "{word}");
                assert_eq!(
                    findings(ban.rule, &path, &format!("// {word}\n")),
                    0,
                    "{word} in a comment"
                );
            }
        }
        assert_eq!(
            findings("clock", "rep-env/src/a.rs", "Instant::now();\n"),
            0,
            "the facade owns the clock"
        );
        assert_eq!(findings("disk", "rep-vlsn/src/disk/file.rs", "std::fs::write();\n"), 0);
    }

    #[test]
    fn tests_may_read_the_clock_and_shipped_code_may_sleep() {
        assert_eq!(
            findings("clock", "rep-fsm/src/a.rs", "#[cfg(test)]\nmod tests { Instant::now() }\n"),
            0
        );
        assert_eq!(findings("sleep", "rep-env/cli/src/demo.rs", "thread::sleep(x);\n"), 0);
    }
}
