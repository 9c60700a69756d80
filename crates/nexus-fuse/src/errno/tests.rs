use fuser::Errno;
use nexus_kernel::Error;

use super::errno;

#[test]
fn facts_tell_errors_of_one_kind_apart() {
    let limit = || Error::limit("");
    let table = [
        (
            Error::wrong_type("").with("expected", "file"),
            Errno::EISDIR,
        ),
        (
            Error::wrong_type("").with("expected", "directory"),
            Errno::ENOTDIR,
        ),
        (Error::not_found("").with("key", "k"), Errno::ENODATA),
        (limit().with("loop", true), Errno::ELOOP),
        (limit().with("names_max", 65_000), Errno::EMLINK),
        (limit().with("size", 1), Errno::EFBIG),
        (limit().with("bytes", 256), Errno::ENAMETOOLONG),
        (crate::volume::read_only(), Errno::EROFS),
        (limit().with("bytes kept free", 1), Errno::ENOSPC),
    ];
    for (error, expected) in table {
        assert_eq!(errno(&error).code(), expected.code(), "{error:?}");
    }
}
