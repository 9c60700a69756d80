//! Real trees, of this machine and of this project: nothing of them is lost or changed, and
//! searches find in them what other tools find.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nexus_tests::{Cli, Home, ripgrep};
use tempfile::TempDir;

mod snapshot;

use snapshot::Snapshot;

/// Fewer entries are no test, more take too long.
const ENTRIES: std::ops::Range<usize> = 100..2_000;

fn temporary() -> TempDir {
    TempDir::with_prefix("nexus-tree-").expect("the temporary folder is writable")
}

/// What a tool prints, having succeeded; or having found nothing, of which grep makes a failure.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().expect("the tool starts");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    let found_nothing = output.status.code() == Some(1) && complained.is_empty();
    assert!(
        output.status.success() || found_nothing,
        "{command:?}: {said}{complained}"
    );
    said
}

#[track_caller]
fn git<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> String {
    let mut git = Command::new("git");
    // What git is told by its environment is about the checkout that the tests run in.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(name);
    }
    output(git.arg("-C").arg(folder).args(arguments))
}

fn checkout() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package is below").to_owned()
}

/// A clone of this project, with `.git`.
#[track_caller]
fn clone(folder: &TempDir) -> PathBuf {
    let clone = folder.path().join("project");
    let (from, to) = (checkout(), clone.as_os_str());
    let arguments = [
        OsStr::new("clone"),
        OsStr::new("--quiet"),
        from.as_os_str(),
        to,
    ];
    git(folder.path(), arguments);
    clone
}

/// The files of this project, without `.git`.
#[track_caller]
fn project(folder: &TempDir) -> PathBuf {
    let project = clone(folder);
    fs::remove_dir_all(project.join(".git")).expect("a clone has it");
    project
}

/// A tree that nobody made for a test. Which one there is depends on the machine; the sources of
/// this project are there on all of them.
fn system_tree() -> PathBuf {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]));
    let candidates = [
        PathBuf::from("/usr/include/linux"),
        PathBuf::from("/usr/share/zoneinfo"),
        Path::new(sysroot.trim()).join("share/doc/rust/html/core"),
        checkout().join("crates"),
    ];
    let fits = |folder: &PathBuf| folder.is_dir() && ENTRIES.contains(&count(folder));
    let found = candidates.into_iter().find(fits);
    found.expect("the project itself has a fitting number of files")
}

/// The entries below a folder, up to more than are wanted.
fn count(folder: &Path) -> usize {
    let mut count = 0;
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop().filter(|_| count <= ENTRIES.end) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            count += 1;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
        }
    }
    count
}

#[track_caller]
fn import(cli: &Cli, tree: &Path, to: &str) {
    cli.ok([OsStr::new("import"), tree.as_os_str(), OsStr::new(to)]);
}

/// Copies a tree from the node to this machine.
#[track_caller]
fn copy_back(cli: &Cli, path: &str, to: &Path) {
    let from = format!("nx:{path}");
    let to = to.to_str().expect("ours is text");
    cli.ok(["cp", "-r", &from, to]);
}

/// Both ways out of the node: as a folder, and as an archive that comes in again.
#[track_caller]
fn assert_comes_back(cli: &Cli, path: &str, original: &Snapshot) {
    let folder = temporary();
    let [back, archive, again] = ["back", "a.tar", "again"].map(|name| folder.path().join(name));
    copy_back(cli, path, &back);
    Snapshot::of(&back).assert_same(original);
    cli.ok([OsStr::new("export"), OsStr::new(path), archive.as_os_str()]);
    import(cli, &archive, "/from the archive");
    copy_back(cli, "/from the archive", &again);
    Snapshot::of(&again).assert_same(original);
}

#[test]
fn a_tree_of_the_system_comes_back_byte_for_byte() {
    let tree = system_tree();
    let original = Snapshot::of(&tree);
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    import(&cli, &tree, "/tree");
    assert_comes_back(&cli, "/tree", &original);
    let http = node.http();
    for (path, bytes) in original.files().step_by(7) {
        let path = format!(
            "/tree/{}",
            path.to_str().expect("the tree's names are text")
        );
        assert_eq!(http.read(&path).ok().body, bytes, "{path}");
    }
    assert_eq!(cli.ok(["verify"]).lines().count(), 1);
}

#[test]
fn what_is_odd_about_files_comes_back() {
    let folder = temporary();
    let tree = folder.path().join("odd");
    fs::create_dir_all(tree.join("empty directory")).expect("it can be made");
    let long: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
        .collect();
    let names: [(&str, &[u8], u32); 8] = [
        ("empty", b"", 0o644),
        ("a program", b"#!/bin/sh\n", 0o755),
        ("secret", b"k", 0o600),
        ("read-only", b"r", 0o444),
        ("-rf *", b"?", 0o640),
        ("grüße 🦀", "ü".as_bytes(), 0o644),
        ("two\nlines", b"\0\xff\xfe", 0o644),
        ("long", &long, 0o644),
    ];
    for (name, content, mode) in names {
        let path = tree.join(name);
        fs::write(&path, content).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    for (name, target) in [
        ("link", "secret"),
        ("dangling", "../not/there"),
        ("up", ".."),
    ] {
        symlink(target, tree.join(name)).expect("it can be made");
    }
    fs::hard_link(tree.join("long"), tree.join("long too")).expect("it can be made");
    let original = Snapshot::of(&tree);
    assert_eq!(original.len(), 14);

    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    import(&cli, &tree, "/odd");
    assert_comes_back(&cli, "/odd", &original);
    let inode = |path: &str| {
        let stat: serde_json::Value =
            serde_json::from_str(&cli.ok(["--json", "stat", path])).expect("it is JSON");
        stat["ino"].clone()
    };
    assert_eq!(inode("/odd/long"), inode("/odd/long too"));
}

#[test]
fn a_repository_comes_back_whole() {
    let folder = temporary();
    let project = clone(&folder);
    let original = Snapshot::of(&project);
    let home = Home::new();
    let node = home.start();
    import(&node.cli(), &project, "/project");
    node.kill();
    let node = home.start();
    let back = folder.path().join("back");
    copy_back(&node.cli(), "/project", &back);
    Snapshot::of(&back).assert_same(&original);
    assert_eq!(git(&back, ["status", "--porcelain"]), "");
    git(&back, ["fsck", "--full"]);
    let head = ["rev-parse", "HEAD"];
    assert_eq!(git(&back, head), git(&project, head));
}

/// What `nexus grep` prints, each line from the top of the tree, sorted.
#[track_caller]
fn lines(said: &str, top: &str) -> BTreeSet<String> {
    said.lines()
        .filter(|line| *line != "--")
        .map(|line| {
            let line = line.strip_prefix(top).expect("it begins with the top");
            line.trim_start_matches('/').to_owned()
        })
        .collect()
}

#[test]
fn grep_finds_what_ripgrep_finds() {
    let folder = temporary();
    let project = project(&folder);
    fs::write(project.join(".hidden"), "fn hidden() {}\n").expect("it can be written");
    fs::write(project.join("binary"), b"fn binary() {}\0\n").expect("it can be written");
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    import(&cli, &project, "/project");
    let cases: [&[&str]; 13] = [
        &["fn main"],
        &["-i", "error"],
        &["-F", "Option<"],
        &["-iF", "KIND::NOTFOUND"],
        &[r"\bpub(\(crate\))? (async )?fn \w+_\w+"],
        &["^use "],
        &[r"[0-9]{4,}$"],
        &["ü|é|→|…"],
        &["-i", "todo|fixme"],
        &["-C", "2", "TempDir"],
        &["-A", "1", "-B", "3", r"^impl .* for \w+ \{$"],
        &["-m", "2", "let "],
        &["no such thing anywhere: [0-9]{40}x"],
    ];
    for arguments in cases {
        let theirs = output(rg().args(arguments).arg(&project));
        let ours = run_grep(&cli, arguments, "/project");
        compare(
            &lines(&ours, "/project"),
            &lines(&theirs, project.to_str().expect("ours is text")),
            arguments,
        );
    }
    for glob in [
        "*.rs",
        "*.{toml,md}",
        "Cargo.*",
        "[a-d]*.rs",
        "crates/*/src/*.rs",
    ] {
        let theirs = output(rg().args(["-g", glob, "in"]).arg(".").current_dir(&project));
        let ours = run_grep(&cli, &["--include", glob, "in"], "/project");
        compare(&lines(&ours, "/project"), &lines(&theirs, "."), &[glob]);
    }
}

fn rg() -> Command {
    let mut rg = Command::new(ripgrep());
    rg.args([
        "--no-config",
        "--no-ignore",
        "--hidden",
        "--no-heading",
        "--color=never",
    ])
    .args(["--line-number", "--with-filename", "--no-messages"]);
    rg
}

/// Finding nothing is no failure here.
#[track_caller]
fn run_grep(cli: &Cli, arguments: &[&str], top: &str) -> String {
    output(&mut cli.command(["grep"].iter().chain(arguments).chain([&top])))
}

#[track_caller]
fn compare(ours: &BTreeSet<String>, theirs: &BTreeSet<String>, case: &[&str]) {
    let missing: Vec<_> = theirs.difference(ours).take(5).collect();
    let surplus: Vec<_> = ours.difference(theirs).take(5).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{case:?}: {} lines instead of {}; missing {missing:#?}, surplus {surplus:#?}",
        ours.len(),
        theirs.len(),
    );
}

#[test]
fn glob_finds_what_find_finds() {
    let folder = temporary();
    let project = project(&folder);
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    import(&cli, &project, "/project");
    let cases: [(&str, &[&str]); 11] = [
        ("**", &[]),
        ("*", &["-maxdepth", "1"]),
        ("**/*.rs", &["-name", "*.rs"]),
        ("*.md", &["-maxdepth", "1", "-name", "*.md"]),
        (
            "**/*.{toml,md}",
            &["-name", "*.toml", "-o", "-name", "*.md"],
        ),
        (
            "crates/*/Cargo.toml",
            &[
                "-path",
                "./crates/*/Cargo.toml",
                "-not",
                "-path",
                "./crates/*/*/*",
            ],
        ),
        ("**/tests/**/*.rs", &["-path", "*/tests/*.rs"]),
        (
            "{docs,xtask}/**",
            &["-path", "./docs/*", "-o", "-path", "./xtask/*"],
        ),
        ("**/[a-c]?*.rs", &["-name", "[a-c]?*.rs"]),
        ("**/[!a-z]*", &["-name", "[!a-z]*"]),
        ("**/.*", &["-name", ".*"]),
    ];
    for (pattern, tests) in cases {
        let mut find = Command::new("find");
        find.args([".", "-mindepth", "1", "("])
            .env("LC_ALL", "C.UTF-8");
        find.args(if tests.is_empty() { &["-true"] } else { tests });
        let theirs = output(find.arg(")").current_dir(&project));
        let ours = cli.ok(["glob", pattern, "/project"]);
        compare(&lines(&ours, "/project"), &lines(&theirs, "."), &[pattern]);
    }
}

#[test]
fn what_was_before_is_read_as_it_was() {
    let folder = temporary();
    let project = project(&folder);
    let original = Snapshot::of(&project);
    let home = Home::new();
    let node = home.start();
    import(&node.cli(), &project, "/project");
    let before = node.http().revision().to_string();
    let questions: [&[&str]; 5] = [
        &["cat", "/project/Cargo.toml", "/project/README.md"],
        &["ls", "-lR", "/project"],
        &["glob", "**/*.rs", "/project"],
        &["grep", "fn main", "/project"],
        &["du", "/project"],
    ];
    let answers = questions
        .each_ref()
        .map(|question| node.cli().ok(*question));
    change_much(&node.cli());
    let then = |cli: &Cli| {
        for (question, answer) in questions.iter().zip(&answers) {
            let now = cli.run(*question);
            assert_ne!(
                String::from_utf8_lossy(&now.stdout),
                *answer,
                "{question:?}"
            );
            let asked = question.iter().copied().chain(["--at", &before]);
            assert_eq!(cli.ok(asked), *answer, "{question:?}");
        }
        assert_eq!(
            cli.ok(["cat", "/project/Cargo.toml"]),
            cli.ok(["cat", "/project/Cargo.toml", "--version", "1"])
        );
        let back = temporary();
        let to = back.path().join("back");
        let copy = ["cp", "-r", "nx:/project", "--at", &before];
        cli.ok(copy.iter().map(OsStr::new).chain([to.as_os_str()]));
        Snapshot::of(&to).assert_same(&original);
    };
    then(&node.cli());
    node.kill();
    let node = home.start();
    then(&node.cli());
    assert!(node.cli().ok(["verify"]).contains("all is well"));
}

fn change_much(cli: &Cli) {
    cli.ok([
        "edit",
        "/project/Cargo.toml",
        "--old",
        "edition = \"2024\"",
        "--new",
        "edition = \"2021\"",
    ]);
    cli.ok(["rollback", "/project/Cargo.toml", "v1"]);
    cli.ok(["write", "/project/README.md", "nothing"]);
    cli.ok([
        "write",
        "/project/new/main.rs",
        "fn main() {}\n",
        "--parents",
    ]);
    cli.ok(["mv", "/project/docs", "/project/documents"]);
    cli.ok(["rm", "-r", "/project/crates"]);
    cli.ok(["chmod", "600", "/project/deny.toml"]);
}
