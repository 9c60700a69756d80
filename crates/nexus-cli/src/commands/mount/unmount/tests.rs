use super::*;

#[test]
fn zones_are_told_from_other_mounts() {
    let mounts = "\
/dev/sda / ext4 rw 0 0
nexus /mnt/a fuse.nexus rw 0 0
other /mnt/b fuse.other rw 0 0
nexus /mnt/with\\040blank\\134 fuse.nexus rw 0 0
";
    let found: Vec<_> = zones(mounts).collect();
    assert_eq!(found, [Path::new("/mnt/a"), Path::new("/mnt/with blank\\")]);
}
