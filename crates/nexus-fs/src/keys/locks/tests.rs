use super::*;

#[test]
fn the_rows_of_a_lock_say_whose_they_are_and_sort_by_their_stamps() {
    let inode = lock_of_inode(7);
    let name = lock_of_name("deploy");
    let lease = stamped(&lock_leases(&inode), Revision(3));
    let place = stamped(&lock_queue(&name), Revision(4));
    let parsed = parse_lock(&lease).unwrap();
    assert_eq!((parsed.lock, parsed.is_lease), (&inode[..], true));
    assert_eq!(parsed.on, LockOn::Inode(7));
    let parsed = parse_lock(&place).unwrap();
    assert_eq!((parsed.lock, parsed.is_lease), (&name[..], false));
    assert_eq!(parsed.on, LockOn::Name("deploy"));
    assert!(stamped_after(&lock_leases(&inode), Revision(2)).contains(&lease));
    assert!(!stamped_after(&lock_leases(&inode), Revision(3)).contains(&lease));
    assert!(all_locks().contains(&lease) && all_locks().contains(&place));
    assert_eq!(parse_lock(b"kx"), None);
}

#[test]
fn a_lock_s_rows_are_not_those_of_a_name_that_begins_alike() {
    let rows = KeyRange::prefix(lock_of_name("a"));
    let other = stamped(&lock_leases(&lock_of_name("ab")), Revision(1));
    assert!(!rows.contains(&other));
}
