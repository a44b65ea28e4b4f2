use super::*;
use crate::member::Attributes;
use rep_vlsn::{GroupId, LogPoint, Term, Vlsn};

/// What the caller of each error is to do, and words of its text that say whose doing it is and what helps.
type Row = (Error, Verdict, &'static [&'static str]);

/// The rows, and a match that does not compile while a variant has none.
macro_rules! walk {
    ($($variant:pat => $error:expr, $verdict:expr, $words:expr;)*) => {
        fn rows() -> Vec<Row> {
            vec![$({
                let row: Row = ($error, $verdict, &$words);
                assert!(matches!(row.0, $variant), "a row of another variant: {:?}", row.0);
                row
            }),*]
        }

        fn _no_variant_is_left_out(error: &Error) {
            match error {
                $($variant => {})*
            }
        }
    };
}

walk! {
    Error::NotMaster { master: Some(_) } => Error::NotMaster { master: Some(member()) },
        Verdict::Redirect(member()), ["not the master", "the master is n2 at place-2"];
    Error::NotMaster { master: None } => Error::NotMaster { master: None },
        after(AFTER_ELECTION), ["not the master", "no master is known", "try again"];
    Error::DiskFull => Error::DiskFull,
        after(AFTER_ELECTION), ["disk is full", "nothing was logged", "make space"];
    Error::HoldsNoData { master: Some(_), .. } => Error::HoldsNoData {
            kind: MemberType::Monitor, master: Some(member()) },
        Verdict::Redirect(member()), ["of type monitor", "holds no data", "the master is n2"];
    Error::HoldsNoData { master: None, .. } => Error::HoldsNoData {
            kind: MemberType::Arbiter, master: None },
        after(AFTER_ELECTION), ["of type arbiter", "holds no data", "no master is known"];
    Error::InsufficientReplicas { .. } => Error::InsufficientReplicas {
            policy: Acks::All, needed: 2, live: 1, missing: vec!["n2".into()] },
        after(AFTER_ELECTION), ["n2", "nothing was logged", "Bring them back"];
    Error::InsufficientAcks { .. } => Error::InsufficientAcks {
            token: token(), why: Unacknowledged::Late, needed: 2, acked_by: vec!["n1".into()], missing: vec!["n2".into()] },
        Verdict::OutcomeUnknown(token()), ["n2", "unknown", "a read at least at its token tells"];
    Error::RolledBack { .. } => Error::RolledBack { token: token() },
        after(SOON), ["another master", "no effect", "written again"];
    Error::TxnTooLarge { .. } => Error::TxnTooLarge { bytes: 9, bytes_max: 8 },
        Verdict::GiveUp, ["a transaction of 9 bytes", "takes 8", "write less"];
    Error::Invalid { .. } => Error::Invalid { what: "a database needs a name".into() },
        Verdict::GiveUp, ["refused", "nothing was changed", "needs a name"];
    Error::NotChanged { why: NotChanged::Busy } => Error::NotChanged { why: NotChanged::Busy },
        after(AFTER_ELECTION), ["not changed", "too many changes"];
    Error::NotChanged { .. } => Error::NotChanged { why: NotChanged::IsMaster },
        Verdict::GiveUp, ["not changed", "hand the mastership over first"];
    Error::NotAdded { .. } => Error::NotAdded { address: "h:1".into(), why: "it is called \"n7\"".into() },
        Verdict::GiveUp, ["the node at h:1", "it is called \"n7\"", "add it again"];
    Error::StillLearning { .. } => Error::StillLearning { name: "n4".into(), waited: SOON, lag: Some(7) },
        after(AFTER_ELECTION), ["n4 is a learner still", "7 entries behind", "goes on by itself"];
    Error::TxnExpired { .. } => Error::TxnExpired { timeout: SOON },
        after(SOON), ["open for longer than 20ms", "no effect", "begin again"];
    Error::BeginTimeout { .. } => Error::BeginTimeout { waited: SOON, holder: "bob".into(), age: SOON },
        after(SOON), ["bob holds", "for 20ms", "try again"];
    Error::TurnTaken { .. } => Error::TurnTaken { holder: "bob".into(), age: SOON },
        after(SOON), ["taken by bob", "for 20ms", "try again"];
    Error::Busy { .. } => Error::Busy { what: "the overlay", bytes: 9, bytes_max: 8 },
        after(SOON), ["the overlay is full", "nothing was logged", "try again"];
    Error::Paced { .. } => Error::Paced { within: SOON },
        after(SOON), ["slowed down", "nothing was logged", "try again"];
    Error::TooManyReads { .. } => Error::TooManyReads { waiting: 8 },
        after(SOON), ["8 reads wait at this node", "try again"];
    Error::ReadTimeout { .. } => Error::ReadTimeout { timeout: SOON },
        after(SOON), ["within 20ms", "try again, or ask for less"];
    Error::OtherGroup => Error::OtherGroup,
        Verdict::GiveUp, ["of another group", "ask there"];
    Error::NoMaster { .. } => Error::NoMaster { waited: SOON, why: "n2 and n3 are away".into() },
        after(AFTER_ELECTION), ["n2 and n3 are away", "try again"];
    Error::HandingOver { .. } => Error::HandingOver { waited: SOON },
        after(SOON), ["is being handed over", "nothing was logged", "try again"];
    Error::NotTransferred { master: None, .. } => Error::NotTransferred {
            why: "n2 is slow".into(), still_master: true, master: None },
        after(AFTER_ELECTION), ["not handed over: n2 is slow", "try again here"];
    Error::NotTransferred { master: Some(_), .. } => Error::NotTransferred {
            why: "n2 was elected".into(), still_master: false, master: Some(member()) },
        Verdict::Redirect(member()), ["n2 was elected", "ask the master"];
    Error::Unsupported { .. } => Error::Unsupported { what: "raw entries" },
        Verdict::GiveUp, ["this version does not do that", "raw entries"];
    Error::Halted { .. } => Error::Halted { reason: "its disk failed".into() },
        Verdict::GiveUp, ["its disk failed", "open it again"];
    Error::Closed => Error::Closed,
        Verdict::GiveUp, ["the environment is closed", "open it again"];
    Error::CloseTimeout { .. } => Error::CloseTimeout { waited: SOON, threads: vec!["rep-log".into()] },
        Verdict::GiveUp, ["rep-log", "stays locked", "close again"];
    Error::WouldDeadlock => Error::WouldDeadlock,
        Verdict::GiveUp, ["from a thread of this environment", "call it from another"];
    Error::Config { .. } => Error::config("listen", "no port in it"),
        Verdict::GiveUp, ["option `listen`", "no port in it"];
    Error::Plaintext { .. } => Error::Plaintext { address: "1.2.3.4:5".into() },
        Verdict::GiveUp, ["1.2.3.4:5", "not encrypted", "allow_plaintext() permits that"];
    Error::Listen { .. } => Error::Listen { address: "1.2.3.4:5".into(), detail: "in use".into() },
        Verdict::GiveUp, ["1.2.3.4:5", "in use", "choose another"];
    Error::Home { .. } => Error::Home { path: "d".into(), detail: "no space".into() },
        Verdict::GiveUp, ["the home cannot be used", "no space", "choose another"];
    Error::Locked { .. } => Error::Locked { path: "d".into() },
        after(SOON), ["by another environment", "close that first"];
    Error::AnotherIdentity { .. } => Error::AnotherIdentity {
            path: "d".into(), what: "node", expected: "n1".into(), found: "n2".into() },
        Verdict::GiveUp, ["belongs to node \"n2\"", "left as it is", "choose another"];
    Error::Damaged { .. } => Error::Damaged { what: "promise", detail: "both slots".into() },
        Verdict::GiveUp, ["promise is damaged", "repair it, or start as a new member"];
    Error::StoreAheadOfLog { .. } => Error::StoreAheadOfLog { applied: "1.9".into(), log_last: "1.8".into() },
        Verdict::GiveUp, ["1.9", "1.8", "start with an empty one"];
    Error::Store { .. } => Error::Store { detail: "no space".into() },
        Verdict::GiveUp, ["the store failed", "no space", "open the environment again"];
    Error::Open { .. } => Error::Open { detail: "no threads left".into() },
        Verdict::GiveUp, ["cannot open", "no threads left", "open it again"];
    Error::Admin { unreachable: true, .. } => Error::Admin {
            address: "a:1".into(), detail: "refused".into(), unreachable: true },
        Verdict::GiveUp, ["a:1", "nobody answers", "refused", "ask another member"];
    Error::Admin { unreachable: false, .. } => Error::Admin {
            address: "a:1".into(), detail: "nonsense".into(), unreachable: false },
        Verdict::GiveUp, ["a:1", "no usable answer", "nonsense", "see what it says"];
    Error::Refused { .. } => Error::Refused { address: "a:1".into(), why: "no; ask n2".into() },
        Verdict::GiveUp, ["a:1: no", "ask n2"];
    Error::NotAdministrator { .. } => Error::NotAdministrator {
            address: "a:1".into(), detail: "make one".into() },
        Verdict::GiveUp, ["a:1", "no administrator's", "make one"];
}

fn member() -> Member {
    Member::new("n2", 2, "place-2", Attributes::new())
}

fn token() -> CommitToken {
    CommitToken::new(GroupId::default(), LogPoint::new(Term::new(2), Vlsn::new(7)))
}

fn after(after: Duration) -> Verdict {
    Verdict::RetryHere { after }
}

#[test]
fn every_error_has_a_verdict_and_says_whose_doing_it_is_and_what_helps() {
    for (error, verdict, words) in rows() {
        assert_eq!(error.verdict(), verdict, "{error:?}");
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{word:?} is missing in: {text}");
        }
        assert!(!text.contains('\n') && !text.ends_with(' '), "one line: {text:?}");
    }
}

/// Whoever asks again after "the outcome is unknown" may write twice; so that is said of nothing else, and of nothing less.
#[test]
fn an_unknown_outcome_is_said_of_one_error_alone() {
    let unknown = |verdict: &Verdict| matches!(verdict, Verdict::OutcomeUnknown(_));
    let rows = rows();
    let said: Vec<_> = rows.iter().filter(|row| unknown(&row.0.verdict())).collect();
    assert!(matches!(&said[..], [(Error::InsufficientAcks { .. }, ..)]), "{said:?}");
}

#[test]
fn who_is_missing_is_named_and_so_is_what_to_do() {
    let (policy, missing) = (Acks::All, vec!["n2".to_owned(), "n3".to_owned()]);
    let error = Error::InsufficientReplicas { policy, needed: 3, live: 1, missing };
    assert_eq!(
        error.to_string(),
        "1 live members, 3 are needed for all members; nothing was logged. Not in reach or not in sync: n2, n3. \
         Bring them back, or ask for fewer acknowledgements."
    );
}

#[test]
fn an_unknown_outcome_names_who_did_not_acknowledge_or_says_why_nobody_can_tell() {
    let point = LogPoint::new(Term::new(2), Vlsn::new(7));
    let token = CommitToken::new(GroupId::default(), point);
    let unknown = |why, needed, acked_by: &[&str], missing: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (acked_by, missing) = (names(acked_by), names(missing));
        Error::InsufficientAcks { token, why, needed, acked_by, missing }
    };
    let error = unknown(Unacknowledged::Late, 3, &["n1", "n2"], &["n3"]);
    assert!(error.to_string().contains("2 of 3 acknowledged it in time, and not n3"), "{error}");
    assert_eq!(error.verdict(), Verdict::OutcomeUnknown(token));
    let over = unknown(Unacknowledged::Deposed, 3, &["n1"], &["n2", "n3"]).to_string();
    assert!(
        over.contains("1 of 3 acknowledged it before this node's mastership ended, and not n2, n3"),
        "{over}"
    );
    let over = unknown(Unacknowledged::Deposed, 0, &[], &[]).to_string();
    assert!(
        over.contains("too few members had acknowledged it before this node's mastership"),
        "{over}"
    );
    let over = unknown(Unacknowledged::Ended, 0, &[], &[]).to_string();
    assert!(over.contains("before this environment was closed or halted;"), "{over}");
}
