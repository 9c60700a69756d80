//! Merging the content of one file.

use std::sync::Arc;

use nexus_kernel::{Durability, Result};

use super::change::{Ours, Planner};
use super::deeds::Act;
use super::made::{Source, target_of};
use super::text::{MERGE_TEXT_BYTES_MAX, Merged, as_text, merge};
use super::{MergeChangeKind, MergeConflictKind, MergeStrategy};
use crate::content::Stored;
use crate::records::InodeRecord;
use crate::types::FileKind;

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
        let merged = self.merge_texts(before, theirs, &ours.record).await?;
        let (kind, text) = match merged {
            Some(Merged::Clean(text)) => (MergeChangeKind::Merged, text),
            Some(Merged::Marked(text)) if self.strategy == MergeStrategy::Markers => {
                self.plan.mark(ours.path.clone());
                (MergeChangeKind::Marked, text)
            }
            _ => {
                let kind = match before {
                    Some(_) => MergeConflictKind::Content,
                    None => MergeConflictKind::Added,
                };
                if self.conflict(kind, ours.path.clone()) {
                    self.take_content(path, source, theirs, ours)?;
                }
                return Ok(());
            }
        };
        self.plan.note(kind, ours.path.clone());
        let store = &self.tx.zone().content;
        // Durable with the commit that names it, or earlier.
        let content = store.store(text.into(), Durability::Sync).await?;
        self.write(path, source, Arc::new(content), ours);
        Ok(())
    }

    /// The text that all three make; none if one is no text, or too long.
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
            (Some(base), Some(ours), Some(theirs)) => merge(base, ours, theirs).await.map(Some),
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
