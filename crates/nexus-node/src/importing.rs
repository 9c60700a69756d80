//! What is said of an import: while it goes on, and at its end.

use std::io::{IsTerminal, Write};
use std::path::Path;

use nexus_fs::Imported;
use serde_json::json;

/// A line on the terminal that tells how far an import is.
pub(crate) struct Line {
    /// None when nobody watches.
    total: Option<u64>,
    percent: u64,
}

impl Line {
    pub(crate) fn new(archive: &Path) -> Self {
        let watched = std::io::stderr().is_terminal();
        let length = || archive.metadata().ok().map(|file| file.len());
        Self {
            total: watched.then(length).flatten().filter(|total| *total > 0),
            percent: 0,
        }
    }

    pub(crate) fn draw(&mut self, bytes: u64) {
        let Some(total) = self.total else { return };
        let percent = bytes.saturating_mul(100) / total;
        if percent > self.percent {
            self.percent = percent;
            // Whether it is seen does not matter to the import.
            let _ = write!(std::io::stderr(), "\rimporting {percent:>3} %");
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        if self.percent > 0 {
            let _ = write!(std::io::stderr(), "\r{:18}\r", "");
        }
    }
}

/// What was imported.
pub(crate) fn text(imported: &Imported, as_json: bool) -> String {
    let Imported {
        header,
        progress,
        resumed_after_bytes,
    } = imported;
    if as_json {
        let value = json!({
            "zone": header.zone,
            "revision": progress.revision.0,
            "secrets": header.secrets,
            "rows": progress.rows,
            "blobs": progress.blobs,
            "blob_bytes": progress.blob_bytes,
            "bytes": progress.bytes,
            "hash": progress.chain.to_string(),
            "resumed_after_bytes": resumed_after_bytes,
        });
        return format!("{value}\n");
    }
    format!(
        "imported zone {} at revision {}: {} rows, {} blobs, {} bytes\nstart a node on it, then check it with `nexus verify`\n",
        header.zone, progress.revision, progress.rows, progress.blobs, progress.bytes
    )
}
