//! Where the file comes from: locks, first creation, format.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use nexus_kernel::{Restoring, Result, Revision};
use redb::{Builder, Database, ReadableDatabase, StorageBackend};

use crate::config::RedbConfig;
use crate::error;
use crate::layout::{FACTS, FORMAT, FORMAT_FACT, RECENT, RESERVED_FACT, REVISION_FACT, ROWS};
use crate::recent::Recent;
use crate::restore;

/// An open database, with the lock on its file when it stands on one. Dropping it closes
/// the file before the lock is let go.
pub(crate) struct Opened {
    pub(crate) db: Database,
    _lock: Option<File>,
}

/// What the committer must know to go on where the last one stopped.
pub(crate) struct Progress {
    /// No commit that anybody saw has a later one.
    pub(crate) revision: Revision,
    pub(crate) recent: Recent,
    pub(crate) restoring: Option<Restoring>,
}

/// Opens the file of `config`, creating it when it is not there.
pub(crate) fn file(config: &RedbConfig) -> Result<Opened> {
    let at = |error: nexus_kernel::Error| error.with("file", config.path.display());
    let lock = lock(&config.path).map_err(at)?;
    let exists = config.path.try_exists();
    if !exists.map_err(|error| at(error::io(&error)))? {
        create(config).map_err(at)?;
    }
    let db = builder(config).open(&config.path);
    Ok(Opened {
        db: db.map_err(|error| at(error::opening(error)))?,
        _lock: Some(lock),
    })
}

/// Opens a database on `backend`, creating it when there is nothing.
pub(crate) fn backend(config: &RedbConfig, backend: impl StorageBackend) -> Result<Opened> {
    let db = builder(config).create_with_backend(backend);
    let db = db.map_err(error::opening)?;
    if is_blank(&db).map_err(error::storage)? {
        initialise(&db).map_err(error::storage)?;
    }
    Ok(Opened { db, _lock: None })
}

/// Reads how far the store has come; refuses a format of another version.
pub(crate) fn progress(opened: &Opened) -> Result<Progress> {
    let (format, progress) = read_progress(&opened.db).map_err(error::storage)?;
    if format != Some(FORMAT) {
        let found = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
        let refusal = error::newer_or_older().with("format", found);
        return Err(refusal.with("supported format", FORMAT));
    }
    Ok(progress)
}

fn builder(config: &RedbConfig) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(config.cache_bytes);
    builder
}

/// Keeps other nodes out from before the file exists. redb locks the file as well; this
/// lock also covers the moment in which it is created.
fn lock(path: &Path) -> Result<File> {
    let lock = File::create(with_suffix(path, ".lock")).map_err(|error| error::io(&error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(error::in_use()),
        Err(TryLockError::Error(error)) => Err(error::io(&error)),
    }
}

/// Creates the file under another name first: one that a crash cut short in its creation
/// could not be opened again.
fn create(config: &RedbConfig) -> Result<()> {
    let unfinished = with_suffix(&config.path, ".new");
    remove_if_there(&unfinished).map_err(|error| error::io(&error))?;
    let db = builder(config)
        .create(&unfinished)
        .map_err(error::opening)?;
    initialise(&db).map_err(error::storage)?;
    db.close().map_err(error::opening)?;
    publish(&unfinished, config).map_err(|error| error::io(&error))
}

fn initialise(db: &Database) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    txn.open_table(ROWS)?;
    txn.open_table(RECENT)?;
    txn.open_table(FACTS)?.insert(FORMAT_FACT, FORMAT)?;
    Ok(txn.commit()?)
}

fn is_blank(db: &Database) -> Result<bool, redb::Error> {
    Ok(db.begin_read()?.list_tables()?.next().is_none())
}

fn read_progress(db: &Database) -> Result<(Option<u64>, Progress), redb::Error> {
    let txn = db.begin_read()?;
    let facts = txn.open_table(FACTS)?;
    let fact = |name| Ok::<_, redb::Error>(facts.get(name)?.map(|fact| fact.value()));
    let seen = fact(REVISION_FACT)?.max(fact(RESERVED_FACT)?);
    let progress = Progress {
        revision: Revision(seen.unwrap_or(0)),
        recent: Recent::load(&txn.open_table(RECENT)?)?,
        restoring: restore::read(&txn)?,
    };
    Ok((fact(FORMAT_FACT)?, progress))
}

fn publish(unfinished: &Path, config: &RedbConfig) -> io::Result<()> {
    fs::rename(unfinished, &config.path)?;
    File::open(config.folder())?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
