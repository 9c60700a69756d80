//! Work in flight, so much at a time.

use nexus_client::Result;
use tokio::task::{JoinError, JoinSet};

use super::Summary;

/// Runs transfers concurrently and adds up what they did.
pub(super) struct Tasks {
    running: JoinSet<Result<Summary>>,
    most: usize,
    summary: Summary,
}

impl Tasks {
    pub(super) fn new(most: usize) -> Self {
        Self {
            running: JoinSet::new(),
            most,
            summary: Summary::default(),
        }
    }

    /// Starts one more, once there is room for it. Fails with the error of one that failed.
    pub(super) async fn spawn(
        &mut self,
        work: impl Future<Output = Result<Summary>> + Send + 'static,
    ) -> Result<()> {
        while self.running.len() >= self.most {
            self.join_next().await?;
        }
        self.running.spawn(work);
        Ok(())
    }

    /// Waits until nothing is in flight.
    pub(super) async fn join_all(&mut self) -> Result<()> {
        while !self.running.is_empty() {
            self.join_next().await?;
        }
        Ok(())
    }

    pub(super) fn count(&mut self, done: Summary) {
        self.summary.add(done);
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    async fn join_next(&mut self) -> Result<()> {
        if let Some(done) = self.running.join_next().await {
            self.summary
                .add(done.unwrap_or_else(|failure| repeat_panic(failure))?);
        }
        Ok(())
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failure| repeat_panic(failure))
}

/// Goes on with a panic of something that ran aside.
pub(super) fn repeat_panic(failure: JoinError) -> ! {
    std::panic::resume_unwind(failure.into_panic())
}
