//! Every option has an effect, and here it is seen.
//!
//! An option that is parsed, bounded, documented and read by nobody looks exactly like one that works. So each row of the
//! table of options has a test, and a row without one is found. What takes time is never timed: of two groups that differ
//! in the option alone, one has got somewhere while the other, in the same time, has not.

mod cable;
mod identity;
mod memory;
mod time;

use crate::membership;
use crate::world::{Net, World};
use cable::Cable;
pub(crate) use cable::Weather;
use rep_env::config::{Limits, RepConfigBuilder, Timing, options};
use rep_env::net::Address;
use rep_env::{CommitHandle, Error, ReplicatedEnvironment};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// As good as never.
const NEVER: Duration = Duration::from_secs(1_000_000);
const SHORT: Duration = Duration::from_millis(50);

/// Which test sees which option.
const SEEN: &[(&str, fn())] = &[
    ("group", identity::a_directory_knows_its_group),
    ("name", identity::a_directory_knows_its_node),
    ("listen", identity::a_node_listens_where_it_is_told),
    ("advertise", identity::a_node_that_listens_elsewhere_is_reached_where_it_says),
    ("home", identity::what_is_written_is_in_the_home),
    ("ephemeral", identity::an_ephemeral_node_leaves_nothing),
    ("members", identity::the_members_are_those_listed),
    ("bootstrap", membership::a_group_grows_from_one_to_three_while_it_writes),
    ("join", membership::a_group_grows_from_one_to_three_while_it_writes),
    ("type", membership::a_secondary_has_a_copy_and_no_vote),
    ("priority", membership::of_equals_the_one_that_is_preferred_is_elected),
    ("store", identity::the_store_is_what_was_chosen),
    ("on_damage", crate::damage::a_member_that_is_to_refuse_its_damaged_directory_does),
    (
        "feed_from",
        crate::relaying::a_secondary_that_a_replica_feeds_gets_no_entry_from_its_master_and_outlives_its_relay,
    ),
    (
        "ship_to",
        crate::shipping::a_folder_has_the_groups_history_whoever_ships_and_whatever_is_cleaned,
    ),
    ("attribute", identity::an_attribute_reaches_the_others),
    ("allow_plaintext", identity::plaintext_that_others_could_read_has_to_be_allowed),
    ("transport", identity::members_meet_on_the_transport_they_were_given),
    ("tls", tls_option),
    ("quic", quic_option),
    ("listener", identity::a_node_listens_on_the_socket_it_was_given),
    ("heartbeat", time::a_master_says_that_it_is_there_as_often_as_told),
    ("election_timeout", time::a_master_that_hears_nobody_goes_on_as_long_as_told),
    ("round_timeout", time::a_round_that_is_not_answered_is_tried_again_as_soon_as_told),
    ("disk_stall", time::a_master_whose_writes_stay_behind_goes_on_as_long_as_told),
    ("sync_interval", time::what_asked_for_no_sync_waits_for_one_as_long_as_told),
    ("redial_min", time::the_first_pause_before_a_redial_is_as_long_as_told),
    ("redial_max", time::pauses_before_a_redial_grow_as_long_as_told),
    ("dial_timeout", time::a_dial_that_nobody_answers_is_given_up_as_soon_as_told),
    ("replicas_wait", time::a_commit_waits_for_members_as_long_as_told),
    ("busy_wait", time::a_commit_waits_for_room_as_long_as_told),
    ("ack_timeout", time::a_logged_commit_waits_for_acknowledgements_as_long_as_told),
    ("read_timeout", time::a_read_waits_as_long_as_told),
    ("begin_timeout", time::a_transaction_waits_for_its_turn_as_long_as_told),
    ("txn_timeout", time::a_transaction_holds_the_turn_as_long_as_told),
    ("close_timeout", time::a_close_waits_for_the_threads_as_long_as_told),
    ("checkpoint_interval", time::the_store_is_made_durable_as_often_as_told),
    ("restore_timeout", time::another_source_is_asked_when_one_is_silent_for_as_long_as_told),
    ("straggler_patience", time::writers_are_slowed_down_for_a_straggler_as_told),
    ("ship_interval", crate::shipping::what_is_durable_leaves_as_often_as_told),
    ("log_retention", time::the_log_is_kept_for_a_member_that_is_away_as_long_as_told),
    ("unsynced_bytes_max", memory::no_more_than_so_much_waits_for_the_disk),
    ("overlay_bytes_max", memory::no_more_than_so_much_is_committed_and_not_applied),
    ("tail_bytes_max", memory::so_much_of_the_log_is_sent_without_the_disk),
    ("outgoing_bytes_max", memory::a_member_that_does_not_read_is_given_up_at_so_much),
    ("checkpoint_bytes", memory::the_store_is_made_durable_after_so_much),
    ("segment_bytes", memory::a_file_of_the_log_is_so_long),
    ("disk_reserve_bytes", memory::so_much_of_the_disk_is_left_to_others),
    ("store_cache_bytes", store_cache),
    ("restore_bytes_per_s", memory::a_copy_is_given_as_fast_as_told),
    ("scrub_bytes_per_s", crate::scrub::a_log_is_read_again_as_fast_as_told),
    ("log_retention_bytes", memory::so_much_of_the_log_is_kept_for_a_member_that_is_away),
];

/// See `tls.rs`; without the feature there is nothing to see.
fn tls_option() {
    #[cfg(feature = "tls")]
    super::tls::a_group_writes_and_survives_its_master::<rep_env::net::TlsTransport>();
}

fn quic_option() {
    #[cfg(feature = "quic")]
    super::tls::a_group_writes_and_survives_its_master::<rep_env::net::QuicTransport>();
}

/// Without a store on a disk there is nothing to see.
fn store_cache() {
    #[cfg(feature = "redb")]
    memory::so_much_of_the_store_waits_in_memory();
}

#[test]
fn every_option_is_seen_by_a_test() {
    let seen: BTreeMap<&str, fn()> = SEEN.iter().copied().collect();
    let all: BTreeMap<&str, ()> = options().map(|info| (info.name, ())).collect();
    assert!(seen.keys().eq(all.keys()), "{:?}\nare seen, of\n{:?}", seen.keys(), all.keys());
}

/// A running group in memory of `count` members, as `tune` changes them, in weather of its own.
pub(crate) fn group(
    count: usize,
    tune: impl Fn(&mut Timing, &mut Limits),
) -> (World, Arc<Weather>) {
    let mut world = World::new(Net::Memory, count);
    let weather = Arc::new(Weather::default());
    world.found(|world, at| under(&weather, world, at).tune(&tune));
    (world, weather)
}

/// How member `at` is configured, with its cables in this weather.
fn under(weather: &Arc<Weather>, world: &mut World, at: usize) -> RepConfigBuilder {
    let from = Address::new(world.address(at));
    let cable = Cable::new(world.hub.transport(), Arc::clone(weather), from);
    world.config(at).transport(Arc::new(cable))
}

/// One write, handed over and not waited for.
fn begin_put(env: &ReplicatedEnvironment, value: &[u8]) -> Result<CommitHandle, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"alice", value)?;
    txn.commit()
}
