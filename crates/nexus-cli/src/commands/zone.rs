//! `zone`: the archive of a whole zone.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use nexus_archive::{Header, Progress as Archived, Reader};
use nexus_client::{Error, Result};
use serde_json::json;
use tokio::fs::File;
use tokio::io::BufReader;

use crate::app::App;
use crate::format;
use crate::io::io_error;
use crate::transfer::Progress;

mod export;
mod part;

use export::Export;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus zone export zone.nxz               All files, their history, metadata and the log
  nexus zone export zone.nxz --resume      Go on after a break
  nexus zone verify zone.nxz               Check an archive, without a node
  nexus-node import-zone zone.nxz --data ./other-data

An archive is imported by `nexus-node import-zone` into a data folder that no node has used yet; the
node that is started on it then gives the same answers at the same revisions.")]
pub struct Zone {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the whole zone into an archive file, while others use it
    Export(Export),
    /// Read an archive file to its end and check everything that it has
    Verify(Verify),
}

impl Zone {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        match self.action {
            Action::Export(export) => export.run(app).await,
            Action::Verify(verify) => verify.run(app).await,
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus zone verify zone.nxz

Needs no node and no key. Ends with 8 if the archive is cut short or damaged.")]
struct Verify {
    /// The archive
    file: PathBuf,
}

impl Verify {
    async fn run(self, app: &mut App) -> Result<()> {
        let checked = Checked::read(&self.file, !app.out.is_json()).await?;
        checked.show(app, &self.file, 0)
    }
}

/// An archive that was read to its end.
struct Checked {
    header: Header,
    archived: Archived,
}

impl Checked {
    async fn read(path: &Path, watch: bool) -> Result<Self> {
        let mut reader = Reader::begin(open(path).await?).await?;
        let len = tokio::fs::metadata(path).await.map_or(0, |file| file.len());
        let bar = Progress::bar(watch, len);
        let mut before = 0;
        while reader.next().await?.is_some() {
            let bytes = reader.progress().bytes;
            bar.advance(bytes - before);
            before = bytes;
        }
        bar.end();
        Ok(Self {
            header: reader.header().clone(),
            archived: *reader.progress(),
        })
    }

    fn show(&self, app: &mut App, file: &Path, resumed_after: u64) -> Result<()> {
        let Self { header, archived } = self;
        app.out.show(
            || {
                json!({
                    "file": file.display().to_string(),
                    "zone": header.zone,
                    "revision": archived.revision.0,
                    "secrets": header.secrets,
                    "rows": archived.rows,
                    "blobs": archived.blobs,
                    "blob_bytes": archived.blob_bytes,
                    "bytes": archived.bytes,
                    "hash": archived.chain.to_string(),
                    "resumed_after_bytes": resumed_after,
                })
            },
            |_| {
                let rows = format::count(archived.rows, "row");
                let blobs = format::count(archived.blobs, "blob");
                let size = format::size(archived.bytes);
                let (zone, revision) = (&header.zone, archived.revision);
                let file = file.display();
                format!("{file}: zone {zone} at r{revision}, {rows}, {blobs}, {size}")
            },
        )
    }
}

async fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path)
        .await
        .map_err(|error| cannot("could not read the archive", path, &error))?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

fn cannot(what: &'static str, path: &Path, error: &std::io::Error) -> Error {
    io_error(what, error).with("file", path.display())
}
