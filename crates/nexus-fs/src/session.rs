//! A zone as one caller sees it.

use std::sync::Arc;

use futures::StreamExt;
use nexus_kernel::{ByteStream, Result, Revision, Timestamp};
use nexus_service_api::{Action, Context, Target};

use crate::resolve::Place;
use crate::types::Ino;
use crate::zone::{Shared, Zone};

/// A zone as one caller sees it: every operation of the filesystem is a method of it, and
/// asks the zone's authorizer before it does anything. Cheap to make and to clone.
#[derive(Clone)]
pub struct Session {
    pub(crate) zone: Arc<Shared>,
    pub(crate) context: Context,
}

impl Zone {
    /// The zone as `context`'s principal sees it.
    #[must_use]
    pub fn session(&self, context: Context) -> Session {
        Session {
            zone: Arc::clone(&self.shared),
            context,
        }
    }
}

impl Session {
    /// Who this session acts for.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The same caller in another run of an agent and by another program, where they are named.
    #[must_use]
    pub fn acting_for(&self, run: Option<Arc<str>>, program: Option<Arc<str>>) -> Self {
        let mut session = self.clone();
        let context = &mut session.context;
        context.session = run.or_else(|| context.session.take());
        context.program = program.or_else(|| context.program.take());
        session
    }

    /// The time that a change made now gets.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.zone.now()
    }

    /// The newest revision of the zone.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`; whatever the metastore answers.
    pub async fn revision(&self) -> Result<Revision> {
        self.permit(Action::Stat, "/", &[Ino::ROOT.0]).await?;
        self.zone.revision().await
    }

    /// Makes everything written so far durable, `Relaxed` writes too; answers the newest
    /// revision that is.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`; whatever the stores answer.
    pub async fn sync(&self) -> Result<Revision> {
        self.permit(Action::Stat, "/", &[Ino::ROOT.0]).await?;
        // What commits refer to comes first: that is the flush barrier's part.
        self.zone.metastore.sync().await
    }

    /// The one authorization point: nothing is read or changed without passing it.
    pub(crate) async fn permit(&self, action: Action, path: &str, inodes: &[u64]) -> Result<()> {
        self.check_in_force()?;
        let target = Target { path, inodes };
        self.zone
            .authorizer
            .authorize(&self.context, action, target)
            .await
    }

    /// As [`permit`](Self::permit), of where a path led; first whether each link on the way may
    /// be seen.
    pub(crate) async fn permit_at(&self, action: Action, place: &Place<'_>) -> Result<()> {
        for link in &place.links {
            self.permit(Action::Stat, &link.path, &link.chain).await?;
        }
        self.permit(action, &place.path, &place.chain).await
    }

    /// Asks for an action that is not about a file.
    pub(crate) async fn administer(&self) -> Result<()> {
        self.permit(Action::Administer, "/", &[]).await
    }

    /// Refuses to go on past the request's deadline, or with a credential that has ended.
    pub(crate) fn check_goes_on(&self) -> Result<()> {
        self.check_in_force()?;
        if self.context.deadline.is_none() {
            return Ok(());
        }
        self.context.check_deadline(self.zone.config.clock.now())
    }

    fn check_in_force(&self) -> Result<()> {
        let clock = &self.zone.config.clock;
        self.context.principal.check_in_force(|| clock.now())
    }

    /// A body that ends with the credential it was opened with.
    pub(crate) fn while_in_force(&self, body: ByteStream) -> ByteStream {
        let session = self.clone();
        Box::pin(body.map(move |piece| {
            session.check_in_force()?;
            piece
        }))
    }

    /// The principal as records name it.
    pub(crate) fn actor(&self) -> String {
        self.context.principal.actor()
    }
}
