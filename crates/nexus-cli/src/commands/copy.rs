//! `cp`.

use std::path::{Path, PathBuf};

use clap::Args;
use nexus_client::{At, Client, Error, MoveOptions, Replace, Result};

use crate::app::App;
use crate::args::AtArgument;
use crate::commands::names::{destination, is_directory};
use crate::io::io_error;
use crate::location::{Location, RemotePath, join};
use crate::report::{is_watched, wrote};
use crate::transfer::{Download, Summary, download, upload};

#[derive(Args, Debug)]
#[command(after_help = "\
A path on the node begins with nx: (nx:/docs/a.txt); any other is on this computer.

Examples:
  nexus cp ./a.txt nx:/docs/             To the node, into a directory
  nexus cp -r ./project nx:/project      A whole folder; run it again to resume or refresh
  nexus cp -r nx:/project ./back --at 42 From the node, as of revision 42
  nexus cp -r nx:/project nx:/fork       On the node: content is shared, so it is instant

With -r what is in the source comes to be in the destination, whether that exists or not;
nothing is removed there. Permission bits, times, symbolic links and hard links are kept, but
set-user-ID, set-group-ID and sticky bits do not come to this computer. Below the destination a
symbolic link that is in the way is replaced, never followed. Files with the same content are not
sent again.")]
pub struct Cp {
    /// What to copy
    from: Location,
    /// Where to; an existing directory, or a path that ends in /, takes a file under its own name
    to: Location,
    /// Directories with all below them
    #[arg(short, long)]
    recursive: bool,
    /// Fail if the destination exists; between two paths on the node
    #[arg(short, long)]
    no_clobber: bool,
    #[command(flatten)]
    at: AtArgument,
}

impl Cp {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let watch = is_watched() && !app.out.is_json();
        match (self.from.clone(), self.to.clone()) {
            (Location::Local(from), Location::Remote { path, directory }) => {
                self.refuse_no_clobber()?;
                let at = self.at.of(&path, app)?;
                refuse_at(&at)?;
                let path = path.path;
                let to = self.upload_place(&client, &from, &path, directory).await?;
                let summary = upload(client, &from, &to, watch).await?;
                finish(app, &summary)
            }
            (Location::Remote { path, .. }, Location::Local(to)) => {
                self.refuse_no_clobber()?;
                let at = self.at.of(&path, app)?;
                let to = self.download_place(&path.path, to);
                let options = Download {
                    from: path.to_string(),
                    at,
                    to,
                    recursive: self.recursive,
                    watch,
                };
                let summary = download(client, options).await?;
                finish(app, &summary)
            }
            (
                Location::Remote { path, .. },
                Location::Remote {
                    path: to,
                    directory,
                },
            ) => {
                refuse_at(&self.at.of(&path, app)?)?;
                refuse_at(&self.at.of(&to, app)?)?;
                self.copy_on_the_node(&client, &path.path, &to.path, directory, app)
                    .await
            }
            (Location::Local(_), Location::Local(_)) => Err(Error::invalid(
                "neither path is on the node; write nx: before the one that is, as in nx:/docs",
            )),
        }
    }

    /// Where on the node a local file or folder lands.
    async fn upload_place(
        &self,
        client: &Client,
        from: &Path,
        to: &RemotePath,
        into: bool,
    ) -> Result<String> {
        let metadata = std::fs::metadata(from).map_err(|e| {
            io_error("could not read from the disk", &e).with("path", from.display())
        })?;
        if metadata.is_dir() {
            return match self.recursive {
                true => Ok(to.to_string()),
                false => Err(needs_recursive(from.display())),
            };
        }
        if !into && !is_directory(client, to.as_str()).await? {
            return Ok(to.to_string());
        }
        let name = from.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| {
            Error::invalid(
                "this file has no name in UTF-8; give the name it should have on the node",
            )
            .with("path", from.display())
        })?;
        Ok(join(to.as_str(), name))
    }

    /// Where on the disk something from the node lands.
    fn download_place(&self, from: &RemotePath, to: PathBuf) -> PathBuf {
        let into = to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/");
        match from.name() {
            Some(name) if into && !self.recursive => to.join(name),
            _ => to,
        }
    }

    async fn copy_on_the_node(
        &self,
        client: &Client,
        from: &RemotePath,
        to: &RemotePath,
        into: bool,
        app: &mut App,
    ) -> Result<()> {
        let is_directory = client.lstat(from.as_str(), At::latest()).await?.is_dir();
        if is_directory && !self.recursive {
            return Err(needs_recursive(from));
        }
        let slash = if into && !to.as_str().ends_with('/') {
            "/"
        } else {
            ""
        };
        let to = match is_directory {
            true => to.clone(),
            false => destination(client, from, &format!("{to}{slash}")).await?,
        };
        let replace = if self.no_clobber {
            Replace::Refuse
        } else {
            Replace::Allow
        };
        let options = MoveOptions {
            replace,
            ..MoveOptions::default()
        };
        let changed = client.copy(from.as_str(), to.as_str(), options).await?;
        wrote(app, to.as_str(), &changed)
    }

    fn refuse_no_clobber(&self) -> Result<()> {
        match self.no_clobber {
            true => Err(Error::invalid(
                "--no-clobber is for copies on the node; between it and the disk files with the same \
                 content are left alone and others replaced",
            )),
            false => Ok(()),
        }
    }
}

fn needs_recursive(path: impl std::fmt::Display) -> Error {
    Error::wrong_type("this is a directory; add -r to copy all of it").with("path", path)
}

fn refuse_at(at: &At) -> Result<()> {
    match *at == At::latest() {
        true => Ok(()),
        false => Err(Error::invalid(
            "a point is for what is copied from the node to this computer; leave it out",
        )),
    }
}

/// Says what a transfer did, and fails if it left something out.
pub(crate) fn finish(app: &mut App, summary: &Summary) -> Result<()> {
    if summary.left_out > 0 {
        app.exit = crate::exit::Exit::Failure;
    }
    app.out.show(|| summary.json(), |_| summary.text())
}
