//! `mv`, `rm`, `mkdir`, `ln`, `chmod`.

use clap::Args;
use nexus_client::{
    At, Client, Kind, MkdirOptions, MoveOptions, RemoveOptions, Replace, Result, SetAttributes,
};

use crate::app::App;
use crate::args::{self, DurabilityArgument};
use crate::location::{RemotePath, join};
use crate::report::done;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus mv /a.txt /b.txt           Rename
  nexus mv /a.txt /docs/           Into a directory
  nexus mv /live /staged --exchange

A whole tree moves in one commit, however large.")]
pub struct Mv {
    /// What to move
    from: RemotePath,
    /// Where to; an existing directory, or a path that ends in /, takes it under its own name
    to: String,
    /// Fail if the destination exists
    #[arg(short, long, conflicts_with = "exchange")]
    no_clobber: bool,
    /// Let the two change places
    #[arg(long)]
    exchange: bool,
    /// Make missing directories on the way
    #[arg(short, long)]
    parents: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Mv {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let to = match self.exchange {
            true => remote(&self.to),
            false => destination(&client, &self.from, &self.to).await?,
        };
        let replace = match (self.no_clobber, self.exchange) {
            (true, _) => Replace::Refuse,
            (_, true) => Replace::Exchange,
            _ => Replace::Allow,
        };
        let options = MoveOptions {
            replace,
            parents: self.parents,
            durability: self.durability.into(),
        };
        let changed = client
            .rename(self.from.as_str(), to.as_str(), options)
            .await?;
        done(app, &changed)
    }
}

fn remote(text: &str) -> RemotePath {
    let Ok(path) = text.parse();
    path
}

/// Where something lands that is moved or copied to `to`: in it, if it is a directory.
pub(crate) async fn destination(
    client: &Client,
    from: &RemotePath,
    to: &str,
) -> Result<RemotePath> {
    let path = remote(to);
    let into = to.ends_with('/') || is_directory(client, path.as_str()).await?;
    match from.name() {
        Some(name) if into => Ok(remote(&join(path.as_str(), name))),
        _ => Ok(path),
    }
}

/// Whether a directory is there now.
pub(crate) async fn is_directory(client: &Client, path: &str) -> Result<bool> {
    match client.stat(path, At::latest()).await {
        Ok(stat) => Ok(stat.is_dir()),
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus rm /a.txt /b.txt
  nexus rm -r /old               In one commit, however large

What is removed can still be read: nexus cat /a.txt --at REVISION.")]
pub struct Rm {
    /// Files, links or empty directories
    #[arg(required = true)]
    paths: Vec<RemotePath>,
    /// Directories with all below them
    #[arg(short, long)]
    recursive: bool,
    /// What is not there is no error
    #[arg(short, long)]
    force: bool,
    /// Fail unless the file has this etag
    #[arg(long, value_name = "ETAG", conflicts_with = "recursive")]
    if_match: Option<String>,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Rm {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = RemoveOptions {
            recursive: self.recursive,
            if_match: self.if_match,
            durability: self.durability.into(),
        };
        for path in &self.paths {
            match client.remove(path.as_str(), options.clone()).await {
                Ok(changed) => done(app, &changed)?,
                Err(error) if self.force && error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus mkdir -p /projects/new/src")]
pub struct Mkdir {
    /// Directories
    #[arg(required = true)]
    paths: Vec<RemotePath>,
    /// Make missing parents too; an existing directory is no error
    #[arg(short, long)]
    parents: bool,
    /// Permission bits, octal
    #[arg(long, value_parser = args::mode)]
    mode: Option<u32>,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Mkdir {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = MkdirOptions {
            parents: self.parents,
            exist_ok: self.parents,
            mode: self.mode,
            durability: self.durability.into(),
        };
        for path in &self.paths {
            let changed = client.mkdir(path.as_str(), options).await?;
            done(app, &changed)?;
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus ln -s ../shared/logo.png /site/logo.png    A link that says where to look
  nexus ln /a.txt /b.txt                           One file with two names")]
pub struct Ln {
    /// What to link to; with -s taken as it is
    target: String,
    /// The link's own path
    path: RemotePath,
    /// A symbolic link
    #[arg(short, long)]
    symbolic: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Ln {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let (path, durability) = (self.path.as_str(), self.durability.into());
        let changed = match self.symbolic {
            true => client.symlink(&self.target, path, durability).await?,
            false => {
                client
                    .hard_link(remote(&self.target).as_str(), path, durability)
                    .await?
            }
        };
        done(app, &changed)
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus chmod 755 /bin/run.sh")]
pub struct Chmod {
    /// Permission bits, octal
    #[arg(value_parser = args::mode)]
    mode: u32,
    /// Files or directories
    #[arg(required = true)]
    paths: Vec<RemotePath>,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Chmod {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let set = SetAttributes {
            mode: Some(self.mode),
            durability: self.durability.into(),
            ..SetAttributes::default()
        };
        for path in &self.paths {
            let changed = client.set_attributes(path.as_str(), set).await?;
            done(app, &changed)?;
        }
        Ok(())
    }
}
