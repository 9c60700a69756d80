//! git keeps a repository on a mount: a clone of several hundred files, and what people do with
//! one, leave a history that `git fsck` finds whole and a working tree that is as it should be.

use super::Workplace;

const IDENTITY: &str = "
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
";

const SOURCE: &str = "
git init -q -b main source
cd source
mkdir -p deep/er
for n in $(seq 400); do echo \"content $n\" > deep/er/file-$n; done
head -c 3000000 /dev/urandom > large
ln -s large link
git add .
git commit -qm one
";

const WORK: &str = "
git checkout -qb topic
echo more >> deep/er/file-1
git mv large bigger
git commit -qam two
git checkout -q main
echo other > deep/er/file-2
git commit -qam three
git checkout -q topic
git rebase -q main
echo unfinished > deep/er/file-3
git stash -q
git stash pop -q
git checkout -q deep/er/file-3
git gc -q --prune=now
git fsck --strict --no-progress
git worktree add -q ../beside main
git push -q origin topic:topic
";

#[test]
fn git_keeps_a_repository() {
    let place = Workplace::new();
    let with_identity = |script: &str| format!("{IDENTITY}{script}");
    let in_clone = |script: &str| place.on_mount(&with_identity(&format!("cd work\n{script}")));
    place.on_disk(&with_identity(SOURCE));
    place.on_mount("git clone -q file://$DISK/source work");
    assert_eq!(in_clone("git status --porcelain"), "");
    in_clone(WORK);
    assert_eq!(in_clone("git status --porcelain"), "");
    assert_eq!(in_clone("git log --format=%s"), "two\nthree\none");
    assert_eq!(in_clone("cat deep/er/file-1"), "content 1\nmore");
    let pushed = place.on_disk("git -C source log --format=%s topic");
    assert_eq!(pushed, "two\nthree\none");
    place.on_mount("cmp work/bigger $DISK/source/large");
    assert_eq!(place.on_mount("cat beside/deep/er/file-2"), "other");
    place.end();
}

/// git goes by times, sizes and inode numbers: as long as those stay, it reads no file again.
#[test]
fn git_sees_what_is_unchanged_without_reading_it() {
    let place = Workplace::new();
    place.on_disk(&format!("{IDENTITY}{SOURCE}"));
    place.on_mount("git clone -q file://$DISK/source work");
    // Files as old as the index might have changed after it, for all that git knows.
    place.on_mount("cd work; find deep -type f -exec touch -d yesterday {} +; git status -s");
    let reads = "cd work
        strace -f -qq -e trace=openat -o $DISK/opened git status --porcelain
        grep -c deep/er/file- $DISK/opened || true";
    assert_eq!(place.on_mount(reads), "0");
    let place_again = place.remounted();
    assert_eq!(place_again.on_mount(reads), "0");
    place_again.end();
}
