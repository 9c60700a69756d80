//! An entry as tar blocks.

use nexus_client::{Error, Result, Timestamp};
use tar::{EntryType, Header};

use super::pax::{self, Records};
use super::{
    BLOCK, Entry, EntryKind, RECORD_CONTENT, RECORD_METADATA, RECORD_TAGS, damaged, order,
};

/// The records that say what the plain header of `entry` cannot.
pub(super) fn records(entry: &Entry) -> Records {
    let mut records = Records::default();
    records.push("path", &entry.path);
    records.push("mtime", pax::format_time(entry.modified));
    match &entry.kind {
        EntryKind::Directory => {}
        EntryKind::File { etag, .. } => records.push(RECORD_CONTENT, etag),
        EntryKind::Symlink { target } | EntryKind::HardLink { target } => {
            records.push("linkpath", target);
        }
    }
    if !entry.tags.is_empty() {
        records.push(RECORD_TAGS, entry.tags.join("\n"));
    }
    for (key, value) in &entry.metadata {
        records.push(&format!("{RECORD_METADATA}{}", pax::escape_key(key)), value);
    }
    records
}

/// The plain header of `entry`, for tars that know no records.
pub(super) fn plain(entry: &Entry) -> Header {
    let (kind, size) = match &entry.kind {
        EntryKind::Directory => (EntryType::Directory, 0),
        EntryKind::File { size, .. } => (EntryType::Regular, *size),
        EntryKind::Symlink { .. } => (EntryType::Symlink, 0),
        EntryKind::HardLink { .. } => (EntryType::Link, 0),
    };
    let mut header = with(kind, size, entry.path.as_bytes());
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(u64::try_from(entry.modified.0.div_euclid(1_000_000_000)).unwrap_or(0));
    header.set_cksum();
    header
}

/// The header before a block of records.
pub(super) fn before_records(kind: EntryType, size: usize) -> Header {
    let mut header = with(kind, size as u64, b"pax-records");
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn with(kind: EntryType, size: u64, name: &[u8]) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    let field = &mut header.as_old_mut().name;
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
    header
}

/// Reads a header block.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<(EntryType, Header)> {
    let header = Header::from_byte_slice(block).clone();
    let sum: u64 = block[..148]
        .iter()
        .chain(&block[156..])
        .map(|&b| u64::from(b))
        .sum();
    let stated = header.cksum().map(u64::from);
    if stated.ok() != Some(sum + 8 * u64::from(b' ')) {
        return Err(damaged(
            "a header of the archive is damaged; copy or export it again",
        ));
    }
    Ok((header.entry_type(), header))
}

/// Bytes that follow a header.
pub(super) fn size(header: &Header) -> Result<u64> {
    header.entry_size().map_err(|_| field("size"))
}

/// An entry from its plain header and the records before it.
pub(super) fn entry(header: &Header, records: &[u8]) -> Result<Entry> {
    let mut facts = Facts::default();
    for (key, value) in pax::parse(records)? {
        facts.take(key, value)?;
    }
    let path = facts.path.clone().ok_or_else(|| missing("path"))?;
    Ok(Entry {
        kind: kind(header, &mut facts, &path)?,
        path,
        mode: header.mode().map_err(|_| field("mode"))? & 0o7777,
        uid: id(header.uid(), "uid")?,
        gid: id(header.gid(), "gid")?,
        modified: facts.modified.ok_or_else(|| missing("mtime"))?,
        metadata: facts.metadata,
        tags: facts.tags,
    })
}

#[derive(Default)]
struct Facts {
    path: Option<String>,
    modified: Option<Timestamp>,
    target: Option<String>,
    etag: Option<String>,
    metadata: Vec<(String, Vec<u8>)>,
    tags: Vec<String>,
}

impl Facts {
    fn take(&mut self, key: &str, value: &[u8]) -> Result<()> {
        match key {
            "path" => self.path = Some(pax::text(value)?),
            "mtime" => self.modified = Some(pax::parse_time(value)?),
            "linkpath" => self.target = Some(pax::text(value)?),
            RECORD_CONTENT => self.etag = Some(pax::text(value)?),
            RECORD_TAGS => self.tags = pax::text(value)?.split('\n').map(str::to_owned).collect(),
            _ => match key.strip_prefix(RECORD_METADATA) {
                Some(key) => self.metadata.push((pax::unescape_key(key), value.to_vec())),
                None => return Err(unknown_record(key)),
            },
        }
        Ok(())
    }
}

fn kind(header: &Header, facts: &mut Facts, path: &str) -> Result<EntryKind> {
    let size = size(header)?;
    let target = |facts: &mut Facts| facts.target.take().ok_or_else(|| missing("linkpath"));
    match header.entry_type() {
        EntryType::Regular => {
            let etag = facts.etag.take().ok_or_else(|| missing(RECORD_CONTENT))?;
            Ok(EntryKind::File { size, etag })
        }
        _ if size != 0 => Err(field("size")),
        EntryType::Directory => Ok(EntryKind::Directory),
        EntryType::Symlink => {
            let target = target(facts)?;
            if target.is_empty() || target.contains('\0') {
                return Err(refused_target(path));
            }
            Ok(EntryKind::Symlink { target })
        }
        EntryType::Link => {
            let target = target(facts)?;
            order::check_path(&target)?;
            if !order::precedes(&target, path) {
                return Err(refused_target(path));
            }
            Ok(EntryKind::HardLink { target })
        }
        _ => Err(Error::invalid(
            "the archive holds something that is not a file, a directory or a link",
        )
        .with("path", path.escape_debug())),
    }
}

fn id(value: std::io::Result<u64>, name: &'static str) -> Result<u32> {
    value
        .ok()
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| field(name))
}

fn field(name: &'static str) -> Error {
    damaged("a header of the archive is damaged; copy or export it again").with("field", name)
}

fn missing(record: &'static str) -> Error {
    Error::invalid(
        "an entry lacks a record that nexus export writes; unpack other archives with tar and use \
         nexus cp -r",
    )
    .with("record", record)
}

fn unknown_record(key: &str) -> Error {
    Error::unsupported("the archive was written by a newer nexus; upgrade this one to import it")
        .with(
            "record",
            key.chars().take(100).collect::<String>().escape_debug(),
        )
}

fn refused_target(path: &str) -> Error {
    Error::invalid("a link in the archive has no target it could have")
        .with("path", path.escape_debug())
}
