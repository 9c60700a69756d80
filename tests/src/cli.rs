//! The real `nexus` command.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::node::bare;
use crate::tools::binary;

/// The `nexus` command with a node and a key in its environment, in a working folder of its own.
pub struct Cli {
    folder: TempDir,
    url: String,
    key: String,
}

impl Cli {
    /// For the node at `url`, with this key.
    #[must_use]
    pub fn new(url: &str, key: &str) -> Self {
        let folder = TempDir::with_prefix("nexus-cli-").expect("the temporary folder is writable");
        Self {
            folder,
            url: url.to_owned(),
            key: key.to_owned(),
        }
    }

    /// The folder that relative paths of the local disk start from.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The command with these arguments, not yet started.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = bare(&binary("nexus"), self.folder());
        command
            .env("NEXUS_URL", &self.url)
            .env("NEXUS_API_KEY", &self.key)
            .args(arguments);
        command
    }

    /// Runs it to its end, whatever that is.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.run_with_input(arguments, b"")
    }

    /// Runs it to its end with `input` on its standard input.
    #[track_caller]
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary that was just found starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        thread::scope(|scope| {
            // Fails where the command does not want all of it, which is its right.
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output().expect("a child can be waited for")
        })
    }

    /// What it prints, having succeeded.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        succeeded(&self.run(arguments))
    }

    /// What it prints, having succeeded with `input` on its standard input.
    #[track_caller]
    pub fn ok_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> String {
        succeeded(&self.run_with_input(arguments, input))
    }

    /// What it complains of, having failed.
    #[track_caller]
    pub fn fails<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = self.run(arguments);
        assert!(
            !output.status.success(),
            "it succeeded: {}",
            text(&output.stdout)
        );
        text(&output.stderr)
    }
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
