//! What is interpreted, in how many schedules, and what is left out of it.

use crate::explore::Binary::{self, Lib, Test};

/// A test binary.
pub(super) struct Suite {
    pub(super) package: &'static str,
    pub(super) binary: Binary,
    /// Cargo's words about features.
    pub(super) features: &'static [&'static str],
    /// The orders in which its threads are run at night; 1 for what has none.
    pub(super) schedules: u32,
    /// Tests that are not run, by a part of their names, and why.
    pub(super) left_out: &'static [(&'static str, &'static str)],
}

/// Schedules of what is about threads.
const MANY: u32 = 16;

/// One thread, with the default features.
const fn plain(package: &'static str, binary: Binary) -> Suite {
    Suite { package, binary, features: &[], schedules: 1, left_out: &[] }
}

/// Threads, with the default features.
const fn threads(package: &'static str, binary: Binary) -> Suite {
    Suite { schedules: MANY, ..plain(package, binary) }
}

/// Without the stores that are made of files.
const NO_STORES: &[&str] = &["--no-default-features"];

pub(super) const SUITES: &[Suite] = &[
    threads("rep-fsm", Test("state_cell")),
    plain("rep-fsm", Lib),
    plain("rep-fsm", Test("node_state")),
    plain("rep-fsm", Test("term_guard")),
    plain("rep-vlsn", Lib),
    threads("rep-vlsn", Test("threads")),
    Suite {
        left_out: &[("a_log_agrees_with_a_plain_list_through_a_long_life", LONG)],
        ..plain("rep-vlsn", Test("log"))
    },
    plain("rep-vlsn", Test("cell")),
    plain("rep-vlsn", Test("lazy")),
    threads("rep-net", Lib),
    threads("rep-net", Test("mesh")),
    Suite {
        left_out: &[
            ("a_closed_listener_refuses_at_once_and_its_channels_live_on", SOCKETS),
            ("a_handler_may_close_the_listener_that_runs_it", SOCKETS),
            ("a_hello_arrives_as_it_was_said", SOCKETS),
            ("a_hello_that_cannot_be_sent_is_the_callers_error", SOCKETS),
            ("a_service_for_tools_answers_callers_that_know_no_group", SOCKETS),
            ("both_sides_learn_who_the_other_one_is", SOCKETS),
            ("closing_a_listener_ends_the_handlers_that_serve_on_its_threads", SOCKETS),
            ("every_refusal_reaches_the_dialler_as_what_it_is", SOCKETS),
            ("services_and_groups_may_come_and_go_while_listening", SOCKETS),
            ("the_highest_common_version_is_chosen", SOCKETS),
        ],
        ..threads("rep-net", Test("services"))
    },
    plain("rep-election", Lib),
    plain("rep-election", Test("rules")),
    plain("rep-election", Test("membership")),
    plain("rep-election", Test("wire")),
    plain("rep-stream", Lib),
    plain("rep-stream", Test("acks")),
    plain("rep-stream", Test("pair")),
    Suite {
        left_out: &[(
            "the_longest_history_fits_into_its_message",
            "a quarter of a mebibyte, byte by byte: minutes",
        )],
        ..plain("rep-stream", Test("wire"))
    },
    plain("rep-node", Lib),
    plain("rep-node", Test("status")),
    plain("rep-node", Test("wire")),
    Suite {
        features: NO_STORES,
        left_out: &[("a_tree_is_a_map_and_its_clones_stay_what_they_were", LONG)],
        ..plain("rep-store", Lib)
    },
    Suite { features: NO_STORES, ..plain("rep-store", Test("overlay")) },
    Suite {
        features: NO_STORES,
        left_out: &[
            (
                "a_slow_listener_costs_a_bounded_queue_and_is_told_nothing_impossible",
                "ten thousand changes: minutes",
            ),
            ("config::amounts", LONG),
            ("config::options", LONG),
            ("error::tests", LONG),
            ("hung_disk_tests", FILES),
            ("runtime::home", FILES),
        ],
        ..threads("rep-env", Lib)
    },
];

const FILES: &str = "files of the system: space in them is reserved, which miri cannot";
const SOCKETS: &str = "sockets, with options that miri does not know";
const MUTANTS: &str = "empty in every build but the one with planted bugs";
const BODIES: &str = "thousands of inputs, which `cargo xtask fuzz` gives them by the million";
const LONG: &str = "one thread, and no memory of its own making: thousands of steps, hours here";

/// Why a test binary is not interpreted: `*` for all of a package.
pub(super) const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("rep-checker", "*", "a search in plain data: one thread, hours here"),
    ("rep-cli", "*", "processes and sockets"),
    ("rep-election", "arbitrary", LONG),
    ("rep-election", "fuzz_bodies", BODIES),
    ("rep-election", "mutants", MUTANTS),
    ("rep-election", "scripted", LONG),
    ("rep-election", "weather", LONG),
    ("rep-env", "fuzz_bodies", BODIES),
    (
        "rep-env",
        "groups",
        "whole groups, with sockets and time-outs that interpreted threads do not keep",
    ),
    ("rep-env", "threads", SOCKETS),
    ("rep-explore", "*", "empty in every build but those of the explorers"),
    ("rep-fsm", "diagram", "a drawing"),
    ("rep-fsm", "role_table", LONG),
    ("rep-model", "*", "a search through millions of worlds"),
    ("rep-net", "channel_contract", "sixty-four mebibytes through each channel: hours"),
    ("rep-net", "fault", "the contract over sockets, and its sixty-four mebibytes"),
    ("rep-net", "fuzz_bodies", BODIES),
    ("rep-net", "fuzz_handshakes", SOCKETS),
    ("rep-net", "half_open", SOCKETS),
    ("rep-net", "identity", SOCKETS),
    ("rep-net", "leaks", SOCKETS),
    ("rep-net", "memory", "measures the memory of its process, over sockets"),
    ("rep-net", "quic", SOCKETS),
    ("rep-net", "quic_identity", SOCKETS),
    ("rep-net", "quic_leaks", SOCKETS),
    ("rep-net", "rotation", SOCKETS),
    ("rep-net", "seats", SOCKETS),
    ("rep-net", "tcp", SOCKETS),
    ("rep-net", "tls", SOCKETS),
    ("rep-net", "tls_identity", SOCKETS),
    ("rep-net", "wire", LONG),
    ("rep-node", "arbiter", LONG),
    ("rep-node", "churn", LONG),
    ("rep-node", "durability", LONG),
    ("rep-node", "fuzz_bodies", BODIES),
    ("rep-node", "gales", LONG),
    ("rep-node", "group", LONG),
    ("rep-node", "handover", LONG),
    ("rep-node", "images", LONG),
    ("rep-node", "membership", LONG),
    ("rep-node", "mutants", MUTANTS),
    ("rep-node", "patience", LONG),
    ("rep-node", "reads", LONG),
    ("rep-node", "restore", LONG),
    ("rep-node", "storms", LONG),
    ("rep-node", "trouble", LONG),
    ("rep-node", "twins", LONG),
    ("rep-sim", "*", "worlds of millions of events, in one thread"),
    ("rep-store", "contract", FILES),
    ("rep-store", "fuzz_bodies", BODIES),
    ("rep-store", "model", FILES),
    ("rep-store", "on_disk", FILES),
    ("rep-store", "planted", MUTANTS),
    ("rep-store", "snapshots", FILES),
    ("rep-stream", "fuzz_bodies", BODIES),
    ("rep-stream", "mutants", MUTANTS),
    ("rep-stream", "properties", LONG),
    ("rep-stream", "restore", LONG),
    ("rep-stream", "restore_staging", LONG),
    ("rep-stream", "restore_wire", LONG),
    ("rep-stream", "scripted", LONG),
    ("rep-stream", "segments", LONG),
    ("rep-vlsn", "ahead", LONG),
    ("rep-vlsn", "beginning", LONG),
    ("rep-vlsn", "bytes", LONG),
    ("rep-vlsn", "crash", LONG),
    ("rep-vlsn", "damage", LONG),
    ("rep-vlsn", "disk", FILES),
    ("rep-vlsn", "fuzz_bodies", BODIES),
    ("rep-vlsn", "golden", LONG),
    ("rep-vlsn", "index_file", FILES),
    ("rep-vlsn", "memberships", LONG),
    ("rep-vlsn", "mutants", MUTANTS),
    ("rep-vlsn", "offline", FILES),
    ("rep-vlsn", "words", LONG),
    ("xtask", "*", "starts other programs"),
];
