//! The real node.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use nexus_client::Client;
use tempfile::TempDir;

use crate::cli::Cli;
use crate::http::Http;
use crate::mounted::take_away;
use crate::process::{Process, WAIT_MAX};
use crate::tools::{SYSTEM_PATH, binary};

/// A folder that a node keeps its data in. It outlives the node, so that a test can start another
/// one in it.
pub struct Home {
    folder: TempDir,
    admin_key: OnceLock<String>,
}

impl Home {
    /// An empty one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder on the disk")]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("nexus-test-").expect("the temporary folder is writable");
        Self {
            folder,
            admin_key: OnceLock::new(),
        }
    }

    /// The folder that the node runs in, and that its data is below.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the node's data is.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Starts a node and waits until it answers.
    #[track_caller]
    pub fn start(&self) -> Node<'_> {
        self.start_with(&[])
    }

    /// Starts a node with more environment (`NEXUS_…`) and waits until it answers.
    #[track_caller]
    pub fn start_with(&self, environment: &[(&str, &str)]) -> Node<'_> {
        self.wait_for(self.launch(environment))
    }

    /// Starts a node by way of a program that sets something up and then becomes the node, and
    /// waits until it answers.
    #[track_caller]
    pub fn start_through(&self, wrapper: &[&str]) -> Node<'_> {
        let (program, arguments) = wrapper.split_first().expect("a wrapper is a program");
        let mut command = bare(Path::new(program), self.folder());
        command.args(arguments).arg(binary("nexus-node"));
        command.env("PATH", SYSTEM_PATH);
        self.wait_for(Process::start(self.arguments(&mut command, ANY_PORT)))
    }

    /// Starts a node and leaves it to the test whether it comes up.
    #[track_caller]
    pub fn launch(&self, environment: &[(&str, &str)]) -> Process {
        self.launch_at(ANY_PORT, environment)
    }

    /// Starts a node that is to listen at `address`, and leaves it to the test whether it comes up.
    #[track_caller]
    pub fn launch_at(&self, address: &str, environment: &[(&str, &str)]) -> Process {
        let mut command = bare(&binary("nexus-node"), self.folder());
        command.envs(environment.iter().copied());
        Process::start(self.arguments(&mut command, address))
    }

    fn arguments<'command>(
        &self,
        command: &'command mut Command,
        address: &str,
    ) -> &'command mut Command {
        command
            .arg("--data")
            .arg(self.data())
            .args(["--listen", address])
    }

    #[track_caller]
    fn wait_for(&self, process: Process) -> Node<'_> {
        let url = process.wait_for_line("where it listens", WAIT_MAX, listening_at);
        // Printed at the first start only, before the node listens.
        let key = self
            .admin_key
            .get_or_init(|| process.wait_for_line("the admin key", WAIT_MAX, admin_key));
        Node { process, url, key }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        take_away(&self.mount_point());
    }
}

const ANY_PORT: &str = "127.0.0.1:0";

/// A node that answers; killed when dropped.
pub struct Node<'home> {
    process: Process,
    url: String,
    key: &'home str,
}

impl Node<'_> {
    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url
            .strip_prefix("http://")
            .expect("the node said so when it started")
    }

    /// The admin key of the first start.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key
    }

    /// The process, for what it said and for its id.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The `nexus` command, pointed at this node with the admin key.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli::new(&self.url, self.key)
    }

    /// The `nexus` command, pointed at this node with another key.
    #[must_use]
    pub fn cli_with(&self, key: &str) -> Cli {
        Cli::new(&self.url, key)
    }

    /// The HTTP door, with the admin key.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(self.address(), self.key)
    }

    /// The gRPC door, with the admin key, over a connection of its own.
    pub async fn client(&self) -> Client {
        self.client_with(self.key).await
    }

    /// The gRPC door, with another key.
    pub async fn client_with(&self, key: &str) -> Client {
        let client = Client::connect(&self.url, key).await;
        client.expect("a node that listens can be reached")
    }

    /// Ends it as a loss of power would.
    #[track_caller]
    pub fn kill(self) {
        self.process.kill();
    }

    /// Asks it to end and waits for that.
    #[track_caller]
    pub fn stop(self) -> ExitStatus {
        self.process.terminate()
    }

    /// Waits until it has ended, having been asked to.
    #[track_caller]
    pub fn wait_for_end(self) -> ExitStatus {
        self.process.wait_for_end(WAIT_MAX)
    }
}

/// A command that sees nothing of the environment that the tests happen to run in.
pub(crate) fn bare(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home)
        .env("RUST_BACKTRACE", "1")
        .current_dir(home);
    command
}

fn listening_at(line: &str) -> Option<String> {
    line.trim()
        .strip_prefix("listening on ")
        .map(|url| url.trim_end_matches('/').to_owned())
}

fn admin_key(line: &str) -> Option<String> {
    line.trim().strip_prefix("admin key: ").map(str::to_owned)
}
