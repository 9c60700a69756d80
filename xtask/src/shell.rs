//! Running other programs, and saying how it went.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root")
        .to_path_buf()
}

/// How cargo is to be called.
#[derive(Clone, Copy)]
pub(crate) struct Cargo {
    pub(crate) locked: bool,
}

impl Cargo {
    /// `cargo <arguments>`, with `--locked` where that was asked for. `arguments` has no `--`.
    pub(crate) fn run(self, arguments: &str) -> Result<()> {
        let mut words: Vec<&str> = arguments.split_whitespace().collect();
        if self.locked {
            words.push("--locked");
        }
        run("cargo", words)
    }
}

/// Runs a program in the root of the checkout, its output going where ours goes.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Result<()> {
    let (mut command, line) = command(program, arguments);
    let status = command
        .status()
        .with_context(|| format!("could not start {line}"))?;
    if !status.success() {
        bail!("{line} failed: {status}");
    }
    Ok(())
}

/// What a program prints on its standard output.
pub(crate) fn output<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String> {
    let (mut command, line) = command(program, arguments);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start {line}"))?;
    if !output.status.success() {
        bail!("{line} failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{line} printed no UTF-8"))
}

/// Whether a program starts and succeeds, in silence.
pub(crate) fn succeeds<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> bool {
    let (mut command, _) = command(program, arguments);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command, and how a person would type it.
fn command<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> (Command, String) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let line = format!("`{}`", line.join(" "));
    (command, line)
}

/// Runs named steps one after the other, all of them, so that one run shows all that is wrong.
#[derive(Default)]
pub(crate) struct Steps {
    report: Vec<String>,
    failed: Vec<String>,
}

impl Steps {
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        println!("── {name}");
        let started = Instant::now();
        let verdict = match work() {
            Ok(()) => "ok",
            Err(error) => {
                println!("{error:#}");
                self.failed.push(name.to_owned());
                "FAILED"
            }
        };
        self.report.push(format!(
            "{name:<10} {verdict:<6} {:>7.1} s",
            started.elapsed().as_secs_f64()
        ));
    }

    /// Says in the report that something is not checked on this machine.
    pub(crate) fn left_out(&mut self, name: &str, why: &str) {
        self.report.push(format!("{name:<10} left out: {why}"));
    }

    /// Prints the time of each step, and fails if one of them did.
    pub(crate) fn finish(self) -> Result<()> {
        println!("──\n{}", self.report.join("\n"));
        if !self.failed.is_empty() {
            bail!(
                "failed: {}; what went wrong is above",
                self.failed.join(", ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
