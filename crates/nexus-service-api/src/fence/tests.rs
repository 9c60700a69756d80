use nexus_kernel::Kind;

use super::*;

#[test]
fn a_fence_reads_what_it_prints() {
    for text in [
        "4711 /docs/a b.txt",
        "1 name:deploy",
        "18446744073709551615 ino:7",
    ] {
        let fence: Fence = text.parse().unwrap();
        assert_eq!(fence.to_string(), text);
    }
}

#[test]
fn what_is_no_fence_is_refused() {
    for text in [
        "",
        "4711",
        "4711 ",
        " /a",
        "-1 /a",
        "x /a",
        "18446744073709551616 /a",
    ] {
        let error = text.parse::<Fence>().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{text:?}");
    }
}
