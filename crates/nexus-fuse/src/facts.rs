//! What a zone knows of an inode, as extended attributes that can only be read: `user.nexus.*`.
//!
//! They are not listed, so that no tool copies them.

use std::fmt::Write;

use bytes::Bytes;
use fuser::Errno;
use nexus_fs::time::format_rfc3339;
use nexus_fs::{FileKind, Ino, Version};

use crate::bridge::Answer;
use crate::filesystem::Core;

/// Metadata keys that begin so cannot be set by any door.
pub(crate) const PREFIX: &str = nexus_fs::FACT_KEYS;
/// Linux has no larger values.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// More do not fit a value.
const VERSIONS_MAX: usize = 640;
const LEFT_OUT: &str = "# older versions are left out here; `nexus versions` lists all\n";

impl Core {
    /// The fact of that name, without the prefix.
    pub(crate) async fn fact(&self, ino: Ino, name: &str) -> Answer<Bytes> {
        let stat = self.volume.getattr(ino).await?;
        let is_file = stat.kind == FileKind::File;
        let text = match name {
            "revision" => Some(stat.revision.to_string()),
            "etag" => stat.etag.map(|etag| etag.to_string()),
            "version" if is_file => Some(stat.version.to_string()),
            "versions" if is_file => {
                let versions = self.volume.versions(ino, VERSIONS_MAX).await?;
                Some(table(&versions))
            }
            _ => None,
        };
        Ok(text.ok_or(Errno::ENODATA)?.into())
    }
}

/// One line for each version, as many as fit.
fn table(versions: &[Version]) -> String {
    let mut table = String::new();
    for version in versions {
        let line = line(version);
        if table.len() + line.len() + LEFT_OUT.len() > VALUE_BYTES_MAX {
            return table + LEFT_OUT;
        }
        table += &line;
    }
    if versions.len() == VERSIONS_MAX {
        table += LEFT_OUT;
    }
    table
}

fn line(version: &Version) -> String {
    let mut line = String::new();
    let Version {
        version: number,
        etag,
        size,
        revision,
        created,
        author,
        ..
    } = version;
    let time = format_rfc3339(*created);
    writeln!(
        line,
        "{number}\t{revision}\t{time}\t{size}\t{etag}\t{}",
        author.escape_debug()
    )
    .expect("a string takes what is written to it");
    line
}

#[cfg(test)]
mod tests;
