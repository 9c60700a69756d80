//! `export`, `import`.

use std::fs::File;
use std::io::{BufWriter, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use nexus_client::{Error, Result};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::app::App;
use crate::archive::Total;
use crate::args::AtArgument;
use crate::commands::copy::finish;
use crate::format;
use crate::io::io_error;
use crate::location::{PastPath, RemotePath};
use crate::report::is_watched;
use crate::transfer::{self, upload};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus export /project project.tar
  nexus export /project - --at 42 | zstd > project.tar.zst
  nexus import project.tar /copy

The archive is a tar with checksums: any tar unpacks it, and `nexus import` notices whether it
was cut short or changed. It holds one state of the tree, with permission bits, owners, times,
links, custom metadata and tags.")]
pub struct Export {
    /// A directory or file
    path: PastPath,
    /// The archive to write; - for standard output
    file: PathBuf,
    /// Replace the archive if it exists
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    at: AtArgument,
}

impl Export {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = transfer::Export {
            from: self.path.to_string(),
            at: self.at.of(&self.path, app)?,
            watch: is_watched() && !app.out.is_json(),
        };
        if self.file.as_os_str() == "-" {
            transfer::export(client, options, BufWriter::new(stdout())).await?;
            return Ok(());
        }
        let part = self.create()?;
        let (part, total) = transfer::export(client, options, BufWriter::new(part)).await?;
        self.publish(part)?;
        show(app, &self.file, &total)
    }

    /// A file beside the archive, so that what has the archive's name is never half of one.
    fn create(&self) -> Result<NamedTempFile> {
        if !self.force && self.file.exists() {
            return Err(
                Error::already_exists("the archive exists; add --force to replace it")
                    .with("file", self.file.display()),
            );
        }
        let folder = self
            .file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        NamedTempFile::with_prefix_in(".nexus-part-", folder.unwrap_or(Path::new(".")))
            .map_err(|error| self.cannot_write(&error))
    }

    fn publish(&self, part: BufWriter<NamedTempFile>) -> Result<()> {
        let part = part
            .into_inner()
            .map_err(|error| self.cannot_write(error.error()))?;
        part.as_file()
            .sync_all()
            .map_err(|error| self.cannot_write(&error))?;
        let file = match self.force {
            true => part.persist(&self.file),
            false => part.persist_noclobber(&self.file),
        };
        file.map(drop)
            .map_err(|error| self.cannot_write(&error.error))
    }

    fn cannot_write(&self, error: &std::io::Error) -> Error {
        io_error("could not write the archive", error).with("file", self.file.display())
    }
}

fn show(app: &mut App, file: &Path, total: &Total) -> Result<()> {
    app.out.show(
        || {
            json!({
                "file": file.display().to_string(),
                "entries": total.entries,
                "bytes": total.bytes,
                "total": total.hash,
            })
        },
        |_| {
            let entries = format::count(total.entries, "entry");
            format!(
                "{}: {entries}, {}",
                file.display(),
                format::size(total.bytes)
            )
        },
    )
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus import project.tar /project      An archive that `nexus export` wrote
  zstd -d < project.tar.zst | nexus import - /project
  nexus import ./folder /folder          The same as: nexus cp -r ./folder nx:/folder

An archive is checked to its end before anything is written. If writing is interrupted, run the
command again: what is there already is not written twice.")]
pub struct Import {
    /// An archive, a folder, or - for an archive on standard input
    from: PathBuf,
    /// Where what is in it comes to be
    path: RemotePath,
}

impl Import {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let watch = is_watched() && !app.out.is_json();
        if self.from.is_dir() {
            let summary = upload(client, &self.from, self.path.as_str(), watch).await?;
            return finish(app, &summary);
        }
        let archive = self.open()?;
        let name = Some(&*self.from).filter(|from| *from != Path::new("-"));
        let import = transfer::import(client, archive, name, self.path.as_str(), watch);
        let summary = import.await?;
        finish(app, &summary)
    }

    fn open(&self) -> Result<File> {
        let failed = |error| {
            io_error("could not read the archive", &error).with("file", self.from.display())
        };
        match self.from.as_os_str() == "-" {
            true => spool().map_err(failed),
            false => File::open(&self.from).map_err(failed),
        }
    }
}

/// Standard input as a file, which can be read twice: to check it and to use it.
fn spool() -> std::io::Result<File> {
    use std::io::Seek;
    let mut file = tempfile::tempfile()?;
    std::io::copy(&mut stdin().lock(), &mut file)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}
