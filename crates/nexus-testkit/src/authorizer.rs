//! Rights for tests that are not about rights.

use async_trait::async_trait;
use nexus_kernel::Result;
use nexus_service_api::{Action, Authorizer, Context, Target};

/// Lets everybody do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

#[async_trait]
impl Authorizer for Open {
    async fn authorize(&self, _: &Context, _: Action, _: Target<'_>) -> Result<()> {
        Ok(())
    }

    async fn visible(&self, _: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        Ok(vec![true; targets.len()])
    }

    async fn sees_all_below(&self, _: &Context, _: Target<'_>) -> bool {
        true
    }
}
