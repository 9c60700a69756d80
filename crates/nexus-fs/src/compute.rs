//! Work that takes the processor for long.

use nexus_kernel::{Error, Result};

/// Does `work` on a thread where computing for long does no harm. It ends though nobody waits
/// for it any more.
pub(crate) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|why| Error::unavailable("the work was interrupted; try again").because(why))
}
