//! The command line.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use nexus_kernel::{Error, Result};
use nexus_node::Sources;

/// Runs a node: a durable, versioned filesystem behind HTTP and gRPC.
///
/// Without any setting it keeps its data in ./nexus-data and listens on 127.0.0.1:2026.
/// Settings come from --config, then from NEXUS_* variables, then from the command line,
/// each over the one before; `nexus-node config show` lists them all.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Read settings from this TOML file.
    #[arg(long, value_name = "FILE", env = "NEXUS_CONFIG", global = true)]
    config: Option<PathBuf>,

    /// The folder to keep data in.
    #[arg(long, value_name = "FOLDER", global = true)]
    data: Option<String>,

    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", global = true)]
    listen: Option<String>,

    /// Allow an address that other machines can reach.
    #[arg(long, global = true)]
    allow_remote: bool,

    /// Mount the zone on this empty directory too.
    #[arg(long, value_name = "FOLDER")]
    mount: Option<String>,

    /// Least severity that is logged: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", global = true)]
    log: Option<String>,

    /// Any setting by name; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", global = true)]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make one more admin key, when all are lost. The node must not run.
    AdminKey,
    /// Bring an archive that `nexus zone export` wrote into a data folder that no node has used yet,
    /// as a zone with the same files, history and revisions. The node must not run. Interrupted, it
    /// goes on when it is run again.
    ImportZone(ImportZone),
    /// Mount the zone on an empty directory, and open no door on the network. Ends with the
    /// mount: at a signal, or when somebody unmounts it.
    Mount(Mount),
}

#[derive(Debug, Args)]
pub(crate) struct ImportZone {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Throw away what an interrupted import of another archive has left behind.
    #[arg(long)]
    pub(crate) anew: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// The directory.
    pub(crate) directory: PathBuf,
    /// Refuse every change.
    #[arg(long)]
    read_only: bool,
    /// Let the kernel gather writes: faster for many small ones, and only for a zone that
    /// nobody changes past the mount meanwhile.
    #[arg(long)]
    write_cache: bool,
    /// Act for a principal, user:ID or agent:ID, in the operation log.
    #[arg(
        long = "as",
        value_name = "PRINCIPAL",
        value_parser = NonEmptyStringValueParser::new()
    )]
    on_behalf_of: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting in effect, where it comes from and what it is for.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say whether a node could start with it.
    Check,
}

impl Cli {
    /// Where settings come from.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a `--set` without an equals sign.
    pub(crate) fn sources(&self) -> Result<Sources> {
        Ok(Sources {
            file: self.config.clone(),
            environment: environment(),
            flags: self.flags()?,
        })
    }

    fn flags(&self) -> Result<Vec<(String, String, String)>> {
        let given = [
            ("data", "--data", self.data.clone()),
            ("listen", "--listen", self.listen.clone()),
            ("allow_remote", "--allow-remote", switch(self.allow_remote)),
            ("mount.directory", "--mount", self.mount.clone()),
            ("log.level", "--log", self.log.clone()),
        ];
        let of_mount = match &self.command {
            Some(Command::Mount(mount)) => mount.flags().to_vec(),
            _ => Vec::new(),
        };
        let given = given
            .into_iter()
            .chain(of_mount)
            .filter_map(|(name, flag, value)| Some(Ok((name.to_owned(), value?, flag.to_owned()))));
        let set = self.set.iter().map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Error::invalid("--set takes a name, an equals sign and a value")
                    .with("given", pair.escape_debug())
            })?;
            Ok((
                name.trim().to_owned(),
                value.trim().to_owned(),
                "--set".to_owned(),
            ))
        });
        given.chain(set).collect()
    }
}

impl Mount {
    /// Setting, flag and value.
    fn flags(&self) -> [(&'static str, &'static str, Option<String>); 3] {
        [
            ("mount.read_only", "--read-only", switch(self.read_only)),
            (
                "mount.write_cache",
                "--write-cache",
                switch(self.write_cache),
            ),
            ("mount.as", "--as", self.on_behalf_of.clone()),
        ]
    }
}

/// What a flag without a value sets, if it is there.
fn switch(given: bool) -> Option<String> {
    given.then(|| "true".to_owned())
}

/// The `NEXUS_*` variables. A value that is not UTF-8 is no value of any setting; it is
/// refused by whoever reads it.
fn environment() -> Vec<(String, String)> {
    let ours = std::env::vars_os().filter_map(|(name, value)| {
        let name = name
            .into_string()
            .ok()
            .filter(|name| name.starts_with("NEXUS_"))?;
        Some((name, value.to_string_lossy().into_owned()))
    });
    ours.collect()
}
