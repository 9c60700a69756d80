use nexus_kernel::{Kind, Revision};

use super::super::rows::LockRecord;
use super::*;

const NOW: Timestamp = Timestamp(1000);
const COUNTING: LockMode = LockMode::Counting { permits: 2 };

fn row(stamp: u64, mode: LockMode, until: i64) -> Row {
    Row {
        stamp,
        revision: Revision(stamp),
        mode,
        record: LockRecord {
            until,
            ..LockRecord::default()
        },
    }
}

fn standing(leases: &[(LockMode, i64)], queue: &[(LockMode, i64)]) -> Standing {
    let rows = |rows: &[(LockMode, i64)], first: u64| {
        let stamped = rows.iter().zip(first..);
        stamped
            .map(|((mode, until), stamp)| row(stamp, *mode, *until))
            .collect()
    };
    Standing {
        floor: Revision::ZERO,
        leases: rows(leases, 1),
        queue: rows(queue, 101),
    }
}

fn newcomer(mode: LockMode) -> Claim {
    Claim {
        mode,
        place: None,
        now: NOW,
    }
}

fn check(standing: &Standing, claim: Claim, expected: Verdict) {
    assert_eq!(judge(standing, claim).unwrap(), expected, "{claim:?}");
}

fn taken(until: i64) -> Verdict {
    Verdict::Taken {
        until: Timestamp(until),
    }
}

#[test]
fn a_lock_that_nobody_holds_is_free_for_all() {
    for mode in [LockMode::Exclusive, LockMode::Shared, COUNTING] {
        check(&Standing::default(), newcomer(mode), Verdict::Free);
    }
}

#[test]
fn an_exclusive_lease_keeps_everybody_out_until_it_ends() {
    let held = standing(&[(LockMode::Exclusive, 2000)], &[]);
    for mode in [LockMode::Exclusive, LockMode::Shared, COUNTING] {
        check(&held, newcomer(mode), taken(2000));
    }
}

#[test]
fn a_lease_counts_for_nothing_at_its_end() {
    check(
        &standing(&[(LockMode::Exclusive, 1000)], &[]),
        newcomer(LockMode::Exclusive),
        Verdict::Free,
    );
    check(
        &standing(&[(LockMode::Exclusive, 1001)], &[]),
        newcomer(LockMode::Exclusive),
        taken(1001),
    );
}

#[test]
fn those_who_share_go_together_and_with_nobody_else() {
    let shared = standing(&[(LockMode::Shared, 3000), (LockMode::Shared, 2000)], &[]);
    check(&shared, newcomer(LockMode::Shared), Verdict::Free);
    check(&shared, newcomer(LockMode::Exclusive), taken(2000));
    check(&shared, newcomer(COUNTING), taken(2000));
}

#[test]
fn a_counting_lock_has_so_many_holders() {
    check(
        &standing(&[(COUNTING, 2000)], &[]),
        newcomer(COUNTING),
        Verdict::Free,
    );
    let full = standing(&[(COUNTING, 2000), (COUNTING, 3000)], &[]);
    check(&full, newcomer(COUNTING), taken(2000));
}

#[test]
fn another_number_of_permits_is_refused_while_the_lock_is_used_or_waited_for() {
    let other = newcomer(LockMode::Counting { permits: 3 });
    let used = standing(&[(COUNTING, 2000)], &[]);
    let waited = standing(&[(LockMode::Exclusive, 2000)], &[(COUNTING, 2000)]);
    for standing in [used, waited] {
        let error = judge(&standing, other).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(error.fact("permits"), Some("2"));
    }
    check(&standing(&[(COUNTING, 1000)], &[]), other, Verdict::Free);
}

#[test]
fn who_waits_is_not_refused_for_one_who_came_later() {
    let other = LockMode::Counting { permits: 3 };
    let first = Claim {
        place: Some(101),
        ..newcomer(COUNTING)
    };
    let queue = standing(&[], &[(COUNTING, 5000), (other, 5000)]);
    check(&queue, first, Verdict::Free);
}

#[test]
fn nobody_passes_one_who_waits() {
    let queue = standing(&[(LockMode::Shared, 9000)], &[(LockMode::Exclusive, 5000)]);
    check(&queue, newcomer(LockMode::Shared), taken(5000));
    let second = Claim {
        place: Some(102),
        ..newcomer(LockMode::Shared)
    };
    check(&queue, second, taken(5000));
}

#[test]
fn a_place_that_nobody_stands_for_any_more_is_passed() {
    let queue = standing(&[(LockMode::Shared, 9000)], &[(LockMode::Exclusive, 1000)]);
    check(&queue, newcomer(LockMode::Shared), Verdict::Free);
}

#[test]
fn the_first_in_the_queue_goes_when_the_lock_is_free() {
    let first = Claim {
        place: Some(101),
        ..newcomer(LockMode::Exclusive)
    };
    let queue = [(LockMode::Exclusive, 5000), (LockMode::Exclusive, 5000)];
    check(&standing(&[], &queue), first, Verdict::Free);
    check(
        &standing(&[(LockMode::Exclusive, 2000)], &queue),
        first,
        taken(2000),
    );
}

#[test]
fn a_thousand_share_a_lock_and_no_more() {
    let full = standing(&vec![(LockMode::Shared, 2000); LEASES_MAX], &[]);
    let error = judge(&full, newcomer(LockMode::Shared)).unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
}
