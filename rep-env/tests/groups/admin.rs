use crate::world::{BOTH, Net, PATIENCE, World, eventually, held_port, steady};
use rep_env::Error;
use rep_env::admin::{self, AdminClient, StatusReport};

/// The report of member `at`, once it says what `wanted` looks for.
pub(crate) fn report(
    world: &World,
    at: usize,
    wanted: impl Fn(&StatusReport) -> bool,
) -> StatusReport {
    eventually("a report", || {
        let report = match world.net {
            Net::Tcp => admin::status(&world.address(at), PATIENCE).unwrap(),
            Net::Memory => {
                let transport = world.hub.transport();
                AdminClient::connect(&*transport, &world.address(at), PATIENCE)
                    .unwrap()
                    .status(PATIENCE)
                    .unwrap()
            }
        };
        wanted(&report).then_some(report)
    })
}

#[test]
fn anybody_who_knows_an_address_is_told_how_the_group_is() {
    for net in BOTH {
        // Founded by the patient alone: who was master of a younger group and is no more may have refused somebody, and that is
        // told of as a problem.
        let mut world = World::new(net, 3);
        for at in 0..3 {
            let config = world.config(at).tune(|timing, _| steady(timing));
            world.open_as(at, config.build().unwrap());
        }
        let token = world.put("alice", "1");
        world.assert_everywhere(token, "alice", "1");
        let master = world.master();
        for at in 0..3 {
            let whole = |report: &StatusReport| {
                let known =
                    report.members.iter().all(|member| !member.member.attributes.is_empty());
                known && report.master.is_some() && report.problems.is_empty() && report.cvlsn > 0
            };
            let report = report(&world, at, whole);
            assert_eq!((&*report.group_name, report.members.len()), ("bank", 3));
            assert_eq!(report.me.name, format!("n{}", at + 1));
            assert_eq!(report.master.unwrap().name, format!("n{}", master + 1));
            assert_eq!(report.state, if at == master { "master" } else { "replica" });
            assert_eq!(report.role, if at == master { "leader" } else { "replica" });
            assert_eq!(report.group, world.env(at).group().map(|group| group.to_string()));
            assert_eq!(report.applied, token.point().to_string());
            assert!(
                report.term > 0
                    && report.dvlsn > 0
                    && report.synced > 0
                    && !report.incarnation.is_empty()
            );
            for member in report.members.iter().filter(|member| !member.is_me) {
                let resp = &member.member.attributes["resp"];
                assert_eq!(*resp, format!("redis-of-{}", member.member.name));
                assert!(member.replica.as_ref().unwrap().connected);
            }
        }
    }
}

#[test]
fn digests_of_equal_states_are_equal() {
    let world = World::steady(Net::Tcp, 3);
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    let digest = |at| admin::digest(&world.address(at), PATIENCE).unwrap();
    assert_eq!((digest(0), digest(1)), (digest(1), digest(2)));
    assert_eq!(digest(0).applied, token.point().to_string());
}

#[test]
fn a_member_without_a_quorum_says_so() {
    let mut world = World::new(Net::Tcp, 3);
    world.open(0);
    let report = report(&world, 0, |report| !report.problems.is_empty());
    assert!(
        report.problems.iter().any(|problem| problem.contains("no master")),
        "{:?}",
        report.problems
    );
    assert_eq!((report.master, &*report.state), (None, "unknown"));
    let error = world.env(0).wait_for_master(std::time::Duration::ZERO).unwrap_err();
    assert!(matches!(&error, Error::NoMaster { why, .. } if why.contains("no master")), "{error}");
}

#[test]
fn nobody_there_is_told_apart_from_a_bad_answer() {
    let (_held, nobody) = held_port();
    let error = admin::status(&nobody.to_string(), PATIENCE).unwrap_err();
    assert!(matches!(error, Error::Admin { unreachable: true, .. }), "{error}");
}

#[test]
fn more_callers_than_are_served_do_not_shut_the_group_out() {
    let world = World::running(Net::Memory, 3);
    let transport = world.hub.transport();
    let address = world.address(0);
    let connect = || AdminClient::connect(&*transport, &address, PATIENCE);
    let mut callers: Vec<AdminClient> = Vec::new();
    let refused = eventually("a refusal", || match connect() {
        Ok(caller) => {
            callers.push(caller);
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(refused, Error::Admin { .. }), "{refused}");
    assert!(callers.len() <= 64, "{} callers", callers.len());
    world.put("alice", "1");
    callers[0].status(PATIENCE).unwrap();
    callers.clear();
    eventually("room", || connect().ok());
}
