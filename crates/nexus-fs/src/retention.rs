//! Retention: how much of history is kept, and where.
//!
//! A [`RetentionPolicy`] holds for the paths that match its pattern; the most specific one does,
//! and where none does everything is kept. What a policy lets go is a state of a file that has
//! ended: because it ended longer ago than `max_age`, or because its version is not among the
//! newest `max_versions`. Today's state never goes, nor what a snapshot or a fork needs.
//!
//! The *floor* is the oldest readable revision: the point that every policy lets go by its age.
//! Before it there is nothing but what is pinned, and it alone lets names, directories and the log
//! go. Above it a policy makes holes: a file's states are gone while its directory and name are
//! still known. A marker row takes the place of the states of a hole, so that whoever reads there
//! learns that it was collected and is never told that there was no such file.
//!
//! The collector (`collector`) goes over the rows of history in the order of their keys, a bounded
//! page at a time, each page one transaction of the metastore that removes rows, leaves markers,
//! and lowers the counts of contents: what etcd calls compaction.
//!
//! What a file was derived from is history as well: it goes with the version that it tells of.

use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Guard, Op, Result, Timestamp};
use prost::Message;

use crate::keys;
use crate::log::ChangeKind;
use crate::path;
use crate::pattern::PathPattern;
use crate::records;
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::tx::Tx;
use crate::types::{At, FileKind, Ino};
use crate::zone::Shared;

mod clock;
mod collector;
mod contents;
mod floor;
mod forks;
mod inodes;
mod lineage;
mod names;
mod pinning;
mod places;
mod plan;
mod rows;
mod step;

pub use collector::CompactReport;
pub(crate) use collector::{Manner, run};
pub(crate) use floor::{Floor, collected};

/// Most policies of a zone.
pub const RETENTION_POLICIES_MAX: usize = 1_000;
/// The shortest and the longest age that a policy can let states go at.
pub const RETENTION_AGE_MIN: Duration = Duration::from_secs(1);
/// A hundred years of 365 days.
pub const RETENTION_AGE_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// The pattern of the policy that holds where no other does.
pub const RETENTION_DEFAULT: &str = "/**";

/// How much of the history of some files is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// For which paths: an absolute glob.
    pub pattern: String,
    /// What it lets go.
    pub limits: RetentionLimits,
    /// Who set it, as `kind:id`.
    pub actor: String,
    /// When.
    pub time: Timestamp,
}

/// What a policy lets go; without limits everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// States that ended longer ago than this.
    pub max_age: Option<Duration>,
    /// Versions of a file beyond so many of the newest, today's included.
    pub max_versions: Option<u64>,
}

/// A policy as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRecord {
    #[prost(uint64, optional, tag = "1")]
    max_age_ms: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    max_versions: Option<u64>,
    #[prost(string, tag = "3")]
    actor: String,
    #[prost(sfixed64, tag = "4")]
    time: i64,
}

impl Session {
    /// Sets how much history the paths that match a glob keep, in place of what was set for the
    /// same glob. Takes effect with the next collection.
    ///
    /// Of all globs that match a path the most specific one holds: one without wildcards, else the
    /// one whose fixed leading directories are most, else the longest, else the first in byte
    /// order.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a glob that is malformed or relative, an age below
    /// [`RETENTION_AGE_MIN`] or above [`RETENTION_AGE_MAX`], or zero versions; `LimitExceeded`
    /// beyond [`RETENTION_POLICIES_MAX`]; `PermissionDenied` without the right to administer.
    pub async fn set_retention(
        &self,
        pattern: &str,
        limits: RetentionLimits,
    ) -> Result<RetentionPolicy> {
        self.administer().await?;
        check_pattern(pattern)?;
        limits.check()?;
        let known = self.zone.policies().await?;
        if known.len() >= RETENTION_POLICIES_MAX
            && known.iter().all(|policy| policy.pattern != pattern)
        {
            return Err(Error::limit("these are too many policies; remove some")
                .with("policies_max", RETENTION_POLICIES_MAX));
        }
        let policy = RetentionPolicy {
            pattern: pattern.to_owned(),
            limits,
            actor: self.actor(),
            time: self.zone.now(),
        };
        let record = records::encode(&PolicyRecord::from(&policy));
        let put = Op::Put(keys::retention(pattern), record);
        let set = ChangeKind::RetentionSet;
        self.commit_policy(set, pattern, put).await.map(|()| policy)
    }

    /// How much history is kept where, by pattern.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without the right to administer.
    pub async fn retention(&self) -> Result<Vec<RetentionPolicy>> {
        self.administer().await?;
        self.zone.policies().await
    }

    /// Removes a policy. What was collected stays collected.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none for this very pattern, `PermissionDenied` without the right to
    /// administer.
    pub async fn remove_retention(&self, pattern: &str) -> Result<()> {
        self.administer().await?;
        check_pattern(pattern).map_err(|_| no_such_policy(pattern))?;
        let key = keys::retention(pattern);
        let (remove, delete) = (ChangeKind::RetentionRemove, Op::Delete(key));
        self.commit_policy(remove, pattern, delete).await
    }

    /// Commits with a record in the log. It is told of the root: who may read only a part of the
    /// tree is not told of patterns for the rest. A collection under way goes by it from its next
    /// step on.
    async fn commit_policy(&self, kind: ChangeKind, pattern: &str, op: Op) -> Result<()> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            let collecting = tx.collecting().await?;
            if let Op::Delete(key) = &op {
                if tx.view().get(key).await?.is_none() {
                    return Err(no_such_policy(pattern));
                }
                tx.insist(Guard::Present(key.clone()));
            }
            tx.before_collection_goes_on(collecting);
            tx.also(op.clone());
            let change = tx.note(kind, "/", Ino::ROOT.0, 0);
            change.file_kind = records::kind_code(FileKind::Directory);
            change.subject = Some(pattern.to_owned());
            if tx.commit(Durability::Sync).await?.is_some() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Err(
            Error::conflict("others kept changing policies first; try again")
                .with("attempts", ATTEMPTS_MAX),
        )
    }
}

impl Shared {
    async fn policies(&self) -> Result<Vec<RetentionPolicy>> {
        let view = self.view(At::Latest).await?;
        // One more than there can be, but for those that two set at once.
        let page = view
            .scan(keys::all_retention(), 2 * RETENTION_POLICIES_MAX)
            .await?;
        let policies = page.entries.into_iter().map(|entry| {
            let pattern = String::from_utf8_lossy(&entry.key[1..]).into_owned();
            let record: PolicyRecord = records::decode(entry.value.bytes)?;
            Ok(record.into_policy(pattern))
        });
        policies.collect()
    }
}

/// Whether a row, with what follows the tag of its key, is a policy; if not, why.
pub(crate) fn check_row(pattern: &[u8], value: &Bytes) -> Result<(), &'static str> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "a pattern that is not UTF-8")?;
    check_pattern(pattern).map_err(|_| "a pattern that no policy can have")?;
    let record = PolicyRecord::decode(value.clone());
    let record = record.map_err(|_| "a record that cannot be read")?;
    let policy = record.into_policy(pattern.to_owned());
    let checked = policy.limits.check();
    checked.map_err(|_| "limits that no policy can have")
}

impl RetentionLimits {
    fn check(&self) -> Result<()> {
        let ages = RETENTION_AGE_MIN..=RETENTION_AGE_MAX;
        if let Some(age) = self.max_age.filter(|age| !ages.contains(age)) {
            return Err(
                Error::invalid("history is kept for a second at least and 100 years at most; set no age to keep it for ever")
                    .with("max_age_ms", age.as_millis()),
            );
        }
        if self.max_versions == Some(0) {
            return Err(Error::invalid(
                "at least one version of a file is kept; set 1 to keep no other",
            ));
        }
        Ok(())
    }
}

impl From<&RetentionPolicy> for PolicyRecord {
    fn from(policy: &RetentionPolicy) -> Self {
        let limits = policy.limits;
        let ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self {
            max_age_ms: limits.max_age.map(ms),
            max_versions: limits.max_versions,
            actor: policy.actor.clone(),
            time: policy.time.0,
        }
    }
}

impl PolicyRecord {
    fn into_policy(self, pattern: String) -> RetentionPolicy {
        RetentionPolicy {
            pattern,
            limits: RetentionLimits {
                max_age: self.max_age_ms.map(Duration::from_millis),
                max_versions: self.max_versions,
            },
            actor: self.actor,
            time: Timestamp(self.time),
        }
    }
}

fn no_such_policy(pattern: &str) -> Error {
    Error::not_found("there is no policy for this pattern; list the policies")
        .with("pattern", path::shown(pattern))
}

/// Longest pattern of a policy: it is a key.
const PATTERN_BYTES_MAX: usize = 512;

fn check_pattern(pattern: &str) -> Result<()> {
    let refused =
        |why: &'static str| Err(Error::invalid(why).with("pattern", path::shown(pattern)));
    if !pattern.starts_with('/') || pattern.contains('\0') {
        return refused("the pattern of a policy is an absolute glob, like /logs/**");
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        return refused("the pattern of a policy has at most 512 bytes; shorten it");
    }
    PathPattern::new(pattern, "/").map(drop)
}
