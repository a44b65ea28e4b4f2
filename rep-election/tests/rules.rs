//! Each rule of an election, on one core, by itself.

#[path = "support/solo.rs"]
mod solo;

use rep_election::output::Declined;
use rep_election::{Fence, Lost, Message, Output, PeerError, Reason};
use rep_vlsn::{GroupId, LogPoint};
use solo::*;

// --- The fence ---

#[test]
fn a_promise_waits_for_the_disk_and_is_in_force_at_once() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.give(from(2), ask).unwrap();
    let out = solo.take();
    let fence = Fence { term: term(2), promised_to: Some(id(2)) };
    assert!(out.contains(&Output::Persist(fence)));
    assert_eq!(promised(&out), None, "not before it is durable");
    assert_eq!((solo.core.fence(), solo.core.durable_fence().term), (fence, term(1)));
    solo.hear(1, 3);
    assert_eq!(solo.core.status().followed, None, "a master below the fence in force is not heard");
    solo.persist(fence);
    assert_eq!(promised(&solo.take()).map(|(to, promise)| (to, promise.term)), Some((2, term(2))));
}

#[test]
fn our_own_solicitation_waits_for_the_disk() {
    let mut solo = Solo::new(1);
    let asked = solo.until_asking();
    let grant = solo.grant(asked);
    solo.give(from(3), grant).unwrap();
    let out = solo.take();
    assert!(solicits(&out).is_empty());
    assert_eq!(solo.core.next_timeout(), None, "the disk is waited for without a clock");
    let fence = Fence { term: asked, promised_to: Some(id(1)) };
    assert!(out.contains(&Output::Persist(fence)));
    solo.persist(fence);
    assert_eq!(solicits(&solo.take()).len(), 2);
}

#[test]
fn a_promise_passed_by_a_higher_one_is_not_spoken() {
    let mut solo = Solo::new(1);
    for (asker, of) in [(2, 2), (3, 3)] {
        let ask = solo.solicit(of);
        solo.give(from(asker), ask).unwrap();
    }
    let out = solo.settle();
    let promises = sent(&out).into_iter().filter(|(_, m)| matches!(m, Message::Promise(_)));
    assert_eq!(promises.map(|(to, m)| (to, m.term())).collect::<Vec<_>>(), [(3, term(3))]);
}

#[test]
fn a_term_is_promised_once() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    assert!(promised(&solo.ask(from(2), ask.clone())).is_some());
    assert_eq!(refused(&solo.ask(from(3), ask.clone())), Some(Reason::StaleTerm));
    let again = solo.ask(from(2), ask);
    assert!(
        promised(&again).is_some_and(|(_, promise)| promise.nameable),
        "a repetition is answered"
    );
}

#[test]
fn a_repeated_promise_after_a_restart_does_not_make_its_promiser_nameable() {
    let mut solo = Solo::of(1, born(3), Fence { term: term(2), promised_to: Some(id(2)) });
    let ask = solo.solicit(2);
    let out = solo.ask(from(2), ask);
    assert!(promised(&out).is_some_and(|(_, promise)| !promise.nameable));
    let name = solo.name(2, 1, &[1, 2]);
    let out = solo.ask(from(2), name);
    assert_eq!((crowned(&out), declined(&out)), (None, Some(Declined::PromisedBeforeRestart)));
}

#[test]
fn a_term_whose_stream_was_accepted_is_not_promised() {
    let mut solo = Solo::new(1);
    solo.hear(4, 2);
    assert_eq!(solo.core.fence(), Fence { term: term(4), promised_to: None });
    let ask = solo.solicit(4);
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::StaleTerm));
    let ask = solo.solicit(5);
    assert!(promised(&solo.ask(from(2), ask.clone())).is_some());
    solo.hear(5, 2);
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::StaleTerm), "nor promised again");
}

#[test]
fn a_restarted_proposer_solicits_only_above_its_fence() {
    let mut solo = Solo::of(1, born(3), Fence { term: term(7), promised_to: Some(id(1)) });
    assert_eq!(solo.until_soliciting(&[2]), term(8));
}

#[test]
fn promising_a_higher_term_ends_a_reign_before_the_promise_leaves() {
    let mut solo = Solo::new(1);
    let reign = reigning(&mut solo);
    let ask = solo.solicit(reign.get() + 1);
    let out = solo.ask(from(2), ask);
    let deposed = out.iter().position(|o| matches!(o, Output::Deposed { .. })).unwrap();
    let spoken = out.iter().position(|o| matches!(o, Output::Send { .. })).unwrap();
    assert!(deposed < spoken);
    assert!(matches!(out[deposed], Output::Deposed { by, .. } if by == term(reign.get() + 1)));
}

// --- Pre-votes ---

#[test]
fn a_pre_vote_is_granted_in_silence_and_raises_nothing() {
    let mut solo = Solo::new(1);
    let ask = solo.pre_solicit(2);
    assert!(granted(&solo.ask(from(2), ask)));
    assert_eq!(solo.core.fence().term, term(1));
}

#[test]
fn who_hears_a_master_grants_no_pre_vote() {
    let mut solo = Solo::new(1);
    solo.hear(2, 3);
    solo.settle();
    let ask = solo.pre_solicit(3);
    let heard = Some(Reason::MasterHeard { master: id(3) });
    assert_eq!(refused(&solo.ask(from(2), ask.clone())), heard);
    solo.now += ms(599);
    assert_eq!(refused(&solo.ask(from(2), ask.clone())), heard);
    solo.now += ms(1);
    assert!(
        granted(&solo.ask(from(2), ask)),
        "the timeout itself is enough, jitter is for standing"
    );
}

#[test]
fn a_lost_master_is_silence_at_once_for_granting_and_for_standing() {
    let mut solo = Solo::new(1);
    solo.hear(2, 3);
    solo.settle();
    solo.call(|core, now, _| core.lose_master(now));
    let ask = solo.pre_solicit(3);
    assert!(granted(&solo.ask(from(2), ask)));
    let (at, _) = solo.core.next_timeout().unwrap();
    assert!(at <= solo.now + ms(30), "a short stagger, no timeout");
}

#[test]
fn a_reigning_master_grants_no_pre_vote() {
    let mut solo = Solo::new(1);
    let reign = reigning(&mut solo);
    solo.now += ms(10_000);
    let ask = solo.pre_solicit(reign.get() + 1);
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::Reigning));
}

#[test]
fn a_master_passed_by_a_members_fence_steps_down() {
    let mut solo = Solo::new(1);
    let reign = reigning(&mut solo);
    solo.now += ms(1_000);
    let ask = solo.pre_solicit(reign.get() + 4);
    let out = solo.ask(wiped(2), ask.clone());
    assert!(!out.iter().any(|o| matches!(o, Output::Deposed { .. })), "not by a wiped one");
    let out = solo.ask(from(2), ask);
    assert!(
        out.iter().any(|o| matches!(o, Output::Deposed { by, .. } if by.get() == reign.get() + 3))
    );
    assert!(granted(&out));
}

#[test]
fn no_pre_vote_within_the_crown_wait_and_not_longer() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(2), ask);
    let other = solo.pre_solicit(3);
    solo.now += ms(149);
    assert_eq!(refused(&solo.ask(from(3), other.clone())), Some(Reason::CrownWait));
    solo.now += ms(1);
    assert!(granted(&solo.ask(from(3), other)));
}

#[test]
fn a_repeated_solicitation_does_not_lengthen_the_crown_wait() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(2), ask.clone());
    solo.now += ms(140);
    solo.ask(from(2), ask);
    solo.now += ms(10);
    let other = solo.pre_solicit(3);
    assert!(granted(&solo.ask(from(3), other)));
}

#[test]
fn a_stale_pre_vote_is_refused_and_the_asker_adopts_the_term_without_raising_it() {
    let mut solo = Solo::new(1);
    let asked = solo.until_asking();
    let out = solo.ask(from(2), refuse(asked, true, 40, Reason::StaleTerm));
    let adopted = Fence { term: term(40), promised_to: None };
    assert!(out.contains(&Output::Persist(adopted)));
    assert_eq!(solo.core.fence(), adopted, "as it is");
    assert_eq!(pre_solicits(&out)[0].term, term(41), "and asks again at once");
}

#[test]
fn a_pre_vote_at_or_below_the_fence_is_refused_with_the_fence() {
    let mut solo = Solo::of(1, born(3), Fence { term: term(9), promised_to: None });
    for asked in [8, 9] {
        let ask = solo.pre_solicit(asked);
        let out = solo.ask(from(2), ask);
        assert_eq!(sent(&out), [(2, &refuse(term(asked), true, 9, Reason::StaleTerm))]);
    }
    let ask = solo.pre_solicit(10);
    assert!(granted(&solo.ask(from(2), ask)));
}

#[test]
fn a_grant_of_another_term_counts_nothing() {
    let mut solo = Solo::new(1);
    let asked = solo.until_asking().get();
    for other in [asked - 1, asked + 1] {
        let grant = solo.grant(term(other));
        solo.ask(from(2), grant);
        assert_eq!(solo.core.fence().term, term(1));
    }
}

#[test]
fn a_refusal_in_a_crown_wait_is_no_reason_to_withhold_the_promise() {
    let mut solo = Solo::new(3);
    let asked = solo.until_asking();
    solo.ask(from(2), refuse(asked, true, asked.get(), Reason::CrownWait));
    let ask = solo.solicit(asked.get());
    assert!(promised(&solo.ask(from(2), ask)).is_some());
}

#[test]
fn terms_are_adopted_only_from_members() {
    for stranger in [wiped(2), from(9)] {
        let mut solo = Solo::new(1);
        let asked = solo.until_asking();
        solo.ask(stranger, refuse(asked, true, 40, Reason::StaleTerm));
        assert_eq!(solo.core.fence().term, term(1));
        let name = solo.name(50, 2, &[2, 3]);
        solo.ask(stranger, name);
        assert_eq!(solo.core.fence().term, term(1));
    }
}

#[test]
fn an_absurd_term_is_malformed() {
    let mut solo = Solo::new(1);
    let far = (1 << 32) + 2;
    let too_far = Err(PeerError::TermTooFar { term: term(far), ours: term(1) });
    for message in [
        solo.pre_solicit(far),
        solo.solicit(far),
        solo.name(far, 2, &[2, 3]),
        Message::Promise(solo.promise(term(far), at(1, 1))),
        refuse(term(2), true, far, Reason::StaleTerm),
    ] {
        assert_eq!(solo.give(from(2), message), too_far);
    }
    let heard = solo.call(|core, now, _| core.hear_master(now, term(far), id(2), true));
    assert_eq!(heard, too_far);
    assert_eq!(solo.take(), []);
    let ask = solo.solicit(far - 1);
    assert!(promised(&solo.ask(from(2), ask)).is_some(), "2^32 above is still a term");
}

#[test]
fn no_term_is_raised_unless_a_quorum_would_promise() {
    let mut solo = Solo::of(1, born(5), Fence { term: term(1), promised_to: None });
    let asked = solo.until_asking();
    solo.ask(from(2), solo.grant(asked));
    solo.ask(wiped(3), solo.grant(asked));
    solo.ask(from(9), solo.grant(asked));
    assert_eq!(solo.core.fence().term, term(1));
    assert_eq!(solo.core.status().agreed, [id(1), id(2)]);
    assert_eq!(solo.jump(), "pre-vote round");
    let lost = solo.take();
    assert!(lost.contains(&Output::Lost { term: term(1), reason: Lost::PreVoteFailed }));
    let (next, why) = solo.core.next_timeout().unwrap();
    assert_eq!(why, "wait after a failed round");
    assert!(next >= solo.now + ms(100) && next <= solo.now + ms(300));
}

// --- Whom one promises ---

#[test]
fn a_wiped_member_is_refused_and_status_says_why() {
    let mut solo = Solo::new(1);
    let unborn_ask = solicit_in(2, LogPoint::NULL, unborn(3));
    for ask in [solo.pre_solicit(2), solo.solicit(2), unborn_ask] {
        assert_eq!(refused(&solo.ask(wiped(2), ask)), Some(Reason::OtherIncarnation));
    }
    assert_eq!(solo.core.status().refused[&id(2)], Reason::OtherIncarnation);
    assert_eq!(solo.core.fence().term, term(1));
}

#[test]
fn a_stranger_and_another_group_are_refused() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    assert_eq!(refused(&solo.ask(from(9), ask)), Some(Reason::NotAMember));
    let mut other = born(3);
    other.group = Some(GroupId([1; 16]));
    let ask = solicit_in(2, at(1, 1), other);
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::OtherGroup));
    let grant = solo.grant(term(2));
    assert_eq!(solo.give(from(1), grant), Err(PeerError::OwnName { name: id(1) }));
}

#[test]
fn a_born_node_never_promises_to_an_unborn_one() {
    let mut solo = Solo::new(1);
    let ask = solicit_in(2, LogPoint::NULL, unborn(3));
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::AskerUnborn));
}

#[test]
fn an_unborn_node_promises_to_the_unborn_of_the_same_list() {
    let mut solo = Solo::of(1, unborn(3), Fence::default());
    let ask = solicit_in(1, LogPoint::NULL, unborn(2));
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::OtherMembers));
    let ask = solicit_in(1, LogPoint::NULL, unborn(3));
    assert!(promised(&solo.ask(from(2), ask)).is_some());
}

#[test]
fn an_unborn_node_promises_to_a_born_one_only_if_it_is_recorded_there() {
    let mut solo = Solo::of(1, unborn(3), Fence::default());
    let ask = solicit_in(1, at(1, 4), born(3));
    assert!(promised(&solo.ask(from(2), ask)).is_some());
    let mut other = born(3);
    other.voters.insert(id(1), rep_election::Voter::known(incarnation(77)));
    let ask = solicit_in(2, at(1, 4), other);
    assert_eq!(refused(&solo.ask(from(2), ask)), Some(Reason::RefuserNotRecorded));
}

#[test]
fn status_says_who_refuses_and_forgets_what_has_passed() {
    let mut solo = Solo::new(1);
    let asked = solo.until_asking();
    let busy = solo.pre_solicit(asked.get());
    solo.ask(from(3), busy);
    solo.ask(wiped(2), refuse(asked, true, 0, Reason::RefuserNotRecorded));
    let status = solo.core.status();
    assert_eq!(status.refused, [(id(3), Reason::Busy)].into());
    assert_eq!(status.refused_by, [(id(2), Reason::RefuserNotRecorded)].into());
    solo.hear(1, 3);
    let status = solo.core.status();
    assert_eq!(status.refused, [].into());
    assert_eq!(status.refused_by.len(), 1, "who is not recorded stays so");
}

// --- The round ---

#[test]
fn a_winner_is_named_as_soon_as_a_quorum_has_promised() {
    let mut solo = Solo::of(1, born(5), Fence { term: term(1), promised_to: None });
    let asked = solo.until_soliciting(&[2, 3]);
    let promise = solo.promise(asked, at(1, 5));
    assert_eq!(named(&solo.ask(from(2), Message::Promise(promise.clone()))), None);
    let out = solo.ask(from(3), Message::Promise(promise.clone()));
    assert_eq!(named(&out), Some(1), "at three of five, and nobody waits for the hung");
    assert_eq!(crowned(&out), Some(asked));
    let late = solo.ask(from(4), Message::Promise(promise));
    assert_eq!(late, [], "one winner a term");
}

#[test]
fn the_better_log_is_named_even_if_it_is_not_the_proposers() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    let better = solo.promise(asked, at(1, 6));
    let out = solo.ask(from(2), Message::Promise(better));
    assert_eq!((named(&out), crowned(&out)), (Some(2), None));
    assert!(
        out.contains(&Output::Lost { term: asked, reason: Lost::AnotherNamed { winner: id(2) } })
    );
}

#[test]
fn a_longer_log_of_an_older_term_is_not_named() {
    let mut solo = Solo::new(1);
    solo.rank = at(3, 5);
    let asked = solo.until_soliciting(&[2]);
    let longer = solo.promise(asked, at(2, 900));
    assert_eq!(named(&solo.ask(from(2), Message::Promise(longer))), Some(1));
}

#[test]
fn a_wiped_members_promise_counts_nothing() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    let promise = solo.promise(asked, at(1, 5));
    assert_eq!(named(&solo.ask(wiped(2), Message::Promise(promise))), None);
}

#[test]
fn a_promise_of_another_term_counts_nothing() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    let older = solo.promise(term(asked.get() - 1), at(1, 5));
    assert_eq!(named(&solo.ask(from(2), Message::Promise(older))), None);
}

#[test]
fn the_poisoned_is_never_named_and_still_proposes() {
    let mut solo = Solo::new(1);
    solo.nameable = false;
    let asked = solo.until_soliciting(&[2]);
    let promise = solo.promise(asked, at(1, 5));
    assert_eq!(named(&solo.ask(from(2), Message::Promise(promise))), Some(2));
}

#[test]
fn who_reaches_no_commit_quorum_is_named_only_if_nobody_else_can_be() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    let mut promise = solo.promise(asked, at(1, 6));
    promise.reaches_commit_quorum = false;
    assert_eq!(named(&solo.ask(from(2), Message::Promise(promise))), None, "a third may answer");
    assert_eq!(solo.jump(), "promise round");
    assert_eq!(named(&solo.settle()), Some(2), "better than nobody");
}

#[test]
fn a_silent_winner_is_followed_by_the_next_term_at_once_and_left_out() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    let better = solo.promise(asked, at(1, 6));
    solo.ask(from(2), Message::Promise(better.clone()));
    solo.call(|core, now, _| core.hear_master(now, asked, id(2), false)).unwrap();
    let named_at = solo.now;
    assert_eq!(solo.jump(), "crown wait of the winner that was named");
    assert_eq!(solo.now, named_at + ms(150), "heard without a quorum is not heard");
    let out = solo.settle();
    assert!(pre_solicits(&out).is_empty());
    let next = solicits(&out)[0].term;
    assert_eq!(next.get(), asked.get() + 1);
    let better = rep_election::message::Promise { term: next, ..better };
    let equal = rep_election::message::Promise { rank: at(1, 6), ..better.clone() };
    assert_eq!(named(&solo.ask(from(2), Message::Promise(better))), None);
    assert_eq!(named(&solo.ask(from(3), Message::Promise(equal))), Some(3));
}

#[test]
fn a_winner_heard_with_its_quorum_ends_the_watch() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    let better = solo.promise(asked, at(1, 6));
    solo.ask(from(2), Message::Promise(better));
    solo.hear(asked.get(), 2);
    let (at, why) = solo.core.next_timeout().unwrap();
    assert_eq!(why, "silence of the master");
    assert!(at >= solo.now + ms(600));
}

#[test]
fn a_round_that_cannot_succeed_any_more_ends_at_once() {
    let mut solo = Solo::new(1);
    let asked = solo.until_soliciting(&[2]);
    for refuser in [2, 3] {
        solo.give(from(refuser), refuse(asked, false, asked.get(), Reason::StaleTerm)).unwrap();
    }
    let out = solo.settle();
    assert!(out.contains(&Output::Lost { term: asked, reason: Lost::TooFewPromises }));
}

// --- The crown ---

/// Promises term 2 to node 2, then is named by it.
fn named_by_two(change: impl FnOnce(&mut Solo), promisers: &[u32]) -> Vec<Output> {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(2), ask);
    let name = solo.name(2, 1, promisers);
    change(&mut solo);
    solo.ask(from(2), name)
}

#[test]
fn the_named_reigns_if_every_condition_holds() {
    let out = named_by_two(|_| {}, &[1, 2]);
    assert_eq!(crowned(&out), Some(term(2)));
}

#[test]
fn too_few_promisers_make_no_master() {
    assert_eq!(declined(&named_by_two(|_| {}, &[2])), Some(Declined::NoQuorum));
    assert_eq!(
        declined(&named_by_two(|_| {}, &[2, 2, 2])),
        Some(Declined::NoQuorum),
        "each counts once"
    );
    assert_eq!(declined(&named_by_two(|_| {}, &[1, 8, 9])), Some(Declined::NoQuorum));
    let grown = |solo: &mut Solo| solo.electorate = born(5);
    assert_eq!(
        declined(&named_by_two(grown, &[1, 2])),
        Some(Declined::NoQuorum),
        "its own membership rules"
    );
}

#[test]
fn promisers_of_another_incarnation_make_no_master() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(3), ask);
    let name = solo.name(2, 1, &[1, 2]);
    solo.electorate.voters.insert(id(2), rep_election::Voter::known(incarnation(77)));
    assert_eq!(declined(&solo.ask(from(3), name)), Some(Declined::NoQuorum));
}

#[test]
fn a_promiser_above_the_named_makes_no_master() {
    let shorter = |solo: &mut Solo| solo.rank = at(1, 4);
    assert_eq!(declined(&named_by_two(shorter, &[1, 2])), Some(Declined::Outranked));
}

#[test]
fn a_poisoned_log_declines() {
    let poisoned = |solo: &mut Solo| solo.nameable = false;
    assert_eq!(declined(&named_by_two(poisoned, &[1, 2])), Some(Declined::NotNameable));
}

#[test]
fn a_term_promised_to_another_is_not_accepted() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(3), ask);
    let name = solo.name(2, 1, &[1, 2]);
    assert_eq!(declined(&solo.ask(from(2), name)), Some(Declined::NotPromised));
}

#[test]
fn a_crown_waits_for_the_disk_too() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.give(from(2), ask).unwrap();
    let name = solo.name(2, 1, &[1, 2]);
    solo.give(from(2), name).unwrap();
    assert_eq!(declined(&solo.take()), Some(Declined::NotPromised));
}

#[test]
fn a_crown_of_a_term_passed_by_is_not_accepted() {
    let passed = |solo: &mut Solo| {
        let ask = solo.solicit(3);
        solo.ask(from(3), ask);
    };
    let out = named_by_two(passed, &[1, 2]);
    assert_eq!((crowned(&out), declined(&out)), (None, None));
}

#[test]
fn a_term_is_reigned_once() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(2), ask);
    let name = solo.name(2, 1, &[1, 2]);
    assert_eq!(crowned(&solo.ask(from(2), name.clone())), Some(term(2)));
    solo.call(|core, now, _| core.reign_ended(now));
    let out = solo.ask(from(2), name);
    assert_eq!((crowned(&out), declined(&out)), (None, Some(Declined::TermUsed)));
    assert_eq!(solo.until_soliciting(&[3]), term(3), "it may stand again");
}

#[test]
fn a_term_whose_master_was_heard_is_not_accepted() {
    let followed = |solo: &mut Solo| solo.hear(2, 3);
    assert_eq!(declined(&named_by_two(followed, &[1, 2])), Some(Declined::TermUsed));
}

#[test]
fn nobody_crowned_within_the_crown_wait_ends_the_candidacy() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    let out = solo.ask(from(2), ask);
    assert!(out.contains(&Output::Stand { term: term(2) }));
    assert_eq!(solo.jump(), "crown wait");
    assert_eq!(solo.now, ms(150));
    assert!(solo.take().contains(&Output::Lost { term: term(2), reason: Lost::NobodyCrowned }));
}

#[test]
fn a_late_announcement_is_still_accepted_by_who_stands_again_for_it() {
    let mut solo = Solo::new(1);
    let ask = solo.solicit(2);
    solo.ask(from(2), ask);
    assert_eq!(solo.jump(), "crown wait");
    let lost = Output::Lost { term: term(2), reason: Lost::NobodyCrowned };
    assert!(solo.take().contains(&lost));
    let name = solo.name(2, 1, &[1, 2]);
    let out = solo.ask(from(2), name);
    assert_eq!(out[0], Output::Stand { term: term(2) });
    assert_eq!(crowned(&out), Some(term(2)));
}

#[test]
fn a_term_heard_of_outside_of_elections_is_adopted_as_it_is() {
    let mut solo = Solo::new(1);
    let reign = reigning(&mut solo);
    solo.call(|core, now, _| core.observe_term(now, id(2), reign)).unwrap();
    assert_eq!(solo.settle(), []);
    let higher = term(reign.get() + 3);
    solo.call(|core, now, _| core.observe_term(now, id(2), higher)).unwrap();
    let out = solo.settle();
    assert!(out.contains(&Output::Deposed { term: reign, by: higher }));
    assert_eq!(solo.core.durable_fence(), Fence { term: higher, promised_to: None });
    let far = term(higher.get() + (1 << 32) + 1);
    let absurd = solo.call(|core, now, _| core.observe_term(now, id(2), far));
    assert_eq!(absurd, Err(PeerError::TermTooFar { term: far, ours: higher }));
}

#[test]
fn a_second_master_in_our_own_term_is_an_error() {
    let mut solo = Solo::new(1);
    let reign = reigning(&mut solo);
    let heard = solo.call(|core, now, _| core.hear_master(now, reign, id(2), true));
    assert_eq!(heard, Err(PeerError::SecondMaster { term: reign, master: id(2) }));
}

// --- Foundings ---

#[test]
fn a_founding_needs_everyone_and_tells_their_incarnations() {
    let mut solo = Solo::of(1, unborn(3), Fence::default());
    let asked = solo.until_soliciting(&[2, 3]);
    let promise = solo.promise(asked, LogPoint::NULL);
    assert_eq!(named(&solo.ask(from(2), Message::Promise(promise.clone()))), None);
    let mut of_born = promise.clone();
    of_born.electorate = born(3);
    assert_eq!(named(&solo.ask(from(3), Message::Promise(of_born))), None, "each of them unborn");
    let out = solo.ask(from(3), Message::Promise(promise));
    let founders = (1..=3).map(|number| (id(number), incarnation(number))).collect();
    assert!(out.contains(&Output::Crown { term: asked, promisers: founders }));
}

#[test]
fn a_group_of_one_founds_itself() {
    let mut solo = Solo::of(1, unborn(1), Fence::default());
    solo.jump();
    assert_eq!(crowned(&solo.settle()), Some(term(1)));
}

#[test]
fn a_recorded_member_under_another_incarnation_never_stands() {
    let mut solo = Solo::new(1);
    solo.electorate.voters.insert(id(1), rep_election::Voter::known(incarnation(77)));
    for _ in 0..5 {
        solo.jump();
        assert_eq!(solo.settle(), []);
    }
}

// --- Duels ---

#[test]
fn with_a_round_open_a_node_yields_to_the_better_once_and_refuses_the_worse() {
    let mut solo = Solo::of(2, born(5), Fence { term: term(1), promised_to: None });
    let asked = solo.until_asking().get();
    let worse = solo.pre_solicit(asked);
    assert_eq!(refused(&solo.ask(from(3), worse)), Some(Reason::Busy), "a larger id");
    let worse = solo.pre_solicit_at(asked, at(1, 4));
    assert_eq!(refused(&solo.ask(from(1), worse)), Some(Reason::Busy), "a shorter log");
    let better = solo.pre_solicit(asked);
    let out = solo.ask(from(1), better.clone());
    assert!(granted(&out));
    assert!(out.contains(&Output::Lost { term: term(1), reason: Lost::Yielded { to: id(1) } }));
    solo.until_asking();
    assert_eq!(refused(&solo.ask(from(1), better.clone())), Some(Reason::Busy), "once");
    solo.hear(1, 5);
    solo.call(|core, now, _| core.lose_master(now));
    solo.until_asking();
    assert!(granted(&solo.ask(from(1), better)), "until a master is heard");
}

#[test]
fn a_member_that_refused_us_and_asks_now_is_given_way() {
    let mut solo = Solo::new(1);
    let asked = solo.until_asking();
    solo.ask(from(2), refuse(asked, true, 1, Reason::MasterHeard { master: id(3) }));
    let ask = solo.pre_solicit(asked.get());
    assert!(granted(&solo.ask(from(2), ask)));
}

fn reigning(solo: &mut Solo) -> rep_vlsn::Term {
    let asked = solo.until_soliciting(&[2]);
    let promise = solo.promise(asked, at(1, 5));
    let out = solo.ask(from(2), Message::Promise(promise));
    assert_eq!(crowned(&out), Some(asked));
    asked
}
