//! A zone as one caller sees it.

use std::sync::Arc;

use futures::StreamExt;
use nexus_kernel::{ByteStream, Error, Kind, Result, Revision, Timestamp};
use nexus_service_api::{Action, Context, Fence, Target};

use crate::path::shown;
use crate::resolve::Place;
use crate::types::{At, Ino};
use crate::view::View;
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

/// What somebody named who named no path: an inode, or a name in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'n> {
    ino: u64,
    name: Option<&'n str>,
}

impl<'n> Asked<'n> {
    pub(crate) const fn inode(ino: u64) -> Self {
        Self { ino, name: None }
    }

    pub(crate) const fn child(parent: u64, name: &'n str) -> Self {
        Self {
            ino: parent,
            name: Some(name),
        }
    }

    /// The error with what was asked in place of where it is, which may be out of the
    /// caller's sight.
    pub(crate) fn without_path(self, error: &Error) -> Error {
        let facts = error.context().iter().filter(|(fact, _)| *fact != "path");
        let told = Error::new(error.kind(), error.message().to_owned());
        let told = facts.fold(told, |told, (fact, value)| told.with(fact, value));
        let told = told.with("ino", self.ino);
        match self.name {
            Some(name) => told.with("name", shown(name)),
            None => told,
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

    /// The same caller, whose changes are committed only while these leases are held, too.
    #[must_use]
    pub fn standing_on(&self, fences: Vec<Fence>) -> Self {
        let mut session = self.clone();
        session.context.fences.extend(fences);
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

    /// The state that `at` names, which a snapshot that the caller may not know of does not.
    pub(crate) async fn view(&self, at: At) -> Result<View<'_>> {
        match at {
            At::Snapshot(name) => {
                let (record, _) = self.seen_snapshot(&name).await?;
                self.zone.view(At::Revision(record.revision())).await
            }
            at => self.zone.view(at).await,
        }
    }

    /// The revision that a point names.
    pub(crate) async fn point(&self, at: &At) -> Result<Revision> {
        match self.view(at.clone()).await?.at {
            Some(revision) => Ok(revision),
            None => self.zone.revision().await,
        }
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

    /// As [`permit`](Self::permit), of where an inode is that was asked for by its number.
    pub(crate) async fn permit_asked(
        &self,
        action: Action,
        asked: Asked<'_>,
        (path, inodes): (&str, &[u64]),
    ) -> Result<()> {
        let permitted = self.permit(action, path, inodes).await;
        permitted.map_err(|error| match error.kind() {
            Kind::PermissionDenied => asked.without_path(&error),
            _ => error,
        })
    }

    /// Where an inode is, if that may be done there.
    pub(crate) async fn permit_inode(
        &self,
        action: Action,
        ino: Ino,
    ) -> Result<(String, Vec<u64>)> {
        let (path, chain) = self.place_of(ino).await?;
        self.permit_asked(action, Asked::inode(ino.0), (&path, &chain))
            .await?;
        Ok((path, chain))
    }

    /// As [`permit`](Self::permit), of where a path led; first whether each link on the way may
    /// be seen. One that may not is refused as if nothing were there.
    pub(crate) async fn permit_at(&self, action: Action, place: &Place<'_>) -> Result<()> {
        for link in &place.links {
            let seen = self.permit(Action::Stat, &link.path, &link.chain).await;
            let Err(refused) = seen else {
                continue;
            };
            if refused.kind() == Kind::PermissionDenied {
                self.permit(action, &link.on, &link.chain).await?;
            }
            return Err(refused);
        }
        match place.asked {
            Some(asked) => {
                let found = (&*place.path, &place.chain[..]);
                self.permit_asked(action, asked, found).await
            }
            None => self.permit(action, &place.path, &place.chain).await,
        }
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
