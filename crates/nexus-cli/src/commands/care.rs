//! `whoami`, `health`, `sync`, `gc`, `verify`.

use clap::Args;
use futures::TryStreamExt;
use nexus_client::{Error, Kind, Result, VerifyProgress};
use serde_json::json;

use crate::app::App;
use crate::exit::Exit;
use crate::format;
use crate::transfer::Progress;

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus whoami --key sk-...")]
pub struct Whoami;

impl Whoami {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let identity = client.whoami().await?;
        app.out.show(
            || crate::json::identity(&identity),
            |_| {
                let (kind, id) = (identity.kind.as_str(), &identity.id);
                let mut text = format!("{kind}:{id} in zone {}", identity.zone);
                text += &format!("\n  rights  {}", identity.rights.as_str());
                text += &format!("\n  below   {}", identity.prefix.as_deref().unwrap_or("/"));
                if let Some(key_id) = &identity.key_id {
                    text += &format!("\n  key     {key_id}");
                }
                text
            },
        )
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Ends with 0 if the node answers, 7 if it cannot be reached. Needs no key.")]
pub struct Health;

impl Health {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let revision = match client.revision().await {
            Ok(revision) => Some(revision.0),
            // A node that refuses us is alive.
            Err(error) if is_refusal(&error) => None,
            Err(error) => return Err(error),
        };
        let url = app.url().to_owned();
        app.out.show(
            || json!({"healthy": true, "url": url, "revision": revision}),
            |_| match revision {
                Some(revision) => format!("healthy: {url} at revision {revision}"),
                None => format!("healthy: {url}"),
            },
        )
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unauthenticated | Kind::PermissionDenied)
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  for f in *.txt; do nexus write --relaxed /texts/$f < $f; done; nexus sync")]
pub struct Sync;

impl Sync {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let revision = app.client().await?.sync().await?;
        app.out.show(
            || json!({"revision": revision.0}),
            |_| format!("durable up to r{revision}"),
        )
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Collects what the policies of retention let go of history, and then removes the content that
nothing refers to any more.

Examples:
  nexus gc --dry-run
  nexus gc")]
pub struct Gc {
    /// Change nothing, just count
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Gc {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let report = app.client().await?.gc(self.dry_run).await?;
        app.out.show(
            || {
                json!({
                    "rows": report.rows, "versions": report.versions,
                    "blobs": report.blobs, "bytes": report.bytes, "dry_run": report.dry_run,
                })
            },
            |_| {
                let verb = if report.dry_run {
                    "would remove"
                } else {
                    "removed"
                };
                let blobs = format::count(report.blobs, "blob");
                let size = format::size(report.bytes);
                if report.rows == 0 {
                    return format!("{verb} {blobs}, {size}");
                }
                let rows = format::count(report.rows, "row");
                let versions = format::count(report.versions, "version");
                format!("{verb} {blobs}, {size}, and {rows} of history with {versions}")
            },
        )
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Reads everything that is stored. Ends with 8 if something is damaged.")]
pub struct Verify;

impl Verify {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let mut reports = app.client().await?.verify().await?;
        let progress = Progress::spinner(!app.out.is_json());
        let mut last = VerifyProgress::default();
        let mut problems = 0;
        while let Some(report) = reports.try_next().await? {
            progress.say(&summary(&report));
            if let Some(problem) = &report.problem {
                problems += 1;
                app.exit = Exit::Corrupt;
                app.out.show(
                    || json!({"problem": problem}),
                    |_| format!("damaged: {problem}"),
                )?;
            }
            last = report;
        }
        progress.end();
        if !last.done {
            return Err(Error::unavailable(
                "the node stopped before everything was checked; try again",
            ));
        }
        app.out.show(
            || {
                json!({
                    "done": true,
                    "problems": problems,
                    "checked_files": last.checked_files,
                    "checked_blobs": last.checked_blobs,
                    "checked_bytes": last.checked_bytes,
                })
            },
            |_| match problems {
                0 => format!("all is well: {}", summary(&last)),
                _ => format!("{}: {}", format::count(problems, "problem"), summary(&last)),
            },
        )
    }
}

fn summary(report: &VerifyProgress) -> String {
    let files = format::count(report.checked_files, "file");
    let blobs = format::count(report.checked_blobs, "blob");
    format!("{files}, {blobs}, {}", format::size(report.checked_bytes))
}
