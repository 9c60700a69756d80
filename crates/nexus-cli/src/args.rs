//! What can be typed.

use std::fmt;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use nexus_client::{Error, Fence, Result};

use crate::app::App;
use crate::commands::{
    archive, care, completions, copy, cursors, diff, edit, grep, history, keys, lineage, list,
    lock, log, metadata, mount, names, read, retention, search, snapshot, undo, watch, workspace,
    write, zone,
};
use crate::exit::Exit;
use crate::location::PastPath;

/// Files that keep their history: on a node, from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "nexus",
    version,
    after_help = after_help(),
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Which node, and as whom.
    #[command(flatten)]
    pub connection: Connection,
    /// Print JSON: one document, or one a line where there are many
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which node to talk to, and as whom.
#[derive(Args, Clone)]
#[command(next_help_heading = "Global options")]
pub struct Connection {
    /// The node
    #[arg(
        long,
        global = true,
        env = "NEXUS_URL",
        default_value = "http://127.0.0.1:2026"
    )]
    pub url: String,
    /// The API key, `sk-...`
    #[arg(long, global = true, env = "NEXUS_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// A file that holds the API key
    #[arg(long, global = true, env = "NEXUS_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Names the run that these operations belong to, in the log; before the command
    #[arg(long, env = "NEXUS_SESSION", value_name = "NAME")]
    pub session: Option<String>,
    /// Names this request, in the log; before the command
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Act for a principal, user:ID or agent:ID, in the log; only with an administrator's key,
    /// which it gives no other rights
    #[arg(
        long = "as",
        global = true,
        value_name = "PRINCIPAL",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub on_behalf_of: Option<String>,
    /// Change files only while a lease is held: its token and what it is on, like '4711 ino:42';
    /// may be given several times (in NEXUS_FENCE, one a line)
    #[arg(
        long = "fence",
        global = true,
        env = "NEXUS_FENCE",
        value_name = "FENCE",
        value_delimiter = '\n'
    )]
    pub fences: Vec<Fence>,
}

impl fmt::Debug for Connection {
    /// Without the key, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("url", &self.url)
            .field("key_file", &self.key_file)
            .field("session", &self.session)
            .field("request_id", &self.request_id)
            .field("on_behalf_of", &self.on_behalf_of)
            .field("fences", &self.fences)
            .finish_non_exhaustive()
    }
}

fn after_help() -> String {
    format!(
        "\
Paths are those of the node; only `cp` knows both sides and marks the node's with `nx:`.

Examples:
  nexus write /notes/todo.txt 'call Ada' -p     Write a file, and the directory it is in
  nexus cp -r ./project nx:/project             Copy a folder to the node; again to resume
  nexus ls -l /project                          List it
  nexus grep -i 'fixme' /project --include '*.rs'
  nexus edit /notes/todo.txt --old Ada --new Bob
  nexus versions /notes/todo.txt                What the file has been
  nexus cat /notes/todo.txt --at '5m ago'       ... and was five minutes ago
  nexus rollback /notes/todo.txt v1             Bring it back
  nexus log --path /notes                       Who did what
  nexus mount work                              Use it all as a directory

{}",
        Exit::HELP
    )
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $name:ident($arguments:ty),)*) => {
        /// Everything the command can do.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[doc = $doc])+ $name($arguments),)*
        }

        impl Command {
            pub(crate) async fn run(self, app: &mut App) -> Result<()> {
                match self {
                    $(Self::$name(arguments) => Box::pin(arguments.run(app)).await,)*
                }
            }
        }
    };
}

commands! {
    /// List a directory
    Ls(list::Ls),
    /// Draw a directory as a tree
    Tree(list::Tree),
    /// How much a file or directory holds
    Du(list::Du),
    /// Print files
    Cat(read::Cat),
    /// Show all attributes of a path
    Stat(read::Stat),
    /// Write a file from an argument or standard input
    Write(write::Write),
    /// Replace passages of a file
    Edit(edit::Edit),
    /// Copy files and folders, on the node or between it and this computer
    Cp(copy::Cp),
    /// Move or rename
    Mv(names::Mv),
    /// Remove files and directories
    Rm(names::Rm),
    /// Make directories
    Mkdir(names::Mkdir),
    /// Make a link
    Ln(names::Ln),
    /// Change permission bits
    Chmod(names::Chmod),
    /// Find paths by pattern
    Glob(search::Glob),
    /// Find lines by regular expression
    Grep(grep::Grep),
    /// Find paths by tag or metadata
    Find(search::Find),
    /// Find files with the same content
    FindDuplicates(search::FindDuplicates),
    /// Custom metadata: get, set, rm
    Meta(metadata::Meta),
    /// Tags: ls, add, rm
    Tag(metadata::Tag),
    /// List what a file has been
    Versions(history::Versions),
    /// Compare two versions of a file, or a file or directory at two points
    Diff(diff::Diff),
    /// Show where a file comes from and what was made of it
    Lineage(lineage::Lineage),
    /// Make an earlier version the newest
    Rollback(history::Rollback),
    /// Take operations back
    Undo(undo::Undo),
    /// Make a directory or file what it was at a point
    Restore(undo::Restore),
    /// Who did what, and when
    Log(log::Log),
    /// Print changes as they happen
    Watch(watch::Watch),
    /// Remember how far a consumer of the changes has come
    Cursors(cursors::Cursors),
    /// Locks: acquire, extend, release, inspect, list, force-unlock, run
    Lock(lock::Lock),
    /// Snapshots: create, list, show, diff, update, pin, unpin, delete
    Snapshot(snapshot::Snapshot),
    /// How much history is kept: set, list, remove, run
    Retention(retention::Retention),
    /// Workspaces: register, list, info, unregister, forks
    Workspace(workspace::WorkspaceCommand),
    /// Make another of a directory, to be changed by itself
    Fork(workspace::Fork),
    /// Bring what changed in a fork back
    Merge(workspace::Merge),
    /// Write a tree into an archive file
    Export(archive::Export),
    /// Bring an archive file or a folder into the node
    Import(archive::Import),
    /// Export the whole zone with its history, or check such an archive
    Zone(zone::Zone),
    /// Mount the zone as a directory
    Mount(mount::Mount),
    /// Unmount a zone
    Umount(mount::Umount),
    /// Manage API keys
    Keys(keys::Keys),
    /// Show who the key says you are
    Whoami(care::Whoami),
    /// Ask whether the node answers
    Health(care::Health),
    /// Make everything acknowledged so far durable
    Sync(care::Sync),
    /// Remove content that nothing refers to any more
    Gc(care::Gc),
    /// Read everything back and compare it with its hashes
    Verify(care::Verify),
    /// Print the completions of a shell
    Completions(completions::Completions),
}

/// Which state a read sees.
#[derive(Args, Clone, Debug)]
pub(crate) struct AtArgument {
    /// As of a revision (r42; r42^ just before it), a time (2026-01-31T12:00:00Z), a while ago (2h,
    /// '10m ago'), an operation (op:42) or a snapshot; also written PATH@{POINT}
    #[arg(long, value_name = "POINT")]
    at: Option<String>,
}

impl AtArgument {
    /// The state that a path is read in: its own, or the one given for all.
    pub(crate) fn of(&self, path: &PastPath, app: &App) -> Result<nexus_client::At> {
        let point = match (&path.point, &self.at) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    "both the path and --at name a point; leave one of them out",
                )
                .with("path", path));
            }
            (own, given) => own.as_ref().or(given.as_ref()),
        };
        point.map_or(Ok(nexus_client::At::latest()), |at| {
            crate::points::at(at, app.now)
        })
    }
}

/// When a change is acknowledged.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DurabilityArgument {
    /// Return once the change is visible; `nexus sync` makes it durable
    #[arg(long)]
    relaxed: bool,
}

impl From<DurabilityArgument> for nexus_client::Durability {
    fn from(argument: DurabilityArgument) -> Self {
        if argument.relaxed {
            Self::Relaxed
        } else {
            Self::Sync
        }
    }
}

/// Permission bits as octal digits.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text, 8)
        .ok()
        .filter(|&bits| bits <= 0o7777);
    bits.ok_or_else(|| "permission bits are octal digits like 644 or 0755".to_owned())
}

#[cfg(test)]
mod tests;
