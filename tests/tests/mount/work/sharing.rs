//! Programs that share a file on a mount, through locks, mappings and databases, find in it what
//! the others wrote, whole and once.

use std::process::Command;

use nexus_tests::run;

use super::Workplace;

#[track_caller]
fn python(script: &str, argument: &std::path::Path) {
    run(Command::new("python3").args(["-c", script]).arg(argument));
}

/// In every journal mode: large and small transactions, one that is taken back, processes that
/// write at once, and one that is killed in the middle of a transaction.
#[test]
fn sqlite_keeps_a_database() {
    let place = Workplace::new();
    for mode in ["delete", "truncate", "persist", "wal"] {
        let database = place.mounted.path(mode);
        let mut script = Command::new("python3");
        script.args(["-c", include_str!("sqlite.py"), mode]);
        run(script.arg(database));
    }
    place.end();
}

#[test]
fn a_mapping_is_written_back() {
    let place = Workplace::new();
    let script = r"
import mmap, sys
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
    python(script, &place.mounted.path("mapped"));
    place.end();
}

#[test]
fn a_mapping_is_shared_by_processes() {
    let place = Workplace::new();
    let script = r"
import mmap, os, sys
with open(sys.argv[1], 'w+b') as file:
    file.truncate(8192)
    with mmap.mmap(file.fileno(), 0) as m:
        child = os.fork()
        if child == 0:
            with open(sys.argv[1], 'r+b') as own, mmap.mmap(own.fileno(), 0) as other:
                other[5000:5005] = b'child'
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert m[5000:5005] == b'child'
";
    python(script, &place.mounted.path("mapped"));
    place.end();
}

#[test]
fn appends_under_a_lock_do_not_mix() {
    let place = Workplace::new();
    let append = "for n in $(seq 100); do flock log sh -c 'echo line >> log'; done";
    place.on_mount(&format!("touch log; ({append}) & ({append}); wait"));
    let log = place.on_mount("cat log");
    assert_eq!(log, vec!["line"; 200].join("\n"));
    place.end();
}

/// Without a lock: what one call appends stays together, and none is lost.
#[test]
fn appends_without_a_lock_are_all_there() {
    let place = Workplace::new();
    let append = |name: &str| format!("for n in $(seq 300); do echo {name}-$n >> log; done");
    let (one, two) = (append("one"), append("two"));
    place.on_mount(&format!("({one}) & ({two}); wait"));
    let expected = place.on_mount("for n in $(seq 300); do echo one-$n; echo two-$n; done | sort");
    assert_eq!(place.on_mount("sort log"), expected);
    place.end();
}
