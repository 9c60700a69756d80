//! Calls that are made again until they are answered, and not for ever.

use std::time::Duration;

use nexus_kernel::{Error, Kind, Outcome, Result};
use tokio::time::{Instant, sleep, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long calls are made again, from now.
pub(crate) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(lasts: Duration) -> Self {
        Self {
            end: Instant::now() + lasts,
            pause: FIRST_PAUSE,
        }
    }

    /// One try. A node that does not answer in time is as good as none.
    pub(crate) async fn once<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout_at(self.end, call)
            .await
            .unwrap_or_else(|_| Err(no_answer()))
    }

    /// Rests before another try after `error`, if another try may help and there is time for it.
    pub(crate) async fn rest(&mut self, error: Error) -> Result<()> {
        let wakes = Instant::now() + self.pause;
        if error.kind() != Kind::Unavailable || wakes >= self.end {
            return Err(error);
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Calls until there is an answer; the call is told whether that of an earlier try was lost, so
/// that what is asked for may have been done already.
pub(crate) async fn patiently<T, F>(lasts: Duration, mut call: impl FnMut(bool) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut patience = Patience::new(lasts);
    let mut again = false;
    loop {
        match patience.once(call(again)).await {
            Err(error) => {
                again |= error.outcome() == Outcome::Unknown;
                patience.rest(error).await?;
            }
            answer => return answer,
        }
    }
}

fn no_answer() -> Error {
    Error::unavailable("the node did not answer in time; check that nexus-node is running")
        .outcome_unknown()
}

#[cfg(test)]
mod tests;
