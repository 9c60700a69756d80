//! `log`, `watch`.

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use futures::{StreamExt, TryStreamExt};
use nexus_client::{Change, ChangeKind, LogQuery, Record, Result, Revision, WatchQuery};

use crate::app::App;
use crate::format;
use crate::json;
use crate::location::RemotePath;
use crate::points;
use crate::style::{Paint, Style};

/// Records asked for at once.
const PAGE: u32 = 500;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus log                              The newest 50 commits
  nexus log --path /docs --kind file_delete
  nexus log --actor agent:crawler --since r100 --all
  nexus --json log --of-session run-7 | jq .changes")]
pub struct Log {
    /// Only changes at or below this path
    #[arg(long)]
    path: Option<RemotePath>,
    /// Only by this principal: user:NAME or agent:NAME
    #[arg(long)]
    actor: Option<String>,
    /// Only changes of this kind
    #[arg(long, value_parser = change_kind())]
    kind: Option<ChangeKind>,
    /// Only of this session
    #[arg(long, value_name = "NAME")]
    of_session: Option<String>,
    /// Only of this request
    #[arg(long, value_name = "ID")]
    of_request: Option<String>,
    /// After this revision
    #[arg(long, value_name = "REVISION", value_parser = points::revision)]
    since: Option<Revision>,
    /// Up to this revision
    #[arg(long, value_name = "REVISION", value_parser = points::revision)]
    until: Option<Revision>,
    /// Oldest first
    #[arg(long)]
    reverse: bool,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: usize,
    /// Without a limit
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Log {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let most = if self.all { usize::MAX } else { self.limit };
        let mut records = client.log_all(self.query(most)).take(most);
        while let Some(record) = records.try_next().await? {
            app.out
                .show(|| json::record(&record), |style| text(&record, style))?;
        }
        Ok(())
    }

    fn query(&self, most: usize) -> LogQuery {
        LogQuery {
            path_prefix: self.path.as_ref().map(ToString::to_string),
            actor: self.actor.clone(),
            kind: self.kind,
            session: self.of_session.clone(),
            request_id: self.of_request.clone(),
            since: self.since,
            until: self.until,
            newest_first: !self.reverse,
            limit: u32::try_from(most).map_or(PAGE, |most| most.min(PAGE)),
            cursor: None,
        }
    }
}

fn change_kind() -> impl TypedValueParser<Value = ChangeKind> {
    let names = ChangeKind::ALL.iter().map(|kind| kind.as_str());
    PossibleValuesParser::new(names).map(|name| {
        let kind = ChangeKind::ALL.iter().find(|kind| kind.as_str() == name);
        *kind.expect("the parser allows these names only")
    })
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus watch                      Everything, from now on
  nexus watch '/docs/**' --after r42
  nexus --json watch | while read -r commit; do ...; done

After an interruption go on with --after and the last revision seen: nothing is lost.")]
pub struct Watch {
    /// Only changes of paths that match; everything if not given
    pattern: Option<String>,
    /// What came after this revision, and from now on
    #[arg(long, value_name = "REVISION", value_parser = points::revision)]
    after: Option<Revision>,
}

impl Watch {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let query = WatchQuery {
            pattern: self.pattern,
            after: self.after,
        };
        let mut records = client.watch(query).await?;
        while let Some(record) = records.try_next().await? {
            app.out
                .show(|| json::record(&record), |style| text(&record, style))?;
            app.out.flush()?;
        }
        Ok(())
    }
}

fn text(record: &Record, style: Style) -> String {
    let revision = style.paint(Paint::Strong, &format!("r{:<7}", record.revision.0));
    let mut head = format!("{revision} {}  {}", format::time(record.time), record.actor);
    let named = [
        ("for", &record.on_behalf_of),
        ("session", &record.session),
        ("program", &record.program),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            head += &format!("  {name} {}", format::printable(value));
        }
    }
    record
        .changes
        .iter()
        .fold(head, |text, change| text + "\n  " + &change_text(change))
}

fn change_text(change: &Change) -> String {
    let path = format::printable(&change.path);
    let kind = change.kind.as_str();
    match (change.kind, &change.old_path) {
        (_, Some(old)) => format!("{kind:<17} {} -> {path}", format::printable(old)),
        (ChangeKind::FileWrite, _) => {
            format!(
                "{kind:<17} {path}  v{}, {}",
                change.version,
                format::size(change.size)
            )
        }
        _ => format!("{kind:<17} {path}"),
    }
}
