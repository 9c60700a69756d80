//! Restores: beside the layers, for there is nothing in them while one is under way.

use std::sync::Arc;
use std::time::Instant;

use nexus_kernel::{Limits, RestoreStep, Restoring, Revision};

use super::{ClosesTheQueueInAPanic, Committer};
use crate::error;
use crate::layers::{Base, Below};
use crate::queue::Closed;
use crate::restore;

impl Committer {
    /// Takes a step of a restore. A failure of the file closes the queue.
    pub(crate) fn restore(&mut self, step: &RestoreStep) -> nexus_kernel::Result<()> {
        let _panics = ClosesTheQueueInAPanic(self.queue.clone());
        self.queue.check_closed_gracefully()?;
        let begun = self.view().restoring.clone();
        Limits::STANDARD.check_restore(step, self.visible, begun.as_ref())?;
        if let (RestoreStep::Rows { .. }, Some(space)) = (step, &mut self.space) {
            space.refresh(Instant::now());
            space.check()?;
        }
        self.take_step(step, begun.as_ref()).map_err(|failed| {
            self.queue.close(Closed::AfterFailure);
            error::translate(&failed).outcome_unknown()
        })
    }

    fn take_step(
        &mut self,
        step: &RestoreStep,
        begun: Option<&Restoring>,
    ) -> Result<(), redb::Error> {
        let opened = self.view().opened.clone();
        let restoring = restore::take(&opened.db, step, begun)?;
        let base = Base::newest(&opened.db)?;
        let mut view = self.view_mut();
        view.below = Arc::new(Below::from(base));
        view.restoring = restoring;
        drop(view);
        if let (RestoreStep::Finish, Some(begun)) = (step, begun) {
            self.go_on_from(begun.revision);
        }
        Ok(())
    }

    fn go_on_from(&mut self, revision: Revision) {
        self.view_mut().revision = revision;
        self.visible = revision;
        self.durable = revision;
        self.reserved = revision;
        self.newest.send_replace(revision);
    }
}
