//! What the leader's table grants, remembers, and never lets go.

use conclave_proto::wire::RefusalKind;

use super::*;

const A: NodeId = NodeId::new(1);
const B: NodeId = NodeId::new(2);

const TOKEN_OF_A: [u8; 16] = [1; 16];
const TOKEN_OF_B: [u8; 16] = [2; 16];

fn end(number: usize, token: [u8; 16], client: Option<IpAddr>, outcome: Option<AttemptOutcome>) -> ClaimEnd {
    ClaimEnd { attempt: attempt(number), token, client, outcome }
}

fn attempt(number: usize) -> AttemptId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    AttemptId::from_bytes(bytes)
}

fn at(secs: u64) -> Boottime {
    Boottime::from_millis(secs * 1000)
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

fn refusal() -> LoginRefusal {
    LoginRefusal::new(RefusalKind::Provider, "the code is used up".to_owned())
}

fn refused() -> Option<AttemptOutcome> {
    Some(AttemptOutcome::Refused(refusal()))
}

#[test]
fn p4_refused_stays_a_refused_attempt_is_refused_as_long_as_its_cookie_lives() {
    let claims = Claims::default();
    assert_eq!(claims.take(attempt(1), [1; 16], A, address(1), at(0)), Taken::Granted);
    claims.end(end(1, TOKEN_OF_A, address(1), refused()), at(10));
    let life = LONGEST_LOGIN.as_millis() / 1000;
    for later in [10, 40, 9 + life] {
        assert_eq!(claims.take(attempt(1), [2; 16], B, address(2), at(later)), Taken::Refused(refusal()), "{later}");
        claims.release_holder(A);
        claims.end(end(1, TOKEN_OF_A, None, None), at(later));
    }
    assert_eq!(claims.take(attempt(1), [2; 16], B, None, at(10 + life)), Taken::Granted, "the cookie is dead");
}

#[test]
fn p4_refused_stays_a_new_leader_hears_of_a_refusal_that_it_did_not_grant() {
    let claims = Claims::default();
    claims.end(end(1, TOKEN_OF_A, address(1), refused()), at(0));
    assert_eq!(claims.take(attempt(1), [2; 16], B, address(1), at(1)), Taken::Refused(refusal()));
    assert_eq!(claims.look(attempt(1), [2; 16], at(1)), Some(Taken::Refused(refusal())));
    assert_eq!(claims.look(attempt(2), [2; 16], at(1)), None);
}

#[test]
fn a_repeated_question_of_the_holder_is_granted_again() {
    let claims = Claims::default();
    assert_eq!(claims.take(attempt(1), [1; 16], A, None, at(0)), Taken::Granted);
    assert_eq!(claims.take(attempt(1), [1; 16], A, None, at(1)), Taken::Granted);
    assert_eq!(claims.take(attempt(1), [2; 16], A, None, at(1)), Taken::Held);
}

#[test]
fn a_claim_ends_by_its_holder_by_loss_and_by_time() {
    let claims = Claims::default();
    claims.take(attempt(1), [1; 16], A, None, at(0));
    claims.end(end(1, TOKEN_OF_B, None, refused()), at(0));
    assert_eq!(claims.take(attempt(1), [2; 16], B, None, at(0)), Taken::Held, "only its holder ends it");
    claims.end(end(1, TOKEN_OF_A, None, None), at(0));
    assert_eq!(claims.take(attempt(1), [2; 16], B, None, at(1)), Taken::Granted, "the code was not sent");

    claims.release_holder(A);
    assert_eq!(claims.take(attempt(1), [3; 16], A, None, at(2)), Taken::Held, "another's stays");
    claims.release_holder(B);
    assert_eq!(claims.take(attempt(1), [3; 16], A, None, at(3)), Taken::Granted, "its replica is lost");

    let life = CLAIM_LIFETIME.as_millis() / 1000;
    assert_eq!(claims.take(attempt(1), [4; 16], B, None, at(2 + life)), Taken::Held);
    assert_eq!(claims.take(attempt(1), [4; 16], B, None, at(3 + life)), Taken::Granted, "its time is over");
}

/// A word that was sent twice arrives when the same replica holds the attempt anew, for another caller.
#[test]
fn p4_late_end_a_word_about_an_earlier_grant_ends_no_later_one_of_the_same_replica() {
    let claims = Claims::default();
    claims.take(attempt(1), TOKEN_OF_A, A, None, at(0));
    claims.end(end(1, TOKEN_OF_A, None, None), at(0));
    assert_eq!(claims.take(attempt(1), [3; 16], A, None, at(0)), Taken::Granted);
    for outcome in [None, refused(), Some(AttemptOutcome::Session)] {
        claims.end(end(1, TOKEN_OF_A, None, outcome), at(1));
        assert_eq!(claims.take(attempt(1), TOKEN_OF_B, B, None, at(1)), Taken::Held, "its code is under way");
    }
}

#[test]
fn what_made_a_session_takes_no_room() {
    let claims = Claims::default();
    claims.take(attempt(1), [1; 16], A, address(1), at(0));
    claims.end(end(1, TOKEN_OF_A, address(1), Some(AttemptOutcome::Session)), at(1));
    let table = claims.table.lock();
    assert!(table.claims.is_empty() && table.held.is_empty() && table.visitors.is_empty());
}

#[test]
fn p4_unfinished_stays_one_visitor_pushes_out_only_its_own_oldest_refusal() {
    let claims = Claims::default();
    claims.take(attempt(0), [9; 16], A, address(1), at(0));
    claims.take(attempt(1), [9; 16], A, address(2), at(0));
    for number in 2..=MAX_CLAIMS_PER_VISITOR {
        claims.end(end(number, TOKEN_OF_A, address(2), refused()), at(1));
    }
    let next = MAX_CLAIMS_PER_VISITOR + 1;
    assert_eq!(claims.take(attempt(next), [0; 16], A, address(2), at(2)), Taken::Granted);
    assert_eq!(claims.look(attempt(2), [8; 16], at(2)), None, "the oldest refusal went");
    assert_eq!(claims.look(attempt(3), [8; 16], at(2)), Some(Taken::Refused(refusal())));
    for open in [0, 1, next] {
        assert_eq!(claims.look(attempt(open), [8; 16], at(2)), Some(Taken::Held), "{open} is under way");
    }
}

#[test]
fn p4_unfinished_stays_a_visitor_with_too_many_under_way_is_refused_alone() {
    let claims = Claims::default();
    for number in 0..MAX_CLAIMS_PER_VISITOR {
        assert_eq!(claims.take(attempt(number), [0; 16], A, address(2), at(0)), Taken::Granted);
    }
    let next = MAX_CLAIMS_PER_VISITOR;
    assert_eq!(claims.take(attempt(next), [0; 16], A, address(2), at(0)), Taken::Full);
    assert_eq!(claims.take(attempt(next), [0; 16], A, address(3), at(0)), Taken::Granted, "another visitor");
    let all_stand = (0..next).all(|number| claims.look(attempt(number), [8; 16], at(0)) == Some(Taken::Held));
    assert!(all_stand, "none was pushed out");
}

#[test]
fn p4_unfinished_stays_the_whole_table_lets_refusals_go_and_nothing_else() {
    let claims = Claims::default();
    claims.end(end(0, TOKEN_OF_A, None, refused()), at(0));
    for number in 1..MAX_CLAIMS {
        assert_eq!(claims.take(attempt(number), [0; 16], A, None, at(0)), Taken::Granted);
    }
    assert_eq!(claims.take(attempt(MAX_CLAIMS), [0; 16], A, None, at(0)), Taken::Granted, "the refusal went");
    assert_eq!(claims.take(attempt(MAX_CLAIMS + 1), [0; 16], A, None, at(0)), Taken::Full);
    claims.end(end(MAX_CLAIMS + 1, TOKEN_OF_B, None, refused()), at(0));
    let table = claims.table.lock();
    assert_eq!((table.claims.len(), table.held.len(), table.refused.len()), (MAX_CLAIMS, MAX_CLAIMS, 0));
}

#[test]
fn one_network_of_ipv6_is_one_visitor() {
    let parse = |text: &str| visitor(text.parse().expect("an address"));
    assert_eq!(parse("2001:db8:1:2:3::4"), parse("2001:db8:1:2:ffff::1"));
    assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
    assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
}
