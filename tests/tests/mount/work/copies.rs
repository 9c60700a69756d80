//! A tree that goes to a mount and comes back, through tar and through rsync, is the tree that it
//! was: contents, links, modes, owners and times.

use super::Workplace;

const TREE: &str = "
mkdir -p tree/a/b tree/empty
cd tree
for n in $(seq 200); do echo $n > a/b/$n; done
head -c 2000000 /dev/urandom > large
ln -s large link
ln -s nowhere dangling
ln large hard
chmod 640 large
chmod 2750 a
chown 5:6 a/b/1
touch -d '2001-02-03 04:05:06.789' a/b/2 a
";

/// A line for each entry. A directory's link count and size are its filesystem's own affair.
const LIST: &str = "find . -not -path . -not -type d -printf '%p %y %l %m %U %G %n %s %T@\\n'
find . -not -path . -type d -printf '%p %y %m %U %G %T@\\n'";

#[track_caller]
fn check(place: &Workplace, there: &str, back: &str) {
    place.on_disk(TREE);
    place.on_disk(there);
    place.on_disk(back);
    let listed = |folder: &str| {
        let listed = place.on_disk(&format!("cd {folder}; {{ {LIST}\n}} | sort"));
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed("$MOUNT/tree"), listed("$DISK/tree"));
    assert_eq!(listed("$DISK/back/tree"), listed("$DISK/tree"));
    place.on_disk("diff -r --no-dereference tree back/tree");
}

#[test]
fn a_tree_goes_there_and_back_in_tar() {
    let place = Workplace::new();
    check(
        &place,
        "tar --format=posix -cf - tree | tar -C $MOUNT -xpf -",
        "mkdir back; tar -C $MOUNT --format=posix -cf - tree | tar -C back -xpf -",
    );
    place.end();
}

/// Told to look at times to the nanosecond (`-@-1`), as it does not by itself.
#[test]
fn a_tree_goes_there_and_back_in_rsync() {
    let place = Workplace::new();
    check(
        &place,
        "rsync -aH@-1 tree $MOUNT/",
        "mkdir back; rsync -aH@-1 $MOUNT/tree back/",
    );
    // Nothing has changed, and rsync sees it; then one file has, and nothing else goes over.
    let sent = |script: &str| place.on_disk(&format!("{script}\nrsync -aHi@-1 tree $MOUNT/"));
    assert_eq!(sent(""), "");
    let again = sent("echo more >> tree/a/b/7");
    assert!(
        again.starts_with(">f.st") && again.lines().count() == 1,
        "{again}"
    );
    place.on_disk(
        "rm -r tree/a; rsync -aH@-1 --delete tree $MOUNT/; diff -r --no-dereference tree $MOUNT/tree",
    );
    // Parts of a file over itself, with its checksums.
    place.on_disk(
        "printf changed | dd of=tree/large bs=1 seek=700000 conv=notrunc status=none
         rsync -aH@-1 --inplace --no-whole-file tree $MOUNT/; cmp tree/large $MOUNT/tree/large",
    );
    place.end();
}
