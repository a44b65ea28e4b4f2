//! Elections in a group whose membership changes, each rule on one core, by itself.

#[path = "support/solo.rs"]
#[allow(dead_code)]
mod solo;

use rep_election::output::Declined;
use rep_election::{Electorate, Fence, Lost, Message, Output, Reason, Voter};
use rep_vlsn::{GroupId, LogPoint, Term};
use solo::*;

/// Of the entry 1.`entry`.
fn membership(entry: u64, voters: &[u32], learners: &[u32]) -> Electorate {
    let listed = voters.iter().map(|number| (id(*number), Voter::known(incarnation(*number))));
    let learners = learners.iter().map(|number| (id(*number), incarnation(*number))).collect();
    let group = GroupId([9; 16]);
    Electorate::majority(group, at(1, entry), listed.collect()).with_learners(learners)
}

/// Node `me`, at term 1, with the log at 1.5 and that membership in it.
fn member(me: u32, electorate: Electorate) -> Solo {
    Solo::of(me, electorate, Fence { term: term(1), promised_to: None })
}

fn asked(outputs: &[Output]) -> Vec<u32> {
    sent(outputs).into_iter().map(|(to, _)| to).collect()
}

fn lost(outputs: &[Output]) -> Option<Lost> {
    outputs.iter().find_map(|output| match output {
        Output::Lost { reason, .. } => Some(*reason),
        _ => None,
    })
}

/// A promise of one whose log ends at `rank`, with that membership in it.
fn promise(solo: &Solo, of: Term, rank: LogPoint, electorate: Electorate) -> Message {
    let promise = solo.promise(of, rank);
    Message::Promise(rep_election::message::Promise { electorate, ..promise })
}

// --- Learners ---

#[test]
fn learners_are_asked_like_voters() {
    let mut solo = member(1, membership(2, &[1, 2], &[3, 4]));
    solo.jump();
    let out = solo.take();
    assert_eq!(asked(&out), [2, 3, 4]);
    let grant = solo.grant(pre_solicits(&out)[0].term);
    let out = solo.ask(from(2), grant);
    assert_eq!((solicits(&out).len(), asked(&out)), (3, vec![2, 3, 4]));
}

#[test]
fn what_learners_grant_and_promise_counts_nothing_by_the_entry_that_lists_them_so() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[4, 5]));
    let asked = solo.until_asking();
    for learner in [4, 5] {
        let grant = solo.grant(asked);
        assert_eq!(solo.ask(from(learner), grant), []);
    }
    assert_eq!(solo.core.fence().term, term(1));
    let grant = solo.grant(asked);
    assert_eq!(solicits(&solo.ask(from(2), grant)).len(), 4);
    for learner in [4, 5] {
        let promise = Message::Promise(solo.promise(asked, at(1, 5)));
        assert_eq!(named(&solo.ask(from(learner), promise)), None);
    }
    let promise = Message::Promise(solo.promise(asked, at(1, 5)));
    let out = solo.ask(from(2), promise);
    assert_eq!((named(&out), crowned(&out)), (Some(1), Some(asked)));
}

#[test]
fn a_learner_promises_and_would_not_be_master() {
    let mut solo = member(4, membership(2, &[1, 2, 3], &[4]));
    let ask = solo.solicit(2);
    let out = solo.ask(from(1), ask);
    assert!(promised(&out).is_some_and(|(_, promise)| !promise.nameable));
    let name = solo.name(2, 4, &[1, 2, 4]);
    assert_eq!(declined(&solo.ask(from(1), name)), Some(Declined::NotAVoter));
}

#[test]
fn neither_a_learner_nor_a_removed_member_nor_a_joiner_ever_stands() {
    let removed = membership(2, &[1, 2, 3], &[]);
    for electorate in [membership(2, &[1, 2], &[4]), removed, Electorate::joining()] {
        let mut solo = member(4, electorate);
        for _ in 0..5 {
            solo.jump();
            assert_eq!(solo.settle(), []);
        }
        assert!(!solo.call(|core, now, standing| core.hand_over(now, id(1), standing)));
    }
}

#[test]
fn a_learner_that_asks_is_refused() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[4]));
    for ask in [solo.pre_solicit(2), solo.solicit(2)] {
        assert_eq!(refused(&solo.ask(from(4), ask)), Some(Reason::AskerLearner));
    }
    assert_eq!(solo.core.status().refused[&id(4)], Reason::AskerLearner);
}

#[test]
fn terms_are_adopted_from_learners() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[4]));
    let asked = solo.until_asking();
    solo.ask(from(4), refuse(asked, true, 40, Reason::StaleTerm));
    assert_eq!(solo.core.fence().term, term(40));
}

#[test]
fn a_joiner_promises_to_those_who_know_it_as_a_learner_and_to_nobody_else() {
    let mut solo = Solo::of(4, Electorate::joining(), Fence::default());
    let knows_me = membership(2, &[1, 2, 3], &[4]);
    for stranger in [membership(2, &[1, 2, 3], &[]), membership(2, &[1, 2, 3], &[5])] {
        let ask = solicit_in(2, at(1, 5), stranger);
        assert_eq!(refused(&solo.ask(from(1), ask)), Some(Reason::RefuserNotRecorded));
    }
    let ask = solicit_in(2, at(1, 5), knows_me.clone());
    assert_eq!(refused(&solo.ask(from(9), ask.clone())), Some(Reason::NotAMember));
    let out = solo.ask(from(1), ask);
    let (to, promise) = promised(&out).expect("it promises");
    assert_eq!((to, promise.nameable), (1, false));
    let bytes = Message::Promise(promise.clone()).encode();
    assert!(Message::decode(&bytes).is_ok(), "who belongs to no group can say so");
    let ask = solicit_in(3, LogPoint::NULL, unborn(4));
    assert_eq!(refused(&solo.ask(from(1), ask)), Some(Reason::OtherMembers), "it founds nothing");
}

// --- Who may ask ---

#[test]
fn whom_a_later_membership_makes_a_voter_is_promised_by_those_whom_it_knows() {
    let ours = membership(2, &[1, 2, 3], &[4]);
    for (asker, theirs) in [
        (4, membership(3, &[1, 2, 3, 4], &[])),
        (5, membership(4, &[1, 2, 3, 4, 5], &[])),
        (5, membership(4, &[2, 3, 4, 5], &[1])),
    ] {
        let mut solo = member(1, ours.clone());
        let ask = solicit_in(2, at(1, 5), theirs);
        assert!(promised(&solo.ask(from(asker), ask)).is_some(), "n{asker}");
    }
}

#[test]
fn no_other_membership_of_an_asker_counts_against_ours() {
    let ours = membership(3, &[1, 2, 3], &[4]);
    let mut knows_another = membership(4, &[1, 2, 5], &[]);
    knows_another.voters.insert(id(1), Voter::known(incarnation(77)));
    for (asker, theirs, why) in [
        (4, membership(2, &[1, 2, 3], &[4]), Reason::AskerLearner),
        (5, membership(2, &[1, 2, 3, 5], &[]), Reason::NotAMember),
        (5, membership(4, &[2, 3, 5], &[]), Reason::NotAMember),
        (5, knows_another, Reason::NotAMember),
        (5, membership(4, &[1, 2, 3], &[5]), Reason::AskerLearner),
        (5, membership(4, &[1, 2, 3], &[4]), Reason::NotAMember),
    ] {
        let mut solo = member(1, ours.clone());
        let ask = solicit_in(2, at(1, 5), theirs.clone());
        assert_eq!(refused(&solo.ask(from(asker), ask)), Some(why), "n{asker} by {theirs:?}");
        assert_eq!(solo.core.fence().term, term(1));
    }
}

/// Our log has an entry that removes it, or makes it a learner, and that may be cut away yet: by its own log it is a voter, and may be the best.
#[test]
fn whom_we_ask_may_ask_us_if_it_votes_by_its_own_log() {
    let mut solo = member(1, membership(3, &[1, 2], &[3]));
    let ask = solicit_in(2, at(1, 5), membership(2, &[1, 2, 3], &[]));
    assert!(promised(&solo.ask(from(3), ask)).is_some());
}

/// The entry that gave the number to somebody was rolled back elsewhere, and the number given again.
#[test]
fn a_number_that_was_given_again_belongs_to_whom_the_later_entry_gave_it() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[4]));
    let mut theirs = membership(3, &[1, 2, 3, 4], &[]);
    theirs.voters.insert(id(4), Voter::known(wiped(4).incarnation));
    let ask = solicit_in(2, at(1, 5), theirs);
    assert!(promised(&solo.ask(wiped(4), ask.clone())).is_some());
    let mut solo = member(1, membership(3, &[1, 2, 3], &[4]));
    assert_eq!(refused(&solo.ask(wiped(4), ask)), Some(Reason::OtherIncarnation), "not later");
}

#[test]
fn a_winner_is_named_by_whom_the_term_was_promised_to_and_by_no_other_stranger() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
    let ask = solicit_in(2, at(1, 5), membership(4, &[1, 2, 3, 4, 5], &[]));
    assert!(promised(&solo.ask(from(5), ask)).is_some());
    for passing in [2, 7] {
        let name = solo.name(passing, 1, &[1, 2, 5]);
        assert_eq!(solo.ask(from(6), name), [], "not promised to n6");
        assert_eq!(solo.core.fence().term, term(2));
    }
    let name = solo.name(2, 1, &[1, 2, 5]);
    assert_eq!(crowned(&solo.ask(from(5), name)), Some(term(2)));
}

// --- What a quorum would be ---

/// Voters 1 to 4, and 5 promoted by an entry on 1, 2 and 5; 1 and 2 died. 3 knows 5 as a learner.
#[test]
fn a_pre_vote_may_succeed_by_the_later_membership_of_a_granter() {
    let promoted = membership(4, &[1, 2, 3, 4, 5], &[]);
    let mut solo = member(3, membership(3, &[1, 2, 3, 4], &[5]));
    let asked = solo.until_asking();
    let of_five = grant_in(asked, at(1, 6), promoted.clone());
    assert!(solicits(&solo.ask(from(5), of_five)).is_empty(), "two of five");
    let of_four = grant_in(asked, at(1, 4), membership(2, &[1, 2, 3, 4], &[]));
    assert_eq!(solicits(&solo.ask(from(4), of_four)).len(), 4, "three of five");
    let four = promise(&solo, asked, at(1, 4), membership(2, &[1, 2, 3, 4], &[]));
    assert_eq!(named(&solo.ask(from(4), four)), None, "two of four");
    let five = promise(&solo, asked, at(1, 6), promoted);
    assert_eq!(named(&solo.ask(from(5), five)), Some(5));
}

/// The promoted one itself: by its own membership three of five will do, and 4 does not know it.
#[test]
fn whoever_was_promoted_may_win_with_those_who_lack_the_entry() {
    let mut solo = member(5, membership(5, &[1, 2, 3, 4, 5], &[]));
    let asked = solo.until_asking();
    for (granter, electorate) in
        [(3, membership(4, &[1, 2, 3, 4], &[5])), (4, membership(3, &[1, 2, 3, 4], &[]))]
    {
        let grant = grant_in(asked, at(1, 4), electorate);
        solo.give(from(granter), grant).unwrap();
    }
    assert_eq!(solicits(&solo.settle()).len(), 4);
    for (promiser, electorate) in
        [(3, membership(4, &[1, 2, 3, 4], &[5])), (4, membership(3, &[1, 2, 3, 4], &[]))]
    {
        let promise = promise(&solo, asked, at(1, 4), electorate);
        solo.give(from(promiser), promise).unwrap();
    }
    assert_eq!(crowned(&solo.settle()), Some(asked));
}

/// Else two that are cut off from a master, whose membership the one lacks, would raise terms that neither can win.
#[test]
fn no_term_is_raised_for_a_quorum_of_a_membership_that_a_granter_knows_to_be_past() {
    let mut solo = member(2, membership(2, &[1, 2, 3], &[]));
    let asked = solo.until_asking();
    let grown = membership(4, &[1, 2, 3, 4, 5], &[]);
    let out = solo.ask(from(3), grant_in(asked, at(1, 6), grown.clone()));
    assert_eq!((out, solo.core.fence().term), (vec![], term(1)));
    let out = solo.ask(from(1), grant_in(asked, at(1, 6), grown));
    assert_eq!(solicits(&out).len(), 2, "three of five, of whom one may be named");
}

#[test]
fn a_round_ends_when_all_have_answered_and_not_before() {
    let mut solo = member(1, membership(2, &[1, 2, 3, 4, 5], &[6]));
    let asked = solo.until_asking();
    for refuser in [2, 3, 4, 5] {
        let out = solo.ask(from(refuser), refuse(asked, true, 1, Reason::Busy));
        assert_eq!(lost(&out), None, "n6 may know another membership");
    }
    let out = solo.ask(from(6), refuse(asked, true, 1, Reason::Busy));
    assert_eq!(lost(&out), Some(Lost::PreVoteFailed));
}

#[test]
fn a_refuser_that_grants_after_all_is_counted() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
    let asked = solo.until_asking();
    solo.ask(from(2), refuse(asked, true, 1, Reason::Busy));
    let grant = solo.grant(asked);
    assert_eq!(solicits(&solo.ask(from(2), grant)).len(), 2);
}

// --- A membership that changes in the middle ---

#[test]
fn whose_promotion_is_rolled_back_while_it_asks_takes_no_term() {
    let mut solo = member(4, membership(3, &[1, 2, 3, 4], &[]));
    let asked = solo.until_asking();
    solo.electorate = membership(2, &[1, 2, 3], &[4]);
    let grant = solo.grant(asked);
    let out = solo.ask(from(1), grant);
    assert_eq!(lost(&out), Some(Lost::PreVoteFailed));
    assert_eq!((solicits(&out).len(), solo.core.fence().term), (0, term(1)));
}

#[test]
fn whose_promotion_is_rolled_back_before_its_fence_is_durable_solicits_nobody() {
    let mut solo = member(4, membership(3, &[1, 2, 3, 4], &[]));
    let asked = solo.until_asking();
    for granter in [1, 2] {
        let grant = solo.grant(asked);
        solo.give(from(granter), grant).unwrap();
    }
    solo.electorate = membership(2, &[1, 2, 3], &[4]);
    let out = solo.settle();
    assert!(solicits(&out).is_empty());
    assert_eq!(lost(&out), Some(Lost::TooFewPromises));
    for _ in 0..5 {
        solo.jump();
        assert_eq!(solo.settle(), [], "a learner rests");
    }
}

#[test]
fn whose_promotion_is_rolled_back_while_it_solicits_names_another_and_not_itself() {
    let mut solo = member(4, membership(3, &[1, 2, 3, 4], &[]));
    let asked = solo.until_soliciting(&[1, 2]);
    solo.electorate = membership(2, &[1, 2, 3], &[4]);
    for (promiser, winner) in [(2, None), (1, Some(1))] {
        let promise = Message::Promise(solo.promise(asked, at(1, 5)));
        let out = solo.ask(from(promiser), promise);
        assert_eq!((named(&out), crowned(&out)), (winner, None));
    }
}

#[test]
fn a_proposer_counts_by_the_membership_that_it_has_when_it_counts() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
    let asked = solo.until_soliciting(&[2]);
    solo.electorate = membership(4, &[1, 2, 3, 4], &[]);
    for (promiser, winner) in [(2, None), (4, Some(1))] {
        let promise = Message::Promise(solo.promise(asked, at(1, 5)));
        let out = solo.ask(from(promiser), promise);
        assert_eq!(named(&out), winner, "three of four, where two of three were asked for");
    }
}

#[test]
fn who_was_no_member_when_a_round_began_may_answer_it() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
    let asked = solo.until_asking();
    let grant = solo.grant(asked);
    assert_eq!(solo.ask(from(4), grant), [], "a stranger's grant is nobody's");
    solo.electorate = membership(4, &[1, 4], &[]);
    let grant = solo.grant(asked);
    assert_eq!(solicits(&solo.ask(from(4), grant)).len(), 1);
}

#[test]
fn whoever_is_demoted_or_removed_between_promise_and_name_declines() {
    for changed in [membership(1, &[2, 3, 4], &[1]), membership(1, &[2, 3, 4], &[])] {
        let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
        let ask = solo.solicit(2);
        solo.ask(from(2), ask);
        let name = solo.name(2, 1, &[1, 2, 3]);
        solo.electorate = changed;
        assert_eq!(declined(&solo.ask(from(2), name)), Some(Declined::NotAVoter));
    }
}

#[test]
fn promisers_that_were_removed_between_promise_and_name_make_no_master() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
    let ask = solo.solicit(2);
    solo.ask(from(2), ask);
    let name = solo.name(2, 1, &[1, 2]);
    solo.electorate = membership(1, &[1, 3, 4], &[]);
    assert_eq!(declined(&solo.ask(from(2), name)), Some(Declined::NoQuorum));
}

/// Its round would have had no end: a winner that does not take the crown is waited for, and a learner is not to stand.
#[test]
fn a_proposer_that_is_a_learner_by_now_leaves_a_silent_winner_to_the_others() {
    let mut solo = member(4, membership(3, &[1, 2, 3, 4], &[]));
    let asked = solo.until_soliciting(&[1, 2]);
    for promiser in [1, 2] {
        let better = Message::Promise(solo.promise(asked, at(1, 9)));
        solo.ask(from(promiser), better);
    }
    solo.electorate = membership(2, &[1, 2, 3], &[4]);
    assert_eq!(solo.jump(), "crown wait of the winner that was named");
    assert!(solicits(&solo.settle()).is_empty());
    assert_eq!(solo.core.fence().term, asked);
}

#[test]
fn nothing_is_kept_of_a_refused_member_that_is_gone() {
    let mut solo = member(1, membership(2, &[1, 2, 3], &[]));
    solo.hear(1, 2);
    let ask = solo.pre_solicit(2);
    solo.ask(from(3), ask.clone());
    assert!(solo.core.status().refused.contains_key(&id(3)));
    solo.electorate = membership(4, &[1, 2], &[]);
    solo.ask(from(2), ask);
    assert_eq!(solo.core.status().refused.into_keys().collect::<Vec<_>>(), [id(2)]);
}

// --- Handing over ---

#[test]
fn an_heir_that_is_no_voter_any_more_is_not_waited_for() {
    for heir in [4, 9] {
        let mut solo = member(1, membership(2, &[1, 2, 3], &[4]));
        assert!(solo.call(|core, now, standing| core.hand_over(now, id(heir), standing)));
        let out = solo.settle();
        let asked = solicits(&out)[0].term;
        let promise = Message::Promise(solo.promise(asked, at(1, 5)));
        assert_eq!(named(&solo.ask(from(2), promise)), Some(1), "the best, and at once");
    }
}
