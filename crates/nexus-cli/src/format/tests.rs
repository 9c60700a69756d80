use super::*;

#[test]
fn sizes_have_at_most_three_digits() {
    let check = |bytes, text| assert_eq!(size(bytes), text);
    check(0, "0 B");
    check(1023, "1023 B");
    check(1024, "1.0 KiB");
    check(10_189, "10 KiB");
    check(1_023_488, "1.0 MiB");
    check(120 << 20, "120 MiB");
    check(u64::MAX, "16 EiB");
}

#[test]
fn counts_agree_with_their_noun() {
    assert_eq!(count(1, "file"), "1 file");
    assert_eq!(count(2, "file"), "2 files");
    assert_eq!(count(0, "directory"), "0 directories");
    assert_eq!(count(3, "match"), "3 matches");
}

#[test]
fn times_are_in_utc() {
    assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(Timestamp(1)), "1970-01-01T00:00:00.000000001Z");
    assert_eq!(
        time(Timestamp(1_700_000_000_500_000_000)),
        "2023-11-14 22:13:20"
    );
}

#[test]
fn modes_read_as_ls_writes_them() {
    assert_eq!(mode(FileKind::Directory, 0o755), "drwxr-xr-x");
    assert_eq!(mode(FileKind::File, 0o640), "-rw-r-----");
    assert_eq!(mode(FileKind::File, 0o6755), "-rwsr-sr-x");
    assert_eq!(mode(FileKind::Directory, 0o1776), "drwxrwxrwT");
    assert_eq!(mode(FileKind::Symlink, 0o777), "lrwxrwxrwx");
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    assert_eq!(printable("a\tb é"), "a\tb é");
    assert_eq!(printable("\x1b[2Jx"), "\\u{1b}[2Jx");
}
