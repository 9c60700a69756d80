//! Two suites that others have written for filesystems find nothing wrong with a mount but what is
//! listed, and all that is listed: `pjdfstest` asks for every rule of POSIX by itself, and `fsx`
//! reads back what a long random sequence of writes, mappings and truncations has to leave.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nexus_tests::{Home, Process, WORK_MAX, run, suite};
use tempfile::TempDir;

/// Any number does; this one is the same at each run, so that a failure comes again.
const SEED: u32 = 20_260;
const OPERATIONS: u32 = 100_000;

/// What `pjdfstest` is told, and what it is known to answer.
struct Expectations {
    file: PathBuf,
    failures: BTreeSet<String>,
    /// By what the suite says when it leaves something out: why that is well.
    left_out: BTreeMap<String, String>,
}

impl Expectations {
    fn read() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = tests.with_file_name("crates/nexus-fuse/tests/pjdfstest.toml");
        let text = fs::read_to_string(&file).expect("it is part of the project");
        let table: toml::Table = text.parse().expect("it is TOML");
        let get = |table: &toml::Table, key: &str| table[key].clone();
        let settings = get(&table, "settings");
        Self {
            failures: settings["expected_failures"]
                .clone()
                .try_into()
                .expect("names"),
            left_out: get(&table, "left_out").try_into().expect("explanations"),
            file,
        }
    }
}

/// What the suite says of its cases.
#[derive(Default)]
struct Report {
    failed_as_expected: BTreeSet<String>,
    left_out: BTreeSet<String>,
}

impl Report {
    fn read(said: &str) -> Self {
        let mut report = Self::default();
        let mut lines = said.lines().peekable();
        while let Some(line) = lines.next() {
            let name = line.split_whitespace().next().unwrap_or_default();
            if line.ends_with("failed as expected") {
                report.failed_as_expected.insert(name.to_owned());
            }
            while line.ends_with("skipped")
                && let Some(reason) = lines.next_if(|line| line.starts_with('\t'))
            {
                report.left_out.insert(reason.trim().to_owned());
            }
        }
        report
    }
}

/// The suite itself fails where a case fails that is not listed, or a listed one does not.
#[test]
fn every_rule_of_posix_is_kept_but_the_listed_ones() {
    let expected = Expectations::read();
    let home = Home::new();
    let mounted = home.mount();
    let elsewhere = TempDir::with_prefix("nexus-elsewhere-").expect("it is writable");
    let mut pjdfstest = Command::new(suite("pjdfstest"));
    pjdfstest.arg("-c").arg(&expected.file);
    pjdfstest.arg("-p").arg(mounted.root());
    pjdfstest.arg("-s").arg(elsewhere.path());
    let said = run(&mut pjdfstest);
    let report = Report::read(&said);
    assert_eq!(report.failed_as_expected, expected.failures, "{said}");
    let explained: BTreeSet<_> = expected.left_out.into_keys().collect();
    assert_eq!(report.left_out, explained, "{said}");
    mounted.unmount();
}

/// With mappings, system calls that copy, and the cache told to forget.
const EXERCISE: &str = "
# A mapping is synced by the `fsync`s below, not after each write: each is a flush of the disk.
nomsyncafterwrite = true
[weights]
read = 10
write = 10
mapread = 10
mapwrite = 10
truncate = 10
sendfile = 5
copy_file_range = 5
posix_fallocate = 1
punch_hole = 5
posix_fadvise = 1
invalidate = 0.5
close_open = 0.5
fsync = 0.2
fdatasync = 0.2
";

#[test]
fn a_file_holds_what_100_000_operations_left_in_it() {
    let home = Home::new();
    let mounted = home.mount();
    let exercise = home.folder().join("fsx.toml");
    fs::write(&exercise, EXERCISE).expect("the folder is ours");
    let mut fsx = Command::new(suite("fsx"));
    fsx.arg("-f").arg(&exercise);
    fsx.args(["-S", &SEED.to_string(), "-N", &OPERATIONS.to_string()]);
    // What it leaves of a failure: the content as it should be.
    fsx.arg("-P").arg(home.folder());
    let fsx = Process::start(fsx.arg(mounted.path("exercised")));
    let said = fsx.wait_for_success(WORK_MAX * 3);
    assert!(
        said.contains("All operations completed"),
        "seed {SEED}: {said}"
    );
    mounted.unmount();
}
