//! Programs at work on a mount over the network.

use nexus_tests::{Home, sh};
use tempfile::TempDir;

use super::Remote;

#[test]
fn git_keeps_a_repository_elsewhere() {
    let home = Home::new();
    let node = home.start();
    let disk = TempDir::with_prefix("nexus-git-").expect("it is writable");
    sh(
        disk.path(),
        "git init -q -b main origin; cd origin
         git config user.email a@example.org; git config user.name a
         for i in $(seq 40); do mkdir -p d$((i % 5)); seq $i 400 > d$((i % 5))/f$i; done
         git add .; git commit -qm one
         seq 9 > d1/more; git add .; git commit -qm two",
    );
    let mounted = Remote::mount(node.cli());
    let origin = disk.path().join("origin");
    let script = format!(
        "git clone -q --no-hardlinks {} repo; cd repo
         git config user.email a@example.org; git config user.name a
         git fsck --strict; git status --short
         git checkout -q -b branch; seq 3 > d1/more; git commit -qam three
         git checkout -q main; git merge -q branch; git gc -q; git fsck --strict
         diff -r --exclude .git . {}/repeated || test $? = 2",
        origin.display(),
        disk.path().display()
    );
    sh(mounted.root(), &script);
    mounted.unmount();
    let log = node.cli().ok(["cat", "/repo/d1/more"]);
    assert_eq!(log, "1\n2\n3\n");
}

#[test]
fn random_changes_of_names_do_what_they_do_on_a_disk() {
    let home = Home::new();
    let node = home.start();
    let mounted = Remote::mount_with(node.cli(), &["--relaxed"]);
    let disk = TempDir::with_prefix("nexus-oracle-").expect("it is writable");
    let program = r#"
import os, random, stat, sys
random.seed(11)
path = lambda: "/".join(random.choices("abcde", k=random.randint(1, 3)))
content = lambda step: b"%d " % step * random.randrange(2000)
def write(root, at, data, mode):
    with open(f"{root}/{at}", mode) as file:
        file.write(data)
def operation(step):
    what, at, to = random.randrange(13), path(), path()
    if what < 3:
        data, mode = content(step), random.choice(["wb", "ab", "xb", "r+b"])
        return what, lambda root: write(root, at, data, mode)
    if what < 6: return what, lambda root: os.mkdir(f"{root}/{at}")
    if what < 8: return what, lambda root: os.rename(f"{root}/{at}", f"{root}/{to}")
    if what == 8: return what, lambda root: os.unlink(f"{root}/{at}")
    if what == 9: return what, lambda root: os.rmdir(f"{root}/{at}")
    if what == 10: return what, lambda root: os.link(f"{root}/{at}", f"{root}/{to}")
    if what == 11: return what, lambda root: os.symlink(to, f"{root}/{at}")
    mode = random.randrange(0o1000)
    return what, lambda root: os.chmod(f"{root}/{at}", mode)
def outcome(change, root):
    try:
        change(root)
    except OSError as error:
        return error.errno
def seen(root):
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            at = f"{folder}/{name}"
            found = os.lstat(at)
            what = None
            if stat.S_ISLNK(found.st_mode): what = os.readlink(at)
            elif stat.S_ISREG(found.st_mode): what = (found.st_nlink, open(at, "rb").read())
            yield at[len(root):], oct(found.st_mode), what
here, there = ".", sys.argv[1]
for step in range(700):
    what, change = operation(step)
    ours, theirs = outcome(change, here), outcome(change, there)
    assert ours == theirs, (step, what, ours, theirs)
    if step % 50 == 49:
        ours, theirs = dict((a, b) for a, *b in seen(here)), dict((a, b) for a, *b in seen(there))
        assert ours == theirs, (step, set(ours) ^ set(theirs))
"#;
    let script = format!(
        "python3 - {} <<'END'\n{program}\nEND",
        disk.path().display()
    );
    sh(mounted.root(), &script);
    mounted.unmount();
}

#[test]
fn random_writes_read_back_as_on_a_disk() {
    let home = Home::new();
    let node = home.start();
    let mounted = Remote::mount_with(node.cli(), &["--relaxed"]);
    let program = r#"
import os, random, sys
random.seed(7)
fd = os.open("file", os.O_CREAT | os.O_RDWR)
other = os.open("file", os.O_RDWR | os.O_APPEND)
model = bytearray()
for step in range(600):
    what = random.randrange(6)
    if what < 3:
        at, data = random.randrange(300000), os.urandom(random.randrange(1, 40000))
        os.pwrite(fd, data, at)
        model.extend(bytes(max(0, at + len(data) - len(model))))
        model[at:at + len(data)] = data
    elif what == 3:
        data = os.urandom(random.randrange(1, 5000))
        os.write(other, data)
        model.extend(data)
    elif what == 4:
        size = random.randrange(400000)
        random.choice([lambda: os.ftruncate(fd, size), lambda: os.truncate("file", size)])()
        del model[size:]
        model.extend(bytes(size - len(model)))
    elif random.randrange(4) == 0:
        os.fsync(random.choice([fd, other]))
    at = random.randrange(400000)
    assert os.pread(fd, 30000, at) == bytes(model[at:at + 30000]), step
    assert os.fstat(other).st_size == len(model), step
os.close(fd)
os.close(other)
assert open("file", "rb").read() == bytes(model)
"#;
    sh(
        mounted.root(),
        &format!("python3 - <<'END'\n{program}\nEND"),
    );
    mounted.unmount();
}
