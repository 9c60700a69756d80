//! `retention`.

use std::time::Duration;

use clap::{Args, Subcommand};
use nexus_client::{Result, RetentionLimits, RetentionPolicy};
use serde_json::{Value, json};

use crate::app::App;
use crate::format;
use crate::points;

#[derive(Args, Debug)]
#[command(after_help = "\
PATTERN is an absolute glob. Of several that match a path the most specific one holds: one without
wildcards, else the one whose fixed leading directories are most, else the longest. Where none
does, everything is kept. Snapshots and forks keep what they need.

Without a policy for '/**' the log and names are kept for ever; with one, they go at the longest age
that any policy has.

Examples:
  nexus retention set '/**' --max-age 30d
  nexus retention set '/logs/**' --max-age 1d --max-versions 5
  nexus retention set '/contracts/**'        Keeps everything there
  nexus retention list
  nexus retention run --dry-run
  nexus retention remove '/logs/**'")]
pub struct Retention {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set how much history some paths keep; everything without limits
    Set(Set),
    /// List the policies
    #[command(alias = "ls")]
    List,
    /// Remove a policy; what was collected stays collected
    #[command(alias = "rm")]
    Remove {
        /// As it was set
        pattern: String,
    },
    /// Collect history now, which otherwise is done now and then; `nexus gc` frees the content
    Run {
        /// Change nothing, just count
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

#[derive(Args, Debug)]
struct Set {
    /// Which paths; '/**' for the zone
    pattern: String,
    /// States that ended longer ago go: 12h, 30d
    #[arg(long, value_name = "TIME", value_parser = points::length)]
    max_age: Option<Duration>,
    /// Versions beyond so many of the newest go, today's included
    #[arg(long, value_name = "COUNT")]
    max_versions: Option<u64>,
}

impl Retention {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        match self.action {
            Action::Set(set) => {
                let limits = RetentionLimits {
                    max_age: set.max_age,
                    max_versions: set.max_versions,
                };
                let client = app.client().await?;
                let policy = client.set_retention(&set.pattern, limits).await?;
                show(app, &policy)
            }
            Action::List => {
                for policy in app.client().await?.retention().await? {
                    show(app, &policy)?;
                }
                Ok(())
            }
            Action::Remove { pattern } => {
                app.client().await?.remove_retention(&pattern).await?;
                app.out.show(
                    || json!({"removed": pattern}),
                    |_| format!("removed the policy for {pattern}"),
                )
            }
            Action::Run { dry_run } => run(app, dry_run).await,
        }
    }
}

async fn run(app: &mut App, dry_run: bool) -> Result<()> {
    let report = app.client().await?.run_retention(dry_run).await?;
    let document = || {
        json!({
            "rows": report.rows,
            "versions": report.versions,
            "snapshots": report.snapshots,
            "oldest_readable": report.oldest_readable.0,
            "dry_run": report.dry_run,
        })
    };
    app.out.show(document, |_| {
        let verb = if dry_run { "would remove" } else { "removed" };
        let mut text = format!(
            "{verb} {} of history with {}",
            format::count(report.rows, "row"),
            format::count(report.versions, "version"),
        );
        if report.snapshots > 0 {
            let snapshots = format::count(report.snapshots, "expired snapshot");
            text += &format!(", and {snapshots}");
        }
        if report.oldest_readable.0 > 0 {
            text += &format!("; history begins at r{}", report.oldest_readable);
        }
        text
    })
}

fn show(app: &mut App, policy: &RetentionPolicy) -> Result<()> {
    app.out.show(|| document(policy), |_| line(policy))
}

/// As the REST interface shows it.
fn document(policy: &RetentionPolicy) -> Value {
    let mut value = json!({
        "pattern": policy.pattern,
        "actor": policy.actor,
        "time": format::rfc3339(policy.time),
    });
    if let Some(age) = policy.limits.max_age {
        value["max_age_ms"] = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).into();
    }
    if let Some(versions) = policy.limits.max_versions {
        value["max_versions"] = versions.into();
    }
    value
}

fn line(policy: &RetentionPolicy) -> String {
    let age = policy.limits.max_age.map(|age| Age(age).to_string());
    let versions = policy.limits.max_versions;
    let versions = versions.map(|most| format::count(most, "version"));
    let limits: Vec<String> = age.into_iter().chain(versions).collect();
    let limits = match limits.is_empty() {
        true => "everything".to_owned(),
        false => limits.join(", "),
    };
    format!("{}  keeps {limits}", format::printable(&policy.pattern))
}

/// An age in its largest whole unit.
struct Age(Duration);

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
            if seconds >= unit && seconds.is_multiple_of(unit) {
                return write!(f, "{}{name}", seconds / unit);
            }
        }
        write!(f, "{seconds}s")
    }
}
