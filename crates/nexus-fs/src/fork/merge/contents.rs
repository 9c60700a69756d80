//! Merging the content of one file.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Durability, Result};

use super::change::{Ours, Planner};
use super::deeds::Act;
use super::made::{Source, target_of};
use super::text::{MERGE_TEXT_BYTES_MAX, Merged, as_text, merge};
use super::{MergeChangeKind, MergeConflictKind, MergeStrategy};
use crate::content::Stored;
use crate::records::InodeRecord;
use crate::types::FileKind;

/// Texts that were merged, by the etags of what each was made from, so that an attempt after a
/// lost race need not do it again. None is a conflict.
#[derive(Default)]
pub(super) struct Texts(HashMap<[Bytes; 3], Option<Text>>);

#[derive(Clone)]
struct Text {
    /// None in a dry run.
    content: Option<Arc<Stored>>,
    is_marked: bool,
}

impl Planner<'_, '_> {
    /// The target gets what the fork has.
    pub(super) fn take_content(
        &mut self,
        path: &str,
        source: u64,
        theirs: &InodeRecord,
        ours: &Ours,
    ) -> Result<()> {
        self.plan.note(MergeChangeKind::Taken, ours.path.clone());
        if theirs.file_kind() == FileKind::Symlink {
            let leads = Act::Relink(target_of(theirs));
            self.plan.does(ours.path.clone(), leads);
            return Ok(());
        }
        self.write(path, source, Stored::shared(theirs)?.into(), ours);
        Ok(())
    }

    fn write(&mut self, path: &str, ino: u64, content: Arc<Stored>, ours: &Ours) {
        let path = path.to_owned();
        let source = Source { ino, path };
        let write = Act::Write { content, source };
        self.plan.does(ours.path.clone(), write);
    }

    /// Both sides have changed it, or made it.
    pub(super) async fn merge_content(
        &mut self,
        path: &str,
        before: Option<&InodeRecord>,
        source: u64,
        theirs: &InodeRecord,
        ours: &Ours,
    ) -> Result<()> {
        let Some(text) = self.merged_text(before, theirs, &ours.record).await? else {
            let kind = match before {
                Some(_) => MergeConflictKind::Content,
                None => MergeConflictKind::Added,
            };
            if self.conflict(kind, ours.path.clone()) {
                self.take_content(path, source, theirs, ours)?;
            }
            return Ok(());
        };
        if text.is_marked {
            self.plan.mark(ours.path.clone());
        }
        let kind = match text.is_marked {
            true => MergeChangeKind::Marked,
            false => MergeChangeKind::Merged,
        };
        self.plan.note(kind, ours.path.clone());
        if let Some(content) = text.content {
            self.write(path, source, content, ours);
        }
        Ok(())
    }

    /// The text that all three versions make, if they make one that is wanted.
    async fn merged_text(
        &mut self,
        before: Option<&InodeRecord>,
        theirs: &InodeRecord,
        ours: &InodeRecord,
    ) -> Result<Option<Text>> {
        let before_etag = before.map(|before| before.etag.clone());
        let versions = [
            before_etag.unwrap_or_default(),
            theirs.etag.clone(),
            ours.etag.clone(),
        ];
        if let Some(known) = self.texts.0.get(&versions) {
            return Ok(known.clone());
        }
        let merged = self.merge_texts(before, theirs, ours).await?;
        let text = match merged {
            Some(Merged::Clean(text)) => Some((text, false)),
            Some(Merged::Marked(text)) if self.strategy == MergeStrategy::Markers => {
                Some((text, true))
            }
            _ => None,
        };
        let text = match text {
            Some((text, is_marked)) => Some(Text {
                content: self.stored(text).await?,
                is_marked,
            }),
            None => None,
        };
        self.texts.0.insert(versions, text.clone());
        Ok(text)
    }

    async fn stored(&self, text: String) -> Result<Option<Arc<Stored>>> {
        if self.dry_run {
            return Ok(None);
        }
        let store = &self.tx.zone().content;
        // Durable with the commit that names it, or earlier.
        let content = store.store(text.into(), Durability::Sync).await?;
        Ok(Some(Arc::new(content)))
    }

    /// The text that all three make; none if one is no text, or too long, or differs in too much.
    async fn merge_texts(
        &self,
        before: Option<&InodeRecord>,
        theirs: &InodeRecord,
        ours: &InodeRecord,
    ) -> Result<Option<Merged>> {
        let base = match before {
            Some(before) => self.text(before).await?,
            None => Some(String::new()),
        };
        let (theirs, ours) = (self.text(theirs).await?, self.text(ours).await?);
        match (base, ours, theirs) {
            (Some(base), Some(ours), Some(theirs)) => merge(base, ours, theirs).await,
            _ => Ok(None),
        }
    }

    async fn text(&self, record: &InodeRecord) -> Result<Option<String>> {
        if record.file_kind() != FileKind::File || record.size > MERGE_TEXT_BYTES_MAX {
            return Ok(None);
        }
        let bytes = self
            .tx
            .session
            .zone
            .content_bytes(record, 0..record.size)
            .await?;
        Ok(as_text(&bytes))
    }
}
