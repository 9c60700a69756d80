use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;

#[test]
fn zones_are_told_from_other_mounts() {
    let mounts = b"\
/dev/sda / ext4 rw 0 0
nexus /mnt/a fuse.nexus rw 0 0
other /mnt/b fuse.other rw 0 0
nexus /mnt/with\\040blank\\134 fuse.nexus rw 0 0
nexus /mnt/\xff fuse.nexus rw 0 0
";
    let found: Vec<_> = zones(mounts).collect();
    let odd = Path::new(OsStr::from_bytes(b"/mnt/\xff"));
    assert_eq!(
        found,
        [Path::new("/mnt/a"), Path::new("/mnt/with blank\\"), odd]
    );
}
