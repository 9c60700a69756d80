//! `log`.

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use futures::{StreamExt, TryStreamExt};
use nexus_client::{Change, ChangeKind, LogQuery, Record, Result, Timestamp};

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
  nexus log --session run-7 --since '2h ago'
  nexus --json log --all > log.jsonl")]
pub struct Log {
    /// Only changes at or below this path
    #[arg(long)]
    path: Option<RemotePath>,
    /// Only by this principal: user:NAME or agent:NAME
    #[arg(long)]
    actor: Option<String>,
    /// Only on behalf of this principal
    #[arg(long, value_name = "PRINCIPAL")]
    behalf_of: Option<String>,
    /// Only with the key of this id
    #[arg(long, value_name = "KEY")]
    key_id: Option<String>,
    /// Only by this program
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Only changes of this kind; may be given more than once
    #[arg(long, value_parser = change_kind())]
    kind: Vec<ChangeKind>,
    /// Only of this session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Only of this request
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only what was this as a whole: undo, restore, merge
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// After this point: a revision, a time, '2h ago', a snapshot
    #[arg(long, value_name = "POINT")]
    since: Option<String>,
    /// Up to this point
    #[arg(long, value_name = "POINT")]
    until: Option<String>,
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
        let mut records = client.log_all(self.query(most, app.now)?).take(most);
        while let Some(record) = records.try_next().await? {
            app.out
                .show(|| json::record(&record), |style| text(&record, style))?;
        }
        Ok(())
    }

    fn query(self, most: usize, now: Timestamp) -> Result<LogQuery> {
        let point = |text: Option<String>| text.map(|text| points::at(&text, now)).transpose();
        Ok(LogQuery {
            path_prefix: self.path.as_ref().map(ToString::to_string),
            kinds: self.kind,
            actor: self.actor,
            on_behalf_of: self.behalf_of,
            key_id: self.key_id,
            program: self.program,
            session: self.session,
            request_id: self.request,
            operation: self.operation,
            since: point(self.since)?,
            until: point(self.until)?,
            newest_first: !self.reverse,
            limit: u32::try_from(most).map_or(PAGE, |most| most.min(PAGE)),
            cursor: None,
        })
    }
}

pub(super) fn change_kind() -> impl TypedValueParser<Value = ChangeKind> {
    let names = ChangeKind::ALL.iter().map(|kind| kind.as_str());
    PossibleValuesParser::new(names).map(|name| {
        let kind = ChangeKind::ALL.iter().find(|kind| kind.as_str() == name);
        *kind.expect("the parser allows these names only")
    })
}

pub(super) fn text(record: &Record, style: Style) -> String {
    let revision = style.paint(Paint::Strong, &format!("r{:<7}", record.revision.0));
    let mut head = format!("{revision} {}  {}", format::time(record.time), record.actor);
    let named = [
        ("as", &record.operation),
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
        _ => match (&change.lease, &change.subject) {
            (Some(lease), _) => format!("{kind:<17} {path}  {} of {}", lease.token, lease.holder),
            (None, Some(subject)) => format!("{kind:<17} {path}  {}", format::printable(subject)),
            (None, None) => format!("{kind:<17} {path}"),
        },
    }
}
