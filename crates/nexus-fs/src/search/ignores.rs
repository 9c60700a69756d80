//! The rules of `.gitignore` and `.ignore` files, as git and ripgrep read them.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use nexus_kernel::{Error, Result};

use super::select::may_read;
use crate::path;
use crate::records::kind_of;
use crate::session::Session;
use crate::types::{FileKind, Ino};
use crate::view::View;

/// Largest file of rules.
const RULES_BYTES_MAX: u64 = 1 << 20;

/// The rules that hold where a walk is.
pub(super) struct Ignores {
    /// From the root down.
    levels: Vec<Level>,
}

struct Level {
    dir: String,
    /// `.ignore`, which has the last word.
    plain: Option<Gitignore>,
    /// `.gitignore`.
    git: Option<Gitignore>,
    /// A repository begins here, in which the `.gitignore` files above do not count.
    repository: bool,
}

impl Ignores {
    /// The rules of the directory `dir` and all above it, whose inode numbers are `chain`.
    pub(super) async fn above(
        session: &Session,
        view: &View<'_>,
        dir: &str,
        chain: &[u64],
    ) -> Result<Self> {
        let mut ignores = Self { levels: Vec::new() };
        let mut here = String::from("/");
        ignores.push(session, view, &here, &chain[..1]).await?;
        for (depth, name) in path::names(dir).enumerate() {
            here = path::join(&here, name);
            ignores
                .push(session, view, &here, &chain[..depth + 2])
                .await?;
        }
        Ok(ignores)
    }

    /// Makes `dir`, whose inode number ends `chain`, the deepest directory whose rules hold. It
    /// is one that was entered before or a child of such.
    pub(super) async fn enter(
        &mut self,
        session: &Session,
        view: &View<'_>,
        dir: &str,
        chain: &[u64],
    ) -> Result<()> {
        while self
            .levels
            .last()
            .is_some_and(|level| !path::is_within(dir, &level.dir))
        {
            self.levels.pop();
        }
        if self.levels.last().is_some_and(|level| level.dir == dir) {
            return Ok(());
        }
        self.push(session, view, dir, chain).await
    }

    async fn push(
        &mut self,
        session: &Session,
        view: &View<'_>,
        dir: &str,
        chain: &[u64],
    ) -> Result<()> {
        let source = Source {
            session,
            view,
            dir,
            chain,
        };
        let level = Level {
            dir: dir.to_owned(),
            plain: source.rules(".ignore").await?,
            git: source.rules(".gitignore").await?,
            repository: source.has(".git").await?,
        };
        self.levels.push(level);
        Ok(())
    }

    /// Whether an entry of the deepest directory is ignored.
    pub(super) fn ignored(&self, path: &str, is_dir: bool) -> bool {
        match self.verdict(path, is_dir) {
            Match::Ignore(()) => true,
            Match::Whitelist(()) => false,
            Match::None => path
                .rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with('.')),
        }
    }

    fn verdict(&self, path: &str, is_dir: bool) -> Match<()> {
        let matched = |rules: &Gitignore| rules.matched(path, is_dir).map(drop);
        let plain = self
            .levels
            .iter()
            .rev()
            .filter_map(|level| level.plain.as_ref());
        let outside = self
            .levels
            .iter()
            .rposition(|level| level.repository)
            .unwrap_or(0);
        let git = self.levels[outside..]
            .iter()
            .rev()
            .filter_map(|level| level.git.as_ref());
        plain
            .chain(git)
            .map(matched)
            .find(|verdict| !verdict.is_none())
            .unwrap_or(Match::None)
    }
}

/// A directory to read rules from.
struct Source<'a> {
    session: &'a Session,
    view: &'a View<'a>,
    dir: &'a str,
    chain: &'a [u64],
}

impl Source<'_> {
    fn ino(&self) -> u64 {
        *self.chain.last().expect("a chain begins at the root")
    }

    async fn has(&self, name: &str) -> Result<bool> {
        Ok(self.view.dentry(self.ino(), name).await?.is_some())
    }

    async fn rules(&self, name: &str) -> Result<Option<Gitignore>> {
        let Some((dentry, _)) = self.view.dentry(self.ino(), name).await? else {
            return Ok(None);
        };
        let path = path::join(self.dir, name);
        let readable = kind_of(dentry.kind)? == FileKind::File
            && may_read(self.session, &path, self.chain, Ino(dentry.ino)).await?;
        if !readable {
            return Ok(None);
        }
        let Some(inode) = self.view.inode(dentry.ino).await? else {
            return Ok(None);
        };
        let size = inode.record.size;
        if size > RULES_BYTES_MAX {
            return Err(Error::limit(
                "a file of ignore rules is too large; shorten it or search without",
            )
            .with("path", path)
            .with("bytes", size)
            .with("bytes_max", RULES_BYTES_MAX));
        }
        let bytes = self
            .session
            .zone
            .content_bytes(&inode.record, 0..size)
            .await?;
        compiled(self.dir, &bytes)
            .map(Some)
            .map_err(|error| error.with("path", path))
    }
}

fn compiled(dir: &str, rules: &[u8]) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(dir);
    let rules = String::from_utf8_lossy(rules);
    for line in rules.trim_start_matches('\u{feff}').lines() {
        // As git does with a rule it cannot read.
        if let Err(why) = builder.add_line(None, line) {
            tracing::debug!(dir, line, %why, "skipped an ignore rule");
        }
    }
    builder.build().map_err(|why| {
        Error::invalid("a file of ignore rules is too complex; shorten it or search without")
            .because(why)
    })
}
