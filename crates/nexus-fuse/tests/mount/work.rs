//! Real programs at work on a mount.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Mounted, local_stores};

/// Runs a shell script in `directory`; what it prints.
#[track_caller]
fn sh(directory: &Path, script: &str) -> String {
    let mut shell = Command::new("sh");
    let output = shell
        .arg("-euc")
        .arg(script)
        .current_dir(directory)
        .output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// A mount on stores of the disk, as it is in earnest.
fn on_disk(test: impl FnOnce(&Mounted)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Mounted::new(&local_stores(folder.path())));
}

const IDENTITY: &str = "export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b";

#[test]
fn git_keeps_a_repository() {
    let outside = tempfile::tempdir().unwrap();
    sh(
        outside.path(),
        &format!(
            "{IDENTITY}; git init -q -b main source; cd source; mkdir -p deep/er; \
             for n in $(seq 200); do echo \"content $n\" > deep/er/file-$n; done; \
             head -c 300000 /dev/urandom > large; ln -s large link; git add .; git commit -qm one"
        ),
    );
    let source = outside.path().join("source");
    on_disk(|mounted| {
        sh(
            mounted.root(),
            &format!("git clone -q {} work", source.display()),
        );
        let work = mounted.path("work");
        assert_eq!(sh(&work, "git status --porcelain"), "");
        sh(
            &work,
            &format!(
                "{IDENTITY}; git checkout -qb topic; echo more >> deep/er/file-1; git mv large bigger; \
                 git commit -qam two; git checkout -q main; echo other > deep/er/file-2; \
                 git commit -qam three; git checkout -q topic; git rebase -q main; \
                 git gc -q; git fsck --strict; git stash list"
            ),
        );
        assert_eq!(sh(&work, "git status --porcelain"), "");
        assert_eq!(sh(&work, "git log --format=%s"), "two\nthree\none\n");
        // What git thinks unchanged it does not read again.
        let racy = sh(&work, "git ls-files --debug deep/er/file-3 | grep -c mtime");
        assert_eq!(racy, "1\n");
    });
}

#[test]
fn sqlite_keeps_a_database() {
    let script = r"
import sqlite3, sys, threading
path = sys.argv[1]
for mode in ('delete', 'truncate', 'persist', 'wal'):
    base = sqlite3.connect(path + mode)
    assert base.execute('pragma journal_mode=' + mode).fetchone()[0] == mode
    base.execute('create table t (a integer primary key, b text)')
    for n in range(20):
        with base:
            base.executemany('insert into t (b) values (?)', [('x' * (n * 10),)] * 50)
    try:
        with base:
            base.execute('delete from t')
            raise KeyError
    except KeyError:
        pass
    base.execute('vacuum')
    def append():
        own = sqlite3.connect(path + mode, timeout=60)
        for _ in range(10):
            with own:
                own.execute('insert into t (b) values (?)', ('thread',))
        own.close()
    threads = [threading.Thread(target=append) for _ in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert base.execute('select count(*) from t').fetchone()[0] == 1030
    assert base.execute('pragma integrity_check').fetchone()[0] == 'ok'
    base.close()
";
    on_disk(|mounted| {
        let mut python = Command::new("python3");
        let run = python.args(["-c", script]).arg(mounted.path("base-"));
        let output = run.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
}

#[test]
fn tar_goes_there_and_back() {
    let outside = tempfile::tempdir().unwrap();
    sh(
        outside.path(),
        "mkdir -p tree/a/b; cd tree; for n in $(seq 50); do echo $n > a/b/$n; done; \
         head -c 2000000 /dev/urandom > large; ln -s large link; ln large hard; chmod 640 large; \
         chown 5:6 a/b/1; touch -d '2001-02-03 04:05:06.789' a/b/2 a",
    );
    on_disk(|mounted| {
        let at = mounted.root().display().to_string();
        let list = "find . -not -path . -printf '%p %M %U %G %s %n %l %T@\n' | sed '/^[^ ]* d/s/ [0-9]* [0-9]*  / /' | sort";
        let there = format!("tar -C tree --format=posix -cf - . | tar -C {at} -xpf -");
        sh(outside.path(), &there);
        sh(
            outside.path(),
            &format!("mkdir back; tar -C {at} --format=posix -cf - . | tar -C back -xpf -"),
        );
        let listed = |directory: &Path| sh(directory, list);
        let original = listed(&outside.path().join("tree"));
        assert_eq!(listed(mounted.root()), original);
        assert_eq!(listed(&outside.path().join("back")), original);
        sh(outside.path(), "diff -r --no-dereference tree back");
    });
}

#[test]
fn programs_are_built_and_run() {
    on_disk(|mounted| {
        let source = "#include <stdio.h>\nint main(void) { puts(\"built here\"); return 0; }\n";
        fs::write(mounted.path("main.c"), source).unwrap();
        assert_eq!(
            sh(mounted.root(), "cc -o program main.c && ./program"),
            "built here\n"
        );
    });
}

#[test]
fn a_mapping_is_written_back() {
    let script = r"
import mmap, os, sys
with open(sys.argv[1], 'w+b') as file:
    file.truncate(100000)
    with mmap.mmap(file.fileno(), 0) as m:
        m[70000:70005] = b'hello'
        m.flush()
        m[0:3] = b'abc'
with open(sys.argv[1], 'rb') as file:
    content = file.read()
assert content[:3] == b'abc' and content[70000:70005] == b'hello' and len(content) == 100000
";
    on_disk(|mounted| {
        let mut python = Command::new("python3");
        let run = python.args(["-c", script]).arg(mounted.path("mapped"));
        assert!(run.status().unwrap().success());
    });
}

#[test]
fn appends_under_a_lock_do_not_mix() {
    on_disk(|mounted| {
        let append = "for n in $(seq 100); do flock log sh -c 'echo line >> log'; done";
        sh(
            mounted.root(),
            &format!("touch log; ({append}) & ({append}); wait"),
        );
        let log = fs::read_to_string(mounted.path("log")).unwrap();
        assert_eq!(log, "line\n".repeat(200));
    });
}
