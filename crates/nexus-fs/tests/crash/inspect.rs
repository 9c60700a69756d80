//! Looks at everything in a zone that is at rest.

use std::collections::BTreeSet;
use std::time::Duration;

use nexus_fs::{At, Session, Stores};
use nexus_kernel::{Freshness, KeyRange, Scan};
use rand::Rng;
use rand::rngs::StdRng;

use crate::books::{Books, Candidate, Violation};
use crate::compare::{Comparison, logged};
use crate::rows;
use crate::tree::Tree;
use crate::zone::{problems, purged};

/// A zone and what it stands on.
pub(crate) struct Inspection<'a> {
    pub session: &'a Session,
    pub stores: &'a Stores,
    pub random: &'a mut StdRng,
}

impl Inspection<'_> {
    /// The zone is in one of the states that it may be in, and sound.
    pub(crate) async fn everything(&mut self, books: &mut Books) -> Result<(), Violation> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let cleared = tokio::time::timeout(PATIENCE, purged(self.stores)).await;
        cleared.map_err(|_| "a deleted tree is never cleared away")?;
        self.settle(books).await?;
        self.now(&books.current).await?;
        for _ in 0..2 {
            let (revision, tree) = &books.past[self.random.random_range(0..books.past.len())];
            let mut then = self.compare(At::Revision(*revision), tree);
            then.tree().await?;
            then.contents().await?;
        }
        let mut problems = problems(self.session).await;
        problems.extend(rows::problems(&*self.stores.metastore).await);
        if !problems.is_empty() {
            return Err(format!("the zone is not sound: {problems:#?}"));
        }
        if self.random.random_ratio(1, 3) {
            self.garbage().await?;
        }
        Ok(())
    }

    /// The tree and the log are as they may be.
    pub(crate) async fn settle(&mut self, books: &mut Books) -> Result<(), Violation> {
        let found = self.find(books.candidates()).await?;
        let revision = self.session.revision().await;
        let revision = revision.map_err(|error| format!("{error:?}"))?;
        let logged = logged(self.session).await;
        let logged = logged.map_err(|error| format!("the log: {error:?}"))?;
        books.settle(found, revision, logged)
    }

    async fn find(&mut self, candidates: Vec<Candidate>) -> Result<Candidate, Violation> {
        let mut differences = Vec::new();
        for candidate in candidates {
            match self.compare(At::Latest, &candidate.tree).tree().await {
                Ok(()) => return Ok(candidate),
                Err(difference) => differences.push(difference),
            }
        }
        Err(differences.join("\nnor\n"))
    }

    async fn now(&mut self, tree: &Tree) -> Result<(), Violation> {
        let mut now = self.compare(At::Latest, tree);
        now.contents().await?;
        now.versions().await
    }

    fn compare<'a>(&'a mut self, at: At, tree: &'a Tree) -> Comparison<'a> {
        Comparison {
            session: self.session,
            at,
            tree,
            random: self.random,
        }
    }

    /// A collection leaves exactly the blobs that something refers to.
    pub(crate) async fn garbage(&mut self) -> Result<(), Violation> {
        let collected = self.session.gc(false).await;
        collected.map_err(|error| format!("the collection fails: {error:?}"))?;
        let (stored, counted) = (self.stored().await, self.counted().await);
        if stored == counted {
            return Ok(());
        }
        Err(format!(
            "stored are the blobs {stored:?}, referred to are {counted:?}"
        ))
    }

    async fn stored(&self) -> BTreeSet<String> {
        const HASH_DIGITS: usize = 64;
        let page = self.stores.objects.list("b/", None, 10_000).await.unwrap();
        let hash = |key: &str| key[key.len() - HASH_DIGITS..].to_owned();
        let keys = page.objects.iter().map(|blob| hash(blob.key.as_str()));
        keys.collect()
    }

    async fn counted(&self) -> BTreeSet<String> {
        let scan = Scan::forward(KeyRange::prefix("c"), 10_000);
        let counts = self.stores.metastore.scan(scan, Freshness::Linearizable);
        let counts = counts.await.unwrap().entries.into_iter();
        // Tag and algorithm come before the hash.
        counts.map(|count| hex::encode(&count.key[2..])).collect()
    }
}
