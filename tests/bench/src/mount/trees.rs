//! Trees of files, with the programs that people use on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Bench;
use super::figures::{AtMost, Each, timed};

const REPOSITORY_FILES: usize = 5000;
const COPIED_FILES: usize = 1000;
const BUILT_FILES: usize = 10_000;
const PER_DIRECTORY: usize = 50;
const BUILD_MEMORY_MIB_MAX: u64 = 256;

/// Clones of a repository, and what git then thinks of them.
pub(super) fn git(bench: &mut Bench<'_>) -> Result<()> {
    let source = repository(&bench.subjects.scratch("repository")?)?;
    let mut rounds = Vec::new();
    let names = [
        "git clone of 5,000 files",
        "git status",
        "git status, again",
    ];
    let times = bench.rounds(bench.long_rounds(), |root, round| {
        let clone = root.join(format!("clone-{round}"));
        let cloned = timed(|| {
            let to = git_in(&source, &["clone", "-q", "--no-hardlinks"]);
            finish({ to }.arg(&source).arg(&clone))
        })?;
        let status = || timed(|| finish(&mut git_in(&clone, &["status", "--porcelain"])));
        let times = [cloned, status()?, status()?];
        finish(Command::new("rm").arg("-rf").arg(&clone))?;
        Ok(times)
    })?;
    for at in 0..names.len() {
        let of = |rounds: &[[Duration; 3]]| rounds.iter().map(|times| times[at]).collect();
        rounds.push(
            Each::<Vec<Duration>> {
                ext4: of(&times.ext4),
                memory: of(&times.memory),
                nexus: of(&times.nexus),
            }
            .medians(),
        );
    }
    for (name, times) in names.iter().zip(rounds) {
        bench.time_row(name, times, AtMost::TimesExt4(2.0));
    }
    Ok(())
}

/// A repository with one commit, in one pack.
fn repository(folder: &Path) -> Result<PathBuf> {
    write_sources(folder, REPOSITORY_FILES)?;
    for command in [
        &["init", "-q"][..],
        &["add", "."],
        &["commit", "-q", "-m", "All of it"],
        &["repack", "-adq"],
        &["prune-packed", "-q"],
    ] {
        finish(&mut git_in(folder, command))?;
    }
    Ok(folder.to_owned())
}

/// git with nobody's settings.
fn git_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_SYSTEM", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Bench");
        command.env(format!("GIT_{who}_EMAIL"), "bench@localhost");
    }
    command
}

pub(super) fn copy(bench: &mut Bench<'_>) -> Result<()> {
    let source = bench.subjects.scratch("copied")?;
    write_sources(&source, COPIED_FILES)?;
    let (mut copied, mut removed) = (Each::<Vec<Duration>>::default(), Each::default());
    let times = bench.rounds(bench.rounds, |root, round| {
        let to = root.join(format!("copy-{round}"));
        let copied = timed(|| finish(Command::new("cp").arg("-r").arg(&source).arg(&to)))?;
        let removed = timed(|| finish(Command::new("rm").arg("-rf").arg(&to)))?;
        Ok((copied, removed))
    })?;
    (copied.ext4, removed.ext4) = times.ext4.into_iter().unzip();
    (copied.memory, removed.memory) = times.memory.into_iter().unzip();
    (copied.nexus, removed.nexus) = times.nexus.into_iter().unzip();
    let target = AtMost::TimeAndTimesExt4(Duration::from_millis(200), 3.0);
    bench.time_row("cp -r of 1,000 small files", copied.medians(), target);
    let removed: Each<Vec<Duration>> = removed;
    bench.time_row("rm -rf of them", removed.medians(), target);
    Ok(())
}

/// The node's memory under what a build does: sources written, each read and something made of
/// it, everything removed.
pub(super) fn build(bench: &mut Bench<'_>) -> Result<()> {
    let root = bench.subjects.nexus.root().join("build");
    fs::create_dir(&root)?;
    write_sources(&root, BUILT_FILES)?;
    for i in 0..BUILT_FILES {
        let source = fs::read(source_path(&root, i))?;
        let object = source.repeat(2);
        fs::write(source_path(&root, i).with_extension("o"), object)?;
    }
    finish(Command::new("rm").arg("-rf").arg(&root))?;
    let pid = bench.subjects.nexus.pid();
    let peak = peak_mib(pid)?;
    bench.report.row(
        "the node's peak memory in a build of 10,000 files",
        format!("{peak} MiB"),
        String::new(),
        None,
        &format!("<= {BUILD_MEMORY_MIB_MAX} MiB"),
        peak <= BUILD_MEMORY_MIB_MAX,
    );
    Ok(())
}

fn peak_mib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib
        .context("no peak in the process's status")?
        .parse::<u64>()?
        / 1024)
}

/// Text that looks like a program, 1 to 9 KiB each.
fn write_sources(root: &Path, files: usize) -> Result<()> {
    for i in 0..files {
        let path = source_path(root, i);
        if i % PER_DIRECTORY == 0 {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
        }
        fs::write(path, source(i))?;
    }
    Ok(())
}

fn source_path(root: &Path, i: usize) -> PathBuf {
    root.join(format!("part{}/source{i}.c", i / PER_DIRECTORY))
}

fn source(i: usize) -> String {
    let lines = 20 + i % 140;
    let line = |line| format!("int function_{i}_{line}(int x) {{ return x * {line}; }}\n");
    (0..lines).map(line).collect()
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
